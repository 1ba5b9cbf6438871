"""F2, F5, F6: noise schedules, quantities derived from them, and the time grids of samplers."""

import numpy as np

from ..numbers import after_one, cached_at_50_digits, cos, event_sum, log, pi, sigmoid, sqrt


def linear(T, beta_start, beta_end):
    """F5 -> betas: beta_t = (1000 / T) (beta_start + (t - 1) / (T - 1) (beta_end - beta_start)); T = 1 takes beta_start; an error if one leaves (0, 1]."""
    t = np.arange(1, T + 1)
    return 1000 * (beta_start + (t - 1) * (beta_end - beta_start) / max(T - 1, 1)) / T


def quadratic(T, beta_start, beta_end):
    """F5 -> betas: as linear, but the square roots of the betas go in equal steps ("scaled linear")."""
    t = np.arange(1, T + 1)
    root = sqrt(beta_start) + (t - 1) * (sqrt(beta_end) - sqrt(beta_start)) / max(T - 1, 1)
    return 1000 * root**2 / T


def cosine(T, offset, beta_max):
    """F5 -> betas: alpha_bar_t = f(t) / f(0), f(t) = cos^2((t / T + offset) / (1 + offset) pi / 2), betas clipped at beta_max."""
    t = np.arange(T + 1)
    f = cos((t + T * offset) / (T + T * offset) * pi(offset) / 2) ** 2
    return np.minimum(1 - f[1:] / f[:-1], beta_max)


def sigmoid_betas(T, start, end, tau, beta_max):
    """F5 -> betas: alpha_bar_t from sigmoid(end / tau) - sigmoid((start + t / T (end - start)) / tau), scaled to 1 at 0, betas clipped."""
    u = start + np.arange(T + 1) * (end - start) / T
    f = sigmoid(end / tau) - sigmoid(u / tau)
    return np.minimum(1 - f[1:] / f[:-1], beta_max)


@cached_at_50_digits
def alpha_bar(betas):
    """F3 -> alpha_bar: the products of 1 - beta_i up to t, (T + 1,), the first of them 1."""
    return after_one(np.cumprod(1 - betas))


def snr(betas):
    """F5 -> snr: alpha_bar_t / (1 - alpha_bar_t) for t = 1..T, (T,)."""
    ab = alpha_bar(betas)[1:]
    return ab / (1 - ab)


def log_snr(betas):
    """F5 -> log_snr: the logarithm of snr, (T,); the last alpha_bar is not 0 here."""
    return log(snr(betas))


def from_log_snr(log_snr):
    """F5 -> alpha_bar: sigmoid of the log-SNR at t = 1..T, 1 in front, (T + 1,)."""
    return after_one(sigmoid(log_snr))


def zero_terminal_snr(betas):
    """F5 -> alpha_bar: sqrt(alpha_bar) shifted to 0 at T and scaled to stay at t = 1, then squared; 1 in front, (T + 1,); T >= 2."""
    root = sqrt(alpha_bar(betas)[1:])
    moved = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return after_one(moved**2)


def transition(t, s, betas):
    """F2 -> alpha, beta: signal kept and noise added from s to t > s: alpha_bar_t / alpha_bar_s, and 1 minus that."""
    ab = alpha_bar(betas)
    return ab[t] / ab[s], 1 - ab[t] / ab[s]


def prior_kl(x0, betas):
    """F6 -> kl: D(q(x_T | x_0) || N(0, I)) in nats, (B,)."""
    ab = alpha_bar(betas)[-1]
    return event_sum((1 - ab) + ab * x0**2 - 1 - log(1 - ab)) / 2


def grid(kind, T, S):
    """S2 -> grid: S + 1 decreasing times that end in 0; kind is linspace, leading, trailing or quadratic; halves round up.

    linspace: T to 1 in equal steps (T alone for S = 1); leading: 1 + (i - 1) floor(T / S); trailing: i T / S; quadratic:
    max(i, T (i / S)^2), all for i = S..1.
    """
    i = np.arange(S, 0, -1)
    if kind == "linspace":
        times = 1 + half_up((i - 1) * (T - 1), S - 1) if S > 1 else np.array([T])
    elif kind == "leading":
        times = 1 + (i - 1) * (T // S)
    elif kind == "trailing":
        times = half_up(i * T, S)
    else:
        times = np.maximum(i, half_up(i**2 * T, S**2))
    return np.append(times, 0)


def half_up(numerator, denominator):
    """A quotient of integers rounded to the nearest integer, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
