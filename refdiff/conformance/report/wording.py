"""What every rendering of a report says in the same words."""

from __future__ import annotations

from collections.abc import Iterable

from . import mutant_text as words
from .failures import Failure, Step
from .findings import Cause, Operation, Report, total

NOTHING = "no known or composed mistake explains it"
RAN = ("passed", "failed", "errored")


def header(report: Report) -> str:
    """With what was measured."""
    areas = f", only {', '.join(report.only)}" if report.only else ""
    of = f"{report.set} set of vectors, format {report.vectors_format}{areas}"
    ran = f"{total(report.counts, *RAN):,} of {words.count(total(report.counts), 'vector')} run in {report.seconds:.1f} s"
    return f"refdiff {report.refdiff}, {of}; {report.precision}; {ran}"


def verdict(report: Report) -> str:
    """Passed or not, and by which level."""
    if report.passed:
        return f"PASSED: nothing at level {report.level} differs."
    if not total(report.counts, *RAN):
        return "NOT PASSED: nothing was run."
    return f"NOT PASSED: at level {report.level}, something differs or ends in an error."


def causes(report: Report) -> str:
    """How much of what differs has an explanation, in a sentence; nothing if nothing differs."""
    wrong = total(report.counts, "failed", "errored")
    if not wrong:
        return ""
    explained = sum(len(ids) for cause in report.causes for ids in cause.explained.values())
    if not explained:
        return f"{words.count(wrong, 'failure')}: {NOTHING}."
    return f"{words.count(len(report.causes), 'cause')} explain{'s' * (len(report.causes) == 1)} {explained:,} of {words.count(wrong, 'failure')}."


def head(cause: Cause, sentence: str | None = None) -> str:
    """Differs from eq. R2 as if ... were ..."""
    sentence = sentence or cause.sentences[0]
    return f"Differs from {words.eqs(cause.equations)}{'' if sentence.startswith('as if ') else ':'} {sentence}"


def reach(cause: Cause) -> str:
    """What a cause explains, what these have in common, and what speaks against it."""
    explained = sum(map(len, cause.explained.values()))
    where = next(iter(cause.explained)) if len(cause.explained) == 1 else words.count(len(cause.explained), "operation")
    of = "" if cause.mutants[0].startswith("unchecked: ") else f"{explained:,} of "
    text = f"explains {of}{words.count(cause.failures if of else explained, 'failure')} in {where}"
    if cause.common:
        text += f", all with {', '.join(f'{name} = {value}' for name, value in cause.common.items())}"
    if cause.where:
        text += f"; only where {cause.where}: elsewhere, {words.count(cause.contradicted, 'vector')} that it would change passed"
    elif cause.contradicted:
        text += f"; but it would also change {words.count(cause.contradicted, 'vector')} that passed"
    return text


def others(cause: Cause) -> str:
    """How many mutants cannot be told apart from the first."""
    if cause.total == 1:
        return ""
    unseen = f", {len(cause.sentences)} of them shown" if cause.total > len(cause.sentences) else ""
    return f"{cause.total} changes of the formula answer alike on these vectors{unseen}"


def failed(operation: Operation) -> str:
    """3 of 64 vectors failed, 1 errored."""
    wrong, errors, of = (total(operation.counts, *statuses) for statuses in (("failed",), ("errored",), ()))
    parts = [f"{number:,} {word}" for number, word in ((wrong, "failed"), (errors, "errored")) if number]
    return f"{' and '.join(parts)} of {words.count(of, 'vector')}"


def explanation(operation: Operation) -> str:
    """Which causes explain how many of an operation's failures."""
    parts = [f"cause {number + 1} explains {share:,}" for number, share in operation.causes.items()]
    if operation.unexplained:
        parts.append(f"{NOTHING}" if not parts else f"nothing known explains the other {operation.unexplained:,}")
    if operation.look_at:
        parts.append(
            f"its formula uses {', '.join(operation.look_at)}, which differ{'s' * (len(operation.look_at) == 1)} too: look there first"
        )
    return "; ".join(parts)


def difference(failure: Failure) -> str:
    """Where a failing vector differs."""
    if failure.got is None:
        return failure.message
    if failure.message:
        return failure.message
    place = f"{failure.output}{list(failure.index)}" if failure.index else failure.output
    return f"{place}: {apart(failure)}"


def step(found: Step) -> str:
    """The first diverging step."""
    pair = "at the start" if found.start is None else f"from t = {found.start:g} to {found.end:g}"
    place = f"{found.tensor}{found.index}" if found.index else found.tensor
    return f"first diverging step: {found.number}, {pair}; {place}: {apart(found)}"


def shown(operation: Operation) -> list[Failure]:
    """The first failure, and the first without an explanation if that is another."""
    return [failure for failure in (operation.first, operation.other) if failure is not None]


def inputs(failure: Failure) -> str:
    """All inputs on one line."""
    return ", ".join(f"{name}={text}" for name, text in failure.inputs.items())


def value(number: float | str | None) -> str:
    """A number with all the digits it has."""
    return f"{number:.17g}" if isinstance(number, float) else str(number)


def apart(found: Failure | Step) -> str:
    """Both values and their distance, in ulps where that says something."""
    text = f"got {value(found.got)}, want {value(found.want)}"
    return f"{text}, {distance(found.ulps)} apart" if distance(found.ulps) else text


def distance(ulps: float | str | None) -> str:
    """A distance in ulps, short; nothing if it is beyond all numbers, as it is from 0."""
    if not isinstance(ulps, float) or ulps > 1e300:
        return ""
    return f"{ulps:.0f} ulp{'s' * (ulps != 1)}" if ulps < 1e5 else f"{ulps:.1e} ulps"


def split(listed: Iterable[Operation]) -> tuple[list[Operation], list[Operation], list[Operation]]:
    """Operations that differ (in a must first), those that passed whatever was run, and those of which nothing was run."""
    wrong: list[Operation] = []
    right: list[Operation] = []
    silent: list[Operation] = []
    for operation in listed:
        if total(operation.counts, "failed", "errored"):
            wrong.append(operation)
        else:
            (right if total(operation.counts, "passed") else silent).append(operation)
    return sorted(wrong, key=lambda operation: not total({"": operation.counts["must"]}, "failed", "errored")), right, silent


def cells(report: Report) -> tuple[list[str], dict[tuple[str, str], dict[str, dict[str, int]]]]:
    """The coverage as a grid: the schedules, and by sampler and parameterization the counts under each schedule."""
    schedules = list(dict.fromkeys(each.schedule for each in report.coverage))
    rows: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for each in report.coverage:
        rows.setdefault((each.sampler, each.parameterization), {})[each.schedule] = each.counts
    return schedules, rows


def cell(counts: dict[str, int] | None) -> str:
    """7/9 passed; "skip" if nothing was run; nothing where no vector asks."""
    if counts is None:
        return ""
    ran = sum(counts.values()) - counts["skipped"]
    return f"{counts['passed']}/{ran}" if ran else "skip"
