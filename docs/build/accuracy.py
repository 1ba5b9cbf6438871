"""Accuracy in floating point: the naive formulas of some quantities and refdiff's, measured against 50 digits when the book is built."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
from scipy.special import ndtr

from refdiff import elbo, forward, gaussian, samplers, schedules
from refdiff.arrays import Array
from tests import exact, tolerances

from . import whole_range
from .measurement import Measurement, relative, ulps

T = 1000
ULP = "ulp"
EPS = float(np.finfo(np.float64).eps)


class Tables(NamedTuple):
    """alpha_bar of the linear schedule: refdiff's, as a running product, and exact."""

    ours: schedules.Schedule
    product: Array
    true: Array


@cache
def linear() -> Tables:
    betas = np.linspace(1e-4, 0.02, T)
    return Tables(schedules.linear(T), np.cumprod(np.append(1, 1 - betas)), exact.alpha_bars(betas))


def one_minus_alpha_bar() -> Measurement:
    ours, product, true = linear()
    t = np.arange(1, T + 1)
    errors = ulps(1 - product[t], 1 - true[t]), ulps(ours.one_minus_alpha_bar[t], 1 - true[t])
    formulas = r"$1 - \bar\alpha_t$", r"$-\mathrm{expm1}(\log\bar\alpha_t)$"
    return Measurement(r"$1 - \bar\alpha_t$", formulas, t, errors, ULP, tolerances.ONE_MINUS_ALPHA_BAR, "t = 1 to 1000")


def alpha_bar() -> Measurement:
    ours, product, true = linear()
    t = np.arange(1, T + 1)
    errors = ulps(product[t], true[t]), ulps(ours.alpha_bar[t], true[t])
    formulas = r"the product $\prod_i (1 - \beta_i)$", r"$\exp \sum_i \mathrm{log1p}(-\beta_i)$"
    return Measurement(r"$\bar\alpha_t$", formulas, t, errors, ULP, tolerances.ALPHA_BAR, "t = 1 to 1000")


def log_snr() -> Measurement:
    ours, product, true = linear()
    t = np.arange(1, T + 1)
    expected = exact.apply(mp.log, true[t]) - exact.apply(mp.log, 1 - true[t])
    errors = exact.error(np.log(product[t] / (1 - product[t])), expected), exact.error(ours.log_snr[t], expected)
    formulas = r"$\log (\bar\alpha_t / (1 - \bar\alpha_t))$", r"$\log\bar\alpha_t - \log(-\mathrm{expm1}(\log\bar\alpha_t))$"
    return Measurement(r"$\log\mathrm{SNR}(t)$", formulas, t, errors, "absolute", tolerances.LOG_SNR, "t = 1 to 1000")


def _variances(t: Array, s: Array) -> Array:
    true = linear().true
    return (1 - true[s]) / (1 - true[t]) * (1 - true[t] / true[s])


def posterior_variance() -> Measurement:
    ours, product, _ = linear()
    t = np.arange(2, T + 1)
    naive = (1 - product[t - 1]) / (1 - product[t]) * (1 - product[t] / product[t - 1])
    errors = ulps(naive, _variances(t, t - 1)), ulps(forward.posterior_variance(t, t - 1, ours), _variances(t, t - 1))
    formulas = (
        r"from the product, $\beta_{t|s} = 1 - \bar\alpha_t / \bar\alpha_s$",
        r"$\beta_{t|s} = -\mathrm{expm1}(\log\bar\alpha_t - \log\bar\alpha_s)$",
    )
    return Measurement(r"$\tilde\beta_{t|s}$", formulas, t, errors, ULP, tolerances.POSTERIOR_VARIANCE, "t = 2 to 1000, s = t − 1")


def compensated_sums() -> Measurement:
    ours, _, _ = linear()
    t = np.arange(2, T + 1)
    table = schedules.Schedule(ours.log_alpha_bar, np.zeros(T + 1))
    errors = tuple(ulps(forward.posterior_variance(t, t - 1, each), _variances(t, t - 1)) for each in (table, ours))
    formulas = r"$\log\bar\alpha$ as one number", r"$\log\bar\alpha$ as a sum and its remainder"
    return Measurement(r"the same", formulas, t, (errors[0], errors[1]), ULP, tolerances.POSTERIOR_VARIANCE, "t = 2 to 1000, s = t − 1")


