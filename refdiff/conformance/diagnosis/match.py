"""Comparison of an implementation's outputs with those of a mutant: does the mutant explain a failure, does it
contradict a pass?
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import compare
from ..mutations import kills
from ..mutations.mutants import Mutant
from ..operations import operations
from . import likelihood
from .evidence import Observation

MATCH = {"float64": 1e-6, "float32": 1e-2}  # distance from a mutant, relative to the mutant's distance from the specification
MAX_KEPT = 1000  # outputs of mutants that are kept for an observation
FLOOR = 2e-14  # distance allowed in addition in float64, relative to the largest number of the vector: digits cancel
ROUNDING = {"float64": 1e-12, "float32": 3e-6}  # distance allowed in addition, relative to the largest element
SAME, EXPLAINED, CONTRADICTED = "same", "explained", "contradicted"  # what a mutant says of an answer


def verdict(mutant: Mutant, observation: Observation, precision: str) -> str:
    """Whether a mutant leaves the right outputs as they are, gives those of the implementation, or others."""
    vector = observation.result.vector
    if observation.result.status == "passed" and precision == "float64" and mutant.name in kills.target_names(vector.operation):
        return CONTRADICTED if mutant.name in observation.kills else SAME
    outputs = outcome(mutant, observation)
    if observation.result.status == "errored":  # an exception says nothing about numbers
        return EXPLAINED if outputs is None else SAME
    if outputs is None:
        return CONTRADICTED
    expected, largest = vector.expected or {}, observation.largest
    if all(_leaves_right(outputs.get(name), want, vector.tolerance, precision, largest) for name, want in expected.items()):
        return SAME
    return EXPLAINED if explains(mutant, observation, precision) else CONTRADICTED


def explains(mutant: Mutant, observation: Observation, precision: str) -> bool:
    """Whether the outputs are those of the mutant: much closer to the mutant's than the mutant's are to the specification's."""
    return agrees(outcome(mutant, observation), observation, precision)


def agrees(outputs: dict[str, Any] | None, observation: Observation, precision: str) -> bool:
    """Whether the outputs of an implementation are these."""
    got, vector = observation.result.got, observation.result.vector
    if outputs is None or got is None or vector.expected is None:
        return False
    return all(
        name in got and name in outputs and _matches(got[name], outputs[name], want, vector.tolerance, precision, observation.largest)
        for name, want in vector.expected.items()
    )


def bits(mutant: Mutant, observation: Observation) -> dict[Any, float]:
    """The bits of the different numbers of an answer that a mutant explains; of integers, of all that differ."""
    outputs, got, want = outcome(mutant, observation), observation.result.got, observation.result.vector.expected
    if outputs is None or got is None or want is None:
        return {observation.id: 1.0}
    found: dict[Any, float] = {}
    for name, right in want.items():
        if np.asarray(right).dtype.kind in "iu" and np.shape(outputs[name]) == np.shape(right):
            each = math.log2(max(2, len(np.unique(right))))
            found |= {(observation.id, name, int(i)): each for i in np.flatnonzero(np.asarray(outputs[name]) != right)}
        else:
            found |= likelihood.numbers(got[name], outputs[name], right)
    return found


def outcome(mutant: Mutant, observation: Observation) -> dict[str, Any] | None:
    """The outputs of a mutant for the inputs of a vector, None for an error."""
    tried = {} if observation.tried is None else observation.tried
    if mutant.name not in tried:
        outputs = _computed(mutant, observation)
        if len(tried) == MAX_KEPT:
            return outputs
        tried[mutant.name] = outputs
    return tried[mutant.name]


def _computed(mutant: Mutant, observation: Observation) -> dict[str, Any] | None:
    vector = observation.result.vector
    if mutant.after is None or mutant.edits or mutant.wrap or vector.expected is None:
        return kills.outcome(operations()[vector.operation], mutant, observation.inputs)
    try:  # a change of the right outputs, which are known
        return mutant.after(dict(vector.expected), observation.inputs)
    except Exception:
        return None


def _matches(got: Any, output: Any, want: Any, tolerance: str, precision: str, largest: float) -> bool:
    if not {np.asarray(got).dtype.kind, np.asarray(output).dtype.kind} <= set("biuf") or _clearly_different(got, output):
        return False
    if _leaves_right(output, want, tolerance, precision, largest):
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
        scale = abs(output - want)[finite] if output.shape == np.shape(want) else size
        if output.shape == np.shape(want) and compare.TOLERANCES[tolerance][0] != "each element":
            scale = scale.max(initial=0)
        floor = FLOOR * largest if precision == "float64" else 0.0
        return bool(
            (abs(got - output)[finite] <= np.minimum(MATCH[precision] * scale, 1e-2 * size) + ROUNDING[precision] * size + floor).all()
        )


def _leaves_right(output: Any, want: Any, tolerance: str, precision: str, largest: float) -> bool:
    """Whether a mutant leaves an output right, up to what rounding leaves of small numbers that cancel."""
    found = compare.difference({"": output}, {"": want}, tolerance, precision)
    return found is None or (precision == "float64" and not found.text and found.error <= FLOOR * largest)


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
