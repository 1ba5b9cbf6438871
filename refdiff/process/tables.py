r"""Tables of a noise schedule: $\log\bar\alpha_t$ for every discrete time, and the quantities derived from it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np

from ..arrays import Array, Time, as_array, holds, read_only
from ..checks import check_integer, check_number, check_real, check_shapes


@dataclass(frozen=True, eq=False)
class Schedule:
    r"""Noise schedule as tables over $t = 0, \ldots, T$, where $t = 0$ is clean data.

    $$\bar\alpha_t = \prod_{i=1}^t \alpha_i, \quad \alpha_t = 1 - \beta_t, \quad \mathrm{SNR}(t) = \bar\alpha_t / (1 - \bar\alpha_t)$$

    Only logarithms are stored; all other tables are computed from them, and all are read-only. `log_alpha_bar` (T+1,),
    float64, starts with 0 and decreases. `remainder` (T+1,) holds its rounding error. `log_alpha` (T,) holds the single
    steps $\log\alpha_t$, all below 0, if they are known: a small step is lost in the rounding of a large sum. Without it
    the steps are the differences of `log_alpha_bar` and `remainder`. Source: F5 [DDPM eq. 4], [VDM eq. 2].
    """

    log_alpha_bar: Array
    remainder: Array
    log_alpha: Array | None = None

    def __post_init__(self) -> None:
        self._check_tables()
        for field in fields(self):
            if getattr(self, field.name) is not None:  # a copy, which the caller's array does not change
                object.__setattr__(self, field.name, read_only(np.array(getattr(self, field.name), subok=True)))
        table, steps = self.log_alpha_bar, self.log_alpha
        if table.ndim != 1 or len(table) < 2 or table[0] != 0:
            raise ValueError(f"log_alpha_bar = {table!r}; allowed: T+1 >= 2 entries, the first of them 0")
        if steps is not None and steps.shape != table[1:].shape:
            raise ValueError(f"log_alpha has shape {steps.shape}; allowed: {table[1:].shape}, one step for each t of 1..T")
        with np.errstate(invalid="ignore"):  # -inf - -inf, where two entries keep no signal, is NaN and so refused
            steps = self.log_alpha_between(np.arange(1, self.T + 1), np.arange(self.T))
        if not np.all(steps < 0):
            t = 1 + int(np.argmin(steps < 0))
            raise ValueError(f"log_alpha_bar[{t}] = {table[t]}; allowed: below log_alpha_bar[{t - 1}] = {table[t - 1]}")
        if self.log_alpha is not None and not np.allclose(sum(self._words), table, 1e-9, 1e-300):
            raise ValueError(f"log_alpha = {self.log_alpha!r}; allowed: the steps of log_alpha_bar, which add up to it")

    def __repr__(self) -> str:
        return f"Schedule(T={self.T}, log SNR {self.log_snr[1]:.3g} to {self.log_snr[-1]:.3g})"

    def __reduce__(self) -> Any:
        return type(self), (self.log_alpha_bar, self.remainder, self.log_alpha)  # copies are read-only too

    def _check_tables(self) -> None:
        for name, table in vars(self).items():
            if name == "log_alpha" and table is None:
                continue
            if type(table) is np.ma.MaskedArray or getattr(table, "dtype", None) != np.float64:
                raise TypeError(f"{name} = {table!r}; allowed: a float64 array")
        table, rest, steps = self.log_alpha_bar, self.remainder, self.log_alpha
        if steps is not None and not np.all((steps <= 0) & ((steps > -1e300) | (steps == -np.inf))):
            raise ValueError(f"log_alpha = {steps!r}; allowed: negative numbers")
        if rest.shape != table.shape or not np.all(abs(rest) <= 2**-52 * abs(np.where(np.isfinite(table), table, 0))):
            raise ValueError(f"remainder = {rest!r}; allowed: shape {table.shape}, what the rounding of log_alpha_bar removed")

    @property
    def T(self) -> int:
        """Number of time steps."""
        return len(self.log_alpha_bar) - 1

    @cached_property
    def alpha_bar(self) -> Array:
        r"""Signal fraction $\bar\alpha_t$ for $t = 0, \ldots, T$: the fraction of the variance that is still data, for data of variance 1."""
        return read_only(np.exp(self.log_alpha_bar))

    @cached_property
    def one_minus_alpha_bar(self) -> Array:
        r"""Noise variance $1 - \bar\alpha_t$, computed without the cancellation of the subtraction."""
        return read_only(0 - np.expm1(self.log_alpha_bar))  # 0 - 0 is 0, where -0 would be negative

    @cached_property
    def beta(self) -> Array:
        r"""Noise variance of one step, $\beta_t = 1 - \alpha_t$. `beta[0]` is 0: no step leads to $t = 0$."""
        t = np.arange(1, self.T + 1)
        return read_only(np.concatenate([[0.0], -np.expm1(self.log_alpha_between(t, t - 1))]))

    @cached_property
    def alpha(self) -> Array:
        r"""Fraction of the variance that one step keeps, $\alpha_t = 1 - \beta_t$."""
        t = np.arange(1, self.T + 1)
        return read_only(np.concatenate([[1.0], np.exp(self.log_alpha_between(t, t - 1))]))

    @cached_property
    def signal(self) -> Array:
        r"""Signal coefficient $\sqrt{\bar\alpha_t}$."""
        return read_only(np.exp(self.log_alpha_bar / 2))

    @cached_property
    def sigma(self) -> Array:
        r"""Noise standard deviation $\sqrt{1 - \bar\alpha_t}$."""
        return read_only(np.sqrt(self.one_minus_alpha_bar))

    @cached_property
    def log_snr(self) -> Array:
        r"""Log signal-to-noise ratio, $\log\bar\alpha_t - \log(1 - \bar\alpha_t)$; $+\infty$ at $t = 0$."""
        with np.errstate(divide="ignore"):
            return read_only(self.log_alpha_bar - np.log(self.one_minus_alpha_bar))

    @cached_property
    def snr(self) -> Array:
        r"""Signal-to-noise ratio $\mathrm{SNR}(t)$; $+\infty$ at $t = 0$, and where it exceeds the largest number."""
        with np.errstate(divide="ignore", over="ignore"):
            return read_only(self.alpha_bar / self.one_minus_alpha_bar)

    def log_alpha_between(self, t: Time, s: Time) -> Array:
        r"""Logarithm $\log\alpha_{t|s} = \log\bar\alpha_t - \log\bar\alpha_s$ for $s < t$, to full relative precision.

        It is the sum of the steps from $s$ to $t$, as a difference of their exact prefix sums. Source: F2 [VDM eq. 21].
        """
        t, s = self.time(t), self.time(s, "s")
        check_shapes(t=t, s=s)
        return reduce(add, (word[t] - word[s] for word in self._words))

    @cached_property
    def _words(self) -> tuple[Array, ...]:
        """Arrays (T+1,) that add up to the prefix sums of the steps, the smallest first."""
        steps = self.log_alpha
        return (self.remainder, self.log_alpha_bar) if steps is None else tuple(map(read_only, exact_sums(steps)[::-1]))

    def transition(self, t: Time, s: Time) -> tuple[Array, Array]:
        r"""Transition from $s$ to $t$: fraction of the variance that is kept, and variance of the added noise.

        $$\alpha_{t|s} = \bar\alpha_t / \bar\alpha_s, \qquad \beta_{t|s} = 1 - \alpha_{t|s}$$

        For $s = t - 1$ the results are $\alpha_t$ and $\beta_t$. Raises unless $0 \le s < t \le T$.
        Source: F2 [VDM eq. 21, 22].
        """
        t, s = self.pair(t, s)
        log_alpha = self.log_alpha_between(t, s)
        return np.exp(log_alpha), -np.expm1(log_alpha)

    def signal_between(self, t: Time, s: Time) -> Array:
        r"""Signal coefficient $\sqrt{\alpha_{t|s}}$ of the transition from $s$ to $t$, also where $\alpha_{t|s}$ underflows.

        Source: F2 [VDM eq. 21].
        """
        return np.exp(self.log_alpha_between(*self.pair(t, s)) / 2)

    def signal_sigma(self, t: Time) -> tuple[Array, Array]:
        r"""Signal and noise coefficients $(\sqrt{\bar\alpha_t}, \sqrt{1 - \bar\alpha_t})$ of $x_t$.

        With them $x_t = signal\, x_0 + \sigma\, \epsilon$. Raises unless $0 \le t \le T$. Source: F3 [DDPM eq. 4].
        """
        t = self.time(t)
        return self.signal[t], self.sigma[t]

    def rates(self, t: Time) -> tuple[Array, Array]:
        """Time derivatives (1, -1) of the coefficients of the straight path from noise to data.

        The state of a diffusion, divided by `signal + sigma`, lies on this path (M5).
        """
        one = np.ones_like(self.time(t), np.float64)
        return one, -one

    def time(self, t: Time, name: str = "t", low: int = 0) -> Array:
        """Check a time and return it as an integer array of shape () or (B,). Raises unless it is in `low`..T."""
        return check_integer(name, t, low, self.T)

    def pair(self, t: Time, s: Time) -> tuple[Array, Array]:
        """Check a pair of times and return it as integer arrays. Raises unless `0 <= s < t <= T`."""
        t, s = self.time(t, low=1), self.time(s, "s")
        if s.ndim and t.ndim and s.shape != t.shape:
            raise ValueError(f"s has shape {s.shape}; allowed: () or {t.shape}, the shape of t")
        if not holds(s < t):
            raise ValueError(f"s = {s!r} is not below t = {t!r}; allowed: 0 <= s < t <= T = {self.T}")
        return t, s

    def draw_time(self, uniform: Array) -> Array:
        """Map uniform numbers in [0, 1] to uniform time steps in 1..T."""
        check_real(uniform=uniform)
        uniform = as_array(check_number("uniform", uniform, 0, 1))
        return np.minimum(1 + np.floor(uniform * self.T).astype(np.int64), self.T)

    def clock(self, t: Time) -> Array:
        """Time rescaled from 0..T to 0..1000, the range of the network's time input."""
        return self.time(t) * (1000 / self.T)


def exact_sums(terms: Array) -> list[Array]:
    r"""Exact prefix sums (T+1,) of terms (T,), as words: arrays of which no entry and no difference of entries is rounded.

    The words add up to the sums; the largest comes first. Each holds the prefix sums of chunks of the terms: multiples of
    a unit, a power of two, of at most $2^w$ units. With $T 2^w \le 2^{53}$ every sum of chunks is an integer below $2^{53}$
    in this unit, and so is every difference: a float64 number holds it. Chunks have the sign of their term. For terms of
    one sign, words therefore add up without cancellation, smallest first to about one ulp. An infinite term is allowed.
    Source: [Rump et al. 2008].
    """
    rest, width = np.where(np.isfinite(terms), terms, 0.0), 53 - len(terms).bit_length()
    words: list[Array] = []
    while not words or rest.any():
        unit = np.ldexp(1.0, max(int(np.frexp(abs(rest).max())[1]) - width, -1074))  # 2^-1074 is the smallest number
        chunks = np.trunc(rest / unit) * unit
        words.append(np.concatenate([[0.0], np.cumsum(chunks)]))
        rest = rest - chunks
    words[0][1:][~np.isfinite(terms)] = terms[~np.isfinite(terms)]
    return words