def weight_x0() -> Measurement:
    ours, product, true = linear()
    t = np.arange(2, T + 1)
    snr = product[1:] / (1 - product[1:])
    expected = (true[t - 1] / (1 - true[t - 1]) - true[t] / (1 - true[t])) / 2
    errors = relative((snr[t - 2] - snr[t - 1]) / 2, expected), relative(elbo.weight_x0(t, t - 1, ours), expected)
    formulas = (
        r"$\tfrac12 (\mathrm{SNR}(s) - \mathrm{SNR}(t))$",
        r"$\frac{\bar\alpha_s \beta_{t|s}}{2 (1 - \bar\alpha_s)(1 - \bar\alpha_t)}$",
    )
    bound = 64 * EPS
    return Measurement("the ELBO's weight of $x_0$", formulas, t, errors, "relative", bound, "t = 2 to 1000, s = t − 1")


def ddim_root() -> Measurement:
    """The root in a DDIM step, eta = 1, from t to s = 1: the result of the step for x0 = 0 and noise 1."""
    ours, product, true = linear()
    t = np.arange(2, T + 1)
    tilde = (1 - product[1]) / (1 - product[t]) * (1 - product[t] / product[1])
    with np.errstate(invalid="ignore"):
        naive = np.sqrt(1 - product[1] - tilde)
    expected = exact.apply(mp.sqrt, 1 - true[1] - _variances(t, np.ones_like(t)))
    zero = np.zeros((len(t), 1))
    step = samplers.ddim_step(zero, ours.sigma[t][:, None], t, np.ones_like(t), ours, zero, eta=1.0, kind="x0")[:, 0]
    formulas = (
        r"$\sqrt{1 - \bar\alpha_s - \sigma_\eta^2}$",
        r"$\sqrt{(1 - \bar\alpha_s)(1 - \eta^2 + \eta^2 \alpha_{t|s} (1 - \bar\alpha_s) / (1 - \bar\alpha_t))}$",
    )
    return Measurement(
        "the root in DDIM",
        formulas,
        t,
        (ulps(naive, expected), ulps(step, expected)),
        ULP,
        tolerances.IDENTITY,
        "t = 2 to 1000, s = 1, η = 1",
    )


def cosine_betas() -> Measurement:
    angle = (np.arange(T + 1) / T + 0.008) / 1.008 * np.pi / 2
    squared = np.cos(angle) ** 2
    true = exact.apply(lambda n: mp.cos((n / T + mp.mpf(0.008)) / (1 + mp.mpf(0.008)) * mp.pi / 2) ** 2, exact.numbers(np.arange(T + 1)))
    t = np.arange(1, T)  # the last beta is clipped
    expected = 1 - true[t] / true[t - 1]
    errors = ulps(1 - squared[t] / squared[t - 1], expected), ulps(schedules.cosine(T).beta[t], expected)
    formulas = (
        r"$1 - \cos^2\theta_t / \cos^2\theta_{t-1}$",
        r"$\sin(\theta_t + \theta_{t-1}) \sin(\theta_t - \theta_{t-1}) / \sin^2(\frac\pi2 - \theta_{t-1})$",
    )
    return Measurement("β of the cosine schedule", formulas, t, errors, ULP, 2 * tolerances.COSINE, "t = 1 to 999")


def kl() -> Measurement:
    d = 10.0 ** np.linspace(-8, 1, 91)
    first, second = 0.3 * np.exp(d), np.full_like(d, 0.3)
    expected = np.array([exact.kl_normal(0, a, 0, b) for a, b in zip(exact.numbers(first), exact.numbers(second), strict=True)])
    ratio, zero = first / second, np.zeros((len(d), 1))
    errors = relative((ratio - 1 - np.log(ratio)) / 2, expected), relative(gaussian.kl_isotropic(zero, first, zero, second), expected)
    formulas = r"$\tfrac12 (r - 1 - \log r)$", r"below $|d| = 0.1$ the series $d^2/2! + d^3/3! + \ldots$, $d = \log r$"
    return Measurement("KL divergence, variances in the ratio r", formulas, d, errors, "relative", tolerances.KL, "log r = 10⁻⁸ to 10")


