"""Noise schedules and time grids."""

import math

from .boundary import array, between, choice, for_times, integer, integer_array, number, numbers, shape_of, total
from .tables import checked, kept, pair


def linear(T, beta_start, beta_end):
    return _in_equal_steps(T, number("beta_start", beta_start), number("beta_end", beta_end), 1)


def quadratic(T, beta_start, beta_end):
    start, end = number("beta_start", beta_start), number("beta_end", beta_end)
    if start < 0 or end < 0:
        raise ValueError(f"beta_start = {start}, beta_end = {end}; allowed: above 0")
    return _in_equal_steps(T, math.sqrt(start), math.sqrt(end), 2)


def _in_equal_steps(T, start, end, power):
    T = integer("T", T, 1)
    betas = []
    for t in range(1, T + 1):
        part = (t - 1) / (T - 1) if T > 1 else 0.0
        betas.append(1000 / T * (start + part * (end - start)) ** power)
    return array(checked(betas))


def cosine(T, offset, beta_max):
    T, offset = integer("T", T, 1), number("offset", offset)
    f = [math.cos((t / T + offset) / (1 + offset) * math.pi / 2) ** 2 for t in range(T + 1)]
    return _clipped(f, beta_max)


def sigmoid_betas(T, start, end, tau, beta_max):
    T, start, end, tau = integer("T", T, 1), number("start", start), number("end", end), number("tau", tau)
    if tau <= 0 or end <= start:
        raise ValueError(f"start = {start}, end = {end}, tau = {tau}; allowed: start < end, tau > 0")
    f = [_sigmoid(end / tau) - _sigmoid((start + t / T * (end - start)) / tau) for t in range(T + 1)]
    return _clipped(f, beta_max)


def _clipped(f, beta_max):
    beta_max = between("beta_max", beta_max, 0, 1)
    return array(checked([min(beta_max, 1 - f[t] / f[t - 1]) for t in range(1, len(f))]))


def _sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def alpha_bar(betas):
    return array(kept(betas))


def snr(betas):
    return array([a / (1 - a) for a in kept(betas)[1:]])


def log_snr(betas):
    return array([math.log(a / (1 - a)) for a in kept(betas)[1:]])


def from_log_snr(log_snr):
    return array([1.0] + [_sigmoid(value) for value in numbers("log_snr", log_snr)])


def zero_terminal_snr(betas):
    roots = [math.sqrt(a) for a in kept(betas)[1:]]
    first, last = roots[0], roots[-1]
    if len(roots) < 2:
        raise ValueError("betas has one entry; allowed: two or more, for alpha_bar to stay at 1 and be 0 at T")
    return array([1.0] + [((root - last) * first / (first - last)) ** 2 for root in roots])


def transition(t, s, betas):
    def kept_between(t, s):
        a_t, a_s = pair(betas, t, s)
        return a_t / a_s

    return for_times(kept_between, t, s), for_times(lambda t, s: 1 - kept_between(t, s), t, s)


def prior_kl(x0, betas):
    a = kept(betas)[-1]
    return total(lambda x: (a * x * x + (1 - a) - 1 - math.log(1 - a)) / 2, {"x0": x0}, [()] * shape_of(x0)[0])


def grid(kind, T, S):
    T = integer("T", T, 1)
    S = integer("S", S, 1, T)
    choice("kind", kind, ("linspace", "leading", "trailing", "quadratic"))
    return integer_array([_grid_time(kind, T, S, i) for i in range(S, 0, -1)] + [0])


def _grid_time(kind, T, S, i):
    if kind == "leading":
        return 1 + (i - 1) * (T // S)
    if kind == "trailing":
        return _rounded(i * T, S)
    if kind == "quadratic":
        return max(i, _rounded(T * i * i, S * S))
    return T if S == 1 else 1 + _rounded((i - 1) * (T - 1), S - 1)


def _rounded(above, below):
    """The fraction above / below as an integer, halves up."""
    return (2 * above + below) // (2 * below)
