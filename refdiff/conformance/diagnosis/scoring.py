"""Scores: what all vectors of an operation say of a mutant, and the diagnosis that the scores make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..budget import Budget
from ..mutations.mutants import Mutant
from ..mutations.symptoms import NAN, UNCHECKED, is_symptom, symptom
from . import likelihood
from .cover import Explanation, Score, cover
from .evidence import Evidence, Observation
from .match import CONTRADICTED, EXPLAINED, bits, explains, verdict
from .precision import lost_precision
from .predicates import conditional

MAX_PROBES = 6  # failures of an operation on which every mutant is tried, the smallest first
MAX_FRUITLESS = 2  # probes without a fitting mutant that end the search
OTHERS = 10  # explained vectors for each that another departure changes as well
SAMPLE = 12  # wrong vectors on which a mutant is tried before it is tried on all


class Diagnosis(NamedTuple):
    """The diagnosis of one operation.

    `explanations` cover the failures, the one that explains most first. `scores` holds every mutant that is a cause, by name.
    `complete` says that the time was enough to try all mutants and pairs on what is left.
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
    def causes(self) -> list[Mutant]:
        """All mutants that are causes."""
        return [score.mutant for score in self.scores.values()]

    @property
    def resembling(self) -> list[Mutant]:
        """The mutants of the resemblance, if there is one."""
        return [mutant for each in self.explanations if not each.is_cause for mutant in each.mutants]

    @property
    def explained(self) -> int:
        """How many failures the first explanation explains."""
        return len(self.explanations[0].ids) if self.explanations else 0


class Tried(NamedTuple):
    """How many mutants the search has tried on an operation so far, and how many of them are known departures."""

    all: int = 0
    known: int = 0

    def with_more(self, mutants: Sequence[Mutant]) -> Tried:
        """The counts with more mutants."""
        return Tried(self.all + len(mutants), self.known + sum(bool(mutant.text) for mutant in mutants))


def diagnosis(evidence: Evidence, candidates: Sequence[Mutant], tried: Tried, time: Budget, patience: int = MAX_FRUITLESS) -> Diagnosis:
    """Try all candidates on the unexplained failures, one after the other, and cover the failures with the candidates that fit."""
    scores: dict[str, Score] = {}
    left, fruitless = evidence.wrong, 0
    for _ in range(MAX_PROBES):
        if not left or fruitless == patience:
            break
        fitting = [m for m in time.within(candidates) if m.name not in scores and explains(m, left[0], evidence.precision)]
        scores |= {score.mutant.name: score for score in _scores(fitting, evidence, time)}
        fruitless += not fitting
        explained = {id for score in scores.values() if is_cause(score, tried) for id in score.ids}
        fitted = {id for score in scores.values() for id in score.ids}  # also by a mutant that other failures contradict
        unexplained = [each for each in left[1:] if each.id not in explained]
        left = sorted(_different_first(left[0], unexplained), key=lambda each: each.id in fitted)
    return _of_scores(evidence, scores, tried)


def _of_scores(evidence: Evidence, scores: dict[str, Score], tried: Tried) -> Diagnosis:
    wrong = len(evidence.wrong)
    scores = {name: conditional(score, evidence.predicates, evidence.chosen, wrong) for name, score in scores.items()}
    causes = {name: score for name, score in scores.items() if is_cause(score, tried)}
    explanations = cover(causes.values(), [each.id for each in (*evidence.wrong, *evidence.errored)])
    explanations += _symptoms(evidence, explanations)
    explanations += _resemblance(evidence, scores, explanations)
    return Diagnosis(evidence.operation, evidence.failures, explanations, causes)


def is_cause(score: Score, tried: Tried) -> bool:
    """Whether nothing contradicts a mutant, and its numbers agree beyond chance.

    A failing vector in ten may have other outputs: another departure changes them as well.
    """
    contradicted = score.contradicted - score.missed or OTHERS * len(score.missed) > len(score.ids)
    choices = [score.mutant.choices, likelihood.PREDICATE if score.where else 0.0]
    count, needed = (tried.known, likelihood.OF_KNOWN) if score.mutant.text else (tried.all, likelihood.NEEDED)
    return not contradicted and likelihood.above_chance(sum(score.bits.values()), count, choices) >= needed


