"""T1: optimizers as whole trajectories, averages of parameters, clipping and the learning rate."""

import numpy as np

from ..numbers import cos, pi, sqrt


def adam(params, grads, rate, beta1, beta2, eps):
    """T1 -> states: parameters after each step, (K, ...), from params (...) and grads (K, ...); eps is added to the root after both debiasings."""
    m, second, states = 0 * params, 0 * params, []
    for step, gradient in enumerate(grads, 1):
        m, second = moments(m, second, gradient, beta1, beta2)
        params = params - rate * direction(m, second, step, beta1, beta2, eps)
        states.append(params)
    return np.stack(states)


def adamw(params, grads, rate, beta1, beta2, eps, decay):
    """T1 -> states: as adam, with rate decay params taken off too, in the same step; the decay does not go through the moments."""
    m, second, states = 0 * params, 0 * params, []
    for step, gradient in enumerate(grads, 1):
        m, second = moments(m, second, gradient, beta1, beta2)
        params = params - rate * (direction(m, second, step, beta1, beta2, eps) + decay * params)
        states.append(params)
    return np.stack(states)


def moments(m, second, gradient, beta1, beta2):
    """The running means of the gradient and of its square."""
    return beta1 * m + (1 - beta1) * gradient, beta2 * second + (1 - beta2) * gradient**2


def direction(m, second, step, beta1, beta2, eps):
    """(m / (1 - beta1^k)) / (sqrt(second / (1 - beta2^k)) + eps), k the step."""
    return m / (1 - beta1**step) / (sqrt(second / (1 - beta2**step)) + eps)


def ema(params, decay):
    """T1 -> averages: the running average after each step, params (K, ...), started at 0: a <- decay a + (1 - decay) params."""
    average, averages = 0 * params[0], []
    for each in params:
        average = decay * average + (1 - decay) * each
        averages.append(average)
    return np.stack(averages)


def ema_debiased(params, decay):
    """T1 -> averages: those of ema, divided by 1 - decay^k, k = 1..K."""
    return np.stack([average / (1 - decay**step) for step, average in enumerate(ema(params, decay), 1)])


def clip_by_norm(grads_a, grads_b, limit):
    """T1 -> clipped_a, clipped_b, norm: two tensors times min(1, limit / norm), norm that of both together before; times 1 where it is 0."""
    norm = sqrt((grads_a**2).sum() + (grads_b**2).sum())
    factor = limit / norm if norm > limit else norm**0
    return grads_a * factor, grads_b * factor, norm


def learning_rate(step, peak, warmup, total, floor):
    """T1 -> rate: peak k / warmup up to the step k = warmup, then floor + (peak - floor) (1 + cos(pi (k - warmup) / (total - warmup))) / 2.

    From the step k = total on it is floor.
    """
    if step <= warmup:
        return peak * step / warmup
    angle = pi(peak) * (min(step, total) - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + cos(angle)) / 2
