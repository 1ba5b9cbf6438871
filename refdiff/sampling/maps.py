"""Exact maps: the flow of a one-dimensional mixture by its distribution function, the affine map that a sampler's step is, conditioned mixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import log_ndtr, logsumexp

from ..arrays import Array, GaussianPath, Number, Time, device_get, like
from ..checks import as_float64, check_arrays, check_count, check_number, check_real, per_example
from ..process.gaussian import LOG_2PI
from .mixture import Mixture, shaped

STEPS = 500  # at most, of Newton's method and of bisection; a few are enough but for very unequal widths


def log_cdf(oracle: Mixture, x: Array, signal: Array, sigma: Array) -> tuple[Array, Array]:
    r"""Logarithms of the distribution function $F$ of the noisy data and of $1 - F$, for a mixture in one dimension.

    $$F(x) = \sum_k w_k \Phi\Bigl(\frac{x - signal\, m_k}{\sqrt{signal^2 c_k + \sigma^2}}\Bigr)$$

    Every number of `x` (B, ...) is a point of its own; `signal` and `sigma` are () or (B,). Both results have the shape of `x` and are
    accurate in both tails. Raises at $\sigma = 0$ if a component has no width, and for a mixture in more dimensions. Source: G4.
    """
    z, weights, _ = _standardized(oracle, x, signal, sigma)
    below, above = (logsumexp(weights + log_ndtr(side * z), axis=-1).reshape(x.shape) for side in (1, -1))
    smaller = np.log1p(-np.exp(np.minimum(below, above)))  # a probability near 1 keeps the digits of the other
    return shaped(np.where(below < above, below, smaller), x), shaped(np.where(below < above, smaller, above), x)


def flow_map(oracle: Mixture, x: Array, t: Time, s: Time, path: GaussianPath) -> Array:
    r"""Exact solution of the probability-flow ODE from $t$ to $s$ for a mixture in one dimension.

    $$F_s(x_s) = F_t(x_t), \qquad \sum_k w_k \bigl(\Phi(z_k(x_s, s)) - \Phi(z_k(x_t, t))\bigr) = 0$$

    $F_t$ is the distribution function of the data at time $t$, and $z_k$ the distance to component $k$ in standard deviations. The
    differences are those of the smaller tails, so that states between separated modes and far outside keep their digits. Every number of
    `x` (B, ...) is moved by itself: with several numbers, the data have independent coordinates with this mixture as the law of each. `t`
    and `s` are () or (B,). Source: C1, M1 [Song et al. eq. 13].
    """
    z_t, weights, _ = _standardized(oracle, x, *path.signal_sigma(t))
    _, _, (centres, widths) = _standardized(oracle, x, *path.signal_sigma(s))
    ends = centres + widths * z_t  # where each component alone would move the state: the solution lies between them
    margin = 1e-9 * (abs(ends).max(axis=1) + widths.max(axis=1))
    low, high = ends.min(axis=1) - margin, ends.max(axis=1) + margin
    moved = (low + high) / 2
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            excess, newton = _excess((moved[:, None] - centres) / widths, z_t, weights, widths)
            low, high = np.where(excess < 0, moved, low), np.where(excess > 0, moved, high)
            better = moved - newton
            inside = (better > low) & (better < high)
            again = np.where(excess == 0, moved, np.where(inside, better, (low + high) / 2))
            if np.array_equal(again, moved):
                break
            moved = again
    return shaped(moved, x)


def _excess(z: Array, z_t: Array, weights: Array, widths: Array) -> tuple[Array, Array]:
    r"""The logarithm of gained over lost mass, and Newton's step for it: it is 0 where as much mass lies to the left as before.

    Right of a component, mass is counted by the upper tail: gained there, and lost here. Left of it, by the lower tail.
    """
    right = z_t > 0
    gained = logsumexp(weights + log_ndtr(np.where(right, -z_t, z)), axis=1)
    lost = logsumexp(weights + log_ndtr(np.where(right, -z, z_t)), axis=1)
    slopes = weights - z**2 / 2 - np.log(widths) - LOG_2PI / 2 - np.where(right, lost[:, None], gained[:, None])
    return gained - lost, (gained - lost) / np.exp(logsumexp(slopes, axis=1))


class Affine(NamedTuple):
    r"""An affine map $x' = A x + B \epsilon + c$ of a state and standard normal noise: `matrix` $A$, `noise_matrix` $B$, `offset` $c$. Source: C1."""

    matrix: Array
    noise_matrix: Array
    offset: Array

    def moments(self, mean: Array, covariance: Array) -> tuple[Array, Array]:
        r"""Mean $A m + c$ and covariance $A C A^T + B B^T$ of the image of $\mathcal N(m, C)$. Source: C1 [PRML eq. 2.115]."""
        return self.matrix @ mean + self.offset, self.matrix @ covariance @ self.matrix.T + self.noise_matrix @ self.noise_matrix.T


