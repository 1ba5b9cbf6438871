"""Optimizers: first steps and many steps, gradients of every size and of 0; both ends of the warm-up, of the cosine and
of the limit.
"""

from collections.abc import Iterator

import numpy as np

from . import Case, numbers, refused


def cases() -> Iterator[Case]:
    yield from _adam()
    yield from _averages()
    yield from _clips()
    yield from _rates()


def _adam() -> Iterator[Case]:
    for number, (steps, size, beta1, beta2, eps, scale) in enumerate(
        (
            (1, 3, 0.9, 0.999, 1e-8, 1.0),
            (3, 2, 0.9, 0.999, 1e-8, 1.0),
            (5, 2, 0.5, 0.75, 1e-3, 1.0),
            (4, 2, 0.9, 0.999, 1e-8, 2.0**-26),
            (3, 2, 0.0, 0.99, 1e-8, 1000.0),
            (10, 2, 0.9, 0.95, 1e-5, 0.01),
            (3, 2, 0.9, 0.999, 1e-8, 0.0),
        )
    ):
        params, grads = numbers((size, 2), number), numbers((steps, size, 2), number + 10) * scale
        inputs = {"params": params, "grads": grads, "rate": 0.125, "beta1": beta1, "beta2": beta2, "eps": eps}
        yield Case("adam", inputs, minimal=True)
        for decay in (0.01, 0.5):
            yield Case("adamw", {**inputs, "decay": decay}, minimal=True)
    inputs = {"params": numbers((2,)), "grads": numbers((100, 2), 1), "rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    yield Case("adam", inputs)
    yield Case("adamw", {**inputs, "decay": 0.0})
    for wrong in ({"beta1": 1.0}, {"beta2": 1.0}, {"beta1": -0.1}):
        yield refused("adam", "beta1 or beta2 outside [0, 1)", **{**inputs, **wrong})


def _averages() -> Iterator[Case]:
    for number, (steps, decay) in enumerate(((1, 0.999), (2, 0.9), (5, 0.5), (4, 0.999), (3, 0.0), (10, 0.75))):
        params = numbers((steps, 2, 1 + number % 2), number)
        yield Case("ema", {"params": params, "decay": decay}, minimal=True)
        yield Case("ema_debiased", {"params": params, "decay": decay}, minimal=True)
    for decay in (1.5, -0.5):
        yield refused("ema", "a decay outside [0, 1]", params=params, decay=decay)
    yield refused("ema_debiased", "a decay of 1", params=params, decay=1.0)


def _clips() -> Iterator[Case]:
    for number, (first, second, limit) in enumerate(
        (((2, 3), (1, 2), 1.0), ((1, 1), (2, 2), 100.0), ((1, 4), (3, 1), 0.25), ((2, 2), (1, 3), 2.0))
    ):
        yield Case(
            "clip_by_norm", {"grads_a": numbers(first, number), "grads_b": numbers(second, number + 10), "limit": limit}, minimal=True
        )
    a, b = np.array([[3.0, 0.0]]), np.array([[0.0], [4.0]])
    for limit in (4.5, 5.0, 5.5):
        yield Case("clip_by_norm", {"grads_a": a, "grads_b": b, "limit": limit}, minimal=True)
    yield Case("clip_by_norm", {"grads_a": 0 * a, "grads_b": 0 * b, "limit": 1.0}, minimal=True)
    for limit in (0.0, -1.0):
        yield refused("clip_by_norm", "a limit of 0 or below", grads_a=a, grads_b=b, limit=limit)


def _rates() -> Iterator[Case]:
    for step in (1, 2, 3, 4, 5, 7, 9, 10, 11, 20):
        for peak, warmup, total, floor in ((2e-3, 4, 10, 0.0), (1.0, 1, 10, 0.125), (0.5, 0, 8, 0.25)):
            inputs = {"step": step, "peak": peak, "warmup": warmup, "total": total, "floor": floor}
            yield Case("learning_rate", inputs, tolerance="tensor", minimal=True)
    for what, step, warmup in (("the step 0", 0, 2), ("warmup = total", 1, 10), ("a warmup below 0", 1, -1)):
        yield refused("learning_rate", what, step=step, peak=1.0, warmup=warmup, total=10, floor=0.0)
