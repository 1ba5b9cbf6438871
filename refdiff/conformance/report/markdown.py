"""A report as Markdown, for a file beside the code or a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..results import STATUSES
from ..vectors.files import LEVELS
from . import failure_text, wording
from .findings import Cause, Counts, Operation, Report, total


def render(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {plain(f'{report.implementation} {report.version}'.strip())} against refdiff"
    yield from ["", f"**{wording.verdict(report)}** {plain(report.summary)} {wording.causes_summary(report)}".rstrip()]
    yield from ["", f"{plain(wording.header(report))}.", ""]
    if report.warnings:
        yield from ["## Warnings", "", *(f"- {plain(warning)}" for warning in report.warnings), ""]
    if report.causes:
        yield "## Causes"
        for number, cause in enumerate(report.causes, 1):
            yield from _cause(number, cause)
        yield from ["", "## Areas", ""]
    asked, others = wording.asked(report)
    yield from _table([("area", asked)], report.counts)
    yield from ["", f"Not run: {', '.join(others)}."] if others else []
    wrong, _, _ = wording.by_outcome(report.operations)
    if wrong:
        yield from ["", "## Operations that differ"]
        for operation in wrong:
            yield from _operation(operation)
            lines = failure_text.snippet(report, operation.first) if operation.first is not None else []
            yield from ["", "```python", *lines, "```"] if lines else []
    if report.resemblances:
        yield from ["", "## Not the cause", "", *(f"- {plain(wording.resemblance(each))}" for each in report.resemblances)]
    if report.conventions:
        yield from ["", "## Other conventions, equally right", "", *(f"- {plain(sentence)}" for sentence in wording.conventions(report))]
    if wording.refusals(report):
        yield from ["", f"{_capital(plain(wording.refusals(report)))}."]
    yield from _coverage(report)
    yield from ["", "## All operations", ""]
    yield from _table([("operation", {f"`{o.name}`": o.counts for o in report.operations})], report.counts)


def plain(text: str) -> str:
    """Text on one line, escaped for Markdown and HTML; code between backticks is kept."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        parts = ["'".join(parts)]
    return "`".join(part if i % 2 else _escaped(part) for i, part in enumerate(parts))


def _escaped(text: str) -> str:
    for sign, escaped in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), *((c, "\\" + c) for c in "*|[]#")):
        text = text.replace(sign, escaped)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def code(text: str) -> str:
    """Text as code on one line, also within a table."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "/") + "`"


def _table(parts: list[tuple[str, dict[str, Counts]]], all_counts: Counts) -> Iterator[str]:
    for name, rows in parts:
        yield f"| {name} | {' | '.join(STATUSES)} |"
        yield "|---|---:|---:|---:|---:|"
        for title, counts in rows.items():
            yield f"| {title} | {_numbers(counts)} |"
    yield f"| **all** | {_numbers(all_counts)} |"
    for level in LEVELS:
        if total({level: all_counts[level]}, *wording.RAN):
            yield f"| *{level}* | {_numbers({level: all_counts[level]})} |"


def _numbers(counts: Counts) -> str:
    return " | ".join(str(total(counts, status)) for status in STATUSES)


def _cause(number: int, cause: Cause) -> Iterator[str]:
    known = " *(a known departure)*" if cause.known else ""
    yield from ["", f"{number}. **{plain(wording.cause_title(cause))}**{known}; {plain(wording.cause_scope(cause))}."]
    for sentence in cause.sentences[1:]:
        yield f"   - or {plain(sentence)}"
    if wording.equivalent_changes(cause):
        yield f"   - {wording.equivalent_changes(cause)}."
    if cause.lines:
        yield from ["", "   ```diff"]
        for name, old, new in cause.lines:
            yield from [f"     in {name}", f"   - {old}", f"   + {new}"]
        yield "   ```"
    if len(cause.explained) > 1:
        yield from ["", "   In " + ", ".join(f"`{name}` ({len(ids)})" for name, ids in cause.explained.items()) + "."]


def _operation(operation: Operation) -> Iterator[str]:
    yield from ["", f"### `{operation.name}` differs from {wording.citation(operation.equations)}", ""]
    yield f"Defined in {plain(operation.defined)}. " if operation.defined else ""
    yield f"{wording.failure_counts(operation)}; {plain(wording.explanation(operation))}. The rule: {plain(operation.rule)}"
    for failure in failure_text.shown_failures(operation):
        which = "first failing case" if failure is operation.first else "first without an explanation"
        yield from ["", f"- {which} {code(failure.id)} ({failure.level}): {code(failure_text.inputs(failure))}"]
        yield f"- {code(failure_text.difference(failure))}"
        if failure.step is not None:
            yield f"- {code(failure_text.diverging_step(failure.step))}"


def _coverage(report: Report) -> Iterator[str]:
    schedules, rows = wording.coverage_table(report)
    if rows:
        yield from ["", "## Coverage", "", "Vectors passed / vectors run, by sampler or step, parameterization and schedule.", ""]
        yield f"| | | {' | '.join(schedules)} |"
        yield "|---|---|" + "---:|" * len(schedules)
        for (sampler, kind), row in rows.items():
            yield f"| `{sampler}` | {kind} | {' | '.join(wording.coverage_cell(row.get(name)) for name in schedules)} |"
