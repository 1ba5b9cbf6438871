"""Comparison of an implementation's outputs with those of a mutant: does the mutant explain a failure, does it
contradict a pass?
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import compare
from ..operations import operations
from . import kills
from .evidence import Observation
from .mutants import Mutant

MATCH = {"float64": 1e-6, "float32": 1e-2}  # distance from a mutant, relative to the mutant's distance from the specification
MAX_KEPT = 1000  # outputs of mutants that are kept for an observation
ROUNDING = {"float64": 1e-12, "float32": 3e-6}  # distance allowed in addition, relative to the largest element


def explains(mutant: Mutant, observation: Observation, precision: str) -> bool:
    """Whether the outputs are those of the mutant: much closer to the mutant's than the mutant's are to the specification's."""
    outputs, got, vector = outcome(mutant, observation), observation.result.got, observation.result.vector
    if outputs is None or got is None or vector.expected is None:
        return False
    return all(
        name in got and name in outputs and _matches(got[name], outputs[name], want, vector.tolerance, precision)
        for name, want in vector.expected.items()
    )


def contradicts(mutant: Mutant, observation: Observation, precision: str) -> bool:
    """Whether a mutant fails a vector that the implementation passed."""
    outputs, vector = outcome(mutant, observation), observation.result.vector
    return outputs is None or compare.difference(outputs, vector.expected or {}, vector.tolerance, precision) is not None


def outcome(mutant: Mutant, observation: Observation) -> dict[str, Any] | None:
    """The outputs of a mutant for the inputs of a vector, None for an error."""
    tried = {} if observation.tried is None else observation.tried
    if mutant.name not in tried:
        outputs = kills.outcome(operations()[observation.result.vector.operation], mutant, observation.inputs)
        if len(tried) == MAX_KEPT:
            return outputs
        tried[mutant.name] = outputs
    return tried[mutant.name]


def _matches(got: Any, output: Any, want: Any, tolerance: str, precision: str) -> bool:
    if not {np.asarray(got).dtype.kind, np.asarray(output).dtype.kind} <= set("biuf") or _clearly_different(got, output):
        return False
    if compare.difference({"": output}, {"": want}, tolerance, precision) is None:  # the mutant leaves this output right
        return compare.difference({"": got}, {"": want}, tolerance, precision) is None
    try:
        got, output = _same_shape(np.asarray(got, dtype=float), np.asarray(output, dtype=float), np.shape(want))
    except (ValueError, TypeError):
        return False
    finite = np.isfinite(output)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(got[~finite], output[~finite], equal_nan=True):
        return False
    size = abs(output[finite]).max(initial=0)
    with np.errstate(all="ignore"):
        scale = abs(output - want)[finite].max(initial=0) if output.shape == np.shape(want) else size
        return bool((abs(got - output)[finite] <= min(MATCH[precision] * scale, 1e-2 * size) + ROUNDING[precision] * size).all())


def _clearly_different(got: Any, output: Any) -> bool:
    """A quick check: finite numbers whose largest difference exceeds 2 % of the largest element."""
    try:
        with np.errstate(all="ignore"):
            error, size = abs(np.asarray(got) - output).max(), abs(np.asarray(output)).max()
    except (ValueError, TypeError):
        return False
    return bool(error > 2e-2 * size)


def _same_shape(got: Any, output: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Both arrays broadcast to the same shape, their own or the right one. Raises ValueError if there is none, or no element."""
    if got.shape != output.shape or _broadcasts(got.shape, shape):
        got, output = np.broadcast_to(got, shape), np.broadcast_to(output, shape)
    if not output.size:
        raise ValueError("nothing to compare")
    return got, output


def _broadcasts(shape: tuple[int, ...], right: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, right) == right
    except ValueError:
        return False
