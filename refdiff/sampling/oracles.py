"""Oracles, which are exact models: data distributions whose noisy density, score and denoiser have a closed form.

All are Gaussian mixtures (`mixture.Mixture`). A point mass and a data set are mixtures of components with zero covariance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, GaussianPath, Time, as_array, cast, event_size, like
from ..checks import as_float64, check_broadcast, check_number
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
