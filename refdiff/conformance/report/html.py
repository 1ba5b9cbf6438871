"""A report as one self-contained HTML page without scripts, fonts or pictures, in the light or dark mode of the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from importlib import resources

from ..results import STATUSES
from ..vectors.files import LEVELS
from . import failure_text, wording
from .failures import Failure
from .findings import Cause, Counts, Operation, Report, total


def render(report: Report) -> str:
    """The whole page."""
    name = escape(f"{report.implementation} {report.version}".strip())
    style = resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "\n".join(part for part in _parts(report) if part)
    top = f'<!doctype html>\n<html lang="en"><head>{head}<title>{name}: refdiff check</title>\n<style>\n{style}</style></head>'
    return f"{top}\n<body><main>\n{body}\n</main></body></html>\n"


def _parts(report: Report) -> Iterator[str]:
    yield _head(report)
    yield _section("Warnings", "".join(f'<p class="warning">{_text(warning)}</p>' for warning in report.warnings))
    yield _section("Causes", "".join(_cause(number, cause) for number, cause in enumerate(report.causes, 1)), _unexplained(report))
    yield _areas(report)
    wrong, right, skipped = wording.by_outcome(report.operations)
    lead = (
        f"{wording.quantity(len(wrong), 'operation')} with the smallest vector that each gets wrong. Open an operation to see the numbers."
    )
    yield _section("Operations that differ", "".join(_operation(report, operation) for operation in wrong), lead)
    yield _section("Not the cause", "".join(f"<p>{_text(wording.resemblance(each))}</p>" for each in report.resemblances))
    yield _section("Other conventions, equally right", "".join(f"<p>{_text(sentence)}</p>" for sentence in wording.conventions(report)))
    yield _section("Wrong inputs", f"<p>{_text(_capital(wording.refusals(report)))}.</p>" if wording.refusals(report) else "")
    yield _section("Coverage", _coverage(report), "Vectors passed / vectors run, by sampler or step, parameterization and schedule.")
    lead = f"{len(right)} passed every vector that was run, {len(wrong)} differ, {len(skipped)} were not run."
    yield _section("All operations", _all_operations(report), lead)
    yield f"<footer>{_text(wording.header(report))}.</footer>"


def _text(text: str) -> str:
    """Escaped text, with code between backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _section(title: str, body: str, lead: str = "") -> str:
    paragraph = f'<p class="lead">{_text(lead)}</p>' if lead else ""
    return f"<section><h2>{title}</h2>{paragraph}{body}</section>\n" if body else ""


def _head(report: Report) -> str:
    word, _, rest = wording.verdict(report).partition(":")
    shown = f'<span class="badge {"good" if report.passed else "bad"}">{word}</span>'
    tiles = "".join(_tile(status, total(report.counts, status)) for status in STATUSES)
    return f"""<header><p class="kicker">refdiff check</p>
<h1>{escape(report.implementation)} <small>{escape(report.version)}</small></h1>
<p class="summary">{_text(report.summary)} {_text(wording.causes_summary(report))}</p>
<p class="verdict">{shown} {_text(rest.strip())}</p>
<div class="tiles">{tiles}</div></header>"""


def _tile(status: str, number: int) -> str:
    return f'<div class="tile {status if number else "none"}"><b>{number:,}</b><span>{status}</span></div>'


def bar(counts: Counts) -> str:
    """Passed, failed, errored and skipped as parts of a bar; a single failure is visible."""
    parts = [(status, total(counts, status)) for status in STATUSES]
    label = ", ".join(f"{number} {status}" for status, number in parts if number)
    inner = "".join(f'<i class="{status}" style="flex-grow:{number}"></i>' for status, number in parts if number)
    return f'<div class="bar" role="img" aria-label="{label}" title="{label}">{inner}</div>'


def _areas(report: Report) -> str:
    asked, others = wording.asked(report)
    rows = [_bar_row(area, counts) for area, counts in asked.items()]
    missing = f"<p>Not run: {', '.join(others)}.</p>" if others else ""
    levels = [_bar_row(level, {level: report.counts[level]}) for level in LEVELS if total({level: report.counts[level]}, *wording.RAN)]
    legend = "".join(f'<span><i class="{status}"></i>{status}</span>' for status in STATUSES)
    return _section("Areas", f'<div class="rows">{"".join(rows)}</div>{missing}<h3>By level</h3><div class="rows">{"".join(levels)}</div>'
                    f'<p class="legend">{legend}</p>', "Vectors passed, of those that were run.")  # fmt: skip


def _bar_row(name: str, counts: Counts) -> str:
    ran = total(counts) - total(counts, "skipped")
    passed = f"{total(counts, 'passed'):,} of {ran:,}" if ran else "not run"
    return f'<div class="row"><span>{escape(name)}</span>{bar(counts)}<span class="number">{passed}</span></div>'


def _unexplained(report: Report) -> str:
    left = sum(operation.unexplained for operation in report.operations)
    return f"{wording.causes_summary(report)} {f'The other {left:,} have no explanation.' if left and report.causes else ''}".strip()


