"""Questions about the structure of answers: the same vector twice, and each example of a batch alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cases import prepared
from ..mutations import kills
from ..operations import operations
from ..results import Finding, Result
from ..vectors.files import Vector
from . import runner

ALONE = "each example alone is answered rightly: the examples of a batch affect each other, or a coefficient meets the wrong axis"
TWICE = "the same inputs a second time give another answer: something is kept between calls, or drawn at random"
MOST = 20  # failing vectors of an operation that are taken apart


def findings(implementation: Any, results: Sequence[Result], timeout: float | None = None) -> list[Finding]:
    """What asking again shows: the vectors of right operations that fail a second time, and those of wrong ones that pass by example.

    Nothing, if the implementation ends or takes too long meanwhile: then the run has stopped, and says so.
    """
    by_operation: dict[str, list[Result]] = {}
    for result in results:
        if result.vector.expected is not None and result.status in ("passed", "failed") and not result.convention:
            by_operation.setdefault(result.vector.operation, []).append(result)
    twice, alone = {}, {}
    for name, each in by_operation.items():
        failed = [result.vector for result in each if result.status == "failed"]
        again = min((result.vector for result in each), key=_size) if not failed else None
        if again is not None and runner.check(implementation, again, timeout).status != "passed":
            twice[name] = [again.id]
        if ids := [vector.id for vector in failed[:MOST] if _is_right_alone(implementation, vector, timeout)]:
            alone[name] = ids
        if getattr(implementation, "broken", ""):
            return []
    return [Finding(*found) for found in ((TWICE, twice, True), (ALONE, alone, False)) if found[1]]


def _size(vector: Vector) -> int:
    return sum(np.size(value) for value in vector.inputs.values())


def _is_right_alone(implementation: Any, vector: Vector, timeout: float | None) -> bool:
    """Whether each example of a batch is answered rightly in a batch of one, where the specification allows to take the batch apart."""
    parts = apart(vector)
    return bool(parts) and all(runner.check(implementation, part, timeout).status == "passed" for part in parts)


def apart(vector: Vector) -> list[Vector]:
    """The vectors of the single examples; none if the batch has one, or if an output of one depends on the others."""
    expected = vector.expected or {}
    sizes = {len(value) if np.ndim(value) else 0 for value in expected.values()}
    B = sizes.pop() if len(sizes) == 1 else 0
    if B < 2:
        return []
    parts = [vector._replace(inputs=_taken(vector.inputs, i, B), expected=_taken(expected, i, B)) for i in range(B)]
    return parts if all(_is_right(part) for part in parts) else []


def _taken(values: dict[str, Any], i: int, B: int) -> dict[str, Any]:
    """The example i of all arrays with B entries."""
    return {
        name: value[i : i + 1] if isinstance(value, np.ndarray) and value.shape[:1] == (B,) else value for name, value in values.items()
    }


def _is_right(part: Vector) -> bool:
    """Whether the formula gives the outputs of an example from the inputs of that example."""
    outputs, expected = kills.outcome(operations()[part.operation], None, prepared(part.inputs)), part.expected or {}
    return outputs is not None and all(
        np.shape(outputs[name]) == np.shape(value) and np.allclose(outputs[name], value, rtol=1e-9, atol=1e-12)
        for name, value in expected.items()
    )
