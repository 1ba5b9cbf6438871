"""Operations of refdiff: optimizers, EMA, clipping and the learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...training import optim


def adam(params: Any, grads: Any, rate: float, beta1: float, beta2: float, eps: float) -> Any:
    return adamw(params, grads, rate, beta1, beta2, eps, 0.0)


def adamw(params: Any, grads: Any, rate: float, beta1: float, beta2: float, eps: float, decay: float) -> Any:
    state, states = optim.init(params), []
    for step, gradient in enumerate(grads, 1):
        params, state = optim.adam(params, gradient, state, step, rate, beta1, beta2, eps, decay)
        states.append(params)
    return np.stack(states)


def ema(params: Any, decay: float) -> Any:
    average, averages = np.zeros_like(params[0]), []
    for each in params:
        average = optim.ema(average, each, decay)
        averages.append(average)
    return np.stack(averages)


def ema_debiased(params: Any, decay: float) -> Any:
    return np.stack([optim.ema_debiased(average, step, decay) for step, average in enumerate(ema(params, decay), 1)])


def clip_by_norm(grads_a: Any, grads_b: Any, limit: float) -> Any:
    clipped, norm = optim.clip({"a": grads_a, "b": grads_b}, limit)
    return clipped["a"], clipped["b"], norm


learning_rate = optim.learning_rate