def _cause(number: int, cause: Cause) -> str:
    items = "".join(f"<li>or {_text(sentence)}</li>" for sentence in cause.sentences[1:])
    sentences = f"<ul>{items}</ul>" if items else ""
    note = f'<p class="note">{_text(wording.equivalent_changes(cause))}.</p>' if wording.equivalent_changes(cause) else ""
    diff = "".join(
        f'<p class="where">{escape(name)}</p><pre><del>{escape(old)}</del>\n<ins>{escape(new)}</ins></pre>'
        for name, old, new in cause.lines
    )
    chips = "".join(f'<span class="chip">{escape(name)} <b>{len(ids)}</b></span>' for name, ids in cause.explained.items())
    chips = f"<p>{chips}</p>" if len(cause.explained) > 1 else ""
    known = '<span class="badge known">known departure</span>' if cause.known else ""
    share = min(100, 100 * sum(map(len, cause.explained.values())) / max(cause.failures, 1))
    return f"""<article><h3><span class="count">{number}</span> {_text(wording.cause_title(cause))} {known}</h3>
<div class="share"><i style="width:{share:.1f}%"></i></div><p>{_text(_capital(wording.cause_scope(cause)))}.</p>
{diff}{sentences}{note}{chips}</article>
"""


def _operation(report: Report, operation: Operation) -> str:
    defined = f"<p>Defined in {escape(operation.defined)}.</p>" if operation.defined else ""
    code = "\n".join(failure_text.snippet(report, operation.first) if operation.first is not None else [])
    repeat = f"<p>To repeat it in Python:</p><pre>{escape(code)}</pre>" if code else ""
    head = f"<code>{escape(operation.name)}</code> <span>{escape(wording.citation(operation.equations))}</span>"
    return f"""<details><summary><span class="title">{head}</span><span class="number">{escape(wording.failure_counts(operation))}</span>
{bar(operation.counts)}</summary>{defined}<p class="rule">{_text(operation.rule)}</p><p>{_text(_capital(wording.explanation(operation)))}.</p>
{_failures(operation)}{repeat}</details>
"""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _failures(operation: Operation) -> str:
    labels = {id(operation.other): "<p>The first without an explanation:</p>"}
    return "".join(labels.get(id(failure), "") + _failure(failure) for failure in failure_text.shown_failures(operation))


def _failure(failure: Failure) -> str:
    rows = [("vector", f"{failure.id} ({failure.level})"), *failure.inputs.items()]
    body = "".join(f"<tr><th>{escape(name)}</th><td><code>{escape(text)}</code></td></tr>" for name, text in rows)
    found = [("message", failure.message)] if failure.message else []
    if failure.got is not None and not failure.message:
        element = f"{failure.output}{failure.index}" if failure.index else failure.output
        found = [
            ("differs at", element),
            ("got", failure_text.value(failure.got, failure.is_integer)),
            ("want", failure_text.value(failure.want, failure.is_integer)),
        ]
        found += [("distance", failure_text.distance(failure))] if failure_text.distance(failure) else []
        found += [("tolerance", failure.tolerance)]
    if failure.step is not None:
        found.append(("trajectory", failure_text.diverging_step(failure.step)))
    body += "".join(f'<tr class="found"><th>{escape(name)}</th><td><code>{escape(text)}</code></td></tr>' for name, text in found)
    return f'<div class="scroll"><table class="case">{body}</table></div>'


def _coverage(report: Report) -> str:
    schedules, rows = wording.coverage_table(report)
    if not rows:
        return ""
    head = "".join(f"<th><span>{escape(name)}</span></th>" for name in schedules)
    body, last = "", ""
    for (sampler, kind), row in rows.items():
        title = f"<code>{escape(sampler)}</code>" if sampler != last else ""
        cells = "".join(_cell(row.get(name)) for name in schedules)
        body += f"<tr><th>{title}</th><th>{escape(kind)}</th>{cells}</tr>\n"
        last = sampler
    return f'<div class="scroll"><table class="grid"><thead><tr><th></th><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(counts: dict[str, int] | None) -> str:
    text = wording.coverage_cell(counts)
    if counts is None or text == "skip":
        return f'<td class="none">{"skipped" if counts else ""}</td>'
    wrong = counts["failed"] + counts["errored"]
    return f'<td class="{"passed" if not wrong else "failed" if counts["failed"] else "errored"}">{text}</td>'


def _all_operations(report: Report) -> str:
    head = "".join(f"<th>{status}</th>" for status in STATUSES)
    rows = "".join(
        f"<tr><th><code>{escape(o.name)}</code></th><td>{escape(', '.join(o.equations))}</td>"
        + "".join(f'<td class="{status if total(o.counts, status) else "none"}">{total(o.counts, status)}</td>' for status in STATUSES)
        + "</tr>\n"
        for o in report.operations
    )
    table = f'<table class="all"><thead><tr><th>operation</th><th>equations</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<details><summary><span class="title">The table</span></summary><div class="scroll">{table}</div></details>'
