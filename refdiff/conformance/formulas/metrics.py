"""Q1-Q3: metrics of samples: distances between sets of points, between Gaussians, and scores of class probabilities.

Sets are x (N, d) and y (M, d). A statistic is V, over all pairs of points of a set, or U, without the pairs of a point with itself.
"""

import numpy as np

from ..numbers import exp, log, sqrt, symmetric_root, trace


def frechet_distance(mean1, cov1, mean2, cov2):
    """Q1 -> distance: |mean1 - mean2|^2 + tr(cov1 + cov2 - 2 (cov1^(1/2) cov2 cov1^(1/2))^(1/2)); means (d,), covariances (d, d), which may be singular."""
    root = symmetric_root(cov1)
    return ((mean1 - mean2) ** 2).sum() + trace(cov1 + cov2 - 2 * symmetric_root(root @ cov2 @ root))


def frechet_of_features(x, y):
    """Q1 -> distance: frechet_distance of the means and covariances of two sets of features; the covariances have the divisors N - 1 and M - 1."""
    return frechet_distance(*moments_of(x), *moments_of(y))


def moments_of(x):
    """Mean and covariance with the divisor N - 1."""
    centered = x - x.sum(axis=0) / len(x)
    return x.sum(axis=0) / len(x), centered.T @ centered / (len(x) - 1)


def at_infinity(sizes, values):
    """Q1, Q2 -> value: the value at 1 / n = 0 of the least-squares line through the points (1 / n, value), for sizes n (k,) and values (k,)."""
    u = 1 / sizes
    centered = u - u.sum() / len(u)
    slope = (centered * values).sum() / (centered**2).sum()
    return (values - slope * u).sum() / len(u)


def inception_score(probabilities, splits):
    """Q2 -> mean, std: of the scores of the parts, part k with the rows from k N // splits to before (k + 1) N // splits.

    A part's score is exp of the mean over its rows p of sum p log(p / q), q the part's mean row and 0 log 0 = 0. probabilities (N, K); std has the divisor splits.
    """
    n = len(probabilities)
    return mean_and_std(np.array([exp(information(probabilities[k * n // splits : (k + 1) * n // splits])) for k in range(splits)]))


def information(p):
    """Mutual information of row and class."""
    q = p.sum(axis=0) / len(p)
    return (p * (log(np.where(p == 0, 1, p)) - log(np.where(q == 0, 1, q)))).sum() / len(p)


def mean_and_std(scores):
    """Mean and standard deviation with the divisor of their number."""
    mean = scores.sum() / len(scores)
    return mean, sqrt(((scores - mean) ** 2).sum() / len(scores))


def energy_distance(x, y, statistic):
    """Q3 -> distance: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, without a square root; statistic V or U."""
    return two_sample(-sqrt(squares(x, x)), -sqrt(squares(y, y)), -sqrt(squares(x, y)), statistic)


def mmd(x, y, bandwidth, statistic):
    """Q3 -> distance: E k(X, X') + E k(Y, Y') - 2 E k(X, Y) for k(a, b) = exp(-|a - b|^2 / (2 bandwidth^2)), without a square root; statistic V or U."""
    return two_sample(*(exp(-squares(a, b) / (2 * bandwidth**2)) for a, b in ((x, x), (y, y), (x, y))), statistic)


def kid(x, y, statistic):
    """Q3 -> distance: as mmd for k(a, b) = (a . b / d + 1)^3; statistic V or U."""
    return two_sample(*((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))), statistic)


def kid_over_subsets(x, y, rows_x, rows_y):
    """Q3 -> mean, std: of kid, statistic U, of the subsets of rows rows_x (S, m) of x and rows_y (S, m) of y; std has the divisor S."""
    return mean_and_std(np.array([kid(x[i], y[j], "U") for i, j in zip(rows_x, rows_y, strict=True)]))


def squares(x, y):
    """Squared distances of all pairs."""
    return ((x[:, None] - y[None]) ** 2).sum(axis=2)


def two_sample(xx, yy, xy, statistic):
    """E k(X, X') + E k(Y, Y') - 2 E k(X, Y) from the matrices of k."""
    return over_pairs(xx, statistic) + over_pairs(yy, statistic) - 2 * xy.sum() / xy.size


def over_pairs(k, statistic):
    """The mean over the pairs of a set."""
    return k.sum() / k.size if statistic == "V" else (k.sum() - trace(k)) / (k.size - len(k))
