"""Where a mistake is made: the condition that tells the vectors which it explains from those which it would change, but which passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..results import Result
from .match import case_of, contradicts
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


def where(mutant: Mutant, explained: Sequence[Result], everything: Sequence[Result], precision: str) -> str:
    """A condition that all explained vectors meet, and none that passed though the mutant would change it; nothing if there is none."""
    passed = (result for result in everything if result.status == "passed" and result.vector.expected is not None)
    spared = [r.vector.inputs for r in passed if contradicts(r.vector.operation, mutant, case_of(r), precision)]
    if not spared:
        return ""
    met = [set(conditions(result.vector.inputs)) for result in explained]
    not_met = set().union(*map(set, map(conditions, spared)))
    return next((text for text in conditions(explained[0].vector.inputs) if all(text in each for each in met) and text not in not_met), "")


def conditions(inputs: Inputs) -> Iterator[str]:
    """The conditions that a question meets."""
    t, s, T = inputs.get("t"), inputs.get("s"), len(inputs.get("betas", ()))
    for text, holds in TIMES.items():
        if (
            t is not None
            and T
            and (s is not None or "s" not in text)
            and np.any(holds(np.asarray(t), np.asarray(s) if s is not None else 0, T))
        ):
            yield text
    for name in ("t", "gamma", "tau"):
        if name in inputs and "states" not in inputs:
            yield f"{name} is one for {'each example' if np.ndim(inputs[name]) else 'all'}"
    yield from _sizes(inputs)
    for name in ("eta", "S", "stride", "clip"):
        if name in inputs:
            yield _number(name, inputs[name])
    for name in ("times", "grid"):
        if len(inputs.get(name, ())) > 1:
            yield f"{name} {'rise' if inputs[name][-1] > inputs[name][0] else 'fall'}"
    for name, value in inputs.items():
        if isinstance(value, str):
            yield f"{name} is {value}"


def _sizes(inputs: Inputs) -> Iterator[str]:
    data = next((value for name, value in inputs.items() if np.ndim(value) > 1 and name not in ("w", "states")), None)
    if data is not None:
        yield "data are images" if np.ndim(data) == 4 else "data are no images"
        yield "there is one example" if len(data) == 1 else "there are several examples"


def _number(name: str, value: Any) -> str:
    if value is None:
        return f"{name} is not given"
    if name == "S":
        return f"S is {'odd' if value % 2 else 'even'}"
    if name == "eta":
        return "eta is 0 or 1" if value in (0, 1) else "eta is neither 0 nor 1"
    return f"{name} is given" if name == "clip" else f"{name} is {value}"
