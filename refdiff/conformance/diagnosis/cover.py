"""Set cover: the mutants that together explain as many failures as possible, chosen greedily."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..mutations.mutants import Mutant

CLOSE = 0.95  # the share of the best weight that other mutants with the same vectors must have


class Score(NamedTuple):
    """One mutant, the ids of the failing vectors that it explains, and those of the vectors that contradict it: it changes their
    outputs, but the implementation passed them, or gave others (`missed`). `bits` are what its numbers are worth, by
    `likelihood.numbers`, and `where` is a predicate on the inputs: elsewhere, the formula is the specification's.
    """

    mutant: Mutant
    ids: frozenset[str]
    contradicted: frozenset[str]
    missed: frozenset[str]
    bits: dict[Any, float]
    where: str = ""

    @property
    def weight(self) -> float:
        """The bits, less those of the mutant's own choices."""
        return sum(self.bits.values()) - self.mutant.choices


class Explanation(NamedTuple):
    """Scores that explain the same vectors of one operation, the best first, the failing vectors that they explain, and whether
    they are a cause, or only resemble one.
    """

    scores: list[Score]
    ids: frozenset[str]
    is_cause: bool = True

    @property
    def mutants(self) -> list[Mutant]:
        """The mutants of the scores."""
        return [score.mutant for score in self.scores]


def cover(scores: Iterable[Score], ids: Iterable[str]) -> list[Explanation]:
    """Explanations of as many of these vectors as possible: the best mutant first, then the best for the vectors that remain."""
    found, left, scores = [], set(ids), list(scores)
    while left and (useful := [score for score in scores if score.ids & left]):
        best = max(useful, key=lambda score: (len(score.ids & left), score.weight))
        same = [each for each in useful if each.ids & left == best.ids & left and each.weight >= CLOSE * best.weight]
        found.append(Explanation(sorted(same, key=lambda each: (not each.mutant.text, -each.weight)), frozenset(best.ids & left)))
        left -= best.ids
    return found
