"""Predicates on a vector's inputs, and the search for one that separates the vectors a mutant explains from those it
contradicts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import likelihood
from .cover import Score

Inputs = dict[str, Any]

_VALUE = re.compile(r" is (not )?[-\d]| is (above|below|equal)|^[ts] [<=>]|the batch has")  # of a predicate on a number

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


def conditional(score: Score, true: dict[str, tuple[str, ...]], wrong: int) -> Score:
    """The score with a predicate, of those that are true for each vector, that is true for all explained vectors and false for all that contradict it, if there is one."""
    if not score.contradicted or not score.ids or score.mutant.choices >= likelihood.CONSTANT:
        return score
    common = set.intersection(*(set(true[id]) for id in score.ids)).difference(*(true[id] for id in score.contradicted))
    few = 2 * len(score.ids) < wrong  # of the wrong vectors: only a choice of the caller, such as a kind, separates these from others
    where = next((text for text in true[min(score.ids)] if text in common and not (few and _VALUE.search(text))), "")
    return score._replace(contradicted=frozenset(), where=where) if where else score


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
    for name, value in inputs.items():
        if np.ndim(value) == 0 and not isinstance(value, str | dict) and not callable(value):
            yield from _number(name, value)
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


def _number(name: str, value: Any) -> Iterator[str]:
    if value is None:
        yield f"{name} is not given"
        return
    if name == "S":
        yield f"S is {'odd' if value % 2 else 'even'}"
    if name == "eta":
        yield "eta is 0 or 1" if value in (0, 1) else "eta is neither 0 nor 1"
    if name == "clip":
        yield "clip is given"
    if name not in ("t", "s") or isinstance(value, float):
        if value in (0, 1):
            yield f"{name} is {value:g}"
        yield f"{name} is {'not ' * (value != 0)}0"
        yield f"{name} is {'above' if value > 1 else 'below' if value < 1 else 'equal to'} 1"
