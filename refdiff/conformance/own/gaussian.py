"""Operations of refdiff: gaussian. The functions have the names and the arguments of the operations."""

from __future__ import annotations

from typing import Any

from ...process import gaussian


def entropy(x: Any, variance: Any) -> Any:
    return gaussian.entropy(x, variance)


def log_density_full(x: Any, mean: Any, covariance: Any) -> Any:
    return gaussian.log_density_full(x, mean, covariance)


def kl_isotropic(mean1: Any, variance1: Any, mean2: Any, variance2: Any) -> Any:
    return gaussian.kl_isotropic(mean1, variance1, mean2, variance2)


def kl_diagonal(mean1: Any, variance1: Any, mean2: Any, variance2: Any) -> Any:
    return gaussian.kl_diagonal(mean1, variance1, mean2, variance2)


def kl_full(mean1: Any, covariance1: Any, mean2: Any, covariance2: Any) -> Any:
    return gaussian.kl_full(mean1, covariance1, mean2, covariance2)


def product(mean1: Any, variance1: Any, mean2: Any, variance2: Any) -> Any:
    return gaussian.product(mean1, variance1, mean2, variance2)


def quotient(mean1: Any, variance1: Any, mean2: Any, variance2: Any) -> Any:
    return gaussian.quotient(mean1, variance1, mean2, variance2)


def discretized_log_likelihood(x: Any, mean: Any, std: Any, levels: int = 256) -> Any:
    return gaussian.discretized_log_likelihood(x, mean, std, levels)
