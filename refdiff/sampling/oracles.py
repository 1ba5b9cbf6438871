"""Oracles, which are exact models: data distributions whose noisy density, score and denoiser have a closed form.

All are mixtures of Gaussians. A point mass and a data set are mixtures of components with zero covariance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array, GaussianPath, Model, Time, as_array, check_arrays, check_number, event_size, fetched, holds, like
from ..process import predict
from ..process.gaussian import LOG_2PI
from ..process.reverse import Reverse
from ..process.schedules import Schedule


@dataclass(frozen=True, eq=False)
class Mixture:
    r"""Data distribution: a mixture of $K$ Gaussians in $d$ dimensions, with a class label for each component.

    $$p(x_0) = \sum_k w_k \mathcal N(x_0; m_k, C_k) \;\Rightarrow\; p_t(x) = \sum_k w_k \mathcal N(x; signal\, m_k, S_k),
      \quad S_k = signal^2 C_k + \sigma^2 I$$

    `means` (K, d); `log_weights` (K,), normalized; `spreads` (K, d), the eigenvalues of the covariances; `axes`
    (K, d, d), their eigenvectors as columns, or None for the identity; `labels` (K,) in 0..classes-1. Build one with
    `mixture`, `gaussian`, `point_mass` or `data_set`. Methods take `x` (B, ...) with d numbers per example, and `signal`
    and `sigma`, each () or (B,), as `path.signal_sigma(t)` returns them. `y` (B,) conditions on a class. None, or the
    label `classes`, means no conditioning. Source: G4, C1.
    """

    means: Array
    log_weights: Array
    spreads: Array
    axes: Array | None
    labels: Array

    @property
    def classes(self) -> int:
        """Number of classes. It is also the label that stands for "no label"."""
        return int(fetched(self.labels.max())) + 1

    def log_density(self, x: Array, signal: Array, sigma: Array, y: Array | None = None) -> Array:
        r"""Log-density $\log p_t(x)$ of the noisy data, or $\log p_t(x | y)$; (B,) nats.

        Raises where $x_t$ has no density: $\sigma = 0$ and a component with zero variance. Source: G4.
        """
        joint = self._log_joint(*self._whiten(x, signal, sigma)[::2])
        chosen = self._chosen(len(x), y)
        return _log_sum_exp(joint + chosen) - _log_sum_exp(self.log_weights + chosen)

    def log_class(self, x: Array, signal: Array, sigma: Array) -> Array:
        r"""Log-probability $\log p(y | x_t)$ of every class; (B, classes). Source: G4 [Dhariwal & Nichol sec. 4]."""
        joint = self._log_joint(*self._whiten(x, signal, sigma)[::2])
        members = np.where(self.labels == np.arange(self.classes, like=self.labels)[:, None], 0.0, -np.inf)
        return _log_sum_exp(joint[:, None] + members) - _log_sum_exp(joint)[:, None]

    def class_gradient(self, x: Array, signal: Array, sigma: Array, y: Array) -> Array:
        r"""Classifier gradient $\nabla_x \log p(y | x_t) = \nabla_x \log p_t(x | y) - \nabla_x \log p_t(x)$.

        Its shape is that of `x`. Source: G1, G4 [Song et al. eq. 49].
        """
        return self.score(x, signal, sigma, y) - self.score(x, signal, sigma)

    def x0(self, x: Array, signal: Array, sigma: Array, y: Array | None = None) -> Array:
        r"""Denoiser $E[x_0 | x_t] = \sum_k r_k (m_k + signal\, C_k S_k^{-1} (x - signal\, m_k))$.

        The $r_k$ are the responsibilities of the components. Source: C2, G4 [PRML eq. 2.116].
        """
        pull, _, scaled = self._pull(x, signal, sigma, y)
        means = np.broadcast_to(self.means, scaled.shape)
        return self._mean(pull, means + like(signal, scaled) * self._unrotate(self.spreads * scaled), x)

    def eps(self, x: Array, signal: Array, sigma: Array, y: Array | None = None) -> Array:
        r"""Expected noise $E[\epsilon | x_t] = \sigma \sum_k r_k S_k^{-1} (x - signal\, m_k)$.

        It equals $-\sigma \nabla \log p_t(x)$. Source: C1, G4."""
        return -self.score(x, signal, sigma, y) * like(sigma, x)

    def score(self, x: Array, signal: Array, sigma: Array, y: Array | None = None) -> Array:
        r"""Score $\nabla_x \log p_t(x) = -\sum_k r_k S_k^{-1} (x - signal\, m_k)$; shaped like `x`. Source: C1, G4."""
        pull, _, scaled = self._pull(x, signal, sigma, y)
        return -self._mean(pull, self._unrotate(scaled), x)

    def v(self, x: Array, signal: Array, sigma: Array, y: Array | None = None) -> Array:
        r"""Expected $v$-prediction, $E[v | x_t] = signal\, E[\epsilon | x_t] - \sigma E[x_0 | x_t]$. Source: R6, G4."""
        return self.eps(x, signal, sigma, y) * like(signal, x) - self.x0(x, signal, sigma, y) * like(sigma, x)

    def model(self, path: GaussianPath, kind: str = "eps") -> Model:
        """Exact model for a path: model(x, t, y=None) -> the expected prediction of this kind. Source: G4."""

        def model(x: Array, t: Time, y: Array | None = None) -> Array:
            signal, sigma = path.signal_sigma(t)
            if kind == "score":
                return self.score(x, signal, sigma, y)
            pull, _, scaled = self._pull(x, signal, sigma, y)
            signal, sigma, a, b = (like(weight, scaled) for weight in (signal, sigma, *predict.row(kind, t, path)))
            parts = a * self.means + self._unrotate((a * signal * self.spreads + b * sigma) * scaled)
            return self._mean(pull, parts, x)  # a E[x0 | x_t] + b E[eps | x_t]

        return model

    def sample(self, choice: Array, noise: Array) -> Array:
        """Sample data points (B, d) from the mixture.

        `choice` (B,), uniform in [0, 1], selects the components. `noise` (B, d) ~ N(0, I) is scaled by their covariances.
        Source: G4.
        """
        check_number("choice", choice, 0, 1)
        k = np.minimum(np.searchsorted(np.cumsum(np.exp(self.log_weights)), choice, side="right"), len(self.means) - 1)
        offset = np.sqrt(self.spreads[k]) * noise
        return self.means[k] + (offset if self.axes is None else np.einsum("bij,bj->bi", self.axes[k], offset))

    def _whiten(self, x: Array, signal: Array, sigma: Array) -> tuple[Array, Array, Array]:
        r"""In the eigenbasis of each component: the offset $z$ (B, K, d), $S^{-1} z$, and the eigenvalues of $S$."""
        check_arrays(x=x)
        check_number("signal", signal)
        check_number("sigma", sigma, 0)
        flat = x.reshape(len(x), event_size(x))
        if flat.shape[1] != self.means.shape[1]:
            raise ValueError(f"x has {flat.shape[1]} numbers per example; allowed: {self.means.shape[1]}")
        offset = flat[:, None] - like(signal, flat[:, None]) * self.means
        z = offset if self.axes is None else np.einsum("kij,bki->bkj", self.axes, offset)
        width = like(as_array(signal) ** 2, z) * self.spreads + like(as_array(sigma) ** 2, z)
        if not holds(width.real > 0):
            raise ValueError("sigma = 0 with data of no width: x_t has no density; allowed: sigma > 0")
        width = np.broadcast_to(width, z.shape)
        return z, z / width, width

    def _log_joint(self, z: Array, width: Array) -> Array:
        return self.log_weights - ((z * z) / width + np.log(width) + LOG_2PI).sum(axis=2) / 2

    def _chosen(self, batch: int, y: Array | None) -> Array:
        y = np.asarray(self.classes if y is None else y, like=self.labels)
        if y.shape not in ((), (batch,)):
            raise ValueError(f"y has shape {y.shape}; allowed: () or {(batch,)}")
        y = np.broadcast_to(y, batch)
        if y.size and (y.dtype.kind not in "iu" or not holds((y >= 0) & (y <= self.classes))):
            raise ValueError(f"y = {y!r}; allowed: integers 0..{self.classes}, the last for no label")
        return np.where((y == self.classes)[:, None] | (self.labels == y[:, None]), 0.0, -np.inf)

    def _pull(self, x: Array, signal: Array, sigma: Array, y: Array | None) -> tuple[Array, Array, Array]:
        r"""Responsibilities $r$ (B, K), $z$ and $S^{-1} z$ of `_whiten`."""
        z, scaled, width = self._whiten(x, signal, sigma)
        joint = self._log_joint(z, width) + self._chosen(len(x), y)
        return np.exp(joint - _log_sum_exp(joint)[:, None]), z, scaled

    def _unrotate(self, z: Array) -> Array:
        return z if self.axes is None else np.einsum("kij,bkj->bki", self.axes, z)

    def _mean(self, weights: Array, values: Array, x: Array) -> Array:
        return _shaped((weights[:, :, None] * values).sum(axis=1), x)


def mixture(means: Any, covariances: Any, weights: Any = None, labels: Any = None) -> Mixture:
    """Gaussian mixture from means (K, d), covariances (K, d, d), weights (K,) and labels (K,).

    By default the weights are equal, and all components are of one class. Source: G4.
    """
    means = np.atleast_2d(np.asarray(means, dtype=np.float64))
    covariances = np.asarray(covariances, dtype=np.float64)
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
    return mixture([mean], [covariance])


def data_set(points: Any, weights: Any = None, labels: Any = None) -> Mixture:
    """Finite data set of points (N, d), with its ideal denoiser.

    The points are equally likely unless weights are given. Source: C2, M3.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.size == 0 or points.ndim == 0:
        raise ValueError(f"points has shape {points.shape}; allowed: (N, ...), not empty")
    points = points.reshape(len(points), event_size(points))
    return _checked(points, np.zeros_like(points), None, weights, labels)


