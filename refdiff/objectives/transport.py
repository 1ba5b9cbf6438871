"""Entropic optimal transport: couplings of noise and data by Sinkhorn's algorithm, and in closed form for Gaussians.

The cost of a pair is its squared distance. `bridge` joins the pairs in time: `eps = 2 sigma^2` belongs to a bridge of diffusion sigma.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, event_size, holds
from ..checks import as_float64, check_arrays, check_count, check_number, check_scalar

_ROUNDING = 8 * np.finfo(np.float64).eps


class Coupling(NamedTuple):
    """plan (N, M): probability of every pair of noise and data; f (N,) and g (M,): dual potentials of noise and data, the mean of g being 0."""

    plan: Array
    f: Array
    g: Array


def couple_entropic(
    data: Array,
    noise: Array,
    eps: float,
    data_weights: Array | None = None,
    noise_weights: Array | None = None,
    tolerance: float = 1e-12,
    steps: int = 10_000,
) -> Coupling:
    r"""Entropic optimal coupling of noise (N, ...) and data (M, ...), by Sinkhorn's algorithm on logarithms; float64.

    $$\min_\pi \sum_{ij} \pi_{ij} c_{ij} + \epsilon\, KL(\pi \,\|\, a b^T), \qquad \pi_{ij} = a_i b_j\, e^{(f_i + g_j - c_{ij}) / \epsilon},
      \qquad c_{ij} = \|noise_i - data_j\|^2$$

    The marginals of $\pi$ are the weights $a$ of the noise and $b$ of the data, which are equal unless given. Each round fits $f$ to the rows, and
    then $g$ to the columns: by Sinkhorn's formula, or near the end by Newton's method, which does not slow down for a small $\epsilon$. At the end the rows
    are exact, and the columns right to `tolerance` (relative). For $\epsilon \to 0$ the plan is that of `flow.couple_optimally`, and for
    $\epsilon \to \infty$ it is $a b^T$. Raises if `steps` rounds are too few. Source: B2 [Sinkhorn distances], [SF2M].
    """
    x, y = _points("noise", noise), _points("data", data)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"data has {y.shape[1]} numbers per example; allowed: {x.shape[1]}, as noise has")
    a, b = _weights("noise_weights", noise_weights, len(x)), _weights("data_weights", data_weights, len(y))
    eps, tolerance = check_scalar("eps", eps, 0, open_low=True), check_scalar("tolerance", tolerance, 0)
    cost = ((x[:, None] - y) ** 2).sum(axis=2)
    if eps < 1e-8 * cost.max():
        raise ValueError(f"eps = {eps}; allowed: at least 1e-8 of the largest squared distance, {cost.max()}")
    log_kernel = np.log(a)[:, None] + np.log(b) - cost / eps
    g, near = np.zeros(len(y)), tolerance + _ROUNDING * (1 + cost.max() / eps)
    for _ in range(check_count("steps", steps, 1, 10**9)):
        f = np.log(a) - _log_sum_exp(log_kernel + g, axis=1)
        log_plan = log_kernel + f[:, None] + g
        lack = np.log(b) - _log_sum_exp(log_plan, axis=0)  # of the columns; Sinkhorn's formula adds it to g
        if abs(lack).max() <= near:
            return Coupling(np.exp(log_plan), eps * (f + b @ g), eps * (g - b @ g))
        g = g + (lack if abs(lack).max() > 0.5 else _newton_step(np.exp(log_plan), a, b))
    raise ValueError(f"steps = {steps}; allowed: more, for eps = {eps} and tolerance = {tolerance}, or a larger eps")


def draw_pairs(plan: Array, uniform: Array) -> Array:
    r"""Draw a data point for every noise from a plan (N, M): indices (N,) of the data, from uniform numbers (N,) in [0, 1).

    $$P(order_i = j) = \pi_{ij} / \sum_k \pi_{ik}$$

    Pair `data[order]` with `noise`. Source: B2 [SF2M].
    """
    plan = check_plan(as_float64("plan", plan), "N", "M")
    uniform = check_number("uniform", as_float64("uniform", uniform), 0, 1)
    if np.shape(uniform) != plan.shape[:1]:
        raise ValueError(f"uniform has shape {np.shape(uniform)}; allowed: {plan.shape[:1]}, one number for each noise")
    below = np.cumsum(plan, axis=1)
    if np.any(below[:, -1] <= 0):
        raise ValueError("plan has a row of zeros; allowed: rows with a positive sum")
    last = plan.shape[1] - 1 - (plan[:, ::-1] > 0).argmax(axis=1)  # so that rounding draws no pair of probability 0
    return np.minimum((below <= uniform[:, None] * below[:, -1:]).sum(axis=1), last)


def gaussian_coupling(cov_noise: Array, cov_data: Array, eps: float) -> Array:
    r"""Entropic optimal coupling of Gaussian noise $\mathcal N(m_0, A)$ and data $\mathcal N(m_1, B)$: the covariance $K$ (d, d) of noise and data.

    $$K = 2 A^{1/2} \bigl(\sigma^2 I + (\sigma^4 I + 4 M)^{1/2}\bigr)^{-1} A^{1/2} B, \qquad M = A^{1/2} B A^{1/2}, \qquad \sigma^2 = \epsilon / 2$$

    Noise and data are jointly Gaussian, with the means $m_0, m_1$, on which $K$ does not depend. The covariances (d, d) may be singular.
    Source: B2 [Janati et al.], [Bunne et al.].
    """
    A, B = covariances(cov_noise, cov_data)
    variance = check_scalar("eps", eps, 1e-100, 1e100) / 2
    spreads, axes = np.linalg.eigh(A)
    root = (axes * np.sqrt(np.maximum(spreads, 0))) @ axes.T
    values, axes = np.linalg.eigh(root @ B @ root)
    half = root @ axes
    return (half * (2 / (variance + np.sqrt(variance**2 + 4 * np.maximum(values, 0))))) @ half.T @ B


def covariances(cov_noise: Any, cov_data: Any) -> list[Array]:
    """Both covariances (d, d) as float64; raises unless they are symmetric and positive semidefinite, of one shape."""
    found: list[Array] = []
    for name, value in (("cov_noise", cov_noise), ("cov_data", cov_data)):
        C = as_float64(name, value)
        check_number(name, C, -1e60, 1e60)
        first = found[0].shape if found else C.shape
        if C.ndim != 2 or C.size == 0 or C.shape != C.T.shape or C.shape != first:
            raise ValueError(f"{name} has shape {C.shape}; allowed: (d, d), of both covariances")
        slack = 1e-6 * abs(C).max()  # rounding errors of float32 covariances
        if abs(C - C.T).max() > slack or np.linalg.eigvalsh((C + C.T) / 2).min() < -slack:
            raise ValueError(f"{name} = {C!r}; allowed: symmetric, without negative eigenvalues")
        found.append((C + C.T) / 2)
    return found


def check_plan(plan: Array, *shape: Any) -> Array:
    """The plan, which may be on a device; raises unless it has this shape and its numbers are probabilities that sum to 1."""
    check_number("plan", plan, 0, 1)
    if plan.ndim != 2 or plan.size == 0 or any(isinstance(n, int) and n != m for n, m in zip(shape, plan.shape, strict=True)):
        raise ValueError(f"plan has shape {plan.shape}; allowed: ({shape[0]}, {shape[1]}), not empty")
    if not holds(abs(plan.sum() - 1) <= 1e-3):
        raise ValueError(f"plan has the sum {plan.sum()}; allowed: 1")
    return plan


def _points(name: str, x: Array) -> Array:
    """Points (N, d) in float64."""
    check_arrays(**{name: x})
    x = as_float64(name, x)
    if x.ndim == 0 or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; allowed: (N, ...), not empty")
    return x.reshape(len(x), event_size(x))


def _weights(name: str, weights: Any, count: int) -> Array:
    weights = np.ones(count) if weights is None else as_float64(name, weights)
    check_number(name, weights, 1e-100, 1e100)
    if weights.shape != (count,):
        raise ValueError(f"{name} has shape {weights.shape}; allowed: {(count,)}, positive numbers")
    return weights / weights.sum()


def _newton_step(plan: Array, a: Array, b: Array) -> Array:
    """Newton's step of g for the concave dual problem, whose gradient is what the columns lack; at most 2, so that it does not jump too far."""
    columns = plan.sum(axis=0)
    root = np.sqrt(columns)
    scaled = plan / np.sqrt(a)[:, None] / root  # so that columns of small weight are as precise as the others
    hessian = np.eye(len(b)) - scaled.T @ scaled + np.outer(root, root)  # the last term fixes the constant that is free in g
    values, axes = np.linalg.eigh(hessian)
    step = axes @ (axes.T @ ((b - columns) / root) / np.maximum(values, 1e-10)) / root
    return step * min(1.0, 2 / max(abs(step).max(), 2))


def _log_sum_exp(values: Array, axis: int) -> Array:
    peak = values.max(axis=axis, keepdims=True)
    return np.squeeze(peak, axis) + np.log(np.exp(values - peak).sum(axis=axis))
