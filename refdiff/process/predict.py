r"""Prediction kinds of the network ($x_0$, $\epsilon$, $v$, score, velocity, that of EDM) and the conversions between them.

Every prediction is linear in data and noise, $f = a\, x_0 + b\, \epsilon$. So is the noisy state,
$x_t = signal\, x_0 + \sigma\, \epsilon$. These are two linear equations for $x_0$ and $\epsilon$, with the solution:

$$x_0 = \frac{b\, x_t - \sigma f}{D}, \qquad \epsilon = \frac{signal\, f - a\, x_t}{D}, \qquad D = signal\, b - \sigma\, a$$
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array, GaussianPath, Time, all_true, cast, holds, like
from ..checks import check_arrays, check_choice, check_scalar, check_shape

KINDS = ("x0", "eps", "v", "score", "velocity", "edm")


def row(kind: str, t: Time, path: GaussianPath) -> tuple[Array, Array]:
    r"""Coefficients $(a, b)$ of a prediction in terms of data and noise, $f = a\, x_0 + b\, \epsilon$.

    | kind | a | b |
    |---|---|---|
    | x0 | 1 | 0 |
    | eps | 0 | 1 |
    | v | $-\sigma$ | $signal$ |
    | score | 0 | $-1 / \sigma$ |
    | velocity | $signal'$ | $\sigma'$ |
    | edm | $\sigma / (d q)$ | $-signal\, d / q$ |

    For "edm", the target of EDM's preconditioned network, $q = \sqrt{\sigma^2 + signal^2 d^2}$, and the standard deviation $d$ of the data is
    `path.sigma_data`, or 1 if the path has none. For $d = 1$ and a variance-preserving path it is $-v$. A prime is a time derivative. For a `Schedule`, $(signal', \sigma')$ is replaced by $(1, -1)$, the velocity of
    $x_t / (signal + \sigma)$ on the straight path of a flow (M5). Raises for the score where $\sigma = 0$.
    Source: R6, K1 [Salimans & Ho app. D], [JiT], [EDM eq. 8].
    """
    check_choice("kind", kind, KINDS)
    signal, sigma = path.signal_sigma(t)
    zero, one = np.zeros_like(signal), np.ones_like(signal)
    if kind == "velocity":
        return path.rates(t)
    if kind == "edm":
        data = signal * getattr(path, "sigma_data", 1.0)
        total = np.hypot(data, sigma)
        return sigma / total / getattr(path, "sigma_data", 1.0), -data / total
    if kind == "score":
        _nonzero(sigma, "the score at t = {!r}, where sigma is 0, does not exist", t)
        return zero, -1 / sigma
    return {"x0": (one, zero), "eps": (zero, one), "v": (-sigma, signal)}[kind]


def target(kind: str, x0: Array, noise: Array, t: Time, path: GaussianPath) -> Array:
    r"""Training target of a kind of prediction, $a\, x_0 + b\, \epsilon$, for given data and noise. Source: R6, T1."""
    check_arrays(x0=x0, noise=noise)
    a, b = row(kind, t, path)
    return like(a, x0) * x0 + like(b, x0) * noise


def to_x0(prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps") -> Array:
    r"""Convert a prediction to the data that it implies, $x_0 = (b\, x_t - \sigma f) / D$.

    Raises where the prediction does not determine $x_0$, such as an $\epsilon$-prediction where $signal = 0$.
    Source: R6 [DDPM eq. 15].
    """
    check_arrays(x_t=x_t, prediction=prediction)
    (signal, sigma), (a, b) = path.signal_sigma(t), row(kind, t, path)
    if kind == "x0":
        return prediction
    D = _determinant(signal * b - sigma * a, "x0", kind, t)
    return like(b / D, x_t) * x_t - like(sigma / D, x_t) * prediction


def to_eps(prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps") -> Array:
    r"""Convert a prediction to the noise that it implies, $\epsilon = (signal\, f - a\, x_t) / D$.

    Raises where the prediction does not determine $\epsilon$, such as an $x_0$-prediction where $\sigma = 0$.
    Source: R6 [VDM eq. 29].
    """
    check_arrays(x_t=x_t, prediction=prediction)
    (signal, sigma), (a, b) = path.signal_sigma(t), row(kind, t, path)
    if kind == "eps":
        return prediction
    if all_true(a == 0):  # a multiple of eps, which needs no x_t, even where signal = 0
        return prediction / like(b, x_t)
    D = _determinant(signal * b - sigma * a, "eps", kind, t)
    return like(signal / D, x_t) * prediction - like(a / D, x_t) * x_t


def convert(prediction: Array, x_t: Array, t: Time, path: GaussianPath, source: str, to: str) -> Array:
    r"""Convert a prediction of one kind to another: solve for $x_0$ and $\epsilon$, then combine them.

    $$f_{to} = a_{to}\, x_0 + b_{to}\, \epsilon = \frac{a_{to}\, b - a\, b_{to}}{D} x_t + \frac{signal\, b_{to} - \sigma\, a_{to}}{D} f$$

    Here $(a, b)$ are the coefficients of `source`, and $(a_{to}, b_{to})$ those of `to`, as given by `row`. Raises where the
    source does not determine the result. Source: R6 [Salimans & Ho app. D].
    """
    check_arrays(x_t=x_t, prediction=prediction)
    (a, b), (a_to, b_to) = row(source, t, path), row(to, t, path)
    if source == to:
        return prediction
    if all_true(a == 0) and all_true(a_to == 0):  # multiples of eps
        return prediction * like(b_to / b, x_t)
    signal, sigma = path.signal_sigma(t)
    D = _determinant(signal * b - sigma * a, to, source, t)
    return like((a_to * b - a * b_to) / D, x_t) * x_t + like((signal * b_to - sigma * a_to) / D, x_t) * prediction


def clip_x0(prediction: Array, x_t: Array, t: Time, path: GaussianPath, kind: str = "eps", limit: float = 1.0) -> Array:
    r"""Clip the data that a prediction implies to [-limit, limit], and return the corresponding prediction of the same kind.

    $$x_0' = \min(\max(x_0, -limit), limit), \qquad \epsilon' = (x_t - signal\, x_0') / \sigma$$

    A sampler that clips $x_0$ but keeps the old $\epsilon$ combines an $x_0$ and an $\epsilon$ that do not add up to
    $x_t$. The DDPM paper scales images to [-1, 1] and does not mention clipping, but the paper's code clips.
    Source: R6 [DDPM sec. 3.3].
    """
    x0 = to_x0(prediction, x_t, t, path, kind)
    limit = cast("limit", check_scalar("limit", limit, 0, open_low=True), x0)
    return convert(np.clip(x0, -limit, limit), x_t, t, path, "x0", kind)


def tweedie_mean(x_t: Array, score: Array, t: Time, path: GaussianPath) -> Array:
    r"""Tweedie's formula: mean $E[x_0 | x_t]$ of the data, from the score of $x_t$'s marginal density.

    $$E[x_0 | x_t] = \frac{x_t + \sigma^2 \nabla \log p_t(x_t)}{signal}$$

    Raises where $signal = 0$. Source: C2 [Efron 2011].
    """
    check_arrays(x_t=x_t, score=score)
    signal, sigma = path.signal_sigma(t)
    _nonzero(signal, "Tweedie's formula at t = {!r}, where signal is 0, is undefined", t)
    return (x_t + like(sigma**2, x_t) * score) / like(signal, x_t)


def tweedie_covariance(hessian: Array, t: Time, path: GaussianPath) -> Array:
    r"""Tweedie's formula for the covariance of the data given $x_t$; `hessian` (B, d, d) -> (B, d, d).

    $$\mathrm{Cov}[x_0 | x_t] = \frac{\sigma^2}{signal^2} (I + \sigma^2 \nabla^2 \log p_t(x_t))$$

    `hessian` is $\nabla^2 \log p_t(x_t)$, the Hessian of the log of $x_t$'s marginal density. Raises where
    $signal = 0$. Source: C2 [Efron 2011].
    """
    check_arrays(hessian=hessian)
    check_shape("hessian", hessian, "B", "d", "d")
    signal, sigma = path.signal_sigma(t)
    _nonzero(signal, "Tweedie's formula at t = {!r}, where signal is 0, is undefined", t)
    identity = np.asarray(np.eye(hessian.shape[-1], dtype=hessian.dtype), like=hessian)
    return like((sigma / signal) ** 2, hessian) * (identity + like(sigma**2, hessian) * hessian)


def _determinant(D: Array, to: str, source: str, t: Time) -> Array:
    _nonzero(D, f"{source}-prediction at t = {{!r}} does not determine {to}; allowed there: another kind, such as v", t)
    return D


def _nonzero(values: Array, message: str, t: Time) -> None:
    if not holds(values != 0):
        raise ValueError(message.format(t))
