"""R6, C2: the kinds of prediction and the conversions between them."""

import numpy as np

from ..numbers import per_example, sqrt
from .schedules import alpha_bar


def weights(kind, signal, sigma):
    """The coefficients a and b of a prediction a x0 + b eps. The velocity is that of the straight path, data - noise."""
    zero, one = 0 * signal, 1 + 0 * signal
    if kind == "x0":
        return one, zero
    if kind == "eps":
        return zero, one
    if kind == "v":
        return -sigma, signal
    if kind == "score":
        return zero, -1 / sigma
    return one, -one


def signal_sigma(t, x_t, betas):
    """The coefficients of x_t = signal x0 + sigma eps."""
    ab = alpha_bar(betas)[per_example(t, x_t)]
    return sqrt(ab), sqrt(1 - ab)


def to_x0(prediction, x_t, t, betas, kind):
    """R6 -> x0: the data that a prediction implies; kind is x0, eps, v, score or velocity.

    v = signal eps - sigma x0, score = -eps / sigma, velocity = x0 - eps, with signal = sqrt(alpha_bar_t), sigma = sqrt(1 - alpha_bar_t).
    An error where it implies none: eps or score at alpha_bar_t = 0.
    """
    signal, sigma = signal_sigma(t, x_t, betas)
    a, b = weights(kind, signal, sigma)
    return (b * x_t - sigma * prediction) / (signal * b - sigma * a)


def to_eps(prediction, x_t, t, betas, kind):
    """R6 -> eps: the noise that a prediction implies, kinds as in to_x0; an error where it implies none: x0 at t = 0."""
    signal, sigma = signal_sigma(t, x_t, betas)
    a, b = weights(kind, signal, sigma)
    return (signal * prediction - a * x_t) / (signal * b - sigma * a)


def convert(prediction, x_t, t, betas, source, to):
    """R6 -> prediction: a prediction of one kind as another, kinds as in to_x0; an error where one says nothing of the other."""
    a, b = weights(to, *signal_sigma(t, x_t, betas))
    return a * to_x0(prediction, x_t, t, betas, source) + b * to_eps(prediction, x_t, t, betas, source)


def target(kind, x0, noise, t, betas):
    """R6, T1 -> target: what a perfect network of this kind would answer, kinds as in to_x0."""
    a, b = weights(kind, *signal_sigma(t, x0, betas))
    return a * x0 + b * noise


def clip_x0(prediction, x_t, t, betas, kind, limit):
    """R6 -> prediction: the same kind of prediction, made to imply an x0 within -limit..limit: clipped as x0, then read back."""
    x0 = to_x0(prediction, x_t, t, betas, kind)
    return convert(np.clip(x0, -limit, limit), x_t, t, betas, "x0", kind)


def tweedie_mean(x_t, score, t, betas):
    """C2 -> mean: E[x0 | x_t] = (x_t + sigma^2 score) / signal, score that of x_t's marginal density; an error without signal."""
    signal, sigma = signal_sigma(t, x_t, betas)
    return (x_t + sigma**2 * score) / signal


def tweedie_covariance(hessian, t, betas):
    """C2 -> covariance: Cov[x0 | x_t] = sigma^2 / signal^2 (I + sigma^2 hessian), the Hessian (B, d, d) being that of log p_t."""
    signal, sigma = signal_sigma(t, hessian, betas)
    return sigma**2 / signal**2 * (np.eye(hessian.shape[-1], dtype=int) + sigma**2 * hessian)
