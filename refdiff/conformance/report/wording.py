"""Wording: the sentences that all renderings of a report have in common."""

from __future__ import annotations

from collections.abc import Iterable

from ..mutations.symptoms import UNCHECKED, is_symptom
from ..operations import operations
from ..vectors.files import LEVELS
from .findings import Cause, Counts, Operation, Report, total

UNEXPLAINED = "no known mistake and no small change of a formula gives these answers"
NOT_SEARCHED = "no explanation was found in the time of the search"
RAN = ("passed", "failed", "errored")


def quantity(number: int, noun: str) -> str:
    """1 vector, 2 vectors."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def equations(names: Iterable[str]) -> list[str]:
    """The ids of the equations of these operations, each once."""
    return list(dict.fromkeys(id for name in names for id in operations()[name].equations))


def citation(ids: list[str]) -> str:
    """eq. R2, or eqs. R1, R2; the first six of more."""
    more = f" and {len(ids) - 6} more" if len(ids) > 6 else ""
    return f"eq{'s' * (len(ids) > 1)}. {', '.join(ids[:6])}{more}"


def header(report: Report) -> str:
    """The version of refdiff, the vectors, the precision and the time of the run."""
    areas = f", only {', '.join(report.only)}" if report.only else ""
    vectors = f"{report.set} set of vectors, format {report.vectors_format}{areas}"
    ran = f"{total(report.counts, *RAN):,} of {quantity(total(report.counts), 'vector')} run in {report.seconds:.1f} s"
    limit = "no time limit" if report.timeout is None else f"at most {report.timeout:g} s for each answer"
    return f"refdiff {report.refdiff}, {vectors}; {report.precision}; {ran}, {limit}"


def asked(report: Report) -> tuple[dict[str, Counts], list[str]]:
    """The areas of which vectors were run, and the names of the others."""
    ran = {area: counts for area, counts in report.areas.items() if total(counts, *RAN)}
    return ran, [area for area in report.areas if area not in ran]


def verdict(report: Report) -> str:
    """Passed or not, and at which level."""
    if report.passed:
        return f"PASSED: nothing at level {report.level} differs."
    if report.stopped:
        return f"NOT PASSED: the run stopped early, because {report.stopped}."
    if not report.tested:
        return "NOT PASSED: no vector of level must was run."
    strict = LEVELS[: LEVELS.index(report.level) + 1]
    if not total({level: report.counts[level] for level in strict}, "failed", "errored"):
        if report.changed:
            return "NOT PASSED: the answers are right, but a second answer to the same inputs is another."
        if report.overwrites:
            return "NOT PASSED: the answers are right, but the implementation changes arrays of its caller."
        return "NOT PASSED: the answers are right by other conventions, not by refdiff's."
    return f"NOT PASSED: at level {report.level}, something differs or ends in an error."


def causes_summary(report: Report) -> str:
    """How many failures have an explanation, and whether the search for more was cut; empty if nothing differs."""
    wrong = sum(total(operation.counts, "failed", "errored") for operation in report.operations)
    if not wrong:
        return ""
    explained = sum(len(ids) for cause in report.causes for ids in cause.explained.values())
    text = (
        f"{quantity(len(report.causes), 'cause')} explain{'s' * (len(report.causes) == 1)} {explained:,} of {quantity(wrong, 'failure')}."
    )
    if not explained:
        text = f"{quantity(wrong, 'failure')}: {UNEXPLAINED if report.search_complete else NOT_SEARCHED}."
    cut = f" The search for causes was cut after {report.search_limit:g} s of computing (option --search)."
    return text if report.search_complete else text + cut


def conventions(report: Report) -> list[str]:
    """One sentence for each operation that follows another convention than refdiff's."""
    return [
        f"{name} ({quantity(sum(found.values()), 'vector')}): {', or '.join(found)}" for name, found in report.conventions.items() if found
    ]


def refusals(report: Report) -> str:
    """How many wrong inputs were refused, and what was accepted; empty if no wrong input was given."""
    given = report.refusals
    if not given.run:
        return ""
    text = f"wrong inputs: {given.refused} of {given.run} refused"
    accepted = "; ".join(f"{name} ({', '.join(what)})" for name, what in given.accepted.items())
    return f"{text}; accepted by {accepted}" if accepted else text


