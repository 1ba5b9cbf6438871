"""Changes of an operation's inputs before its formula: another sign, scale or order, one input for another, a fixed choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import combinations, permutations
from typing import Any

import numpy as np

from ..operations import Operation, operations
from ..vectors.files import load
from . import output_changes
from .mutants import Mutant
from .output_changes import ORDERS, VALUES, Change

Inputs = dict[str, Any]

TIMES: dict[str, Callable[[Any, Inputs], Any]] = {
    "{} - 1": lambda t, inputs: t - 1,
    "{} + 1": lambda t, inputs: t + 1,
    "{} - 1, at least 0": lambda t, inputs: np.maximum(t - 1, 0),
    "{} - 1, at least 1": lambda t, inputs: np.maximum(t - 1, 1),
    "at least 1": lambda t, inputs: np.maximum(t, 1),
    "{} + 1, at most T": lambda t, inputs: np.minimum(t + 1, len(inputs["betas"])),
    "T - {}": lambda t, inputs: len(inputs["betas"]) - t,
    "T + 1 - {}": lambda t, inputs: len(inputs["betas"]) + 1 - t,
    "always T": lambda t, inputs: 0 * t + len(inputs["betas"]),
    "that of the first example": lambda t, inputs: np.ravel(t)[0],
    "that of the last example": lambda t, inputs: np.ravel(t)[-1],
    "the batch's mean": lambda t, inputs: int(np.mean(t)),
    "the batch's largest": lambda t, inputs: np.max(t),
    "{} / T": lambda t, inputs: t / len(inputs["betas"]),
}
GRIDS: dict[str, Callable[[Any, Inputs], Any]] = {
    "equal steps of the first length": lambda x, inputs: x[0] + (x[1] - x[0]) * np.arange(len(x)),
    "equal steps": lambda x, inputs: np.linspace(x[0], x[-1], len(x)).astype(x.dtype),
}
MODELS: dict[str, Callable[[Any], Callable[[Any, Any], Any]]] = {
    "called at t - 1": lambda model: lambda x, t: model(x, t - 1),
    "called at t + 1": lambda model: lambda x, t: model(x, t + 1),
    "called at 1 - t": lambda model: lambda x, t: model(x, 1 - t),
    "called at the first time in every step": lambda model: _Remembering(model, times=True),
    "its first answer in every step": lambda model: _Remembering(model, times=False),
    "negated": lambda model: lambda x, t: -model(x, t),
    "its prediction clipped to [-1, 1]": lambda model: lambda x, t: np.clip(model(x, t), -1, 1),
}
FIXED = (0, 0.0, 1, 1.0, None)  # what an input may be taken for, whatever it is
COUNTS = (1000, 256)  # the same for whole numbers
ALIKE = (("mean1", "mean2"), ("variance1", "variance2"), ("covariance1", "covariance2"), ("a", "b"), ("x0_a", "x0_b"))


class _Remembering:
    """A model that keeps the time, or the answer, of its first call."""

    def __init__(self, model: Any, times: bool) -> None:
        self.model, self.times, self.first = model, times, None

    def __call__(self, x: Any, t: Any) -> Any:
        if self.first is None:
            self.first = t if self.times else self.model(x, t)
        return self.model(x, self.first) if self.times else self.first


@cache
def changes(operation: str) -> tuple[Mutant, ...]:
    """The mutants of one change of an input, or of several alike, and of one input for another."""
    seen = [vector.inputs for vector in load() if vector.operation == operation and vector.expected is not None]
    return tuple(_changes(operations()[operation], seen))


def _changes(operation: Operation, seen: list[Inputs]) -> Iterator[Mutant]:
    for name in operation.inputs:
        for change in _of_value(name, [inputs[name] for inputs in seen if name in inputs]):
            yield _mutant(operation.name, f"input {name}: {change.phrase}", partial(_each, (name,), change))
    for name in {"groups", "heads"} & set(operation.inputs):
        change = Change(
            "the channels of each, the channels of x divided by it", lambda n, inputs: max(output_changes.data(inputs).shape[-1] // n, 1)
        )
        yield _mutant(operation.name, f"input {name}: {change.phrase}", partial(_each, (name,), change))
    for names in _alike(operation, seen):
        for change in (*VALUES, *ORDERS):
            yield _mutant(operation.name, f"inputs {', '.join(names)}: {change.phrase}", partial(_each, names, change))
    numbers = [name for name in operation.inputs if any(_is_number(inputs.get(name)) for inputs in seen)]
    for a, b in combinations(numbers, 2):
        yield _mutant(operation.name, f"inputs {a} and {b} exchanged", partial(_instead, {a: b, b: a}))
        yield _mutant(operation.name, f"input {a}: `{b}`", partial(_instead, {a: b}))
        yield _mutant(operation.name, f"input {b}: `{a}`", partial(_instead, {b: a}))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.number) and not isinstance(value, bool)


def _alike(operation: Operation, seen: list[Inputs]) -> list[tuple[str, ...]]:
    """The names of inputs that may all be changed in the same way: of one kind, of one shape in every vector, or all arrays."""
    arrays = [name for name in operation.inputs if any(getattr(inputs.get(name), "dtype", np.dtype(int)).kind == "f" for inputs in seen)]
    shapes: dict[tuple[Any, ...], list[str]] = {}
    for name in arrays:
        shapes.setdefault(tuple(getattr(inputs.get(name), "shape", ()) for inputs in seen), []).append(name)
    others = [tuple(name for name in arrays if name not in ("betas", "times", "t"))]
    groups = [*(pair for pair in ALIKE if set(pair) <= set(arrays)), *map(tuple, shapes.values()), *others]
    return [group for group in dict.fromkeys(groups) if len(group) > 1]


def _of_value(name: str, values: list[Any]) -> list[Change]:
    """The changes of one input, by the values that it has in the vectors."""
    if any(isinstance(value, str) for value in values):
        words = list(dict.fromkeys(value for value in values if isinstance(value, str)))
        return [*map(_always, words), *(_for(a, b) for a, b in permutations(words, 2))]
    if any(isinstance(value, dict) for value in values):
        return [Change(phrase, partial(_of_model, of)) for phrase, of in MODELS.items()]
    whole = all(value is None or np.asarray(value).dtype.kind in "iu" for value in values)
    found = [Change(phrase, of) for phrase, of in GRIDS.items() if name in ("times", "grid")]
    found += [_always(fixed) for fixed in (*FIXED, *COUNTS * whole) if not isinstance(fixed, float) or not whole]
    if whole and name in ("t", "s"):
        return found + [Change(phrase.format(name), of) for phrase, of in TIMES.items()]
    single = Change("in float32", lambda x, inputs: np.asarray(x, dtype=np.float32).astype(np.float64))
    steps = [Change("1 less", lambda x, inputs: x - 1), Change("1 more", lambda x, inputs: x + 1)]
    return [*found, *ORDERS, *(steps if whole else [*VALUES, single])]


def _always(fixed: Any) -> Change:
    return Change(f"always {fixed}", lambda x, inputs: fixed if not _is_number(fixed) or np.ndim(x) == 0 else 0 * x + fixed)


def _for(word: str, other: str) -> Change:
    return Change(f"{other} where it is {word}", lambda x, inputs: other if x == word else x)


def _of_model(of: Callable[[Any], Any], model: Any, inputs: Inputs) -> Any:
    return of(model)


def _each(names: tuple[str, ...], change: Change, inputs: Inputs) -> Inputs:
    return {**inputs, **{name: change.of(inputs[name], inputs) for name in names}}


def _instead(taken: dict[str, str], inputs: Inputs) -> Inputs:
    return {**inputs, **{name: inputs[other] for name, other in taken.items()}}


def _mutant(operation: str, text: str, change: Callable[[Inputs], Inputs]) -> Mutant:
    return Mutant(f"{operation}: {text}", (), operation, partial(_after, change))


def _after(change: Callable[[Inputs], Inputs], formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **inputs: formula(**change(inputs))
