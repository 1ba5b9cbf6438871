"""Causes: the fewest mutants that explain the failures of all operations together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..mutations.mutants import Mutant
from ..mutations.symptoms import CANCELLED, NAN, ROUNDED, UNCHECKED, is_symptom
from .cover import Explanation, Score, cover
from .derivatives import DERIVATIVE
from .scoring import Diagnosis


class Cause(NamedTuple):
    """Mutants with the same score, the ids of the failures that they explain by operation, and the predicate on the inputs where they
    hold, empty for everywhere. A resemblance, with `is_cause` false, is contradicted by as many vectors as `contradicted` says.
    """

    mutants: list[Mutant]
    explained: dict[str, list[str]]
    where: str = ""
    is_cause: bool = True
    contradicted: int = 0


def causes(diagnoses: Sequence[Diagnosis]) -> list[Cause]:
    """Each cause once, the one that explains most first; then the resemblances."""
    scores = _over_operations(diagnoses)
    left = {id for score in scores for id in score.ids}
    found = [_cause(explanation) for explanation in cover(scores, left)]
    symptoms = [each for diagnosis in diagnoses for each in diagnosis.explanations if is_symptom(each.mutants[0].name)]
    found = _by_size([*found, *_merged([_cause(each) for each in symptoms])])
    return found + _by_size([_cause(each) for diagnosis in diagnoses for each in diagnosis.explanations if not each.is_cause])


def _over_operations(diagnoses: Sequence[Diagnosis]) -> list[Score]:
    """For each mutant, or each mutant under a predicate, one score over all operations."""
    total: dict[tuple[str, str], Score] = {}
    for score in (score for each in diagnoses for score in each.scores.values()):
        score = score._replace(mutant=score.mutant.origin or score.mutant)
        key = score.mutant.name.removesuffix(DERIVATIVE), score.where
        before = total.get(key, score._replace(ids=frozenset()))
        total[key] = before._replace(ids=before.ids | score.ids, bits=before.bits | score.bits)
    return list(total.values())


def _by_size(found: list[Cause]) -> list[Cause]:
    return sorted(found, key=lambda cause: -sum(map(len, cause.explained.values())))


def _cause(explanation: Explanation) -> Cause:
    explained: dict[str, list[str]] = {}
    for id in sorted(explanation.ids, key=_by_number):
        explained.setdefault(_by_number(id)[0], []).append(id)
    best = explanation.scores[0]
    same = [score.mutant for score in explanation.scores if score.where == best.where]
    return Cause(same, explained, best.where, explanation.is_cause, 0 if explanation.is_cause else len(best.contradicted))


def _by_number(id: str) -> tuple[str, int]:
    """The operation and the number of a vector's id."""
    operation, _, number = id.partition("/")
    return operation, int(number) if number.isdecimal() else 0


def _merged(found: Sequence[Cause]) -> list[Cause]:
    """Missing input checks are one cause, not one for each operation; so is lost precision."""
    merged = []
    for kind in (ROUNDED, CANCELLED, NAN, UNCHECKED):
        if same := [cause for cause in found if is_symptom(cause.mutants[0].name, kind)]:
            merged.append(Cause(same[0].mutants, {name: ids for cause in same for name, ids in cause.explained.items()}))
    return merged
