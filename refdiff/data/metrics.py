"""Distances between samples and data: between two sets of points, and between two Gaussians. Larger is worse, except for coverage.

Sets are x (N, ...) and y (M, ...) with any N and M, flattened to points of d numbers. Results are float64 and not random.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist, pdist

from ..arrays import LARGEST, Array
from ..checks import as_float64, check_count, check_flag, check_number, check_scalar

HIGH = LARGEST["f8"]
_BLOCK = 2**20  # distances in memory at a time: 8 MiB


class Coverage(NamedTuple):
    """modes: fraction of the modes that at least one sample hits; samples: fraction of the samples that hit a mode."""

    modes: float
    samples: float


def energy_distance(x: Array, y: Array, unbiased: bool = False) -> float:
    r"""Squared energy distance between two sets of points; 0 only if the two distributions are equal.

    $$D^2 = 2 E\|X - Y\| - E\|X - X'\| - E\|Y - Y'\|$$

    $X, X'$ and $Y, Y'$ are independent points of each set. By default the result is the V-statistic: the exact distance between the two
    sets, as distributions with equal weight on each point. It is never negative. For two sets drawn from the same distribution it is on
    average $E\|X - X'\| (1/N + 1/M)$, the noise floor. With `unbiased` the result is the U-statistic, which leaves out the pairs of a
    point with itself. For two such sets the U-statistic is 0 on average, and it may be negative.
    Source: Q3 [Szekely & Rizzo 2013].
    """
    return _two_sample(x, y, lambda a, b: -cdist(a, b), unbiased)


def mmd(x: Array, y: Array, bandwidth: float | None = None, unbiased: bool = False) -> float:
    r"""Squared maximum mean discrepancy (MMD) with a Gaussian kernel $k$ of width $h$.

    $$\mathrm{MMD}^2 = E k(X, X') + E k(Y, Y') - 2 E k(X, Y), \qquad k(a, b) = e^{-\|a - b\|^2 / 2 h^2}$$

    By default the result is the V-statistic, with `unbiased` the U-statistic, as in `energy_distance`. The default of the bandwidth $h$
    is `median_distance(x, y)`.
    Source: Q3 [Gretton et al. eq. 3, 5].
    """
    h = median_distance(x, y) if bandwidth is None else bandwidth
    h = check_scalar("bandwidth", h, 0, open_low=True)
    with np.errstate(over="ignore"):  # far apart in units of a small h, where k is 0
        return _two_sample(x, y, lambda a, b: np.exp(-((cdist(a, b) / h) ** 2) / 2), unbiased)


def median_distance(x: Array, y: Array) -> float:
    """Median distance between two different points of the union of both sets; of each set, at most 1000 evenly spaced points are used.

    Source: [Gretton et al. sec. 8].
    """
    x, y = _points(x=x, y=y)
    pool = np.concatenate([points[:: -(-len(points) // 1000)] for points in (x, y)])
    return float(np.median(pdist(pool)))


def sliced_wasserstein(x: Array, y: Array, directions: Array, order: float = 2.0) -> float:
    r"""Sliced Wasserstein distance: the average over projections onto lines, with directions (K, d) that are scaled to length 1.

    $$SW_p^p = \frac1K \sum_k W_p^p(\theta_k \cdot X, \theta_k \cdot Y), \qquad W_p^p = \int_0^1 |F^{-1}(u) - G^{-1}(u)|^p du$$

    Here $p$ is the order, and $F^{-1}$ and $G^{-1}$ are the quantile functions of the projected sets. On a line the optimal transport pairs
    equal quantiles. The integral is computed exactly, also for sets of different sizes. Source: [Bonneel et al. 2015].
    """
    x, y, directions = _points(x=x, y=y, directions=directions)
    order = check_scalar("order", order, 1)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    check_number("length of directions", lengths, 0, open_low=True)
    directions = directions / lengths
    n, m = len(x), len(y)
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # the steps of both quantile functions, in units of 1/nm
    x_sorted, y_sorted = np.sort(x @ directions.T, axis=0), np.sort(y @ directions.T, axis=0)
    gaps = np.abs(x_sorted[(ends - 1) // m] - y_sorted[(ends - 1) // n])
    costs = np.diff(ends, prepend=0) / (n * m) @ gaps**order
    return float(costs.mean() ** (1 / order))


def mode_coverage(x: Array, centers: Array, radius: float) -> Coverage:
    """Mode coverage: the fraction of the modes, at centers (K, ...), that samples x (N, ...) hit; and the fraction of samples that hit a mode.

    A sample hits the nearest mode, if the distance to its center is at most the radius. Source: [VEEGAN sec. 4.1].
    """
    x, centers = _points(x=x, centers=centers)
    radius = check_scalar("radius", radius, 0)
    hits = np.zeros(len(centers), dtype=int)
    for block in _blocks(x, centers):
        distances = cdist(block, centers)
        nearest = distances.argmin(axis=1)
        hits += np.bincount(nearest[distances.min(axis=1) <= radius], minlength=len(centers))
    return Coverage(float((hits > 0).mean()), float(hits.sum() / len(x)))


def sample_moments(x: Array, ddof: int = 1) -> tuple[Array, Array]:
    r"""Sample mean (d,) and covariance (d, d), with the divisor $N - ddof$, of points x (N, ...), more than `ddof`.

    With a `ddof` of 1 the covariance is right on average. With 0 it is that of the points alone, each with the weight $1/N$.
    Source: Q1 [FID eq. 6].
    """
    (x,) = _points(x=x)
    ddof = check_count("ddof", ddof, 0, 1)
    if len(x) <= ddof:
        raise ValueError(f"x has {len(x)} point; allowed: 2 or more")
    mean = x.mean(axis=0)
    centered = x - mean
    return mean, centered.T @ centered / (len(x) - ddof)


def frechet_distance(mean1: Array, cov1: Array, mean2: Array, cov2: Array) -> float:
    r"""Squared Frechet (2-Wasserstein) distance between Gaussians; means (d,), covariances (d, d), which may be singular.

    $$d^2 = \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\bigl(C_1 + C_2 - 2 (L_1^T C_2 L_1)^{1/2}\bigr)
          = \|\mu_1 - \mu_2\|^2 + \min_{Q^T Q = I} \|L_1 - L_2 Q\|^2, \qquad C_i = L_i L_i^T$$

    The minimum is at $Q = U V^T$, from the singular value decomposition $L_2^T L_1 = U S V^T$. The second form is a sum
    of squares: it does not cancel where the covariances are nearly equal, and needs square
    roots of symmetric matrices only. Source: Q1 [Dowson & Landau 1982], [FID eq. 6].
    """
    mean1, mean2 = as_float64("mean1", mean1), as_float64("mean2", mean2)
    check_number("mean1", mean1, -HIGH, HIGH)
    check_number("mean2", mean2, -HIGH, HIGH)
    if mean1.ndim != 1 or mean2.shape != mean1.shape:
        raise ValueError(f"mean1, mean2 have shapes {mean1.shape}, {mean2.shape}; allowed: (d,) both")
    root1, root2 = _root("cov1", cov1, len(mean1)), _root("cov2", cov2, len(mean1))
    u, _, vt = np.linalg.svd(root2.T @ root1)
    return float(((mean1 - mean2) ** 2).sum() + ((root1 - root2 @ (u @ vt)) ** 2).sum())


def _two_sample(x: Array, y: Array, kernel: Callable[[Array, Array], Array], unbiased: bool) -> float:
    """E k(X, X') + E k(Y, Y') - 2 E k(X, Y), for a kernel that gives the matrix of k for two sets."""
    x, y = _points(x=x, y=y)
    unbiased = check_flag("unbiased", unbiased)
    if unbiased and min(len(x), len(y)) < 2:
        raise ValueError(f"x, y have {len(x)}, {len(y)} points; allowed: 2 or more each for the unbiased statistic")

    def total(a: Array, b: Array, diagonal: bool = True) -> float:
        result, start = 0.0, 0
        for block in _blocks(a, b):
            values = kernel(block, b)
            result += float(values.sum() if diagonal else values.sum() - np.trace(values, offset=start))
            start += len(block)
        return result

    def within(a: Array) -> float:
        return total(a, a, diagonal=not unbiased) / (len(a) * (len(a) - unbiased))

    return within(x) + within(y) - 2 * total(x, y) / (len(x) * len(y))


def _blocks(x: Array, y: Array) -> list[Array]:
    """Blocks of x; the distances of a block to all of y fit in memory at a time."""
    rows = max(1, _BLOCK // len(y))
    return [x[start : start + rows] for start in range(0, len(x), rows)]


def _points(**named: Any) -> list[Array]:
    """Each set as (N, d) float64; raises unless all sets hold finite points of the same dimension."""
    sets = []
    for name, values in named.items():
        values = as_float64(name, values)
        check_number(name, values, -HIGH, HIGH)
        if values.ndim == 0 or values.size == 0:
            raise ValueError(f"{name} has shape {values.shape}; allowed: (N, ...), not empty")
        sets.append(values.reshape(len(values), -1))
        if sets[-1].shape[1] != sets[0].shape[1]:
            raise ValueError(f"{name} has {sets[-1].shape[1]} numbers a point; allowed: {sets[0].shape[1]}, as {next(iter(named))} has")
    return sets


def _root(name: str, covariance: Any, d: int) -> Array:
    """L with L L^T = C, from the eigenvectors: C may be singular, and eigenvalues negative by rounding are set to zero."""
    C = as_float64(name, covariance)
    check_number(name, C, -HIGH, HIGH)
    if C.shape != (d, d):
        raise ValueError(f"{name} has shape {C.shape}; allowed: {(d, d)}")
    slack = 1e-6 * np.abs(C).max(initial=0)  # rounding errors of float32 covariances
    values, vectors = np.linalg.eigh((C + C.T) / 2)
    if np.abs(C - C.T).max(initial=0) > slack or values.min(initial=0) < -slack:
        raise ValueError(f"{name} = {C!r}; allowed: symmetric, without negative eigenvalues")
    return vectors * np.sqrt(np.maximum(values, 0))
