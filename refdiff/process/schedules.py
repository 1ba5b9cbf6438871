"""Noise schedules: how much of the data is left at each discrete time, and the grids of times that samplers walk."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, check_choice, check_integer, check_number
from .tables import Schedule as Schedule

GRIDS = ("linspace", "leading", "trailing", "quadratic")
MAX_T = 10**7


def from_betas(betas: Any) -> Schedule:
    r"""The schedule of T given $\beta_1..\beta_T$, each in (0, 1); a last beta of 1 is allowed and leaves no signal.

    $$\log\bar\alpha_t = \sum_{i=1}^t \log(1 - \beta_i)$$

    Source: F5 [DDPM eq. 4].
    """
    betas = np.asarray(betas, dtype=np.float64)
    if betas.ndim != 1 or betas.size == 0:
        raise ValueError(f"betas has shape {betas.shape}; allowed: (T,) with T >= 1")
    inside = (betas > 0) & (betas < 1)
    inside[-1] |= betas[-1] == 1
    if not inside.all():
        t = int(np.argmin(inside)) + 1
        raise ValueError(f"beta_{t} = {betas[t - 1]}; allowed: inside (0, 1), or 1 for the last")
    with np.errstate(divide="ignore"):
        return Schedule(*_running_sum(np.log1p(-betas)))


def from_alpha_bars(alpha_bars: Any) -> Schedule:
    r"""The schedule of T given $\bar\alpha_1..\bar\alpha_T$: strictly decreasing, below 1; a last one of 0 is allowed. Source: F5."""
    alpha_bars = np.asarray(alpha_bars, dtype=np.float64)
    check_number("alpha_bars", alpha_bars, 0, 1)
    with np.errstate(divide="ignore"):
        return _from_log_alpha_bar(np.log(alpha_bars))


def from_log_snr(log_snr: Any) -> Schedule:
    r"""The schedule of T given log-SNRs $\lambda_1..\lambda_T$, strictly decreasing.

    $$\bar\alpha_t = \mathrm{sigmoid}(\lambda_t), \qquad \log\bar\alpha_t = -\log(1 + e^{-\lambda_t})$$

    Source: F5 [VDM eq. 4].
    """
    log_snr = np.asarray(log_snr, dtype=np.float64)
    check_number("log_snr", log_snr)
    return _from_log_alpha_bar(-np.logaddexp(0, -log_snr))


def linear(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    r"""Betas in equal steps.

    $$\beta_t = \frac{1000}{T}\Bigl(\beta_{start} + \frac{t - 1}{T - 1}(\beta_{end} - \beta_{start})\Bigr)$$

    The range belongs to T = 1000; the factor keeps alpha_bar_T in place for other T. T = 1 takes beta_start. Betas above 1 raise:
    with the default range T = 2 to 19, while T = 20 ends in a beta of 1, without any signal. Source: F5 [DDPM sec. 4].
    """
    _check_range(beta_start, beta_end)
    return from_betas(np.linspace(beta_start, beta_end, check_steps(T)) * (1000 / T))


def quadratic(T: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    r"""Square roots of betas in equal steps, the range scaled as in `linear`.

    $$\beta_t = \frac{1000}{T}\Bigl(\sqrt{\beta_{start}} + \frac{t - 1}{T - 1}(\sqrt{\beta_{end}} - \sqrt{\beta_{start}})\Bigr)^2$$

    Source: F5 [DDPM app. B].
    """
    _check_range(beta_start, beta_end)
    return from_betas(np.linspace(np.sqrt(beta_start), np.sqrt(beta_end), check_steps(T)) ** 2 * (1000 / T))


def scaled_linear(T: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012) -> Schedule:
    """The quadratic rule with the range of Stable Diffusion, which diffusers calls "scaled linear". Source: F5 [LDM], [Lin et al. table 1]."""
    return quadratic(T, beta_start, beta_end)


def cosine(T: int = 1000, offset: float = 0.008, beta_max: float = 0.999) -> Schedule:
    r"""$\bar\alpha$ that falls like a squared cosine.

    $$\bar\alpha_t = \frac{\cos^2 \theta_t}{\cos^2 \theta_0}, \quad \theta_t = \frac{t/T + offset}{1 + offset} \frac\pi2, \quad
      \beta_t = \min\Bigl(1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}}, \beta_{max}\Bigr)$$

    The table holds the product of the clipped $1 - \beta_t$, which is not 0 at T unless beta_max is 1. The difference of squared
    cosines is taken as $\sin(\theta_t + \theta_{t-1}) \sin(\theta_t - \theta_{t-1})$, which does not cancel. Source: F5 [Improved DDPM eq. 17].
    """
    check_number("offset", offset, 0)
    check_number("beta_max", beta_max, 0, 1, open_low=True)
    theta = (np.arange(check_steps(T) + 1) / T + offset) / (1 + offset) * np.pi / 2
    now, before, step = theta[1:], theta[:-1], np.pi / 2 / (T * (1 + offset))
    betas = np.sin(now + before) * np.sin(step) / np.cos(before) ** 2
    return from_betas(np.minimum(betas, beta_max))


def sigmoid(T: int = 1000, start: float = -3, end: float = 3, tau: float = 1, beta_max: float = 0.999) -> Schedule:
    r"""$\bar\alpha$ that falls like a logistic curve.

    $$\bar\alpha_t = \frac{\varsigma(end/\tau) - \varsigma(u_t/\tau)}{\varsigma(end/\tau) - \varsigma(start/\tau)}, \quad u_t = start + \frac tT (end - start)$$

    with the logistic function $\varsigma(2h) = (1 + \tanh h) / 2$, and betas clipped to beta_max as in `cosine`. Differences are taken as
    $\tanh a - \tanh b = \sinh(a - b) / (\cosh a \cosh b)$, which does not cancel. Source: F5 [Jabri et al. fig. 8], [Chen 2023].
    """
    check_number("tau", tau, 0, open_low=True)
    check_number("start", start, -700 * tau, 700 * tau)  # beyond, the cosh overflows
    check_number("end", end, -700 * tau, 700 * tau)
    check_number("|end - start|", abs(end - start), 0, open_low=True)
    check_number("beta_max", beta_max, 0, 1, open_low=True)
    t, step = np.arange(1, check_steps(T) + 1), (end - start) / (2 * tau * T)
    now = start / (2 * tau) + t * step
    betas = np.sinh(step) * np.cosh(end / (2 * tau)) / (np.cosh(now) * np.sinh((T + 1 - t) * step))
    return from_betas(np.minimum(betas, beta_max))


def zero_terminal_snr(schedule: Schedule) -> Schedule:
    r"""The schedule shifted and stretched so that nothing of the data is left at T, while t = 1 stays.

    $$\sqrt{\bar\alpha_t}' = (\sqrt{\bar\alpha_t} - \sqrt{\bar\alpha_T}) \frac{\sqrt{\bar\alpha_1}}{\sqrt{\bar\alpha_1} - \sqrt{\bar\alpha_T}}$$

    That is $\log\bar\alpha_t' = \log\bar\alpha_1 + 2 \log(1 - f_t / f_T)$ with $f_t = 1 - \sqrt{\bar\alpha_t / \bar\alpha_1}$, and near T, where
    this would cancel, $f_T - f_t = \sqrt{\bar\alpha_t / \bar\alpha_1} (1 - \sqrt{\bar\alpha_T / \bar\alpha_t})$. Needs T >= 2. Source: F5 [Lin et al. alg. 1].
    """
    if schedule.T < 2:
        raise ValueError(f"schedule has T = {schedule.T}; allowed: T >= 2, since t = 1 keeps its level and T loses its own")
    t = np.arange(1, schedule.T + 1)
    log_signal = schedule.log_alpha_between(t, 1) / 2
    lost = -np.expm1(log_signal)
    kept = np.append(np.exp(log_signal[:-1]) * -np.expm1(schedule.log_alpha_between(schedule.T, t[:-1]) / 2), 0)
    with np.errstate(divide="ignore"):
        log_ratio = np.where(lost < kept, np.log1p(-lost / lost[-1]), np.log(kept / lost[-1]))
    return _from_log_alpha_bar(schedule.log_alpha_bar[1] + 2 * log_ratio)


def grid(kind: str, T: int, S: int) -> Array:
    r"""S + 1 strictly decreasing times for S sampler steps; the last is 0, clean data. Integer arithmetic, any S in 1..T.

    | kind | times before the final 0, i = S..1 |
    |---|---|
    | linspace | T to 1 in equal steps, halves rounded up |
    | leading | 1 + (i - 1) floor(T / S), which starts below T unless S = T |
    | trailing | i T / S, halves rounded up |
    | quadratic | max(i, T (i / S)^2), halves rounded up |

    Source: S2 [Lin et al. table 2], [DDIM app. D.2].
    """
    check_choice("kind", kind, GRIDS)
    check_integer("S", S, 1, check_steps(T))
    i = np.arange(S, 0, -1)
    if kind == "linspace":
        times = 1 + _rounded((i - 1) * (T - 1), S - 1) if S > 1 else np.array([T])
    elif kind == "leading":
        times = 1 + (i - 1) * (T // S)
    elif kind == "trailing":
        times = _rounded(i * T, S)
    else:
        times = np.maximum(i, _rounded(i * i * T, S * S))
    return np.append(times, 0)


def check_grid(times: Any, T: int) -> Array:
    """The times as an array, or an error unless they are integers, decrease strictly from at most T, and end in 0."""
    times = check_integer("grid", np.asarray(times), 0, T)
    if times.ndim != 1 or len(times) < 2 or times[-1] != 0 or not np.all(np.diff(times) < 0):
        raise ValueError(f"grid = {times!r}; allowed: strictly decreasing integers from at most T = {T}, the last of them 0")
    return times


def check_chain(entries: Any, times: Any, T: int = MAX_T, name: str = "states") -> Array:
    """The grid of a chain, as `check_grid` gives it, or an error unless there is one state for each time (one noise for each step)."""
    times = check_grid(times, T)
    wanted = len(times) - (name == "noise")
    if hasattr(entries, "__len__") and len(entries) != wanted:
        raise ValueError(
            f"{name} has {len(entries)} entries; allowed: {wanted}, one for each {'step' if name == 'noise' else 'time'} of the grid"
        )
    return times


def check_steps(T: int) -> int:
    """T, or an error unless it is a positive integer."""
    return int(check_integer("T", T, 1, MAX_T))


def _check_range(beta_start: float, beta_end: float) -> None:
    check_number("beta_start", beta_start, 0, open_low=True)
    check_number("beta_end", beta_end, 0, open_low=True)


def _rounded(numerator: Array, denominator: int) -> Array:
    return (2 * numerator + denominator) // (2 * denominator)


def _from_log_alpha_bar(table: Array) -> Schedule:
    if table.ndim != 1:
        raise ValueError(f"table has shape {table.shape}; allowed: (T,) with T >= 1")
    table = np.concatenate([[0.0], table])
    return Schedule(table, np.zeros_like(table))


def _running_sum(terms: Array) -> tuple[Array, Array]:
    """Prefix sums as unevaluated pairs (sum, remainder), by Knuth's exact two-term addition. Source: [TAOCP sec. 4.2.2]."""
    total, rest, sums, rests = 0.0, 0.0, [0.0], [0.0]
    for term in terms.tolist():
        new = total + term
        virtual = new - total
        rest += (total - (new - virtual)) + (term - virtual) if np.isfinite(new) else 0.0
        total = new
        sums.append(total + rest)
        rests.append((total - sums[-1]) + rest if np.isfinite(new) else 0.0)
    return np.array(sums), np.array(rests)
