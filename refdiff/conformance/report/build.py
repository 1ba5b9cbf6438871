"""Build a report from results: counts, coverage, the first failure of each operation, and the causes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import __version__
from ..budget import Budget
from ..diagnosis import causes, predicates, scoring, search
from ..mutations import mutants, symptoms
from ..mutations.conventions import by_one_convention
from ..operations import AREAS, operations
from ..results import STATUSES, Finding, Result
from ..vectors import files
from . import mutant_text, outcome, warnings, wording
from .exceptions import asked_again, equal_exceptions
from .failures import failure, size
from .findings import Cause, Counts, Coverage, Operation, Report, counts

FORMAT = 3  # 3: the levels accuracy, refusal and convention; refusals and conventions apart
SEARCH = 6.0  # seconds for the search for causes, by default
SHOWN = 5  # changes with the same answers that are listed


def build_report(
    implementation: Any, results: Sequence[Result], limit: float = SEARCH, again: Sequence[Finding] = (), **header: Any
) -> Report:
    """The report of the results of an implementation; `header` holds set, only, level and seconds, `limit` is the time limit of
    the search for causes, and `again` is what asking again showed.
    """
    header = {"set": "full", "only": [], "level": "must", "seconds": 0.0, **header}
    level, precision, time = header["level"], implementation.precision, Budget(limit)
    every = by_one_convention(results, precision)
    judged = [each for each in every if each.vector.level != "refusal" or level in outcome.REFUSED]
    diagnoses = search.diagnose([each for each in judged if not each.convention], precision, time)
    found, resemblances = _causes(diagnoses, judged, again)
    listed = _operations(implementation, judged, found, {each.operation for each in diagnoses if not each.complete})
    stopped = f"{implementation.who} {implementation.broken}" if getattr(implementation, "broken", "") else ""
    changed = any(each.changed for each in again)
    return Report(
        format=FORMAT,
        implementation=implementation.name,
        version=implementation.version,
        precision=precision,
        refdiff=__version__,
        vectors_format=files.FORMAT,
        **header,
        timeout=getattr(implementation, "timeout", None),
        stopped=stopped,
        search_limit=limit,
        search_complete=not time.cut,
        passed=not stopped and outcome.passed(every, level) and not changed,
        tested=outcome.tested(every),
        summary=outcome.summary(implementation, every, level),
        counts=counts(every),
        areas=_areas(every),
        operations=listed,
        causes=found,
        resemblances=resemblances,
        conventions=outcome.conventions(every),
        refusals=outcome.refusals(every),
        coverage=_coverage(judged),
        called=getattr(implementation, "called", ("", "")),
        warnings=warnings.misspelled(implementation) + warnings.overwriting(every) + warnings.changing(again),
        changed=changed,
        overwrites=any(result.overwritten for result in outcome.at_level(every, level)),
        vectors=[_vector(result) for result in every],
    )


def _causes(diagnoses: Sequence[scoring.Diagnosis], results: list[Result], again: Sequence[Finding]) -> tuple[list[Cause], list[Cause]]:
    """The causes, those that the exceptions and the second calls show among them; and the changes that only resemble one."""
    said, by_operation = causes.causes(diagnoses), _by_operation(results)
    found, resemblances = ([_cause(each, by_operation) for each in said if each.is_cause == wanted] for wanted in (True, False))
    explained = {id for cause in found for ids in cause.explained.values() for id in ids}
    raised = [*asked_again([each for each in again if not each.changed], explained), *equal_exceptions(results, explained)]
    return [*found, *raised], resemblances


def _by_operation(results: list[Result]) -> dict[str, list[Result]]:
    """The results of each operation, in the order of the operations."""
    found: dict[str, list[Result]] = {name: [] for name in operations()}
    for result in results:
        found[result.vector.operation].append(result)
    return {name: some for name, some in found.items() if some}


def _areas(results: list[Result]) -> dict[str, Counts]:
    by_area = {area: [r for r in results if operations()[r.vector.operation].area == area] for area in AREAS}
    return {area: counts(some) for area, some in by_area.items() if some}


def _operations(implementation: Any, results: list[Result], found: list[Cause], incomplete: set[str]) -> list[Operation]:
    listed = [_operation(name, some, found, implementation.precision) for name, some in _by_operation(results).items()]
    for operation in listed:
        operation.look_at = _upstream(operation, listed)
        operation.searched = operation.name not in incomplete
        operation.defined = getattr(implementation, "defined", lambda name: "")(operation.name) if operation.first else ""
    return listed


def _operation(name: str, results: list[Result], found: list[Cause], precision: str) -> Operation:
    operation = operations()[name]
    wrong = sorted(
        (r for r in results if r.status in ("failed", "errored")), key=lambda r: (r.status == "errored", r.vector.expected is None, size(r))
    )
    shares = {number: len(cause.explained[name]) for number, cause in enumerate(found) if name in cause.explained}
    explained = {id for cause in found for id in cause.explained.get(name, ())}
    others = [r for r in wrong if r.vector.id not in explained] if wrong and wrong[0].vector.id in explained else []
    return Operation(
        name,
        operation.area,
        operation.equations,
        operation.rule,
        counts(results),
        failure(wrong[0], precision) if wrong else None,
        shares,
        len(wrong) - sum(shares.values()),
        other=failure(others[0], precision) if others else None,
        where=_where([r for r in wrong if r.vector.id not in explained], results),
    )


def _where(unexplained: list[Result], results: list[Result]) -> str:
    """The first predicate on the inputs that separates the unexplained failures from the vectors that passed."""
    passed = [each for each in results if each.status == "passed" and each.vector.expected is not None]
    if len(unexplained) < 2 or not passed:
        return ""
    some, others = ([predicates.predicates(each.vector.inputs) for each in group] for group in (unexplained, passed))
    return predicates.separating(some, others)


def _upstream(operation: Operation, listed: list[Operation]) -> list[str]:
    """Operations that the formula of this operation uses, and that also have unexplained failures. If one of them uses
    another, only the other is listed.
    """
    wrong = {each.name for each in listed if each.unexplained}
    used = {name: mutants.reachable(name) & wrong - {name} for name in wrong}
    return [each.name for each in listed if operation.unexplained and each.name in used[operation.name] and not used[each.name]]


def _cause(cause: causes.Cause, results: dict[str, list[Result]]) -> Cause:
    names = list(cause.explained)
    first = names[0]
    ids = {id for each in cause.explained.values() for id in each}
    wrong = [r for name in names for r in results[name] if r.status in ("failed", "errored")]
    shown = cause.mutants[:SHOWN]
    all_results = [r for name in names for r in results[name]]
    return Cause(
        sentences=list(dict.fromkeys(mutant_text.sentence(mutant, first if len(names) == 1 else "") for mutant in shown)),
        known=bool(shown[0].text) and not symptoms.is_symptom(shown[0].name),
        total=len(cause.mutants),
        equations=wording.equations([name for name in operations() if name in shown[0].functions] or names),
        failures=len(wrong),
        explained=cause.explained,
        contradicted=cause.contradicted,
        where=cause.where,
        common=_common([r for r in wrong if r.vector.id in ids], all_results),
        lines=mutant_text.changed_lines(shown[0]),
        mutants=[mutant.name for mutant in cause.mutants],
    )


def _common(explained: list[Result], all_results: list[Result]) -> dict[str, Any]:
    """The tags that all explained vectors share, and not all vectors."""
    tags = dict(explained[0].vector.tags)
    shared = {name: value for name, value in tags.items() if all(r.vector.tags.get(name) == value for r in explained)}
    return {name: value for name, value in shared.items() if any(r.vector.tags.get(name) != value for r in all_results)}


def _coverage(results: Sequence[Result]) -> list[Coverage]:
    """Every combination of sampler (or other step), schedule and parameterization that has a vector."""
    table: dict[tuple[str, str, str], dict[str, int]] = {}
    for result in sorted(results, key=lambda r: operations()[r.vector.operation].area != "samplers"):
        name, tags = result.vector.operation, result.vector.tags
        kind = tags.get("kind", tags.get("predicts", tags.get("source")))
        if operations()[name].area == "samplers" or ("schedule" in tags and isinstance(kind, str)):
            key = (name, str(tags.get("schedule", "none")), str(kind or "any"))
            table.setdefault(key, dict.fromkeys(STATUSES, 0))[result.status] += 1
    return [Coverage(*key, each) for key, each in table.items()]


def _vector(result: Result) -> dict[str, Any]:
    vector = result.vector
    kept = {"id": vector.id, "level": vector.level, "status": result.status, "tags": vector.tags}
    words = {"message": result.message, "convention": result.convention, "refused": vector.refused}
    return kept | {name: text for name, text in words.items() if text}
