"""Operations of refdiff: latent. Loading, bias and variance become a LinearGaussian."""

from __future__ import annotations

from typing import Any

from ...objectives import latent


def marginal_likelihood(log_likelihood: Any) -> Any:
    return latent.marginal_likelihood(log_likelihood)


def importance_weighted(log_joint: Any, log_q: Any) -> Any:
    return latent.importance_weighted(log_joint, log_q)


def latent_log_marginal(x: Any, loading: Any, bias: Any, variance: Any) -> Any:
    return latent.LinearGaussian(loading, bias, variance).log_marginal(x)


def latent_posterior(x: Any, loading: Any, bias: Any, variance: Any) -> Any:
    return latent.LinearGaussian(loading, bias, variance).posterior(x)


def latent_elbo(x: Any, mean: Any, covariance: Any, loading: Any, bias: Any, variance: Any) -> Any:
    return latent.LinearGaussian(loading, bias, variance).elbo(x, mean, covariance)


def latent_gap(x: Any, mean: Any, covariance: Any, loading: Any, bias: Any, variance: Any) -> Any:
    return latent.LinearGaussian(loading, bias, variance).gap(x, mean, covariance)
