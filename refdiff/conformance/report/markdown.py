"""A report as Markdown, for a file beside the code or a comment on a change."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..results import STATUSES
from ..vectors.files import LEVELS
from . import mutant_text as words
from . import wording as phrases
from .findings import Cause, Counts, Operation, Report, total


def render(report: Report) -> str:
    """The whole report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {plain(f'{report.implementation} {report.version}'.strip())} against refdiff"
    yield from ["", f"**{phrases.verdict(report)}** {plain(report.summary)} {phrases.causes(report)}".rstrip()]
    yield from ["", f"{plain(phrases.header(report))}.", ""]
    yield from _table([("area", report.areas)], report.counts)
    if report.causes:
        yield from ["", "## Why"]
        for number, cause in enumerate(report.causes, 1):
            yield from _cause(number, cause)
    wrong, _, _ = phrases.split(report.operations)
    if wrong:
        yield from ["", "## What differs"]
        for operation in wrong:
            yield from _operation(operation)
    yield from _coverage(report)
    if report.warnings:
        yield from ["", "## Warnings", "", *(f"- {plain(warning)}" for warning in report.warnings)]
    yield from ["", "## All operations", ""]
    yield from _table([("operation", {f"`{o.name}`": o.counts for o in report.operations})], report.counts)


def plain(text: str) -> str:
    """Foreign words that Markdown and HTML take literally, on one line; what stands between backticks stays."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        parts = ["'".join(parts)]
    return "`".join(part if i % 2 else _escaped(part) for i, part in enumerate(parts))


def _escaped(text: str) -> str:
    for sign, instead in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), *((c, "\\" + c) for c in "*|[]#")):
        text = text.replace(sign, instead)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)


def code(text: str) -> str:
    """Foreign words as code in one line, also within a table."""
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "/") + "`"


def _table(parts: list[tuple[str, dict[str, Counts]]], everything: Counts) -> Iterator[str]:
    for name, rows in parts:
        yield f"| {name} | {' | '.join(STATUSES)} |"
        yield "|---|---:|---:|---:|---:|"
        for title, counts in rows.items():
            yield f"| {title} | {_numbers(counts)} |"
    yield f"| **all** | {_numbers(everything)} |"
    for level in LEVELS:
        if sum(everything[level].values()):
            yield f"| *{level}* | {_numbers({level: everything[level]})} |"


def _numbers(counts: Counts) -> str:
    return " | ".join(str(total(counts, status)) for status in STATUSES)


def _cause(number: int, cause: Cause) -> Iterator[str]:
    known = " *(a known departure)*" if cause.known else ""
    yield from ["", f"{number}. **{plain(phrases.head(cause))}**{known}; {plain(phrases.reach(cause))}."]
    for sentence in cause.sentences[1:]:
        yield f"   - or {plain(sentence)}"
    if phrases.others(cause):
        yield f"   - {phrases.others(cause)}."
    if cause.lines:
        yield from ["", "   ```diff"]
        for name, old, new in cause.lines:
            yield from [f"     in {name}", f"   - {old}", f"   + {new}"]
        yield "   ```"
    if len(cause.explained) > 1:
        yield from ["", "   In " + ", ".join(f"`{name}` ({len(ids)})" for name, ids in cause.explained.items()) + "."]


def _operation(operation: Operation) -> Iterator[str]:
    yield from ["", f"### `{operation.name}` differs from {words.eqs(operation.equations)}", ""]
    yield f"{phrases.failed(operation)}; {plain(phrases.explanation(operation))}. The rule: {plain(operation.rule)}"
    for failure in phrases.shown(operation):
        which = "first failing case" if failure is operation.first else "first without an explanation"
        yield from ["", f"- {which} {code(failure.id)} ({failure.level}): {code(phrases.inputs(failure))}"]
        yield f"- {code(phrases.difference(failure))}"
        if failure.step is not None:
            yield f"- {code(phrases.step(failure.step))}"


def _coverage(report: Report) -> Iterator[str]:
    schedules, rows = phrases.cells(report)
    if rows:
        yield from ["", "## Coverage", "", "Passed / run, by sampler or step, parameterization and schedule.", ""]
        yield f"| | | {' | '.join(schedules)} |"
        yield "|---|---|" + "---:|" * len(schedules)
        for (sampler, kind), row in rows.items():
            yield f"| `{sampler}` | {kind} | {' | '.join(phrases.cell(row.get(name)) for name in schedules)} |"
