"""Predicates on a vector's inputs, and the search for one that separates some vectors from others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from . import likelihood
from .cover import Score

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


def conditional(score: Score, true: dict[str, list[str]], chosen: frozenset[str], wrong: int) -> Score:
    """The score under a predicate that holds for all explained vectors and for none that contradicts it, if there is one.

    `true` are the predicates of each vector, by id, and `chosen` those of them on a choice of the caller. A score that explains less than
    half of the wrong vectors needs such a choice: numbers alone separate a few vectors by chance.
    """
    if not score.contradicted or not score.ids or score.mutant.choices >= likelihood.CONSTANT:
        return score
    allowed = chosen if 2 * len(score.ids) < wrong else None
    where = separating([true[id] for id in sorted(score.ids)], [true[id] for id in score.contradicted], allowed)
    return score._replace(contradicted=frozenset(), missed=frozenset(), where=where) if where else score


def separating(some: list[list[str]], others: Iterable[Iterable[str]], allowed: frozenset[str] | None = None) -> str:
    """The first predicate, of those allowed, that is true for some vectors and false for all others; an empty string if there is none."""
    common = set.intersection(*map(set, some)).difference(*others)
    return next((text for text in some[0] if text in common and (allowed is None or text in allowed)), "")


def predicates(inputs: Inputs) -> list[str]:
    """The predicates that are true for these inputs."""
    return [*chain(_times(inputs), choices(inputs), _numbers(inputs))]


def choices(inputs: Inputs) -> Iterator[str]:
    """The predicates on what a caller chooses: the form of an argument, the kind of the data, a word."""
    for name in ("t", "gamma", "tau"):
        if name in inputs and "states" not in inputs:
            yield f"{name} is {'an array with a value for each example' if np.ndim(inputs[name]) else 'a single number'}"
    data = _data(inputs)
    if data is not None:
        yield "the data are images" if np.ndim(data) == 4 else "the data are not images"
    for name in ("times", "grid"):
        if len(inputs.get(name, ())) > 1:
            yield f"{name} is {'increasing' if inputs[name][-1] > inputs[name][0] else 'decreasing'}"
    for name, value in inputs.items():
        if isinstance(value, str) or value is None:
            yield f"{name} is not given" if value is None else f"{name} is {value}"
    if inputs.get("clip") is not None:
        yield "clip is given"
    if inputs.get("eta") in (0, 1):
        yield f"eta is {inputs['eta']:g}"
    if "order" in inputs:
        yield f"order is {inputs['order']}"
    if "signal" in inputs and (known := inputs.get("x0", inputs.get("eps"))) is not None:
        yield "there is one prediction" if len(known) == 1 else f"there are {len(known)} predictions"


def _times(inputs: Inputs) -> Iterator[str]:
    t, s, T = inputs.get("t"), inputs.get("s"), len(inputs.get("betas", ()))
    if t is not None and T:
        for text, predicate in TIMES.items():
            if (s is not None or "s" not in text) and np.any(predicate(np.asarray(t), np.asarray(0 if s is None else s), T)):
                yield text


def _numbers(inputs: Inputs) -> Iterator[str]:
    if (data := _data(inputs)) is not None:
        yield "the batch has one example" if len(data) == 1 else "the batch has several examples"
    for name, value in inputs.items():
        if np.ndim(value) == 0 and isinstance(value, int | float | np.number | np.ndarray):
            yield from _number(name, value)


def _data(inputs: Inputs) -> Any:
    return next((value for name, value in inputs.items() if np.ndim(value) > 1 and name not in ("w", "states")), None)


def _number(name: str, value: Any) -> Iterator[str]:
    if name == "S":
        yield f"S is {'odd' if value % 2 else 'even'}"
    if name == "eta":
        yield "eta is 0 or 1" if value in (0, 1) else "eta is neither 0 nor 1"
    if name not in ("t", "s") or isinstance(value, float):
        if value in (0, 1) and name != "eta":
            yield f"{name} is {value:g}"
        yield f"{name} is {'above' if value > 1 else 'below' if value < 1 else 'equal to'} 1"
