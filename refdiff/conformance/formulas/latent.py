"""E2-E4: latent-variable models: marginal likelihoods from samples, and the linear-Gaussian model, whose ELBO is closed form.

z ~ N(0, I) of k dimensions, x | z ~ N(loading z + bias, variance I) of d; loading (d, k), bias (d,).
"""

import numpy as np

from ..numbers import exp, identity, log, solve, trace
from .forward import log_density
from .gaussian import kl_full, log_density_full


def marginal_likelihood(log_likelihood):
    """E2 -> log_marginal: log of the mean of p(x | z_k), z_k from the prior; log-likelihoods (K, B) -> nats, (B,)."""
    return log_mean_exp(log_likelihood)


def importance_weighted(log_joint, log_q):
    """E2 -> log_marginal: log of the mean of p(x, z_k) / q(z_k | x), z_k from q; logarithms (K, B) -> nats, (B,)."""
    return log_mean_exp(log_joint - log_q)


def log_mean_exp(values):
    """log(1 / K sum exp(values)) over the first axis, without overflow."""
    peak = values.max(axis=0)
    return peak + log(sum(exp(values - peak)) / len(values))


def latent_log_marginal(x, loading, bias, variance):
    """E3 -> log_marginal: log N(x; bias, loading loading^T + variance I); x (B, d) -> nats, (B,)."""
    covariance = loading @ loading.T
    return log_density_full(x, bias, covariance + variance * identity(covariance))


def latent_posterior(x, loading, bias, variance):
    """E3 -> mean, covariance: of z given x: C loading^T (x - bias) / variance (B, k), and C = inv(I + loading^T loading / variance) (k, k)."""
    precision = loading.T @ loading / variance
    covariance = solve(identity(precision) + precision, identity(precision))
    return (x - bias) @ loading @ covariance / variance, covariance


def latent_elbo(x, mean, covariance, loading, bias, variance):
    """E3, E4 -> elbo: E_q log p(x | z) - D(q(z | x) || N(0, I)) for q = N(mean, covariance), mean (B, k), covariance (k, k); nats, (B,)."""
    fit = log_density(x, mean @ loading.T + bias, variance)
    spread = trace(loading @ covariance @ loading.T) / (2 * variance)
    divergence = np.stack([kl_full(m, covariance, 0 * m, identity(covariance)) for m in mean])
    return fit - spread - divergence


def latent_gap(x, mean, covariance, loading, bias, variance):
    """E3 -> gap: D(q(z | x) || p(z | x)) = log p(x) - ELBO; nats, (B,)."""
    means, exact_covariance = latent_posterior(x, loading, bias, variance)
    return np.stack([kl_full(m, covariance, e, exact_covariance) for m, e in zip(mean, means, strict=True)])
