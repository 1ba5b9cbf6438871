"""E1, R1, E7: entropies and divergences of Gaussians, their products and quotients, and the likelihood of a pixel."""

import numpy as np

from ..numbers import event_sum, full, log, log_det, normal_cdf, per_example, pi, solve, trace


def entropy(x, variance):
    """E1 -> entropy: of a Gaussian over arrays shaped like x (B, ...), whose values do not matter; nats, (B,)."""
    variance = np.broadcast_to(variance, x.shape)
    return event_sum(1 + log(2 * pi(x) * variance)) / 2


def log_density_full(x, mean, covariance):
    """E1 -> log_density: of a Gaussian with any covariance (d, d), at x (B, d), mean (d,) or (B, d); nats, (B,)."""
    offset = x - mean
    distance = event_sum(offset * solve(covariance, offset.T).T)
    return -(distance + x.shape[1] * log(2 * pi(x)) + log_det(covariance)) / 2


def kl_isotropic(mean1, variance1, mean2, variance2):
    """E1 -> kl: D(N(mean1, variance1 I) || N(mean2, variance2 I)), variances () or (B,); nats, (B,)."""
    variance1, variance2 = per_example(variance1, mean1), per_example(variance2, mean1)
    ratio = np.broadcast_to(variance1 / variance2, mean1.shape)
    return event_sum(ratio - 1 - log(ratio) + (mean1 - mean2) ** 2 / variance2) / 2


def kl_diagonal(mean1, variance1, mean2, variance2):
    """E1 -> kl: of Gaussians with independent coordinates, variances that broadcast to mean1 (B, ...); nats, (B,)."""
    variance1, variance2 = np.broadcast_to(variance1, mean1.shape), np.broadcast_to(variance2, mean1.shape)
    ratio = variance1 / variance2
    return event_sum(ratio - 1 - log(ratio) + (mean1 - mean2) ** 2 / variance2) / 2


def kl_full(mean1, covariance1, mean2, covariance2):
    """E1 -> kl: of Gaussians with any covariances (d, d), means (d,); nats, one number."""
    offset = mean1 - mean2
    spread = trace(solve(covariance2, covariance1)) - len(mean1)
    distance = (offset * solve(covariance2, offset)).sum()
    return (spread + log_det(covariance2) - log_det(covariance1) + distance) / 2


def product(mean1, variance1, mean2, variance2):
    """R1 -> mean, variance: of the normalized product of two Gaussian densities of one variable; one variance may be 0; it broadcasts to mean1."""
    total = variance1 + variance2
    return (variance2 * mean1 + variance1 * mean2) / total, full(variance1 * variance2 / total, mean1)


def quotient(mean1, variance1, mean2, variance2):
    """R1 -> mean, variance: of the normalized quotient of two Gaussian densities, variance2 > variance1."""
    total = variance2 - variance1
    return (variance2 * mean1 - variance1 * mean2) / total, full(variance1 * variance2 / total, mean1)


def discretized_log_likelihood(x, mean, std, levels=256):
    """E7 -> log_likelihood: what a Gaussian gives to the bins of pixels x (B, ...) on equal levels from -1 to 1; nats, (B,).

    A bin reaches half a step, 1 / (levels - 1), to both sides; those of -1 and 1 reach to infinity. The normal CDF is the exact one;
    inner bins are taken left of the mean, where it keeps its digits, so that far tails are finite.
    """
    offset, unit = (levels - 1) * (x - mean), (levels - 1) * std
    first = normal_cdf((1 + offset) / unit)
    last = normal_cdf((1 - offset) / unit)
    inner = normal_cdf((1 - abs(offset)) / unit) - normal_cdf(-(1 + abs(offset)) / unit)
    return event_sum(log(np.where(x == -1, first, np.where(x == 1, last, inner))))
