"""Changes of an operation's right outputs: another sign, scale, unit, order or reduction, alone and two in a row.

They need no formula, only the right outputs: thousands are tried in a moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from ..operations import operations
from .mutants import Mutant

AXES = (0, 1, 2, 3)
SECOND = 8.0  # bits of the choice of a second change

Outputs = dict[str, Any]


class Change(NamedTuple):
    """What is said of a value, "halved", and the changed value, given the inputs of the operation."""

    phrase: str
    of: Callable[[Any, dict[str, Any]], Any]


def _plain(changes: dict[str, Callable[[Any], Any]]) -> tuple[Change, ...]:
    """Changes that need no inputs."""
    return tuple(Change(phrase, partial(_without_inputs, of)) for phrase, of in changes.items())


def _without_inputs(of: Callable[[Any], Any], x: Any, inputs: dict[str, Any]) -> Any:
    return of(x)


VALUES = _plain({
    "negated": lambda x: -x,
    "doubled": lambda x: 2 * x,
    "halved": lambda x: x / 2,
    "multiplied by 4": lambda x: 4 * x,
    "divided by 4": lambda x: x / 4,
    "squared": lambda x: x**2,
    "its square root": lambda x: abs(x) ** 0.5,
    "its logarithm": lambda x: np.log(x),
    "its exponential": lambda x: np.exp(x),
    "its reciprocal": lambda x: 1 / x,
    "1 minus it": lambda x: 1 - x,
    "1 more": lambda x: x + 1,
    "1 less": lambda x: x - 1,
    "clipped to [-1, 1]": lambda x: np.clip(x, -1, 1),
    "clipped to [0, 1]": lambda x: np.clip(x, 0, 1),
    "its absolute value": lambda x: abs(x),
    "0 where it is negative": lambda x: np.maximum(x, 0),
    "rounded to integers": lambda x: np.rint(x),
    "rounded down": lambda x: np.floor(x),
    "in bits": lambda x: x / math.log(2),
    "multiplied by log 2": lambda x: x * math.log(2),
    "in decimal digits": lambda x: x / math.log(10),
    "in decibels": lambda x: x * 10 / math.log(10),
    "multiplied by 2 pi": lambda x: x * 2 * math.pi,
    "multiplied by 1000": lambda x: x * 1000,
    "divided by 1000": lambda x: x / 1000,
    "multiplied by 127.5": lambda x: x * 127.5,
    "its inverse permutation": lambda x: np.argsort(x),
    "its difference from its mean": lambda x: x - x.sum() / max(x.size, 1),
    "scaled to a sum of 1": lambda x: x / x.sum(),
    "scaled to length 1, each example": lambda x: x / np.sqrt((x**2).sum(tuple(range(1, x.ndim)), keepdims=True)),
})  # fmt: skip


def data(inputs: dict[str, Any]) -> Any:
    """The first input with a batch and at least one more axis."""
    return next(x for name, x in inputs.items() if getattr(x, "ndim", 0) > 1 and name not in ("w", "states", "covariance", "noise"))


COUNTS: dict[str, Callable[[dict[str, Any]], float]] = {
    "the numbers of an example": lambda inputs: data(inputs)[0].size,
    "the batch's size": lambda inputs: len(data(inputs)),
    "all numbers of the batch": lambda inputs: data(inputs).size,
    "the last axis's size": lambda inputs: data(inputs).shape[-1],
    "the square root of the last axis's size": lambda inputs: data(inputs).shape[-1] ** 0.5,
    "the square root of the numbers of an example": lambda inputs: data(inputs)[0].size ** 0.5,
    "T": lambda inputs: len(inputs["betas"]),
    "the number of steps": lambda inputs: len(inputs.get("grid", inputs.get("times", ()))) - 1,
    "t": lambda inputs: inputs["t"],
}


def _scaled(power: int, count: Callable[[dict[str, Any]], float], x: Any, inputs: dict[str, Any]) -> Any:
    return x / count(inputs) if power < 0 else x * count(inputs)


SIZES = tuple(
    Change(f"{word} by {text}", partial(_scaled, power, count))
    for text, count in COUNTS.items()
    for word, power in (("divided", -1), ("multiplied", 1))
)
SCALES = (*VALUES, *SIZES)


def _entries(axis: int, at: Callable[[int], Any], x: Any) -> Any:
    """The entries of an axis at other places, given its length; those at -1 are 0."""
    places = np.asarray(at(x.shape[axis]), dtype=int)
    found = x.take(np.maximum(places, 0), axis)
    return np.where((places >= 0).reshape([-1] + [1] * (x.ndim - axis - 1)), found, 0)


ENTRIES: dict[str, Callable[[int], Any]] = {  # of an axis of n entries: which stands at each place
    "reversed along axis {}": lambda n: np.arange(n)[::-1],
    "the first along axis {}, everywhere": lambda n: np.zeros(n),
    "the last along axis {}, everywhere": lambda n: np.full(n, n - 1),
    "one entry late along axis {}, the first twice": lambda n: np.maximum(np.arange(n) - 1, 0),
    "one entry early along axis {}, the last twice": lambda n: np.minimum(np.arange(n) + 1, n - 1),
    "one entry late along axis {}, the last in front": lambda n: (np.arange(n) - 1) % n,
    "one entry late along axis {}, a 0 in front": lambda n: np.arange(n) - 1,
    "one entry early along axis {}, the first at the end": lambda n: (np.arange(n) + 1) % n,
    "without the last entry of axis {}, the one before twice": lambda n: np.minimum(np.arange(n), n - 2),
    "without the first entry of axis {}, the next twice": lambda n: np.maximum(np.arange(n), 1),
    "0 in the first entry of axis {}": lambda n: np.where(np.arange(n) == 0, -1, np.arange(n)),
    "0 in the last entry of axis {}": lambda n: np.where(np.arange(n) == n - 1, -1, np.arange(n)),
    "without the first entry of axis {}": lambda n: np.arange(1, n),
    "without the last entry of axis {}": lambda n: np.arange(n - 1),
}


def _along(axis: int) -> Iterator[Change]:
    """The changes along an axis."""
    yield from _plain({phrase.format(axis): partial(_entries, axis, at) for phrase, at in ENTRIES.items()})
    yield from _plain({
        f"averaged over axis {axis}": lambda x: x.mean(axis, keepdims=True) + 0 * x,
        f"summed over axis {axis}": lambda x: x.sum(axis, keepdims=True) + 0 * x,
        f"its cumulative sum along axis {axis}": lambda x: x.cumsum(axis),
    })  # fmt: skip
    for other in AXES[axis + 1 :]:
        yield from _exchanged(axis, other)


def _exchanged(a: int, b: int) -> tuple[Change, ...]:
    return _plain({
        f"with axes {a} and {b} exchanged": lambda x: x.swapaxes(a, b),
        f"in the order of axes {b}, {a}": lambda x: x.swapaxes(a, b).reshape(x.shape),
    })  # fmt: skip


ORDERS = (
    *(change for axis in AXES for change in _along(axis)),
    *_plain({"summed over everything": lambda x: x.sum() + 0 * x, "averaged over everything": lambda x: x.mean() + 0 * x}),
)


@cache
def single(operation: str) -> tuple[Mutant, ...]:
    """The mutants of one change of an output, of all outputs, or of all but the first; or of one output for another."""
    names = operations()[operation].outputs
    groups = dict.fromkeys([*((name,) for name in names), tuple(names), tuple(names[1:])])
    found = [_mutant(operation, group, change) for group in groups if group for change in (*SCALES, *ORDERS)]
    others = [(f"output {b}: `{a}`", {b: a}) for a, b in permutations(names, 2)]
    others += [(f"outputs {a} and {b} exchanged", {a: b, b: a}) for a, b in permutations(names, 2) if a < b]
    return (*found, *(Mutant(f"{operation}: {text}", (), operation, after=partial(_instead, taken)) for text, taken in others))


@cache
def double(operation: str) -> tuple[Mutant, ...]:
    """The mutants of two changes of an output."""
    pairs = list(product((*ORDERS, *SCALES), SCALES))
    changes = [Change(f"{first.phrase}, then {second.phrase}", partial(_both, first, second)) for first, second in pairs]
    return tuple(_mutant(operation, (name,), change, SECOND) for name in operations()[operation].outputs for change in changes)


def _both(first: Change, second: Change, x: Any, inputs: dict[str, Any]) -> Any:
    return second.of(first.of(x, inputs), inputs)


def _mutant(operation: str, names: tuple[str, ...], change: Change, choices: float = 0.0) -> Mutant:
    said = f"output{'s' * (len(names) > 1)} {', '.join(names)}: {change.phrase}"
    return Mutant(f"{operation}: {said}", (), operation, after=partial(_changed, names, change), choices=choices)


def _changed(names: tuple[str, ...], change: Change, outputs: Outputs, inputs: dict[str, Any]) -> Outputs:
    return {**outputs, **{name: change.of(np.asarray(outputs[name]), inputs) for name in names}}


def _instead(taken: dict[str, str], outputs: Outputs, inputs: dict[str, Any]) -> Outputs:
    return {**outputs, **{name: outputs[other] for name, other in taken.items()}}