def discretized_likelihood() -> Measurement:
    """The log-probability of a bin at a distance z from the mean, in standard deviations of 0.05."""
    std, half, x = 0.05, 1 / 255, 0.0
    z = np.linspace(-12, 12, 193)
    mean = x - std * z
    upper, lower = (x - mean + half) / std, (x - mean - half) / std
    with np.errstate(divide="ignore"):
        naive = np.log(ndtr(upper) - ndtr(lower))
    ours = gaussian.discretized_log_likelihood(np.zeros((len(z), 1)), mean[:, None], np.full((len(z), 1), std))
    expected = np.array([_bin(m, std) for m in mean])
    formulas = r"$\log(\Phi(b) - \Phi(a))$", r"mirrored to the left: $\log\Phi(b) + \log(-\mathrm{expm1}(\log\Phi(a) - \log\Phi(b)))$"
    return Measurement(
        "log-likelihood of a pixel",
        formulas,
        z,
        (relative(naive, expected), relative(ours, expected)),
        "relative",
        4 * tolerances.PIXEL * EPS,
        "12 σ either side of the mean",
    )


def _bin(mean: float, std: float) -> Any:
    """The exact value, computed on the side where the tail is small."""
    mean, std, half = abs(mp.mpf(mean)), mp.mpf(std), mp.mpf(1) / 255
    return mp.log(mp.ncdf((half - mean) / std) - mp.ncdf((-half - mean) / std))


def slerp() -> Measurement:
    """A quarter of the way between two noises that are nearly opposite, off by an angle gap."""
    gap = 10.0 ** np.linspace(-5, 0.4, 109)
    a, b = np.stack([np.ones_like(gap), 0 * gap], 1), np.stack([-np.cos(gap), np.sin(gap)], 1)
    naive = _quarter(a, b, np.arccos((a * b).sum(axis=1) / np.linalg.norm(b, axis=1)), np.sin)
    true_b = exact.numbers(b)
    theta = np.array([mp.atan2(y, x) for x, y in true_b])
    expected = _quarter(exact.numbers(a), true_b, theta, lambda angle: exact.apply(mp.sin, angle))
    errors = tuple(np.linalg.norm(exact.error(each, expected), axis=1) for each in (naive, samplers.slerp(a, b, 0.25)))
    formulas = r"$\theta$ is the arc cosine of $a \cdot b$", r"$\theta$ is twice the arc tangent of $\|a - b\| / \|a + b\|$"
    bound = 8 * EPS / gap[0]  # the errors of SLERP, not yet multiplied by its 1 / sin(theta)
    return Measurement(
        "slerp, a quarter of the way", formulas, gap, (errors[0], errors[1]), "relative", bound, "noises 10⁻⁵ to 2.5 short of opposite"
    )


def _quarter(a: Array, b: Array, theta: Array, sine: Callable[[Array], Array]) -> Array:
    return (sine(3 * theta / 4)[:, None] * a + sine(theta / 4)[:, None] * b) / sine(theta)[:, None]


def sigma_float32() -> Measurement:
    """Coefficients of q_sample in float32: from tables summed in float32, and rounded once from float64 ones."""
    true, t = linear().true, np.arange(1, T + 1)
    product = np.cumprod(1 - np.linspace(1e-4, 0.02, T, dtype=np.float32))
    expected = exact.apply(mp.sqrt, 1 - true[t])
    zero, one = np.zeros((T, 1), np.float32), np.ones((T, 1), np.float32)
    ours = forward.q_sample(zero, t, linear().ours, one)[:, 0]
    spacing = np.spacing(exact.floats(expected).astype(np.float32)).astype(np.float64)
    errors = exact.error(np.sqrt(1 - product), expected) / spacing, exact.error(ours, expected) / spacing
    formulas = "tables in float32", "tables in float64, rounded at the end"
    return Measurement(r"$\sqrt{1 - \bar\alpha_t}$ in float32", formulas, t, errors, "ulp of float32", tolerances.FLOAT32, "t = 1 to 1000")


QUANTITIES: dict[str, Callable[[], Measurement]] = {
    f.__name__: f
    for f in (
        one_minus_alpha_bar,
        alpha_bar,
        log_snr,
        posterior_variance,
        compensated_sums,
        weight_x0,
        ddim_root,
        cosine_betas,
        kl,
        discretized_likelihood,
        slerp,
        sigma_float32,
    )
}


TABLES = {"": QUANTITIES, "whole_range": whole_range.QUANTITIES}


@cache
def measure(name: str) -> Measurement:
    """One of them, at 50 digits; at as many more as its smallest argument has zeros."""
    with mp.workdps(50 if name in QUANTITIES else 400):
        return (QUANTITIES | whole_range.QUANTITIES)[name]()


def table(which: str = "") -> list[Measurement]:
    """The rows of one of the two tables."""
    return [measure(name) for name in TABLES[which]]
