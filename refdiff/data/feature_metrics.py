"""Metrics of images by a trained network: on its features (Frechet distance, KID) and on its class probabilities (inception score).

The network is not part of this module: `x` (N, ...) and `y` (M, ...) are its features, `probabilities` (N, K) its predictions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, as_array
from ..checks import as_float64, check_count, check_integer, check_number
from .metrics import _points, _root, _two_sample, frechet_distance, sample_moments


class Score(NamedTuple):
    """Mean and standard deviation (with the divisor of their number) of a metric over parts of the samples."""

    mean: float
    std: float


def frechet_of_features(x: Array, y: Array, ddof: int = 1) -> float:
    r"""Frechet distance between the Gaussians with the sample moments of two sets of features; FID for those of the Inception network.

    The covariances have the divisor $N - ddof$. Sets of fewer than d points have singular covariances, which are allowed. Source: Q1 [FID eq. 6].
    """
    x, y = _points(x=x, y=y)
    if min(len(x), len(y)) <= check_count("ddof", ddof, 0, 1):
        raise ValueError(f"x, y have {len(x)}, {len(y)} points; allowed: {ddof + 1} or more each")
    return frechet_distance(*sample_moments(x, ddof), *sample_moments(y, ddof))


def frechet_bias(covariance: Array) -> float:
    r"""Bias of the Frechet distance: the number $c$ in $E\, d^2 = c / n + O(n^{-2})$ for $n$ samples of $\mathcal N(\mu, C)$ against that Gaussian.

    $$c = \mathrm{tr}\, C + \sum_{ij} \frac{(1 + \delta_{ij})\, \lambda_i \lambda_j}{2 (\lambda_i + \lambda_j)}, \qquad
      c = d + \frac{d (d + 1)}4 \;\text{ for } C = I$$

    $\lambda_i$ are the eigenvalues of the covariance (d, d). Two sets of $n$ and $m$ samples are $c\, (1/n + 1/m)$ apart on average.
    Source: Q1 [Chong & Forsyth].
    """
    covariance = as_float64("covariance", covariance)
    if covariance.ndim != 2:
        raise ValueError(f"covariance has shape {covariance.shape}; allowed: (d, d)")
    spreads = (_root("covariance", covariance, len(covariance)) ** 2).sum(axis=0)
    sums = spreads[:, None] + spreads
    half = np.divide(np.outer(spreads, spreads), 2 * sums, out=np.zeros_like(sums), where=sums > 0)
    return float(spreads.sum() + half.sum() + np.trace(half))


def at_infinity(sizes: Array, values: Array) -> float:
    r"""Extrapolation of a biased metric to infinitely many samples: the value at $1/n = 0$ of the least-squares line through the points $(1/n, value)$.

    `sizes` (k,) are the numbers $n$ of samples, at least two of them different, and `values` (k,) the metric of so many samples.
    Source: Q1, Q2 [Chong & Forsyth].
    """
    sizes, values = as_float64("sizes", sizes), as_float64("values", values)
    check_number("sizes", sizes, 1, 1e100)
    check_number("values", values, -1e140, 1e140)
    if sizes.ndim != 1 or sizes.shape != values.shape or len(np.unique(1 / sizes)) < 2:
        raise ValueError(f"sizes, values have shapes {sizes.shape}, {values.shape}; allowed: (k,) both, with two different sizes or more")
    u = 1 / sizes
    centered = (u - u.mean()) / u.max()
    slope = (centered * (values - values.mean())).sum() / (centered**2).sum()
    return float(values.mean() - slope * u.mean() / u.max())


def inception_score(probabilities: Array, splits: int = 1) -> Score:
    r"""Inception score of class probabilities $p(y | x_i)$ (N, K): from 1, all rows equal, to K, rows of one class each and all classes equally often.

    $$IS = \exp\Bigl(\frac1N \sum_i KL\bigl(p(y | x_i) \,\|\, \bar p(y)\bigr)\Bigr), \qquad \bar p = \frac1N \sum_i p(y | x_i)$$

    It is the exponential of the mutual information between image and class. With `splits` it is the mean and the standard deviation of the
    scores of so many parts: part $k$ has the rows from $\lfloor k N / splits \rfloor$ to before $\lfloor (k + 1) N / splits \rfloor$.
    The logarithm of a small part's score is too small on average, since $\bar p$ is fitted to the part. Raises unless every row sums to 1.
    Source: Q2 [Salimans et al. sec. 4].
    """
    p = as_float64("probabilities", probabilities)
    check_number("probabilities", p, 0, 1)
    if p.ndim != 2 or p.size == 0 or np.any(abs(p.sum(axis=1) - 1) > 1e-3):
        raise ValueError(
            f"probabilities have shape {p.shape}, sums {p.sum(axis=-1)!r}; allowed: (N, K), not empty, with rows that sum to 1"
        )
    splits = check_count("splits", splits, 1, len(p))
    ends = [k * len(p) // splits for k in range(splits + 1)]
    return _score([np.exp(_information(p[i:j])) for i, j in pairwise(ends)])


def kid(x: Array, y: Array, unbiased: bool = True) -> float:
    r"""Kernel inception distance (KID): the squared MMD of features with a cubic kernel.

    $$E k(X, X') + E k(Y, Y') - 2 E k(X, Y), \qquad k(a, b) = \Bigl(\frac{a \cdot b}d + 1\Bigr)^3$$

    It compares the first three moments: it is $\frac3d \|M_1\|^2 + \frac3{d^2} \|M_2\|^2 + \frac1{d^3} \|M_3\|^2$ with the differences
    $M_1 = E X_i - E Y_i$, $M_2 = E X_i X_j - E Y_i Y_j$ and $M_3 = E X_i X_j X_k - E Y_i Y_j Y_k$. By default it is the U-statistic, without the pairs of a point with itself: its mean is the
    distance of the distributions for any number of samples, and it may be negative. Otherwise it is the V-statistic, the distance of the
    two sets. Source: Q3 [KID sec. 4].
    """
    x, y = _points(x=x, y=y)
    for name, points in (("x", x), ("y", y)):
        check_number(name, points, -1e20, 1e20)  # the kernel is a product of six numbers, its variance of twelve
    return _two_sample(x, y, lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3, unbiased)


def kid_over_subsets(x: Array, y: Array, rows_x: Array, rows_y: Array) -> Score:
    r"""KID over subsets: mean and standard deviation of `kid` for the subsets of rows `rows_x` (S, m) of x and `rows_y` (S, m) of y.

    The usual protocol draws 100 subsets of $m = 1000$ rows without repetition. The rows are arguments, so that the result is no random number.
    A row that is drawn twice counts as two points. Source: Q3 [KID sec. 4].
    """
    x, y = _points(x=x, y=y)
    rows = [_rows("rows_x", rows_x, len(x)), _rows("rows_y", rows_y, len(y))]
    if len(rows[0]) != len(rows[1]):
        raise ValueError(f"rows_y has {len(rows[1])} subsets; allowed: {len(rows[0])}, as rows_x has")
    return _score([kid(x[i], y[j]) for i, j in zip(*rows, strict=True)])


def _rows(name: str, rows: Any, count: int) -> Array:
    rows = as_array(rows, name)
    if rows.ndim != 2 or rows.size == 0 or rows.shape[1] < 2:
        raise ValueError(f"{name} has shape {rows.shape}; allowed: (S, m), not empty, with m of 2 or more")
    return check_integer(name, rows.ravel(), 0, count - 1).reshape(rows.shape)


def _information(p: Array) -> float:
    """Mutual information of row and class: the entropy of the mean row minus the mean entropy of the rows, in nats."""
    terms = p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, p.mean(axis=0), 1))
    return float(terms.sum() / len(p))


def _score(values: list[Any]) -> Score:
    return Score(float(np.mean(values)), float(np.std(values)))
