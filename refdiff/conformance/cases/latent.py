"""The linear-Gaussian model in one to three dimensions, and log-means of exponentials far below and above what exp can hold."""

from collections.abc import Iterator

import numpy as np

from . import Case, numbers, refused
from .gaussian import covariance

SIZES = ((2, 2), (3, 2), (1, 1), (2, 3))  # d, k
VARIANCES = (0.5, 2.0, 0.0625)


def cases() -> Iterator[Case]:
    yield from _samples()
    for number, (d, k) in enumerate(SIZES):
        for B, variance in enumerate(VARIANCES, 1):
            model = {"loading": numbers((d, k), number), "bias": numbers((d,), 5), "variance": variance}
            x, mean, spread = numbers((B, d), 7 + number), numbers((B, k), 8), covariance(k, 3 + number) / 4
            minimal = number < 2 or B == 1
            yield Case("latent_log_marginal", {"x": x, **model}, minimal=minimal)
            yield Case("latent_posterior", {"x": x, **model}, minimal=minimal)
            yield Case("latent_elbo", {"x": x, "mean": mean, "covariance": spread, **model}, minimal=minimal)
            yield Case("latent_gap", {"x": x, "mean": mean, "covariance": spread, **model}, minimal=minimal)
    yield from _errors()


def _samples() -> Iterator[Case]:
    for K, B in ((1, 2), (2, 1), (3, 2), (5, 1), (4, 3)):
        logs, others = numbers((K, B), K) * 4, numbers((K, B), K + 10) * 2
        for level in (0.0, -2048.0, 2048.0):
            yield Case("marginal_likelihood", {"log_likelihood": logs + level}, minimal=True)
            yield Case("importance_weighted", {"log_joint": logs + level, "log_q": others}, minimal=True)
    apart = np.array([[0.0, -1000.0], [-1000.0, 0.0], [1.0, -1001.0]])
    yield Case("marginal_likelihood", {"log_likelihood": apart}, minimal=True)
    yield Case("importance_weighted", {"log_joint": apart, "log_q": np.zeros((3, 2))}, minimal=True)
    yield Case("importance_weighted", {"log_joint": apart - 2048, "log_q": apart}, minimal=True)
    columns = np.array([[0.25, -2000.0], [-0.5, -2001.0], [1.0, -1999.5]])  # one peak for both underflows
    yield Case("marginal_likelihood", {"log_likelihood": columns}, tolerance="each", minimal=True)
    yield Case("importance_weighted", {"log_joint": columns, "log_q": columns[::-1] / 8}, tolerance="each", minimal=True)


def _errors() -> Iterator[Case]:
    x, loading, bias = numbers((2, 2)), numbers((2, 2), 1), numbers((2,), 2)
    mean, spread = numbers((2, 2), 3), np.eye(2)
    for variance in (0.0, -1.0):
        model = {"loading": loading, "bias": bias, "variance": variance}
        for name in ("latent_log_marginal", "latent_posterior"):
            yield refused(name, "a variance of 0 or below", x=x, **model)
        for name in ("latent_elbo", "latent_gap"):
            yield refused(name, "a variance of 0 or below", x=x, mean=mean, covariance=spread, **model)
    model = {"loading": loading, "bias": bias, "variance": 0.5}
    for name in ("latent_elbo", "latent_gap"):
        yield refused(name, "a covariance that is not positive definite", x=x, mean=mean, covariance=-spread, **model)
    yield refused("latent_log_marginal", "NaN in x", x=x * np.nan, **model)
