r"""Exponential integrators: the probability-flow ODE and its SDEs in the variable $\lambda = \log(signal / \sigma)$, half the log-SNR.

In $\lambda$ the linear part of the equation is solved exactly. Only the prediction is approximated, by a polynomial through its
values at some times. The DPM-Solver family and UniPC differ in these times, and in whether $x_0$ or $\epsilon$ is approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial

import numpy as np

from ..arrays import Array, GaussianPath, Time, all_true, like
from ..checks import check_arrays, check_choice, check_count, check_number, check_scalar
from .nodes import half_log_snr, nodes_of, weights

VARIANTS = ("taylor", "midpoint", "bh1")
SERIES, TERMS = 4.0, 40  # phi by its series for |z| up to 4: the term left out is below 1e-20


def phi(k: int, z: Array) -> Array:
    r"""Function $\varphi_k$ of exponential integrators, to a few ulp; `z` is real, of any shape.

    $$\varphi_0(z) = e^z, \qquad \varphi_{k + 1}(z) = \frac{\varphi_k(z) - 1 / k!}{z}, \qquad
      \varphi_k(z) = \int_0^1 e^{(1 - \theta) z} \frac{\theta^{k - 1}}{(k - 1)!} d\theta$$

    Near $z = 0$ the recursion loses all digits, and a series of positive terms takes its place.
    Source: K4 [Hochbruck & Ostermann sec. 2.1].
    """
    k = check_count("k", k, 0, 7)
    z = check_number("z", z, -700, 700) * 1.0
    if k == 0:
        return np.exp(z)
    small, j = np.minimum(abs(z), SERIES), np.arange(TERMS)[::-1]
    factorials = np.array([float(factorial(n)) for n in range(k + TERMS)])
    above = np.polyval(1 / factorials[j + k], small)
    below = np.polyval(k / ((j + k) * factorials[j]), small) * np.exp(-small) / factorials[k]
    large = np.where(abs(z) > SERIES, z, 1.0)
    recursion = np.expm1(large) / large
    for n in range(1, k):
        recursion = (recursion - 1 / factorials[n]) / large
    return np.where(abs(z) > SERIES, recursion, np.where(z > 0, above, below))[()]


def dpmpp_step(
    x_t: Array,
    x0: Sequence[Array],
    times: Sequence[Time],
    s: Time,
    path: GaussianPath,
    variant: str = "midpoint",
    eta: float = 0.0,
    noise: Array | None = None,
) -> Array:
    r"""Step of DPM-Solver++ from `times[0]` $= t$ to $s$, with the data predictions `x0[j]` (B, ...) of one or more times.

    $$x_s = \frac{\sigma_s}{\sigma_t} e^{-\eta h} x_t + signal_s \sum_j w_j \hat x_0(t_j) + \sigma_s \sqrt{1 - e^{-2 \eta h}}\, z$$

    $h = \lambda_s - \lambda_t$. The weights $w_j$ solve, with the nodes $r_j = (\lambda_{t_j} - \lambda_t) / h$ and $H = (1 + \eta) h$,

    $$\sum_j w_j r_j^k = \int_0^1 H e^{-(1 - \theta) H} \theta^k d\theta = H\, k!\, \varphi_{k + 1}(-H), \qquad k = 0, 1, \ldots$$

    so that predictions which are polynomials in $\lambda$ are integrated exactly. Only for two times, two other variants replace the
    moment of $k = 1$: "midpoint" by half of that of $k = 0$, as in DPM-Solver++ and in UniPC with its $B_2$, and "bh1" by $H / 2$, as in
    UniPC with its $B_1$. $\eta = 0$ is the ODE and $\eta = 1$ the reverse SDE: $\eta$ is $k^2$ of
    `sde.reverse_drift`, not DDIM's, which is a factor of the standard deviation. For $\eta > 0$ the `noise` $z$ is needed.

    | solver | times |
    |---|---|
    | DDIM ($\eta = 0$), DDPM ($\eta = 1$) | $t$ |
    | 2M, 3M; UniP-2, UniP-3 | $t$, and one or two before it |
    | 2S | $t$, and one between $t$ and $s$ |
    | UniC | $t$, those before it, and $s$ |

    Where $\sigma_s = 0$ or $signal_t = 0$, $h$ is infinite, and only one prediction is allowed.
    Source: K4, K6, K7, K8 [DPM-Solver++ eq. 8], [UniPC eq. 5].
    """
    eta = check_scalar("eta", eta, 0, 1e3)
    _, sigma_t, signal_s, sigma_s, h, r = nodes_of(x_t, "x0", x0, times, s, path, half_log_snr)
    _check_direction(eta, h, s, times, sigma_t)
    H = (1 + eta) * h
    moments = [-np.expm1(-H)] + [H * factorial(k) * phi(k + 1, -H) for k in range(1, len(r))]
    w = weights(r, _second(moments, variant, lambda: H / 2))
    kept = sigma_s / sigma_t if eta == 0 else sigma_s / sigma_t * np.exp(-eta * h)
    spread = 0 * sigma_s if eta == 0 else sigma_s * np.sqrt(-np.expm1(-2 * eta * h))
    return combined(x_t, kept, x0, [signal_s * each for each in w], spread, noise)


def dpm_solver_step(
    x_t: Array,
    eps: Sequence[Array],
    times: Sequence[Time],
    s: Time,
    path: GaussianPath,
    variant: str = "midpoint",
    eta: float = 0.0,
    noise: Array | None = None,
) -> Array:
    r"""Step of DPM-Solver from `times[0]` $= t$ to $s$, with the noise predictions `eps[j]` (B, ...) of one or more times.

    $$x_s = \frac{signal_s}{signal_t} x_t - signal_s \frac{\sigma_t}{signal_t} \sum_j w_j \hat\epsilon(t_j) + \sigma_s \sqrt{\eta (e^{2h} - 1)}\, z$$

    The weights solve the equations of `dpmpp_step` with other moments:

    $$\sum_j w_j r_j^k = (1 + \eta) \int_0^1 h e^{-\theta h} \theta^k d\theta = (1 + \eta) h\, k!\, e^{-h} \varphi_{k + 1}(h)$$

    DPM-Solver-2 is this step with $t$ and the middle between $t$ and $s$; DPM-Solver-3 with $t$ and two thirds of the way, and the variant
    "taylor". Raises where $signal_t = 0$, and for $\eta > 0$ where $\sigma_s = 0$, since noise would stay.
    Source: K4, K5, K7 [DPM-Solver eq. 3.4].
    """
    eta = check_scalar("eta", eta, 0, 1e3)
    signal_t, sigma_t, signal_s, sigma_s, h, r = nodes_of(x_t, "eps", eps, times, s, path, half_log_snr)
    _check_direction(eta, h, s, times, sigma_t)
    if not all_true(signal_t > 0) or (eta > 0 and not all_true(sigma_s > 0)):
        raise ValueError(f"times[0] = {times[0]!r}, s = {s!r}; allowed: signal above 0 at times[0], and for eta > 0 sigma above 0 at s")
    moments = [-np.expm1(-h)] + [h * factorial(k) * np.exp(-h) * phi(k + 1, h) for k in range(1, len(r))]
    w = weights(r, _second(moments, variant, lambda: h * np.exp(-h) / 2))
    factor = signal_s * sigma_t / signal_t
    spread = 0 * sigma_s if eta == 0 else factor * np.sqrt(-eta * np.expm1(-2 * h))
    return combined(x_t, signal_s / signal_t, eps, [-(1 + eta) * factor * each for each in w], spread, noise)


def _check_direction(eta: float, h: Array, s: Time, times: Sequence[Time], sigma_t: Array) -> None:
    if not all_true(sigma_t > 0):
        raise ValueError(f"times[0] = {times[0]!r} is clean data; allowed: a time with noise")
    if eta > 0 and not np.all(h > 0):
        raise ValueError(f"s = {s!r} is noisier than times[0] = {times[0]!r}; allowed for eta > 0: a time with less noise")


def _second(moments: list[Array], variant: str, bh1: Callable[[], Array]) -> list[Array]:
    """The moments of a variant: with two times, the second one is replaced."""
    check_choice("variant", variant, VARIANTS)
    if len(moments) != 2 or variant == "taylor":
        return moments
    return [moments[0], moments[0] / 2 if variant == "midpoint" else bh1()]


def combined(
    x_t: Array, kept: Array, predictions: Sequence[Array], w: Sequence[Array], spread: Array | float = 0.0, noise: Array | None = None
) -> Array:
    """The state times `kept`, plus each prediction times its weight, plus the noise times `spread`."""
    x_s = like(kept, x_t) * x_t
    for weight, prediction in zip(w, predictions, strict=True):
        x_s = x_s + like(weight, x_t) * prediction
    if np.all(spread == 0):
        return x_s
    if noise is None:
        raise ValueError("noise = None; allowed: an array of x_t's shape, unless eta = 0 or sigma = 0 at s")
    check_arrays(x_t=x_t, noise=noise)
    return x_s + like(spread, x_t) * noise
