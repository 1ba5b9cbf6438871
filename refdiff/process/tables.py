"""The table behind every schedule: one number per discrete time, from which all else derives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import Array, Time, check_integer, check_number, holds


@dataclass(frozen=True, eq=False)
class Schedule:
    r"""Tables over t = 0..T; t = 0 is clean data. Only $\log\bar\alpha$ is stored, all else derives from it.

    $$\bar\alpha_t = \prod_{i=1}^t \alpha_i, \quad \alpha_t = 1 - \beta_t, \quad \mathrm{SNR}(t) = \bar\alpha_t / (1 - \bar\alpha_t)$$

    `log_alpha_bar` (T+1,) float64 starts with 0 and decreases strictly. `remainder` (T+1,) holds what rounding left out of
    it: differences between neighbours, from which beta comes back, keep full precision even where the sum is large.
    Source: F5 [DDPM eq. 4], [VDM eq. 2].
    """

    log_alpha_bar: Array
    remainder: Array

    def __post_init__(self) -> None:
        table = self.log_alpha_bar
        if table.ndim != 1 or len(table) < 2 or table[0] != 0:
            raise ValueError(f"log_alpha_bar = {table!r}; allowed: T+1 >= 2 entries, the first of them 0")
        with np.errstate(invalid="ignore"):  # -inf - -inf, where two entries keep no signal, is NaN and so refused
            steps = self.log_alpha_between(np.arange(1, self.T + 1), np.arange(self.T))
        if not np.all(steps < 0):
            raise ValueError(f"log_alpha_bar does not decrease strictly at t = {1 + int(np.argmin(steps < 0))}")

    @property
    def T(self) -> int:
        """Number of noising steps."""
        return len(self.log_alpha_bar) - 1

    @cached_property
    def alpha_bar(self) -> Array:
        r"""$\bar\alpha_t$, t = 0..T: the fraction of variance that is still data."""
        return np.exp(self.log_alpha_bar)

    @cached_property
    def one_minus_alpha_bar(self) -> Array:
        r"""$1 - \bar\alpha_t$, without the cancellation of the subtraction."""
        return 0 - np.expm1(self.log_alpha_bar)  # 0 - 0 is 0, where -0 would be negative

    @cached_property
    def beta(self) -> Array:
        r"""$\beta_t = 1 - \alpha_t$; beta[0] = 0 stands for "no noise before t = 1"."""
        t = np.arange(1, self.T + 1)
        return np.concatenate([[0.0], -np.expm1(self.log_alpha_between(t, t - 1))])

    @cached_property
    def alpha(self) -> Array:
        r"""$\alpha_t = 1 - \beta_t$."""
        return 1 - self.beta

    @cached_property
    def signal(self) -> Array:
        r"""$\sqrt{\bar\alpha_t}$."""
        return np.exp(self.log_alpha_bar / 2)

    @cached_property
    def sigma(self) -> Array:
        r"""$\sqrt{1 - \bar\alpha_t}$."""
        return np.sqrt(self.one_minus_alpha_bar)

    @cached_property
    def log_snr(self) -> Array:
        r"""$\log\mathrm{SNR}(t) = \log\bar\alpha_t - \log(1 - \bar\alpha_t)$; +inf at t = 0."""
        with np.errstate(divide="ignore"):
            return self.log_alpha_bar - np.log(self.one_minus_alpha_bar)

    @cached_property
    def snr(self) -> Array:
        r"""$\mathrm{SNR}(t)$; +inf at t = 0."""
        return np.exp(self.log_snr)

    def log_alpha_between(self, t: Time, s: Time) -> Array:
        r"""$\log\bar\alpha_t - \log\bar\alpha_s$ for s < t, to full relative precision. Source: F2 [VDM eq. 21]."""
        return (self.log_alpha_bar[t] - self.log_alpha_bar[s]) + (self.remainder[t] - self.remainder[s])

    def transition(self, t: Time, s: Time) -> tuple[Array, Array]:
        r"""Fraction of the variance that is kept, and variance of the noise that is added, between s and t.

        $$\alpha_{t|s} = \bar\alpha_t / \bar\alpha_s, \qquad \beta_{t|s} = 1 - \alpha_{t|s}$$

        For s = t - 1 these are alpha_t and beta_t. Raises unless 0 <= s < t <= T. Source: F2 [VDM eq. 21, 22].
        """
        t, s = self.pair(t, s)
        log_alpha = self.log_alpha_between(t, s)
        return np.exp(log_alpha), -np.expm1(log_alpha)

    def signal_sigma(self, t: Time) -> tuple[Array, Array]:
        r"""$(\sqrt{\bar\alpha_t}, \sqrt{1 - \bar\alpha_t})$: x_t = signal x0 + sigma eps. Raises unless t is in 0..T. Source: F3 [DDPM eq. 4]."""
        t = self.time(t)
        return self.signal[t], self.sigma[t]

    def rates(self, t: Time) -> tuple[Array, Array]:
        """(1, -1): rescaled to x_t / (signal + sigma), a diffusion walks the straight path from noise to data (M5)."""
        one = np.ones_like(self.time(t), np.float64)
        return one, -one

    def time(self, t: Time, name: str = "t", low: int = 0) -> Array:
        """t as an integer array of shape () or (B,), or an error unless it lies in low..T."""
        return check_integer(name, t, low, self.T)

    def pair(self, t: Time, s: Time) -> tuple[Array, Array]:
        """(t, s) as integer arrays, or an error unless 0 <= s < t <= T."""
        t, s = self.time(t, low=1), self.time(s, "s")
        if s.ndim and t.ndim and s.shape != t.shape:
            raise ValueError(f"s has shape {s.shape}; allowed: () or {t.shape}, the shape of t")
        if not holds(s < t):
            raise ValueError(f"s = {s!r} is not below t = {t!r}; allowed: 0 <= s < t <= T = {self.T}")
        return t, s

    def draw_time(self, uniform: Array) -> Array:
        """Uniform numbers in [0, 1] to uniform times in 1..T."""
        check_number("uniform", uniform, 0, 1)
        return np.minimum(1 + np.floor(uniform * self.T).astype(np.int64), self.T)

    def clock(self, t: Time) -> Array:
        """t in the units of 0..1000 that networks see, whatever T."""
        return self.time(t) * (1000 / self.T)