def affine_of(step: Callable[[Array, Array], Array], d: int) -> Affine:
    r"""The affine map that `step(x, noise)` is, found by its values at 0 and at the unit vectors; `x` and `noise` are (B, d).

    With the exact model of a Gaussian, the step of every sampler is affine, and so is every chain of steps. `Affine.moments` then gives the
    exact law of the samples. Raises if the step is not affine, to nine digits, at a further point. Source: C1, S1, S2.
    """
    d = check_count("d", d, 1, 10**4)
    offset = step(np.zeros((1, d)), np.zeros((1, d)))[0]
    matrix, noise_matrix = ((value - offset).T for value in (step(np.eye(d), np.zeros((d, d))), step(np.zeros((d, d)), np.eye(d))))
    found = Affine(matrix, noise_matrix, offset)
    x, noise = np.cos(np.arange(d))[None], np.sin(np.arange(1, d + 1))[None]
    got, want = step(x, noise)[0], matrix @ x[0] + noise_matrix @ noise[0] + offset
    if not np.all(abs(got - want) <= 1e-9 * max(abs(want).max(), abs(offset).max(), 1e-300)):
        raise ValueError(f"step = {step!r} is not affine: at a third point it gives {got}, not {want}; allowed: affine in x and noise")
    return found


def condition(oracle: Mixture, A: Array, y: Array, noise: Number | Array) -> Mixture:
    r"""Mixture of the data given an observation $y = A x_0 + n$ with $n \sim \mathcal N(0, R)$; the labels stay.

    $$m_k + K_k (y - A m_k), \quad C_k - K_k A C_k, \quad K_k = C_k A^T (A C_k A^T + R)^{-1}, \quad w_k \mathcal N(y; A m_k, A C_k A^T + R)$$

    are the new means, covariances and weights. `A` (m, d), `y` (m,); `noise` is the variance of every number of $y$, or $R$ (m, m).
    Raises where $A C_k A^T + R$ is not positive definite. Source: G4 [PRML eq. 2.116].
    """
    means, log_weights, spreads, labels = (device_get(value) for value in (oracle.means, oracle.log_weights, oracle.spreads, oracle.labels))
    d = means.shape[1]
    A, y, R = _observation(A, y, noise, d)
    axes = np.broadcast_to(np.eye(d), (len(means), d, d)) if oracle.axes is None else device_get(oracle.axes)
    covariances = (axes * spreads[:, None]) @ axes.mT
    S = A @ covariances @ A.T + R
    try:
        factor, gain = np.linalg.cholesky(S), np.linalg.solve(S, A @ covariances).mT
    except np.linalg.LinAlgError:
        raise ValueError(f"noise = {noise!r} leaves A C A^T + noise singular; allowed: a noise that makes it positive definite") from None
    residual = y - means @ A.T
    rest = np.eye(d) - gain @ A
    posterior = rest @ covariances @ rest.mT + gain @ R @ gain.mT  # positive semidefinite in floating point too
    z = np.linalg.solve(factor, residual[..., None])[..., 0]
    log_evidence = -(z**2 / 2 + np.log(np.einsum("kii->ki", factor))).sum(axis=1)
    spreads, axes = np.linalg.eigh((posterior + posterior.mT) / 2)
    means, log_joint = means + np.einsum("kij,kj->ki", gain, residual), log_weights + log_evidence
    return Mixture(means, log_joint - logsumexp(log_joint), np.maximum(spreads, 0), axes, labels)


def _observation(A: Array, y: Array, noise: Number | Array, d: int) -> tuple[Array, Array, Array]:
    """A, y and the noise's covariance R as float64, checked against each other."""
    A, y, noise = (device_get(as_float64(name, value)) for name, value in (("A", A), ("y", y), ("noise", noise)))
    if A.ndim != 2 or A.shape[1] != d or y.shape != A.shape[:1] or noise.shape not in ((), (len(y), len(y))):
        raise ValueError(f"A has shape {A.shape}, y {y.shape}, noise {noise.shape}; allowed: (m, {d}), (m,), and () or (m, m)")
    for name, value, low in (("A", A, -1e60), ("y", y, -1e60), ("noise", noise, -1e60 if noise.ndim else 0)):
        check_number(name, value, low, 1e60)
    if noise.ndim and (np.any(noise != noise.T) or np.linalg.eigvalsh(noise).min(initial=0) < 0):
        raise ValueError(f"noise = {noise!r}; allowed: a variance, or a matrix that is symmetric and positive semidefinite")
    return A, y, noise if noise.ndim else noise * np.eye(len(y))


def _standardized(oracle: Mixture, x: Array, signal: Any, sigma: Any) -> tuple[Array, Array, tuple[Array, Array]]:
    """For every number of x: its distance to every component in standard deviations (N, K), log-weights, centres and widths."""
    if oracle.means.shape[1] != 1:
        raise ValueError(f"oracle has {oracle.means.shape[1]} dimensions; allowed: 1")
    check_arrays(x=x)
    if x.ndim == 0:
        raise ValueError("x has shape (); allowed: (B, ...)")
    check_real(x=x, signal=signal, sigma=sigma)
    signal, sigma = per_example("signal", signal, x), per_example("sigma", check_number("sigma", sigma, 0), x)
    x = device_get(x).astype(np.float64)
    a, b = (
        np.broadcast_to(like(as_float64(name, device_get(each)), x), x.shape).reshape(-1, 1)
        for name, each in (("signal", signal), ("sigma", sigma))
    )
    means, spreads, weights = (device_get(each) for each in (oracle.means[:, 0], oracle.spreads[:, 0], oracle.log_weights))
    widths = np.sqrt(a**2 * spreads + b**2)
    if not np.all(widths > 0):
        raise ValueError("sigma = 0 with data of no width: x_t has no density; allowed: sigma > 0")
    centres = a * means + 0 * widths
    return (x.reshape(-1, 1) - centres) / widths, weights, (centres, widths)