def cause_title(cause: Cause) -> str:
    """Differs from eq. R2 as if ... were ..."""
    sentence = cause.sentences[0]
    if not cause.mutants:
        return (
            f"Ends in an error: {sentence}" if sentence.startswith("raises ") else f"Differs from {citation(cause.equations)}: {sentence}"
        )
    return f"Differs from {citation(cause.equations)}{'' if sentence.startswith('as if ') else ':'} {sentence}"


def cause_scope(cause: Cause) -> str:
    """The failures that a cause explains, what they have in common, and where it holds."""
    explained = sum(map(len, cause.explained.values()))
    where = next(iter(cause.explained)) if len(cause.explained) == 1 else quantity(len(cause.explained), "operation")
    share = "" if not cause.mutants or is_symptom(cause.mutants[0], UNCHECKED) else f"{explained:,} of "
    text = f"explains {share}{quantity(cause.failures if share else explained, 'failure')} in {where}"
    if cause.common:
        text += f", all with {', '.join(f'{name} = {value}' for name, value in cause.common.items())}"
    if cause.where:
        text += f"; only where {cause.where}: elsewhere, the answers are not those of this change"
    return text


def resemblance(cause: Cause) -> str:
    """A change that gives some of the wrong answers, and what says that it is not the cause."""
    given, name = sum(map(len, cause.explained.values())), next(iter(cause.explained))
    against = quantity(cause.contradicted, "other vector")
    return (
        f"{given} of the {cause.failures} wrong answers of {name} fit a change: {cause.sentences[0]}. But {against} "
        f"say{'s' * (cause.contradicted == 1)} otherwise: this is not the cause."
    )


def equivalent_changes(cause: Cause) -> str:
    """How many changes of the formula give the same answers as the first one; empty if there is no other."""
    if cause.total == 1:
        return ""
    hidden = f", {len(cause.sentences)} of them shown" if cause.total > len(cause.sentences) else ""
    return f"{cause.total} changes of the formula give the same answers on these vectors{hidden}"


def failure_counts(operation: Operation) -> str:
    """3 failed and 1 errored of 64 vectors."""
    wrong, errors, vectors = (total(operation.counts, *statuses) for statuses in (("failed",), ("errored",), ()))
    parts = [f"{number:,} {status}" for number, status in ((wrong, "failed"), (errors, "errored")) if number]
    return f"{' and '.join(parts)} of {quantity(vectors, 'vector')}"


def explanation(operation: Operation) -> str:
    """How many of an operation's failures each cause explains, and how many have no explanation."""
    parts = [f"cause {number + 1} explains {share:,}" for number, share in operation.causes.items()]
    if operation.unexplained:
        has = "has" if operation.unexplained == 1 else "have"
        none = UNEXPLAINED if operation.searched else NOT_SEARCHED
        where = f", all where {operation.where}" if operation.where else ""
        parts.append(f"the other {operation.unexplained:,} {has} no explanation{where}" if parts else none + where)
    if operation.look_at:
        parts.append(
            f"its formula uses {', '.join(operation.look_at)}, which differ{'s' * (len(operation.look_at) == 1)} too: look there first"
        )
    return "; ".join(parts)


def by_outcome(listed: Iterable[Operation]) -> tuple[list[Operation], list[Operation], list[Operation]]:
    """Operations that differ (at level must first), those that passed every vector that was run, and those that were not run."""
    wrong: list[Operation] = []
    right: list[Operation] = []
    skipped: list[Operation] = []
    for operation in listed:
        if total(operation.counts, "failed", "errored"):
            wrong.append(operation)
        else:
            (right if total(operation.counts, "passed") else skipped).append(operation)
    return sorted(wrong, key=lambda operation: not total({"": operation.counts["must"]}, "failed", "errored")), right, skipped


def coverage_table(report: Report) -> tuple[list[str], dict[tuple[str, str], dict[str, dict[str, int]]]]:
    """The coverage as a table: the schedules, and the counts by sampler and parameterization under each schedule."""
    schedules = list(dict.fromkeys(each.schedule for each in report.coverage))
    rows: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for each in report.coverage:
        rows.setdefault((each.sampler, each.parameterization), {})[each.schedule] = each.counts
    rows = {key: row for key, row in rows.items() if any(coverage_cell(counts) != "skip" for counts in row.values())}
    return schedules if rows else [], rows


def coverage_cell(counts: dict[str, int] | None) -> str:
    """7/9 passed; "skip" if nothing was run; empty if there is no vector."""
    if counts is None:
        return ""
    ran = sum(counts.values()) - counts["skipped"]
    return f"{counts['passed']}/{ran}" if ran else "skip"
