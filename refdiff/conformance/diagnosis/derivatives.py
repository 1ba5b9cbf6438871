"""Derivatives of a changed formula: an implementation whose backward pass belongs to its own, different forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..mutations import kills
from ..mutations.mutants import Mutant
from ..operations import operations

DERIVATIVE = ", and its derivative"  # the end of the names
STEP = 1e-3
MOST = 150  # numbers of all inputs that are differentiated; longer vectors say nothing
NODES = ((1, 2 / 3), (2, -1 / 12))  # of the central difference of order 4


def consistent(operation: str, forward: list[Mutant]) -> list[Mutant]:
    """For a derivative, the mutants of its forward operation as the derivative of what they change it into."""
    name = operation.removesuffix("_vjp")
    if name == operation or name not in operations():
        return []
    return [
        Mutant(each.name + DERIVATIVE, (), operation, text=each.text, after=_derivative(name, each), parts=(each,), limits=DERIVATIVE)
        for each in forward
    ]


def _derivative(name: str, mutant: Mutant) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
    def after(outputs: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        if sum(np.size(right) for right in outputs.values()) > MOST:
            return outputs
        given = {key: value for key, value in inputs.items() if key in operations()[name].inputs}
        found = {}
        for key, right in outputs.items():
            of = key.removeprefix("d")
            if of not in given or np.shape(given[of]) != np.shape(right):
                raise ValueError(f"{key} is no derivative in an input")
            found[key] = _in(of, name, mutant, given, inputs["dy"])
        return found

    return after


def _in(of: str, name: str, mutant: Mutant, given: dict[str, Any], dy: Any) -> Any:
    """The derivative of sum(dy y) in one input, by central differences."""

    def total(value: Any) -> float:
        outputs = kills.outcome(operations()[name], mutant, {**given, of: value})
        if outputs is None:
            raise ValueError("the changed formula raises")
        (y,) = outputs.values()
        return float((dy * y).sum())

    x = np.asarray(given[of], float)
    slope = np.zeros(x.size)
    for i in range(x.size):
        for k, weight in NODES:
            step = np.zeros(x.size)
            step[i] = k * STEP
            slope[i] += weight * (total(x + step.reshape(x.shape)) - total(x - step.reshape(x.shape))) / STEP
    return slope.reshape(x.shape)
