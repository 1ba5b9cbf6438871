"""Noise schedules, which set how much signal is left at each discrete time. Time grids of samplers are in `grids`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array
from ..arrays import sigmoid as logistic
from ..checks import as_float64, check_number, check_scalar
from .grids import GRIDS as GRIDS
from .grids import MAX_T as MAX_T
from .grids import check_chain as check_chain
from .grids import check_grid as check_grid
from .grids import check_steps
from .grids import check_times as check_times
from .grids import grid as grid
from .tables import Schedule as Schedule
from .tables import exact_sums


def from_betas(betas: Any) -> Schedule:
    r"""Schedule from $\beta_1, \ldots, \beta_T$, each in (0, 1). The last may be 1, which leaves no signal.

    $$\log\bar\alpha_t = \sum_{i=1}^t \log(1 - \beta_i)$$

    Source: F5 [DDPM eq. 4].
    """
    betas = as_float64("betas", betas)
    if betas.ndim != 1 or betas.size == 0:
        raise ValueError(f"betas has shape {betas.shape}; allowed: (T,) with T >= 1")
    inside = (betas > 0) & (betas < 1)
    inside[-1] |= betas[-1] == 1
    if not inside.all():
        t = int(np.argmin(inside)) + 1
        raise ValueError(f"beta_{t} = {betas[t - 1]}; allowed: inside (0, 1), or 1 for the last")
    with np.errstate(divide="ignore"):
        return _from_log_alpha(np.log1p(-betas))


def from_alpha_bars(alpha_bars: Any) -> Schedule:
    r"""Schedule from $\bar\alpha_1, \ldots, \bar\alpha_T$, strictly decreasing, below 1. The last may be 0.

    $$\beta_t = (\bar\alpha_{t-1} - \bar\alpha_t) / \bar\alpha_{t-1}$$

    Source: F5.
    """
    alpha_bars = as_float64("alpha_bars", alpha_bars)
    check_number("alpha_bars", alpha_bars, 0, 1)
    alpha_bars = _decreasing("alpha_bar", 1.0, alpha_bars)
    now, before = alpha_bars[1:], alpha_bars[:-1]
    with np.errstate(divide="ignore"):
        return _from_table(np.log(alpha_bars), (before - now) / before, np.log(now / before))


def from_log_snr(log_snr: Any) -> Schedule:
    r"""Schedule from log-SNRs $\lambda_1, \ldots, \lambda_T$, strictly decreasing.

    $$\bar\alpha_t = \mathrm{sigmoid}(\lambda_t), \qquad \log\bar\alpha_t = -\log(1 + e^{-\lambda_t}), \qquad
      \beta_t = \mathrm{sigmoid}(-\lambda_t) (1 - e^{\lambda_t - \lambda_{t-1}})$$

    Raises above $\lambda = 745$, where $1 - \bar\alpha$ is below the smallest float64 number. Source: F5 [VDM eq. 4].
    """
    log_snr = as_float64("log_snr", log_snr)
    check_number("log_snr", log_snr, high=745)
    log_snr = _decreasing("log_snr", np.inf, log_snr)
    log_alpha_bar = 0 - np.logaddexp(0, -log_snr)
    betas = logistic(-log_snr[1:]) * -np.expm1(np.diff(log_snr))
    return _from_table(log_alpha_bar, betas, np.diff(log_alpha_bar))


def linear(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    r"""Linear schedule: $\beta_t$ in equal steps.

    $$\beta_t = \frac{1000}{T}\Bigl(\beta_{start} + \frac{t - 1}{T - 1}(\beta_{end} - \beta_{start})\Bigr)$$

    The default `beta_start` and `beta_end` are meant for $T = 1000$. The factor $1000 / T$ keeps $\bar\alpha_T$ at
    about the same value for other $T$. For $T = 1$ only `beta_start` is used. Raises where a $\beta_t$ exceeds 1: with
    the default range, for $T = 2$ to 19. At $T = 20$ the last $\beta_t$ is 1, which leaves no signal.
    Source: F5 [DDPM sec. 4].
    """
    T, beta_start, beta_end = _check_range(T, beta_start, beta_end)
    return from_betas(_equal_steps(beta_start, beta_end, T) * (1000 / T))


def quadratic(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    r"""Quadratic schedule: $\sqrt{\beta_t}$ in equal steps, with the range scaled as in `linear`.

    $$\beta_t = \frac{1000}{T}\Bigl(\sqrt{\beta_{start}} + \frac{t - 1}{T - 1}(\sqrt{\beta_{end}} - \sqrt{\beta_{start}})\Bigr)^2$$

    Source: F5 [DDPM app. B].
    """
    T, beta_start, beta_end = _check_range(T, beta_start, beta_end)
    return from_betas(_equal_steps(np.sqrt(beta_start), np.sqrt(beta_end), T) ** 2 * (1000 / T))


def scaled_linear(T: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012) -> Schedule:
    """Schedule of Stable Diffusion, `quadratic` with other default betas. The diffusers library calls it "scaled linear".

    Source: F5 [LDM], [Lin et al. table 1].
    """
    return quadratic(T, beta_start, beta_end)


def cosine(T: int = 1000, offset: float = 0.008, beta_max: float = 0.999) -> Schedule:
    r"""Cosine schedule: $\bar\alpha_t$ decreases as a squared cosine, with $\beta_t$ clipped.

    $$\bar\alpha_t = \frac{\cos^2 \theta_t}{\cos^2 \theta_0}, \quad \theta_t = \frac{t/T + offset}{1 + offset} \frac\pi2, \quad
      \beta_t = \min\Bigl(1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}}, \beta_{max}\Bigr)$$

    The table holds the product of the clipped $1 - \beta_t$, which is not 0 at $T$ unless `beta_max` is 1. The difference of
    squared cosines is computed as $\sin(\theta_t + \theta_{t-1}) \sin(\theta_t - \theta_{t-1})$, without cancellation. A
    cosine near 0 is the sine of the complement $\frac\pi2 - \theta_t$. Source: F5 [Improved DDPM eq. 17].
    """
    offset, beta_max = check_scalar("offset", offset, 0, 1e300), check_scalar("beta_max", beta_max, 0, 1, open_low=True)
    T = check_steps(T)
    t, step = np.arange(1, T + 1), np.pi / 2 / (T * (1 + offset))
    both = np.minimum(2 * (t + T * offset) - 1, 2 * (T - t) + 1) * step  # theta_t + theta_{t-1}, or pi less it
    cosine = np.sin((T + 1 - t) * step)  # of theta_{t-1}
    return from_betas(np.minimum(np.sin(both) / cosine * (np.sin(step) / cosine), beta_max))


def sigmoid(T: int = 1000, start: float = -3, end: float = 3, tau: float = 1, beta_max: float = 0.999) -> Schedule:
    r"""Sigmoid schedule: $\bar\alpha_t$ decreases as a logistic function, with $\beta_t$ clipped.

    $$\bar\alpha_t = \frac{\varsigma(end/\tau) - \varsigma(u_t/\tau)}{\varsigma(end/\tau) - \varsigma(start/\tau)}, \quad u_t = start + \frac tT (end - start)$$

    Here $\varsigma(u) = 1 / (1 + e^{-u})$ is the logistic function. $\beta_t$ is clipped to `beta_max` as in `cosine`.
    Since $\varsigma(2h) = (1 + \tanh h) / 2$, differences are computed as
    $\tanh a - \tanh b = \sinh(a - b) / (\cosh a \cosh b)$, without cancellation.
    Source: F5 [Jabri et al. fig. 8], [Chen 2023].
    """
    tau, beta_max = check_scalar("tau", tau, 0, open_low=True), check_scalar("beta_max", beta_max, 0, 1, open_low=True)
    furthest = 700 * tau  # beyond, the cosh overflows
    start, end = check_scalar("start", start, -furthest, furthest), check_scalar("end", end, -furthest, furthest)
    check_number("|end - start|", abs(end - start), 0, open_low=True)
    T = check_steps(T)
    t, step = np.arange(1, T + 1), (end - start) / (2 * tau * T)
    now = start / (2 * tau) + t * step
    betas = (np.sinh(step) / np.sinh((T + 1 - t) * step)) * (np.cosh(end / (2 * tau)) / np.cosh(now))
    return from_betas(np.minimum(betas, beta_max))


def zero_terminal_snr(schedule: Schedule) -> Schedule:
    r"""Rescale a schedule to zero terminal SNR: no signal is left at $T$, and the noise level at $t = 1$ is unchanged.

    $$\sqrt{\bar\alpha_t}' = (\sqrt{\bar\alpha_t} - \sqrt{\bar\alpha_T}) \frac{\sqrt{\bar\alpha_1}}{\sqrt{\bar\alpha_1} - \sqrt{\bar\alpha_T}}$$

    It is computed as a product of steps. With $r_{t|s} = 1 - \sqrt{\alpha_{t|s}}$, the fraction of the signal that the
    old steps lose, the new step loses the fraction $r_{t|t-1} / r_{T|t-1}$ and keeps
    $\sqrt{\alpha_t} r_{T|t} / r_{T|t-1}$. Needs $T \ge 2$. Source: F5 [Lin et al. alg. 1].
    """
    if schedule.T < 2:
        raise ValueError(f"schedule has T = {schedule.T}; allowed: T >= 2, since t = 1 keeps its level and T loses its own")
    t = np.arange(1, schedule.T)
    log_signal = schedule.log_alpha_between(t + 1, t) / 2
    to_end = np.append(-np.expm1(schedule.log_alpha_between(schedule.T, t) / 2), 0)
    lost, kept = -np.expm1(log_signal) / to_end[:-1], np.exp(log_signal) * to_end[1:] / to_end[:-1]
    with np.errstate(divide="ignore"):
        log_alpha = 2 * np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), np.log(kept))
    return _from_log_alpha(np.append(schedule.log_alpha_between(1, 0), log_alpha))


def _check_range(T: int, beta_start: float, beta_end: float) -> tuple[int, float, float]:
    beta_start, beta_end = check_scalar("beta_start", beta_start, 0, open_low=True), check_scalar("beta_end", beta_end, 0, open_low=True)
    return check_steps(T), beta_start, beta_end


def _equal_steps(start: float, end: float, T: int) -> Array:
    """From start to end in T - 1 equal steps, counted from the smaller end, so that nothing cancels; T = 1 takes the start."""
    T = check_steps(T)
    return np.linspace(end, start, T)[::-1] if T > 1 and end < start else np.linspace(start, end, T)


def _decreasing(name: str, start: float, values: Array) -> Array:
    """The start and the values, (T+1,). Raises unless they decrease strictly."""
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name}s has shape {values.shape}; allowed: (T,) with T >= 1")
    values = np.concatenate([[start], values])
    falls = np.diff(values) < 0
    if not falls.all():
        t = int(np.argmin(falls)) + 1
        raise ValueError(f"{name}_{t} = {values[t]}; allowed: below {name}_{t - 1} = {values[t - 1]}")
    return values


def _from_log_alpha(log_alpha: Array) -> Schedule:
    """The schedule of these steps (T,)."""
    return Schedule(*_running_sum(log_alpha), log_alpha)


def _from_table(log_alpha_bar: Array, betas: Array, log_alpha: Array) -> Schedule:
    """The schedule of a table (T+1,), with steps from the betas (T,) where these are small, and else from their logarithms."""
    log_alpha = np.where(betas < 0.5, np.log1p(-np.minimum(betas, 0.5)), log_alpha)
    return Schedule(log_alpha_bar, np.zeros_like(log_alpha_bar), log_alpha)


def _running_sum(terms: Array) -> tuple[Array, Array]:
    """Prefix sums (T+1,) and what their rounding removed."""
    words = exact_sums(terms)
    total = np.sum(words[::-1], axis=0)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        rest = sum(words, -total)
    return total, np.where(np.isfinite(rest), rest, 0)