def point_mass(point: Any) -> Mixture:
    """Point mass: data that is always this point (d,). Source: C2."""
    return data_set([point])


def transport(oracle: Mixture, x: Array, t: Time, s: Time, path: GaussianPath) -> Array:
    r"""Exact solution of the probability-flow ODE from $t$ to $s$ for a single Gaussian $\mathcal N(m, C)$.

    $$x_s = signal_s m + S_s^{1/2} S_t^{-1/2} (x_t - signal_t m)$$

    It holds for any covariance. Source: C1, M1 [Song et al. eq. 13].
    """
    if len(oracle.means) != 1:
        raise ValueError(f"oracle has {len(oracle.means)} components; allowed: 1")
    (signal_t, sigma_t), (signal_s, sigma_s) = path.signal_sigma(t), path.signal_sigma(s)
    z, _, width = oracle._whiten(x, signal_t, sigma_t)
    width_s = like(as_array(signal_s) ** 2, z) * oracle.spreads + like(as_array(sigma_s) ** 2, z)
    moved = oracle._unrotate(z * np.sqrt(width_s / width)) + like(signal_s, z) * oracle.means
    return _shaped(moved, x)


def exact_reverse(mean: Array, variance: Array, schedule: Schedule) -> Reverse:
    r"""Exact reverse step of data N(mean, variance) with independent coordinates, as a function (x_t, t, s).

    $$p(x_s | x_t) = \mathcal N\Bigl(signal_s m + \frac{\sqrt{\alpha_{t|s}} S_s}{S_t} (x_t - signal_t m),\; \frac{S_s \beta_{t|s}}{S_t}\Bigr)$$

    Source: R5, E5 [PRML eq. 2.116].
    """
    check_number("mean", mean)
    check_number("variance", variance, 0)

    def reverse(x_t: Array, t: Time, s: Time) -> tuple[Array, Array]:
        alpha, beta = schedule.transition(t, s)
        (signal_t, sigma_t), (signal_s, sigma_s) = schedule.signal_sigma(t), schedule.signal_sigma(s)
        width_t, width_s = (like(a**2, x_t) * variance + like(b**2, x_t) for a, b in ((signal_t, sigma_t), (signal_s, sigma_s)))
        gain = like(np.sqrt(alpha), x_t) * width_s / width_t
        return like(signal_s, x_t) * mean + gain * (x_t - like(signal_t, x_t) * mean), width_s / width_t * like(beta, x_t)

    return reverse


def _checked(means: Array, spreads: Array, axes: Array | None, weights: Any, labels: Any) -> Mixture:
    count = len(means)
    check_number("means", means)
    weights = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    labels = np.zeros(count, dtype=np.int64) if labels is None else np.asarray(labels)
    if weights.shape != (count,) or not np.all((weights > 0) & (weights < np.inf)):
        raise ValueError(f"weights = {weights!r}; allowed: {count} positive, finite numbers")
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or set(labels) != set(range(len(set(labels)))):
        raise ValueError(f"labels = {labels!r}; allowed: {count} integers from 0 up, with no class left out")
    return Mixture(means, np.log(weights / weights.sum()), spreads, axes, labels)


def _shaped(result: Array, x: Array) -> Array:
    """The result in `x`'s shape and precision; complex if `x` was varied by a complex step."""
    return result.reshape(x.shape).astype(np.result_type(x.dtype, np.complex64) if result.dtype.kind == "c" else x.dtype)


def _log_sum_exp(values: Array) -> Array:
    peak = np.max(values.real, axis=-1, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0)
    with np.errstate(divide="ignore"):
        return (peak + np.log(np.exp(values - peak).sum(axis=-1, keepdims=True)))[..., 0]
