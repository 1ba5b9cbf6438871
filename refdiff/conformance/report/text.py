"""A report for the terminal, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from string import ascii_uppercase

from ..operations import AREAS, chosen, operations
from ..results import STATUSES
from ..vectors.files import LEVELS
from . import failure_text, wording
from .findings import Cause, Counts, Operation, Report, total

WIDTH, BAR, COLUMNS = 100, 30, 11
MAX_LINES = 2  # changed lines of formulas that a cause shows


def render(report: Report) -> str:
    """The whole report."""
    return first_lines(report.summary) + after_the_first(report)


def first_lines(summary: str) -> str:
    """The summary, which can be printed before the search for causes."""
    return "\n".join(_wrapped(summary)) + "\n"


def after_the_first(report: Report) -> str:
    """All but the summary."""
    return "\n".join(line.rstrip() for line in _lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from _wrapped(wording.causes_summary(report))
    yield from _wrapped(wording.header(report))
    for warning in report.warnings:
        yield from ["", *_wrapped(f"warning: {warning}", "  ", "")]
    for number, cause in enumerate(report.causes, 1):
        yield from _cause(number, cause)
    yield from ["", *_areas(report)]
    wrong, right, skipped = wording.by_outcome(report.operations)
    for operation in wrong:
        yield from _operation(operation)
    if wrong and wrong[0].first is not None and (lines := failure_text.snippet(report, wrong[0].first)):
        yield from ["", "to repeat the first of these in Python:", *(f"    {line}" for line in lines)]
    for each in report.resemblances:
        yield from ["", *_wrapped(wording.resemblance(each), "  ", "")]
    yield from ["", "other conventions, equally right"] if report.conventions else []
    for sentence in wording.conventions(report):
        yield from _wrapped(sentence, "      ", "  ")
    if wording.refusals(report):
        yield from ["", *_wrapped(wording.refusals(report), "  ", "")]
    yield from _coverage(report)
    yield from _names("every vector that was run passed", right)
    yield from _skipped(report, skipped)
    yield from ["", *_wrapped(wording.verdict(report))]


def _wrapped(text: str, indent: str = "", first: str | None = None) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent if first is None else first, subsequent_indent=indent)


def _areas(report: Report) -> Iterator[str]:
    yield f"{'area':<12} {'':<{BAR}} {'passed':>8} {'failed':>8} {'errored':>8} {'skipped':>8}"
    asked, others = wording.asked(report)
    for area, counts in asked.items():
        yield f"{area:<12} {bar(counts)} {_numbers(counts)}"
    yield f"{'all':<12} {bar(report.counts)} {_numbers(report.counts)}"
    for level in LEVELS:
        if total({level: report.counts[level]}, *wording.RAN):
            yield f"{'  ' + level:<12} {bar({level: report.counts[level]})} {_numbers({level: report.counts[level]})}"
    yield f"{'':<12} # passed, x failed or errored, - skipped"
    if others:
        yield from _wrapped(f"not run: {', '.join(others)}", " " * 13)


def _numbers(counts: Counts) -> str:
    return " ".join(f"{total(counts, status) or '.':>8}" for status in STATUSES)


def bar(counts: Counts) -> str:
    """Passed, failed and skipped as a bar; a single failure is visible."""
    every = max(total(counts), 1)
    wrong, skipped = (total(counts, *statuses) for statuses in (("failed", "errored"), ("skipped",)))
    x, dash = (min(BAR - 1, max(1, round(BAR * part / every))) if part else 0 for part in (wrong, skipped))
    x, dash = (BAR if wrong == every else x), (BAR if skipped == every else dash)
    return ("#" * max(0, BAR - x - dash) + "x" * x + "-" * dash)[:BAR]


def _cause(number: int, cause: Cause) -> Iterator[str]:
    yield ""
    yield from _wrapped(wording.cause_title(cause), "    ", f"{f'cause {number}':<8} {'(a known departure) ' if cause.known else ''}")
    for sentence in cause.sentences[1:]:
        yield from _wrapped(f"or {sentence}", "       ", "    ")
    yield from _wrapped(wording.cause_scope(cause), "    ")
    yield from _wrapped(wording.equivalent_changes(cause), "    ")
    if len(cause.lines) > MAX_LINES:
        yield f"    {len(cause.lines)} lines of the formulas change; --format markdown and html show them"
    for name, old, new in cause.lines if len(cause.lines) <= MAX_LINES else ():
        yield from _wrapped(old, "         ", f"    {name}:" if len(name) > 30 else f"    {name}: ")
        yield from _wrapped(new, "         ", " " * (len(name) - 4) + "becomes ")
    if len(cause.explained) > 1:
        yield from _wrapped(", ".join(f"{name} ({len(ids)})" for name, ids in cause.explained.items()), "       ", "    in ")


def _operation(operation: Operation) -> Iterator[str]:
    yield ""
    yield from _wrapped(
        f"{operation.name} differs from {wording.citation(operation.equations)}: {wording.failure_counts(operation)}{_defined(operation)}",
        "  ",
        "",
    )
    yield from _wrapped(operation.rule, "    ")
    yield from _wrapped(wording.explanation(operation), "    ")
    for failure in failure_text.shown_failures(operation):
        which = "without an explanation: " if failure is operation.other else ""
        yield from _wrapped(f"{which}{failure.id} ({failure.level}): {failure_text.inputs(failure)}", "      ", "    ")
        yield from _wrapped(failure_text.difference(failure), "      ", "    ")
        if failure.step is not None:
            yield from _wrapped(failure_text.diverging_step(failure.step), "      ", "    ")


def _defined(operation: Operation) -> str:
    return f" ({operation.defined})" if operation.defined else ""


def _coverage(report: Report) -> Iterator[str]:
    schedules, rows = wording.coverage_table(report)
    if not rows:
        return
    yield from ["", "coverage: passed/run by sampler or step, parameterization and schedule"]
    for start in range(0, len(schedules), COLUMNS):
        yield from _coverage_block(schedules[start : start + COLUMNS], rows)


def _coverage_block(schedules: list[str], rows: dict[tuple[str, str], dict[str, dict[str, int]]]) -> Iterator[str]:
    named = [f"{letter}={name}" for letter, name in zip(ascii_uppercase, schedules, strict=False)]
    yield from _wrapped("  ".join(named), "  ")
    yield f"  {'':<31}" + "".join(f"{letter:>6}" for letter in ascii_uppercase[: len(schedules)])
    last = ""
    for (sampler, kind), row in rows.items():
        if any(name in row for name in schedules):
            yield f"  {sampler[:22] if sampler != last else '':<22} {kind:<8}" + "".join(f"{_cell(row.get(s)):>6}" for s in schedules)
            last = sampler


def _cell(counts: dict[str, int] | None) -> str:
    text = wording.coverage_cell(counts)
    if counts is None or len(text) < 6:
        return text
    return f"{100 * counts['passed'] // (sum(counts.values()) - counts['skipped'])}%"


def _names(text: str, listed: list[Operation]) -> Iterator[str]:
    for area in AREAS:
        names = [operation.name for operation in listed if operation.area == area]
        if names:
            yield from ["", f"{text}:"] if area == listed[0].area else []
            yield from _wrapped(", ".join(names), " " * 15, f"  {area:<13}")


def _skipped(report: Report, listed: list[Operation]) -> Iterator[str]:
    """Operations that were not run, where another operation of the area was run; other areas are named above."""
    ran = {operation.area for operation in report.operations if operation not in listed}
    yield from _names("nothing was run", [operation for operation in listed if operation.area in ran])


def listing(only: list[str]) -> str:
    """All operations, or those of some areas or names: signature, outputs, equations, rule."""
    text: list[str] = []
    for area in AREAS:
        listed = [o for o in operations().values() if o.area == area and o.name in chosen(only)]
        if listed:
            text += ["", area]
        for each in listed:
            given = ", ".join(f"{name}={'None'}" if name in each.optional else name for name in each.inputs)
            text += _wrapped(f"{each.name}({given}) -> {', '.join(each.outputs)}", "      ", "  ")
            text += _wrapped(f"{', '.join(each.equations)}: {each.rule}", "      ")
    return "\n".join(text[1:]) + "\n"
