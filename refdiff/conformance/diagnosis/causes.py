"""Causes: the fewest mutants that explain the failures of all operations together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .cover import Explanation, Score, cover
from .mutants import Mutant
from .search import Diagnosis
from .symptoms import ROUNDED, UNCHECKED, is_symptom


class Cause(NamedTuple):
    """Mutants with the same score, the ids of the failures that they explain by operation, and the count of passed
    vectors they contradict.
    """

    mutants: list[Mutant]
    explained: dict[str, list[str]]
    contradicted: int = 0


def causes(diagnoses: Sequence[Diagnosis]) -> list[Cause]:
    """Each cause once, the one that explains most first. Mutants that contradict no passed vector are preferred."""
    found: list[Cause] = []
    left = {id for diagnosis in diagnoses for explanation in diagnosis.explanations for id in explanation.ids}
    left |= {id for diagnosis in diagnoses for score in diagnosis.scores.values() for id in score.ids}
    for explanation in cover(_uncontradicted(diagnoses), left):
        found.append(_cause(explanation))
        left -= explanation.ids
    for explanation in (each for diagnosis in diagnoses for each in diagnosis.explanations):
        if explanation.ids & left:
            found.append(_cause(explanation._replace(ids=explanation.ids & left)))
            left -= explanation.ids
    return sorted(_merge_symptoms(found), key=lambda cause: -sum(map(len, cause.explained.values())))


def _uncontradicted(diagnoses: Sequence[Diagnosis]) -> list[Score]:
    """For each mutant that contradicts nothing in an operation, one score over all these operations."""
    total: dict[str, Score] = {}
    for score in (score for each in diagnoses for score in each.scores.values() if not score.contradicted):
        before = total.get(score.mutant.name, Score(score.mutant, frozenset(), 0))
        total[score.mutant.name] = before._replace(ids=before.ids | score.ids)
    return list(total.values())


def _cause(explanation: Explanation) -> Cause:
    explained: dict[str, list[str]] = {}
    for id in sorted(explanation.ids, key=_by_number):
        explained.setdefault(_by_number(id)[0], []).append(id)
    return Cause(explanation.mutants, explained, explanation.contradicted)


def _by_number(id: str) -> tuple[str, int]:
    """The operation and the number of a vector's id."""
    operation, _, number = id.partition("/")
    return operation, int(number) if number.isdecimal() else 0


def _merge_symptoms(found: Sequence[Cause]) -> list[Cause]:
    """Missing input checks are one cause, not one for each operation; so is lost precision."""
    merged = [cause for cause in found if not is_symptom(cause.mutants[0].name)]
    for kind in (ROUNDED, UNCHECKED):
        if same := [cause for cause in found if is_symptom(cause.mutants[0].name, kind)]:
            merged.append(Cause(same[0].mutants, {name: ids for cause in same for name, ids in cause.explained.items()}))
    return merged
