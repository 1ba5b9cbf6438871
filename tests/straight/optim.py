"""Optimizers on lists of numbers."""

import math

from .boundary import array, between, examples, integer, number, shape_of


class AdamState:
    """The two moments of a list of parameters."""

    def __init__(self, params, rate, beta1, beta2, eps, decay=0.0):
        self.params, self.rate, self.eps, self.decay = list(params), number("rate", rate), number("eps", eps), number("decay", decay)
        self.betas = [_below_one("beta1", beta1), _below_one("beta2", beta2)]
        self.first, self.second, self.steps = [0.0] * len(params), [0.0] * len(params), 0

    def step(self, grads):
        """The parameters after one more gradient."""
        self.steps += 1
        b1, b2 = self.betas
        for i, g in enumerate(grads):
            self.first[i] = b1 * self.first[i] + (1 - b1) * g
            self.second[i] = b2 * self.second[i] + (1 - b2) * g * g
            mean, square = self.first[i] / (1 - b1**self.steps), self.second[i] / (1 - b2**self.steps)
            self.params[i] -= self.rate * (mean / (math.sqrt(square) + self.eps) + self.decay * self.params[i])
        return list(self.params)


def _below_one(name, value):
    if between(name, value, 0, 1) == 1:
        raise ValueError(f"{name} = 1; allowed: below 1")
    return value


def adam(params, grads, rate, beta1, beta2, eps):
    return adamw(params, grads, rate, beta1, beta2, eps, 0.0)


def adamw(params, grads, rate, beta1, beta2, eps, decay):
    if shape_of(grads)[1:] != shape_of(params):
        raise ValueError(f"grads has shape {shape_of(grads)}; allowed: (K, *{shape_of(params)})")
    state = AdamState(examples("params", [params])[0], rate, beta1, beta2, eps, decay)
    return array([state.step(one) for one in examples("grads", grads)], shape_of(grads))


def _averages(params, decay):
    averages, average = [], None
    for one in examples("params", params):
        average = [decay * a + (1 - decay) * p for a, p in zip(average or [0.0] * len(one), one, strict=True)]
        averages.append(average)
    return averages


def ema(params, decay):
    return array(_averages(params, between("decay", decay, 0, 1)), shape_of(params))


def ema_debiased(params, decay):
    decay = _below_one("decay", decay)
    averages = _averages(params, decay)
    return array([[a / (1 - decay ** (k + 1)) for a in one] for k, one in enumerate(averages)], shape_of(params))


def clip_by_norm(grads_a, grads_b, limit):
    limit = number("limit", limit)
    if limit <= 0:
        raise ValueError(f"limit = {limit}; allowed: above 0")
    a, b = examples("grads_a", [grads_a])[0], examples("grads_b", [grads_b])[0]
    norm = math.sqrt(math.fsum(g * g for g in a + b))
    factor = min(1.0, limit / norm) if norm else 1.0
    return array([factor * g for g in a], shape_of(grads_a)), array([factor * g for g in b], shape_of(grads_b)), array(norm)


def learning_rate(step, peak, warmup, total, floor):
    step, warmup, total = integer("step", step, 1), integer("warmup", warmup, 0), integer("total", total, 1)
    peak, floor = number("peak", peak), number("floor", floor)
    if total <= warmup:
        raise ValueError(f"total = {total}; allowed: above warmup = {warmup}")
    if step <= warmup:
        return array(peak * step / warmup)
    if step >= total:
        return array(floor)
    return array(floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2)
