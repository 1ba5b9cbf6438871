"""Part of `elbo`: the loss in continuous time, learned and optimal schedules, stratified times and importance sampling."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import BATCH, Case, numbers, refused

SHAPES = ((2, 2), (1, 1), (2, 2, 2, 1))


def cases() -> Iterator[Case]:
    yield from _continuous()
    yield from _schedules()
    yield from _times()
    yield from _wrong_terms()
    yield from _wrong_schedules()


def _continuous() -> Iterator[Case]:
    for number, shape in enumerate(SHAPES):
        B = shape[0]
        at: dict[str, Any] = {"target": numbers(shape, number), "prediction": numbers(shape, 5)}
        levels, rates = numbers((B,), 8 + number), abs(numbers((B,), 20)) + 0.5
        for kind in ("eps", "x0", "v"):
            yield Case("continuous_term", {**at, "gamma": levels, "rate": rates, "kind": kind}, minimal=True)
            yield Case("continuous_term", {**at, "gamma": 1.25, "rate": 18.5, "kind": kind}, minimal=number == 0)
            yield Case("continuous_term", {**at, "gamma": -6.5, "rate": 0.0, "kind": kind}, minimal=number == 0)
            many = {"gamma_t": levels, "gamma_s": levels - rates, "T": 10 + number, "kind": kind}
            yield Case("finite_term", {**at, **many}, minimal=True)
            yield Case("finite_term", {**at, "gamma_t": 1.25, "gamma_s": 1.234375, "T": 1000, "kind": kind}, minimal=number == 0)
            yield Case("finite_term", {**at, "gamma_t": 3.5, "gamma_s": -4.0, "T": 1, "kind": kind}, minimal=number == 0)
    for low, high in ((-9.0, 9.0), (-13.25, 5.0), (0.5, 0.515625), (1.5, 1.5)):
        for variance in ([0.25], [1.0, 0.015625, 40.0], [0.0, 2.0]):
            inputs = {"variance": np.array(variance), "gamma_t": high, "gamma_s": low}
            yield Case("gaussian_step_loss", inputs, minimal=True)
            yield Case("gaussian_loss", inputs, minimal=True)


def _schedules() -> Iterator[Case]:
    for number, (low, high) in enumerate(((-9.0, 9.0), (-13.25, 5.0), (0.5, 0.75))):
        for width in (1, 2, 5):
            t = np.array([0.5]) if width == 2 else np.array([0.0, 0.125, 0.625, 1.0])
            layers = {"w1": numbers((1,), number), "b1": numbers((1,), 1 + number), "w2": 2 + numbers((width,), 2 + number)}
            layers |= {"b2": numbers((width,), 3 + number), "w3": numbers((width,), 4 + number)}
            yield Case("monotone_gamma", {"t": t, "gamma_0": low, "gamma_1": high, **layers}, minimal=True)
        for variance in (0.25, 1.0, 8.0):
            t = np.array([0.0, 0.25, 0.71875, 0.984375])
            yield Case("optimal_gamma", {"t": t, "variance": variance, "gamma_0": low, "gamma_1": high}, minimal=True)


def _times() -> Iterator[Case]:
    for uniform in (0.0, 0.3125, 0.71875, 0.984375):
        for count in (1, 2, 5, 8):
            yield Case("stratified_times", {"uniform": uniform, "count": count}, minimal=True)
    for moments in ([4.0], [0.25, 1.0, 9.0], [0.0, 2.0, 0.5, 0.125]):
        for floor in (0.0, 0.001, 0.25, 1.0):
            if floor or min(moments) > 0:
                yield Case("importance", {"second_moments": np.array(moments), "floor": floor}, minimal=True)


def _wrong_terms() -> Iterator[Case]:
    x = numbers((2, 2)) / 2
    at: dict[str, Any] = {"target": x, "prediction": numbers((2, 2), 1)}
    yield refused("continuous_term", "a rate below 0", **at, gamma=0.5, rate=-1.0, kind="eps")
    yield refused("continuous_term", "an unknown kind", **at, gamma=0.5, rate=1.0, kind="score")
    yield refused("continuous_term", BATCH, **at, gamma=numbers((3,)), rate=1.0, kind="v")
    yield refused("finite_term", "a step to more noise", **at, gamma_t=0.5, gamma_s=1.0, T=10, kind="eps")
    yield refused("finite_term", "no steps", **at, gamma_t=0.5, gamma_s=0.25, T=0, kind="eps")
    for operation in ("gaussian_step_loss", "gaussian_loss"):
        yield refused(operation, "a step to more noise", variance=np.array([0.5]), gamma_t=0.5, gamma_s=1.0)
        yield refused(operation, "a variance below 0", variance=np.array([-0.5]), gamma_t=1.0, gamma_s=0.5)


def _wrong_schedules() -> Iterator[Case]:
    layers = {name: numbers((1 if name[1] == "1" else 2,), i) for i, name in enumerate(("w1", "b1", "w2", "b2", "w3"))}
    yield refused("monotone_gamma", "equal ends", t=np.array([0.5]), gamma_0=1.0, gamma_1=1.0, **layers)
    yield refused("monotone_gamma", "a time outside 0..1", t=np.array([0.5, 1.5]), gamma_0=-1.0, gamma_1=1.0, **layers)
    yield refused("optimal_gamma", "equal ends", t=np.array([0.5]), variance=0.5, gamma_0=1.0, gamma_1=1.0)
    yield refused("optimal_gamma", "a time outside 0..1", t=np.array([-0.5]), variance=0.5, gamma_0=-1.0, gamma_1=1.0)
    yield refused("stratified_times", "a batch of none", uniform=0.5, count=0)
    yield refused("stratified_times", "a uniform number above 1", uniform=1.5, count=4)
    yield refused("importance", "a second moment below 0", second_moments=np.array([1.0, -1.0]), floor=0.25)
    yield refused("importance", "a floor above 1", second_moments=np.array([1.0, 4.0]), floor=1.5)
