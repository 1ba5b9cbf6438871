"""Regions: a change that holds for a part of the output only, such as the last channel or the first example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..mutations import kills
from ..mutations.mutants import Mutant
from ..mutations.output_changes import AXES
from ..operations import operations
from . import likelihood
from .evidence import Observation
from .match import outcome


def _parts(axis: int) -> Iterator[tuple[str, Callable[[int], Any]]]:
    """Parts of an axis, as masks of its indices, given its length."""
    yield f"the first entry of axis {axis}", lambda n: np.arange(n) == 0
    yield f"the last entry of axis {axis}", lambda n: np.arange(n) == n - 1
    yield f"all but the first entry of axis {axis}", lambda n: np.arange(n) > 0
    yield f"all but the last entry of axis {axis}", lambda n: np.arange(n) < n - 1
    yield f"the even entries of axis {axis}", lambda n: np.arange(n) % 2 == 0
    yield f"the odd entries of axis {axis}", lambda n: np.arange(n) % 2 == 1
    yield f"the first half of axis {axis}", lambda n: np.arange(n) < n // 2
    yield f"the second half of axis {axis}", lambda n: np.arange(n) >= n // 2
    yield f"the first three entries of axis {axis}", lambda n: np.arange(n) < 3
    yield f"axis {axis} from its fourth entry on", lambda n: np.arange(n) > 2


REGIONS = tuple(region for axis in AXES for region in ((axis, *part) for part in _parts(axis)))


def restricted(mutant: Mutant, failure: Observation) -> list[Mutant]:
    """The mutant in each region where it gives the wrong part of an answer, and the right answer elsewhere."""
    outputs, got, want = outcome(mutant, failure), failure.result.got, failure.result.vector.expected
    if outputs is None or got is None or want is None:
        return []
    wrong = {name: _wrong(got.get(name), want[name]) for name in want}
    if not all(name in outputs and _explains(got.get(name), outputs[name], want[name], wrong[name]) for name in want):
        return []
    return [_in_region(mutant, failure.result.vector.operation, *region) for region in REGIONS]


def _wrong(got: Any, want: Any) -> Any:
    if np.shape(got) != np.shape(want):
        return None
    with np.errstate(all="ignore"):
        return ~(abs(np.asarray(got, float) - want) <= 1e-9 * max(float(abs(np.asarray(want)).max(initial=0)), 1e-9))


def _explains(got: Any, output: Any, want: Any, wrong: Any) -> bool:
    """Whether the output of a mutant is what is wrong, but more is right than the mutant leaves."""
    if wrong is None or np.shape(output) != np.shape(want) or wrong.all():
        return False
    with np.errstate(all="ignore"):
        return bool(np.isclose(np.asarray(output, float)[wrong], np.asarray(got, float)[wrong], rtol=1e-7, atol=1e-12).all())


def _in_region(mutant: Mutant, operation: str, axis: int, text: str, part: Callable[[int], Any]) -> Mutant:
    def after(outputs: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        changed = kills.outcome(operations()[operation], mutant, inputs)
        if changed is None:
            raise ValueError("the mutant raises")
        return {name: _mixed(outputs[name], changed[name]) for name in outputs}

    def _mixed(right: Any, changed: Any) -> Any:
        right = np.asarray(right)
        if right.ndim <= axis or np.shape(changed) != right.shape:
            return right
        return np.where(part(right.shape[axis]).reshape([-1] + [1] * (right.ndim - axis - 1)), changed, right)

    limits = f", in {text} only"
    choices = mutant.choices + likelihood.REGION
    return Mutant(mutant.name + limits, (), operation, after=after, choices=choices, parts=(mutant,), limits=limits)
