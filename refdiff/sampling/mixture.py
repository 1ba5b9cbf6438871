"""Gaussian mixture as a data distribution: its noisy density, score and denoiser in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array, GaussianPath, Model, Time, as_array, cast, device_get, event_size, holds, like, read_only
from ..checks import check_arrays, check_choice, check_number, check_real, check_shape, per_example
from ..process import predict
from ..process.gaussian import LOG_2PI


@dataclass(frozen=True, eq=False)
class Mixture:
    r"""Data distribution: a mixture of $K$ Gaussians in $d$ dimensions, with a class label for each component.

    $$p(x_0) = \sum_k w_k \mathcal N(x_0; m_k, C_k) \;\Rightarrow\; p_t(x) = \sum_k w_k \mathcal N(x; signal\, m_k, S_k),
      \quad S_k = signal^2 C_k + \sigma^2 I$$

    The components have `means` (K, d), normalized `log_weights` (K,) and `labels` (K,) in 0..classes-1. `spreads`
    (K, d) holds the eigenvalues of the covariances, and the columns of `axes` (K, d, d) are their eigenvectors;
    `axes = None` stands for the identity. Build a mixture with `oracles.mixture`, `oracles.gaussian`,
    `oracles.point_mass` or `oracles.data_set`. Methods take `x` (B, ...) with d numbers per example, and `signal` and
    `sigma`, each () or (B,), as `path.signal_sigma(t)` returns them. `y` (B,) holds the labels to condition on. None,
    or the number `classes` as a label, means no conditioning. The fields are read-only.
    Source: G4, C1.
    """

    means: Array
    log_weights: Array
    spreads: Array
    axes: Array | None
    labels: Array

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, read_only(value.view()))

    @property
    def classes(self) -> int:
        """Number of classes, which is also the number that stands for "no label"."""
        return int(device_get(self.labels.max())) + 1

    def log_density(self, x: Array, signal: Array, sigma: Array, y: Array | None = None) -> Array:
        r"""Log-density $\log p_t(x)$ of the noisy data, or $\log p_t(x | y)$; (B,) nats.

        Raises where $x_t$ has no density: at $\sigma = 0$, if a component has zero variance in some direction.
        Source: G4.
        """
        joint = self._log_joint(*self._whiten(x, signal, sigma)[::2])
        chosen = self._chosen(len(x), y)
        return _log_sum_exp(joint + chosen) - _log_sum_exp(self.log_weights + chosen)

    def log_class(self, x: Array, signal: Array, sigma: Array) -> Array:
        r"""Log-probability $\log p(y | x_t) = -\log(1 + e^d)$ of every class, with $d$ the log-odds against it; (B, classes).

        Source: G4 [Dhariwal & Nichol sec. 4].
        """
        joint = self._log_joint(*self._whiten(x, signal, sigma)[::2])[:, None]
        members = self.labels == np.arange(self.classes, like=self.labels)[:, None]
        d = _log_sum_exp(joint + np.where(members, -np.inf, 0.0)) - _log_sum_exp(joint + np.where(members, 0.0, -np.inf))
        return -(np.where(d.real > 0, d, 0) + np.log1p(np.exp(np.where(d.real > 0, -d, d))))

    def class_gradient(self, x: Array, signal: Array, sigma: Array, y: Array | None) -> Array:
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
        """Exact model for a path: a function `model(x, t, y=None)` that returns the expected prediction of this kind. Source: G4."""

        check_choice("kind", kind, predict.KINDS)

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

        `choice` (B,), uniform in [0, 1], selects a component for each point. `noise` (B, d) is standard normal and is
        scaled to the covariance of the component. Source: G4.
        """
        check_arrays(noise=noise)
        check_shape("noise", noise, "B", self.means.shape[1])
        check_real(choice=choice, noise=noise)
        choice = np.broadcast_to(as_array(per_example("choice", check_number("choice", choice, 0, 1), noise)), len(noise))
        k = np.minimum(np.searchsorted(np.cumsum(np.exp(self.log_weights)), choice, side="right"), len(self.means) - 1)
        offset = np.sqrt(self.spreads[k]) * noise
        return self.means[k] + (offset if self.axes is None else np.einsum("bij,bj->bi", self.axes[k], offset))

    def _whiten(self, x: Array, signal: Array, sigma: Array) -> tuple[Array, Array, Array]:
        r"""In the eigenbasis of each component: the offset $z$ (B, K, d), $S^{-1} z$, and the eigenvalues of $S$."""
        check_arrays(x=x)
        signal, sigma = per_example("signal", signal, x), per_example("sigma", check_number("sigma", sigma, 0), x)
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
        y = np.asarray(self.classes if y is None else as_array(y, "y"), like=self.labels)
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
        return shaped((weights[:, :, None] * values).sum(axis=1), x)


def shaped(result: Array, x: Array) -> Array:
    """Reshape a result to `x`'s shape and cast it to `x`'s precision; a complex result (of a complex step) stays complex."""
    result = cast("x", result.reshape(x.shape), x)
    return result.astype(np.result_type(x.dtype, np.complex64) if result.dtype.kind == "c" else x.dtype)


def _log_sum_exp(values: Array) -> Array:
    peak = np.max(values.real, axis=-1, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0)
    with np.errstate(divide="ignore"):
        return (peak + np.log(np.exp(values - peak).sum(axis=-1, keepdims=True)))[..., 0]
