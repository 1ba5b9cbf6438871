"""Oracles, which are exact models: data distributions whose noisy density, score and denoiser have a closed form.

All are Gaussian mixtures (`mixture.Mixture`). A point mass and a data set are mixtures of components with zero covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from ..arrays import Array, GaussianPath, Time, as_array, cast, event_size, like, read_only
from ..checks import as_float64, check_broadcast, check_count, check_number, check_scalar
from ..process.reverse import Reverse
from ..process.schedules import Schedule
from .mixture import Mixture as Mixture
from .mixture import shaped


def mixture(means: Any, covariances: Any, weights: Any = None, labels: Any = None) -> Mixture:
    """Gaussian mixture from means (K, d), covariances (K, d, d), weights (K,) and labels (K,).

    By default the weights are equal, and all components have the label 0. Source: G4.
    """
    means, covariances = np.atleast_2d(as_float64("means", means)), as_float64("covariances", covariances)
    check_number("covariances", covariances)
    if means.size == 0:
        raise ValueError(f"means has shape {means.shape}; allowed: (K, d), not empty")
    if covariances.shape != means.shape + means.shape[1:]:
        raise ValueError(f"covariances have shape {covariances.shape}; allowed: {means.shape + means.shape[1:]}, one matrix per mean")
    if np.any(abs(covariances - covariances.mT) > 1e-12 * abs(covariances).max()):
        raise ValueError("covariances are not symmetric; allowed: symmetric, positive semidefinite")
    spreads, axes = np.linalg.eigh(covariances)
    if spreads.min() < -1e-12 * abs(spreads).max():
        raise ValueError(f"covariances have an eigenvalue {spreads.min()}; allowed: positive semidefinite")
    return _checked(means, np.maximum(spreads, 0), axes, weights, labels)


def gaussian(mean: Any, covariance: Any) -> Mixture:
    """Single Gaussian of any covariance: mean (d,), covariance (d, d). Source: C1."""
    return mixture(as_float64("mean", mean)[None], as_float64("covariance", covariance)[None])


def data_set(points: Any, weights: Any = None, labels: Any = None) -> Mixture:
    """Finite data set of points (N, d), with its ideal denoiser.

    The points are equally likely unless weights are given. Source: C2, M3.
    """
    points = as_float64("points", points)
    if points.size == 0 or points.ndim == 0:
        raise ValueError(f"points has shape {points.shape}; allowed: (N, ...), not empty")
    points = points.reshape(len(points), event_size(points))
    return _checked(points, np.zeros_like(points), None, weights, labels)


def point_mass(point: Any) -> Mixture:
    """Point mass: data that is always this point (d,). Source: C2."""
    return data_set(as_float64("point", point)[None])


def expectation(oracle: Mixture, f: Callable[[Array], Array], signal: float = 1.0, sigma: float = 0.0, nodes: int = 200) -> Array:
    r"""Expectation $E f(x_t)$ for a mixture in one dimension, by Gauss-Hermite quadrature in each component.

    $$E f(x_t) = \sum_k w_k \int f\bigl(signal\, m_k + S_k^{1/2} z\bigr)\, \mathcal N(z; 0, 1)\, dz
      \approx \sum_k w_k \sum_n \omega_n f\bigl(signal\, m_k + S_k^{1/2} z_n\bigr), \qquad S_k = signal^2 C_k + \sigma^2$$

    The nodes $z_n$ and weights $\omega_n$ are exact for polynomials of a degree below `2 nodes`. `f` takes states (N, 1), all at once, and returns
    (N, ...); the result is (...). If $f$ is analytic up to $\delta$ standard deviations from the real line, the error falls like
    $e^{-2 \delta \sqrt{nodes}}$: with 200 nodes, 13 digits need a $\delta$ of 1.1 or more. Source: G4 [Abramowitz & Stegun eq. 25.4.46].
    """
    if oracle.means.shape[1] != 1:
        raise ValueError(f"oracle has {oracle.means.shape[1]} dimensions; allowed: 1")
    signal, sigma = check_scalar("signal", signal, -1e60, 1e60), check_scalar("sigma", sigma, 0, 1e60)
    z, shares = (np.asarray(each, like=oracle.means) for each in _gauss_hermite(check_count("nodes", nodes, 1, 300)))
    widths = np.sqrt(signal**2 * oracle.spreads + sigma**2)
    x = (signal * oracle.means + widths * z).reshape(-1, 1)
    values = f(x)
    if np.shape(values)[:1] != (len(x),):
        raise ValueError(f"f(x) has shape {np.shape(values)}; allowed: ({len(x)}, ...), a value for each of the states {x.shape}")
    check_number("f(x)", values)
    weights = (np.exp(oracle.log_weights)[:, None] * shares).reshape(-1, *(1,) * (values.ndim - 1))
    return (weights * values).sum(axis=0)


def transport(oracle: Mixture, x: Array, t: Time, s: Time, path: GaussianPath) -> Array:
    r"""Exact solution of the probability-flow ODE from $t$ to $s$ for a single Gaussian $\mathcal N(m, C)$.

    $$x_s = signal_s m + S_s^{1/2} S_t^{-1/2} (x_t - signal_t m)$$

    It holds for any covariance $C$; $S_t = signal_t^2 C + \sigma_t^2 I$ is the covariance of $x_t$.
    Source: C1, M1 [Song et al. eq. 13].
    """
    if len(oracle.means) != 1:
        raise ValueError(f"oracle has {len(oracle.means)} components; allowed: 1")
    (signal_t, sigma_t), (signal_s, sigma_s) = path.signal_sigma(t), path.signal_sigma(s)
    z, _, width = oracle._whiten(x, signal_t, sigma_t)
    width_s = like(as_array(signal_s) ** 2, z) * oracle.spreads + like(as_array(sigma_s) ** 2, z)
    moved = oracle._unrotate(z * np.sqrt(width_s / width)) + like(signal_s, z) * oracle.means
    return shaped(moved, x)


def exact_reverse(mean: Array, variance: Array, schedule: Schedule) -> Reverse:
    r"""Exact reverse step for Gaussian data $\mathcal N(m, v)$ with independent coordinates, as a function of (`x_t`, `t`, `s`).

    $$p(x_s | x_t) = \mathcal N\Bigl(signal_s m + \frac{\sqrt{\alpha_{t|s}} S_s}{S_t} (x_t - signal_t m),\; \frac{S_s \beta_{t|s}}{S_t}\Bigr)$$

    $m$ is `mean`, $v$ is `variance`, and $S_t = signal_t^2 v + \sigma_t^2$. Source: R5, E5 [PRML eq. 2.116].
    """
    mean, variance = check_number("mean", mean), check_number("variance", variance, 0)

    def reverse(x_t: Array, t: Time, s: Time) -> tuple[Array, Array]:
        check_broadcast("x_t", x_t, mean=mean, variance=variance)
        m, v = cast("mean", mean, x_t), cast("variance", variance, x_t)
        _, beta = schedule.transition(t, s)
        (signal_t, sigma_t), (signal_s, sigma_s) = schedule.signal_sigma(t), schedule.signal_sigma(s)
        width_t, width_s = (like(a**2, x_t) * v + like(b**2, x_t) for a, b in ((signal_t, sigma_t), (signal_s, sigma_s)))
        gain = like(schedule.signal_between(t, s), x_t) * width_s / width_t
        return like(signal_s, x_t) * m + gain * (x_t - like(signal_t, x_t) * m), width_s / width_t * like(beta, x_t)

    return reverse


@cache
def _gauss_hermite(nodes: int) -> tuple[Array, Array]:
    """Nodes and weights of a standard normal distribution."""
    z, weights = hermegauss(nodes)
    return read_only(z), read_only(weights / weights.sum())


def _checked(means: Array, spreads: Array, axes: Array | None, weights: Any, labels: Any) -> Mixture:
    count = len(means)
    check_number("means", means, -1e140, 1e140)
    weights = np.ones(count) if weights is None else as_float64("weights", weights)
    labels = np.zeros(count, dtype=np.int64) if labels is None else as_array(labels, "labels")
    if weights.shape != (count,) or not np.all((weights > 0) & (weights <= 1e300)):
        raise ValueError(f"weights = {weights!r}; allowed: {count} positive, finite numbers")
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or set(labels) != set(range(len(set(labels)))):
        raise ValueError(f"labels = {labels!r}; allowed: {count} integers from 0 up, with no class left out")
    return Mixture(means, np.log(weights / weights.sum()), spreads, axes, labels.astype(np.int64))
