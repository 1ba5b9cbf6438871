"""Second-order mutants: two small changes at once, for a failure that no single change explains."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations, islice, product
from typing import Any

import numpy as np

from .. import compare
from ..budget import Budget
from ..mutations import output_changes
from ..mutations.candidates import candidates, near
from ..mutations.mutants import Mutant
from .evidence import Observation
from .match import agrees, explains, outcome

MAX_FITTING = 300  # pairs with equal outputs that are tried one by one
MAX_SAME = 3  # mutants with equal outputs that are paired with a change of them
CHOICE = 11.0  # bits of the choice of a second mutant


def fitting_pairs(failure: Observation, precision: str, limit: int, time: Budget) -> tuple[list[Mutant], int]:
    """Pairs of mutants that explain a failure together, and how many were tried, at most `limit`.

    Mutants with equal outputs on this vector are grouped, and one of each group is tried first.
    """
    groups = _by_outputs(failure, time, [m for m in candidates(failure.result.vector.operation) if m.edits])
    tried = [(first, second) for first, second in combinations(groups, 2) if not _overlap(first[0], second[0])][:limit]
    fitting = [(first, second) for first, second in time.within(tried) if explains(_pair(first[0], second[0]), failure, precision)]
    pairs = (_pair(a, b) for first, second in fitting for a, b in product(first, second) if not _overlap(a, b))
    return [mutant for mutant in time.within(islice(pairs, MAX_FITTING)) if explains(mutant, failure, precision)], len(tried)


def changed_again(failure: Observation, precision: str, time: Budget) -> list[Mutant]:
    """Mutants whose outputs, changed once more, explain a failure."""
    operation = failure.result.vector.operation
    found = []
    for group in time.within(_by_outputs(failure, time, near(operation))):
        for change in output_changes.single(operation):
            if agrees(_again(change, outcome(group[0], failure) or {}, failure.inputs), failure, precision):
                found += [_pair(mutant, change) for mutant in group[:MAX_SAME]]
    return [mutant for mutant in time.within(found) if explains(mutant, failure, precision)]


def _again(change: Mutant, outputs: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return change.after(outputs, inputs) if change.after else None
    except Exception:
        return None


def _by_outputs(failure: Observation, time: Budget, tried: Sequence[Mutant]) -> list[list[Mutant]]:
    """The mutants that change the outputs of this vector, in groups with equal outputs."""
    groups: dict[bytes, list[Mutant]] = {}
    vector = failure.result.vector
    for mutant in time.within(tried):
        outputs = outcome(mutant, failure)
        if (
            outputs is not None
            and all(np.asarray(value).dtype.kind in "biuf" for value in outputs.values())
            and compare.difference(outputs, vector.expected or {}, vector.tolerance)
        ):
            groups.setdefault(b"".join(np.asarray(value, dtype=float).tobytes() for value in outputs.values()), []).append(mutant)
    return list(groups.values())


def _pair(a: Mutant, b: Mutant) -> Mutant:
    """Both changes: of the formulas, then around the formula, then after it."""
    wraps, afters = [each.wrap for each in (a, b) if each.wrap], [each.after for each in (a, b) if each.after]
    wrap = partial(_wrapped, wraps) if wraps else None
    after = partial(_one_after_the_other, afters) if afters else None
    choices = CHOICE + a.choices + b.choices
    return Mutant(f"{a.name}, and {b.name}", a.edits + b.edits, a.operation or b.operation, wrap, "", after, choices, (a, b))


def _wrapped(wraps: list[Any], formula: Any) -> Any:
    for wrap in wraps:
        formula = wrap(formula)
    return formula


def _one_after_the_other(afters: list[Any], outputs: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    for after in afters:
        outputs = after(outputs, inputs)
    return outputs


def _overlap(a: Mutant, b: Mutant) -> bool:
    """Whether both mutants edit the same expression."""
    return bool({(edit.function, edit.position) for edit in a.edits} & {(edit.function, edit.position) for edit in b.edits})
