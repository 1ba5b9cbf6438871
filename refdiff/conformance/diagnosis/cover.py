"""Set cover: the mutants that together explain as many failures as possible, chosen greedily."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .mutants import Mutant


class Score(NamedTuple):
    """One mutant, the ids of the failing vectors that it explains, and the count of passed vectors that it contradicts."""

    mutant: Mutant
    ids: frozenset[str]
    contradicted: int


class Explanation(NamedTuple):
    """Mutants that have the same score on these vectors, the failing vectors that they explain, and the count that they
    contradict.
    """

    mutants: list[Mutant]
    ids: frozenset[str]
    contradicted: int = 0


def cover(scores: Iterable[Score], ids: Iterable[str]) -> list[Explanation]:
    """Explanations of as many of these vectors as possible: the best mutant first, then the best for the vectors that remain."""
    found, left, scores = [], set(ids), list(scores)
    while left and (useful := [score for score in scores if score.ids & left]):
        best = min(useful, key=lambda score: (score.contradicted > 0, -len(score.ids & left), score.contradicted))
        same = [s.mutant for s in useful if s.ids & left == best.ids & left and s.contradicted == best.contradicted]
        found.append(Explanation(sorted(same, key=lambda mutant: not mutant.text), frozenset(best.ids & left), best.contradicted))
        left -= best.ids
    return found
