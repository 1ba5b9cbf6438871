"""Second-order mutants: two small changes at once, for a failure that no single change explains."""

from __future__ import annotations

from itertools import combinations, islice, product

import numpy as np

from .. import compare
from ..budget import Budget
from . import kills
from .evidence import Observation
from .match import explains, outcome
from .mutants import Mutant

MAX_FITTING = 300  # pairs with equal outputs that are tried one by one


def fitting_pairs(failure: Observation, precision: str, limit: int, time: Budget) -> tuple[list[Mutant], int]:
    """Pairs of mutants that explain a failure together, and how many were tried, at most `limit`.

    Mutants with equal outputs on this vector are grouped, and one of each group is tried first.
    """
    groups = _by_outputs(failure, time)
    tried = [(first, second) for first, second in combinations(groups, 2) if not _overlap(first[0], second[0])][:limit]
    fitting = [(first, second) for first, second in time.within(tried) if explains(_pair(first[0], second[0]), failure, precision)]
    pairs = (_pair(a, b) for first, second in fitting for a, b in product(first, second) if not _overlap(a, b))
    return [mutant for mutant in time.within(islice(pairs, MAX_FITTING)) if explains(mutant, failure, precision)], len(tried)


def _by_outputs(failure: Observation, time: Budget) -> list[list[Mutant]]:
    """The mutants that change the outputs of this vector, in groups with equal outputs."""
    groups: dict[bytes, list[Mutant]] = {}
    vector = failure.result.vector
    for mutant in time.within(m for m in kills.candidates(vector.operation) if m.edits):
        outputs = outcome(mutant, failure)
        if outputs is not None and compare.difference(outputs, vector.expected or {}, vector.tolerance):
            groups.setdefault(b"".join(np.asarray(value, dtype=float).tobytes() for value in outputs.values()), []).append(mutant)
    return list(groups.values())


def _pair(a: Mutant, b: Mutant) -> Mutant:
    return Mutant(f"{a.name}, and {b.name}", a.edits + b.edits)


def _overlap(a: Mutant, b: Mutant) -> bool:
    """Whether both mutants edit the same expression."""
    return bool({(edit.function, edit.position) for edit in a.edits} & {(edit.function, edit.position) for edit in b.edits})
