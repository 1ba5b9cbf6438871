"""Predicates on a vector's inputs, and the search for one that separates the vectors a mutant explains from those it
contradicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..results import Result
from .evidence import observe
from .match import contradicts
from .mutants import Mutant

Inputs = dict[str, Any]

TIMES: dict[str, Callable[[Any, Any, int], Any]] = {
    "s = 0": lambda t, s, T: s == 0,
    "s > 0": lambda t, s, T: s > 0,
    "s = t - 1": lambda t, s, T: s == t - 1,
    "s < t - 1": lambda t, s, T: s < t - 1,
    "t = 1": lambda t, s, T: t == 1,
    "t > 1": lambda t, s, T: t > 1,
    "t = T": lambda t, s, T: t == T,
    "t < T": lambda t, s, T: t < T,
}


def separating(mutant: Mutant, explained: Sequence[Result], results: Sequence[Result], precision: str) -> str:
    """A predicate that is true for all explained vectors and false for all contradicted ones; an empty string if there
    is none.
    """
    passed = (result for result in results if result.status == "passed" and result.vector.expected is not None)
    contradicted = [result.vector.inputs for result in passed if contradicts(mutant, observe(result), precision)]
    if not contradicted:
        return ""
    true = set.intersection(*(set(predicates(result.vector.inputs)) for result in explained))
    true -= {text for inputs in contradicted for text in predicates(inputs)}
    return next((text for text in predicates(explained[0].vector.inputs) if text in true), "")


def predicates(inputs: Inputs) -> Iterator[str]:
    """The predicates that are true for these inputs."""
    t, s, T = inputs.get("t"), inputs.get("s"), len(inputs.get("betas", ()))
    if t is not None and T:
        for text, predicate in TIMES.items():
            if (s is not None or "s" not in text) and np.any(predicate(np.asarray(t), np.asarray(0 if s is None else s), T)):
                yield text
    for name in ("t", "gamma", "tau"):
        if name in inputs and "states" not in inputs:
            yield f"{name} is {'an array with a value for each example' if np.ndim(inputs[name]) else 'a single number'}"
    yield from _sizes(inputs)
    for name in ("eta", "S", "stride", "clip"):
        if name in inputs:
            yield _number(name, inputs[name])
    for name in ("times", "grid"):
        if len(inputs.get(name, ())) > 1:
            yield f"{name} is {'increasing' if inputs[name][-1] > inputs[name][0] else 'decreasing'}"
    for name, value in inputs.items():
        if isinstance(value, str):
            yield f"{name} is {value}"


def _sizes(inputs: Inputs) -> Iterator[str]:
    data = next((value for name, value in inputs.items() if np.ndim(value) > 1 and name not in ("w", "states")), None)
    if data is not None:
        yield "the data are images" if np.ndim(data) == 4 else "the data are not images"
        yield "the batch has one example" if len(data) == 1 else "the batch has several examples"


def _number(name: str, value: Any) -> str:
    if value is None:
        return f"{name} is not given"
    if name == "S":
        return f"S is {'odd' if value % 2 else 'even'}"
    if name == "eta":
        return "eta is 0 or 1" if value in (0, 1) else "eta is neither 0 nor 1"
    return f"{name} is given" if name == "clip" else f"{name} is {value}"