def first_unexplained(evidence: Evidence, found: Diagnosis, by_symptoms: bool = True) -> Observation | None:
    """The smallest wrong output that has no explanation, or none but a symptom."""
    causes = (each for each in found.explanations if each.is_cause and (by_symptoms or not is_symptom(each.mutants[0].name)))
    explained = frozenset[str]().union(*(each.ids for each in causes))
    return next((each for each in evidence.wrong if each.id not in explained), None)


def _different_first(probe: Observation, left: list[Observation]) -> list[Observation]:
    """The failures in another order: first those whose tags contain a word (such as the kind) that differs from the tags of the last probe."""
    words = {name: value for name, value in probe.result.vector.tags.items() if isinstance(value, str) and name != "schedule"}
    return sorted(left, key=lambda each: all(each.result.vector.tags.get(name) == value for name, value in words.items()))


def _scores(fitting: Iterable[Mutant], evidence: Evidence, time: Budget) -> list[Score]:
    """The scores of the mutants that explain one vector in twelve, or more."""
    sample = evidence.wrong[:: max(1, len(evidence.wrong) // SAMPLE)]
    often = [m for m in time.within(fitting) if SAMPLE * sum(explains(m, each, evidence.precision) for each in sample) >= len(sample)]
    return [_score(mutant, evidence) for mutant in time.within(often)]


def _score(mutant: Mutant, evidence: Evidence) -> Score:
    seen = [(each, verdict(mutant, each, evidence.precision)) for each in (*evidence.wrong, *evidence.errored, *evidence.passed)]
    explained = [each for each, said in seen if said == EXPLAINED and each.result.status != "passed"]
    numbers: dict[Any, float] = {}
    for each in explained:
        numbers |= bits(mutant, each)
    numbers |= _of_gaps(evidence, [each for each in explained if each.gaps])
    against = [each for each, said in seen if said == CONTRADICTED]
    missed = frozenset(each.id for each in against if each.result.status != "passed")
    return Score(mutant, frozenset(each.id for each in explained), frozenset(each.id for each in against), missed, numbers)


def _of_gaps(evidence: Evidence, gaps: list[Observation]) -> dict[Any, float]:
    """The bits of NaN that a mutant gives there and only there: of the choice of these vectors among all, and of the place in each."""
    vectors = len(evidence.wrong) + len(evidence.passed)
    return {each.id: math.log2(math.comb(vectors, len(gaps))) / len(gaps) - math.log2(each.gaps) for each in gaps}


def _symptoms(evidence: Evidence, explanations: list[Explanation]) -> list[Explanation]:
    """Explanations by lost precision, for a float64 implementation without another explanation, by NaN, and by missing input checks."""
    explained = frozenset[str]().union(*(each.ids for each in explanations))
    kinds = {UNCHECKED: evidence.unchecked, NAN: frozenset(each.id for each in evidence.wrong if each.gaps) - explained}
    if not explanations and evidence.precision == "float64":
        kinds |= dict.fromkeys(lost_precision(evidence), frozenset(each.id for each in evidence.wrong))
    return [
        Explanation([Score(symptom(kind, evidence.operation), ids, frozenset(), frozenset(), {})], ids)
        for kind, ids in kinds.items()
        if ids
    ]


def _resemblance(evidence: Evidence, scores: dict[str, Score], found: list[Explanation]) -> list[Explanation]:
    """The mutant that explains most of what is left, if that is half of it, although something contradicts it."""
    left = {each.id for each in evidence.wrong}.difference(*(each.ids for each in found))
    best = max(scores.values(), key=lambda score: (len(score.ids & left), -len(score.contradicted)), default=None)
    if best is None or not left or 2 * len(best.ids & left) < len(left):
        return []
    return [Explanation([best], frozenset(best.ids & left), is_cause=False)]
