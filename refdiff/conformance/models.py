"""The models in the vectors: closed forms, exact at any precision, which an implementation receives as callables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .formulas.flow import path_weights
from .formulas.predict import weights
from .formulas.schedules import alpha_bar
from .numbers import is_exact, log, sqrt

Model = Callable[[Any, Any], Any]


def build(described: dict[str, Any]) -> Model:
    """The callable model(x, t) of a description in a vector.

    | model | prediction |
    |---|---|
    | gaussian | of the kind given, exact for data N(mean, variance), t in 0..T of the betas |
    | gaussian-flow | the velocity of the straight path, exact for data N(mean, variance), t in [0, 1] |
    | gaussian-levels | of x0 or eps, exact for data N(mean, variance), t the index of a level of signal and sigma |
    | gaussian-denoiser | of x0, exact for data N(mean, variance), t the noise level sigma, signal 1 |
    | gaussian-score | the score, exact for data N(mean, variance), t the noise level sigma, signal 1 |
    | log-snr-power | the k-th power of half the log-SNR of the level t, whatever x is |
    | field | a x + b t x^2 + c |
    """
    makers: dict[str, Callable[..., Model]] = {
        "gaussian": _gaussian,
        "gaussian-flow": _gaussian_flow,
        "gaussian-levels": _gaussian_levels,
        "gaussian-denoiser": _gaussian_denoiser,
        "gaussian-score": _gaussian_score,
        "log-snr-power": _log_snr_power,
        "field": _field,
    }
    return makers[described["model"]](**{name: value for name, value in described.items() if name != "model"})


def _gaussian(mean: Any, variance: Any, kind: str, betas: Any) -> Model:
    table = alpha_bar(betas)

    def model(x: Any, t: Any) -> Any:
        if not 0 <= t < len(table):
            raise ValueError(f"model called at t = {t!r}; allowed: 0..{len(table) - 1}")
        signal, sigma = sqrt(table[t]), sqrt(1 - table[t])
        x0, eps = _posterior_means(x, signal, sigma, mean, variance)
        a, b = weights(kind, signal, sigma)
        return _in_dtype_of(a * x0 + b * eps, x)

    return model


def _gaussian_flow(mean: Any, variance: Any) -> Model:
    def model(x: Any, t: Any) -> Any:
        data, noise = _posterior_means(x, t, 1 - t, mean, variance)
        _, _, signal_rate, sigma_rate = path_weights("straight", t)
        return _in_dtype_of(signal_rate * data + sigma_rate * noise, x)

    return model


def _gaussian_levels(mean: Any, variance: Any, signal: Any, sigma: Any, kind: str = "x0") -> Model:
    which = ("x0", "eps").index(kind)
    return lambda x, t: _in_dtype_of(_posterior_means(x, signal[t], sigma[t], mean, variance)[which], x)


def _gaussian_denoiser(mean: Any, variance: Any) -> Model:
    return lambda x, t: _in_dtype_of(_posterior_means(x, t**0, t, mean, variance)[0], x)


def _gaussian_score(mean: Any, variance: Any) -> Model:
    return lambda x, t: _in_dtype_of((mean - x) / (variance + t**2), x)


def _log_snr_power(k: int, signal: Any, sigma: Any) -> Model:
    return lambda x, t: _in_dtype_of(0 * x + log(signal[t] / sigma[t]) ** k, x)


def _field(a: Any, b: Any, c: Any) -> Model:
    return lambda x, t: _in_dtype_of(a * x + b * t * x**2 + c, x)


def _posterior_means(x: Any, signal: Any, sigma: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
    """E[x0 | x] and E[eps | x] for data N(mean, variance)."""
    residual = (x - signal * mean) / (signal**2 * variance + sigma**2)
    return mean + signal * variance * residual, sigma * residual


def _in_dtype_of(value: Any, x: Any) -> Any:
    return value if is_exact(value) else np.asarray(value, dtype=np.asarray(x).dtype)
