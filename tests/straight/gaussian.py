"""Densities, divergences, products."""

import math

from .boundary import array, each, examples, integer, like, number, numbers, per_example, shape_of, total
from .matrices import factor, forward, log_determinant


def _positive(name, value):
    value = number(name, value)
    if value <= 0:
        raise ValueError(f"{name} = {value}; allowed: above 0")
    return value


def entropy(x, variance):
    return total(lambda v: math.log(2 * math.pi * math.e * _positive("variance", v)) / 2, {"variance": like("variance", variance, x)})


def log_density_full(x, mean, covariance):
    low = factor("covariance", examples("covariance", covariance))
    means = examples("mean", mean, shape_of(x))
    return array([log_normal_full(one, centre, low) for one, centre in zip(examples("x", x), means, strict=True)])


def log_normal_full(x, mean, low):
    """log N(x; mean, L L^T) of one vector."""
    white = forward(low, [a - b for a, b in zip(x, mean, strict=True)])
    return -(sum(w * w for w in white) + log_determinant(low) + len(x) * math.log(2 * math.pi)) / 2


def excess(ratio_less_1):
    """d - log(1 + d), by its series where the two are nearly equal."""
    d = ratio_less_1
    if abs(d) > 0.1:
        return d - math.log1p(d)
    return sum((-1) ** k * d**k / k for k in range(20, 1, -1))


def kl_of_one(mean1, variance1, mean2, variance2):
    """The divergence of two Gaussians of one variable."""
    _positive("variance1", variance1)
    _positive("variance2", variance2)
    return (excess((variance1 - variance2) / variance2) + (mean1 - mean2) ** 2 / variance2) / 2


def kl_isotropic(mean1, variance1, mean2, variance2):
    count = shape_of(mean1)[0]
    pairs = list(zip(per_example(variance1, count, "variance1"), per_example(variance2, count, "variance2"), strict=True))
    pairs = [(_positive("variance1", v1), _positive("variance2", v2)) for v1, v2 in pairs]
    return total(lambda m1, m2, v1, v2: kl_of_one(m1, v1, m2, v2), {"mean1": mean1, "mean2": mean2}, pairs)


def kl_diagonal(mean1, variance1, mean2, variance2):
    variances = {"variance1": like("variance1", variance1, mean1), "variance2": like("variance2", variance2, mean1)}
    return total(lambda m1, m2, v1, v2: kl_of_one(m1, v1, m2, v2), {"mean1": mean1, "mean2": mean2, **variances})


def kl_full(mean1, covariance1, mean2, covariance2):
    cov1 = examples("covariance1", covariance1)
    low1, low2 = factor("covariance1", cov1), factor("covariance2", examples("covariance2", covariance2))
    return array(divergence(numbers("mean1", mean1), low1, numbers("mean2", mean2), low2))


def divergence(mean1, low1, mean2, low2):
    """D(N(mean1, L1 L1^T) || N(mean2, L2 L2^T)) of vectors."""
    d = len(low1)
    white = forward(low2, [a - b for a, b in zip(mean1, mean2, strict=True)])
    columns = [forward(low2, [low1[i][j] for i in range(d)]) for j in range(d)]
    trace = sum(entry * entry for one in columns for entry in one)
    return (trace - d + sum(w * w for w in white) + log_determinant(low2) - log_determinant(low1)) / 2


def product(mean1, variance1, mean2, variance2):
    return _combined(mean1, variance1, mean2, variance2, 1)


def quotient(mean1, variance1, mean2, variance2):
    return _combined(mean1, variance1, mean2, variance2, -1)


def _combined(mean1, variance1, mean2, variance2, sign):
    """Mean and variance for the sum or difference of precisions, written so that one variance of a product may be 0."""
    variances = {"variance1": like("variance1", variance1, mean1), "variance2": like("variance2", variance2, mean1)}

    def mean(m1, m2, v1, v2):
        return (m1 * v2 + sign * m2 * v1) / _spread(v1, v2, sign)

    def variance(v1, v2):
        return v1 * v2 / _spread(v1, v2, sign)

    spread = each(variance, variances) if shape_of(variance1) + shape_of(variance2) else array(variance(float(variance1), float(variance2)))
    return each(mean, {"mean1": mean1, "mean2": mean2, **variances}), spread


def _spread(v1, v2, sign):
    """variance2 plus or minus variance1."""
    if v1 < 0 or v2 < 0 or v2 + sign * v1 <= 0:
        raise ValueError(f"variance1 = {v1}, variance2 = {v2}; allowed: not below 0, not both 0; of a quotient, variance2 above variance1")
    return v2 + sign * v1


def discretized_log_likelihood(x, mean, std, levels=256):
    levels = integer("levels", levels, 2)
    std = like("std", std, x)
    return total(lambda x, m, s: log_bin(x, m, s, levels), {"x": x, "mean": mean, "std": std})


def log_bin(x, mean, std, levels):
    """Log-probability of one pixel's bin under N(mean, std^2)."""
    if not -1 <= x <= 1 or std <= 0:
        raise ValueError(f"x = {x}, std = {std}; allowed: x in -1..1, std above 0")
    half = 1 / (levels - 1)
    lower, upper = (x - half - mean) / std, (x + half - mean) / std
    if x <= -1:
        return _log_below(upper)
    if x >= 1:
        return _log_below(-lower)
    if lower + upper > 0:
        lower, upper = -upper, -lower
    more, less = _log_below(upper), _log_below(lower)
    return more + math.log(-math.expm1(less - more))


def _log_below(z):
    """The logarithm of the normal CDF, by its asymptotic series far below 0."""
    if z > -30:
        return math.log(math.erfc(-z / math.sqrt(2)) / 2)
    term, series = 1.0, 1.0
    for k in range(1, 12):
        term *= -(2 * k - 1) / (z * z)
        series += term
    return -z * z / 2 - math.log(-z * math.sqrt(2 * math.pi)) + math.log(series)
