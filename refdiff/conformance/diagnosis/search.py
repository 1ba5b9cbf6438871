"""The search for a diagnosis: the known or generated mutants whose outputs are the wrong outputs of an implementation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .. import compare
from ..budget import Budget
from ..results import Result
from . import kills
from .cover import Explanation, Score, cover
from .evidence import Evidence, Observation, collect
from .match import contradicts, explains, outcome
from .mutants import Mutant
from .pairs import fitting_pairs
from .symptoms import ROUNDED, UNCHECKED, is_symptom, symptom

MAX_PROBES = 6  # failures of an operation on which every mutant is tried, the smallest first
MAX_FRUITLESS = 2  # probes without a fitting mutant that end the search
MANY_OPERATIONS = 30  # when more operations than these are wrong, one fruitless probe ends the search, and fewer pairs are tried
MAX_PAIRS = 6000  # of mutants, tried in all, shared by the operations that no single mutant explains
SAMPLE = 12  # vectors of an operation that decide which mutants are tried on all of them


class Diagnosis(NamedTuple):
    """The diagnosis of one operation.

    `explanations` cover the failures, the one that explains most first. `scores` holds every mutant that explains a
    failure, by name. `complete` says that the time was enough to try all mutants and pairs on what is left.
    """

    operation: str
    failures: int
    explanations: list[Explanation]
    scores: dict[str, Score]
    complete: bool = True

    @property
    def mutants(self) -> list[Mutant]:
        """The mutants of the first explanation, which all have the same score."""
        return self.explanations[0].mutants if self.explanations else []

    @property
    def explained(self) -> int:
        """How many failures the first explanation explains."""
        return len(self.explanations[0].ids) if self.explanations else 0


def diagnose(results: Sequence[Result], precision: str = "float64", budget: Budget | None = None) -> list[Diagnosis]:
    """A diagnosis for every operation that failed, within a budget of time.

    First single mutants are tried, then pairs where no single mutant explains the smallest failure; both in the order of
    the sizes of the vectors, so that the time is spent on the large ones (the U-Net's) last.
    """
    time = budget or Budget()
    by_operation: dict[str, list[Result]] = {}
    for result in results:
        by_operation.setdefault(result.vector.operation, []).append(result)
    evidence = {name: collect(each, precision) for name, each in by_operation.items() if any(_is_wrong(result) for result in each)}
    order = sorted(evidence, key=lambda name: evidence[name].size)
    many = len(evidence) > MANY_OPERATIONS
    patience, limit = (1, MAX_PAIRS // 4) if many else (MAX_FRUITLESS, MAX_PAIRS)
    found: dict[str, Diagnosis] = {}
    for name in order:
        found[name] = _diagnose_operation(evidence[name], kills.candidates(name) if time.left() else (), patience, time)
    unexplained = {name: failure for name in order if (failure := _first_unexplained(evidence[name], found[name])) is not None}
    for number, (name, failure) in enumerate(unexplained.items()):
        pairs, tried = fitting_pairs(failure, precision, limit // (len(unexplained) - number), time)
        limit -= tried
        if pairs:
            single = [score.mutant for score in found[name].scores.values()]
            again = _diagnose_operation(evidence[name], [*single, *pairs], patience, time)
            found[name] = found[name] if time.cut else again
        found[name] = found[name]._replace(complete=not time.cut)
    return [found[name] for name in evidence]


def _is_wrong(result: Result) -> bool:
    return result.status in ("failed", "errored")


def _first_unexplained(evidence: Evidence, found: Diagnosis) -> Observation | None:
    """The smallest wrong output that neither the first explanation nor lost precision explains."""
    explained = found.explanations[0].ids if found.scores else frozenset[str]()
    explained = explained.union(*(each.ids for each in found.explanations if is_symptom(each.mutants[0].name, ROUNDED)))
    return next((each for each in evidence.wrong if each.id not in explained), None)


def _diagnose_operation(evidence: Evidence, candidates: Sequence[Mutant], patience: int, time: Budget) -> Diagnosis:
    """Try all candidates on the unexplained failures, one after the other, and cover the failures with the candidates that fit."""
    scores: dict[str, Score] = {}
    left, fruitless = evidence.wrong, 0
    for _ in range(MAX_PROBES):
        if not left or fruitless == patience:
            break
        fitting = [m for m in time.within(candidates) if m.name not in scores and explains(m, left[0], evidence.precision)]
        scores |= {score.mutant.name: score for score in _scores(fitting, evidence, time)}
        fruitless += not fitting
        explained = {id for score in scores.values() for id in score.ids}
        left = _different_first(left[0], [each for each in left[1:] if each.id not in explained])
    explanations = cover(scores.values(), [each.id for each in (*evidence.wrong, *evidence.errored)])
    explanations += _symptoms(evidence, explanations)
    return Diagnosis(evidence.operation, evidence.failures, explanations, scores)


def _different_first(probe: Observation, left: list[Observation]) -> list[Observation]:
    """The failures in another order: first those whose tags contain a word (such as the kind) that differs from the tags of the last probe."""
    words = {name: value for name, value in probe.result.vector.tags.items() if isinstance(value, str) and name != "schedule"}
    return sorted(left, key=lambda each: all(each.result.vector.tags.get(name) == value for name, value in words.items()))


def _scores(fitting: list[Mutant], evidence: Evidence, time: Budget) -> list[Score]:
    """Scores on all vectors, of the mutants that explain a whole sample of the failures or, if there are none, of all."""
    sample = evidence.wrong[:: max(1, len(evidence.wrong) // SAMPLE)]
    full = [mutant for mutant in time.within(fitting) if all(explains(mutant, each, evidence.precision) for each in sample)]
    return [_score(mutant, evidence) for mutant in time.within(full or fitting)]


def _score(mutant: Mutant, evidence: Evidence) -> Score:
    ids = {each.id for each in evidence.wrong if explains(mutant, each, evidence.precision)}
    ids |= {each.id for each in evidence.errored if outcome(mutant, each) is None}
    return Score(mutant, frozenset(ids), sum(contradicts(mutant, each, evidence.precision) for each in evidence.passed))


def _symptoms(evidence: Evidence, explanations: list[Explanation]) -> list[Explanation]:
    """Explanations by lost precision, for a float64 implementation, and by missing input checks."""
    explained = {id for each in explanations for id in each.ids}
    left = [each for each in evidence.wrong if each.id not in explained] if evidence.precision == "float64" else []
    ids = {ROUNDED: frozenset(each.id for each in left if _right_in_float32(each)), UNCHECKED: evidence.unchecked}
    return [Explanation([symptom(kind, evidence.operation)], each) for kind, each in ids.items() if each]


def _right_in_float32(observation: Observation) -> bool:
    vector = observation.result.vector
    return compare.difference(observation.result.got or {}, vector.expected or {}, vector.tolerance, "float32") is None
