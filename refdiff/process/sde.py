"""Diffusion in continuous time: forward SDEs as Gaussian paths, and the family of processes that run them backwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Time, as_array, holds, like
from ..checks import check_arrays, check_number, check_scalar, per_example

Curve = Callable[[Array], Array]


@dataclass(frozen=True)
class Sde:
    r"""Forward SDE with clean data at $t = 0$, and the Gaussian path of its solutions.

    $$dx = f(t)\, x\, dt + g(t)\, dw \;\Rightarrow\; x_t = signal_t x_0 + \sigma_t \epsilon, \quad
      f = (\log signal)', \quad g^2 = (\sigma^2)' - 2 f \sigma^2$$

    It is given by $\log signal$, its derivative $f$, the variance $\sigma^2$ and its derivative. `t` is () or (B,), in 0..`end`.
    A prediction, an oracle or a flow map takes it as it takes a schedule or a flow's path.
    Source: C4 [Song et al. eq. 5, app. B].
    """

    name: str
    log_signal: Curve
    drift_rate: Curve
    variance: Curve
    variance_rate: Curve
    end: float = 1.0

    def __post_init__(self) -> None:
        check_scalar("end", self.end, 1e-60, 1e60)

    def signal_sigma(self, t: Time) -> tuple[Array, Array]:
        """Coefficients `signal` and `sigma` of the path at time `t`. Raises unless `t` is in 0..`end`."""
        t = self._time(t)
        return np.exp(self.log_signal(t)), np.sqrt(self.variance(t))

    def rates(self, t: Time) -> tuple[Array, Array]:
        """Time derivatives of `signal` and `sigma`. Raises where sigma = 0, at which its derivative may be infinite."""
        signal, sigma = self.signal_sigma(t)
        if not holds(sigma > 0):
            raise ValueError(f"t = {t!r} has sigma = 0, whose derivative may be infinite; allowed: times at which sigma is above 0")
        t = self._time(t)
        return self.drift_rate(t) * signal, self.variance_rate(t) / (2 * sigma)

    def drift_diffusion(self, t: Time) -> tuple[Array, Array]:
        r"""$f(t)$ and $g^2(t)$ of the SDE, also where sigma = 0. Source: C4 [Song et al. eq. 5]."""
        t = self._time(t)
        rate = self.drift_rate(t)
        return rate, self.variance_rate(t) - 2 * rate * self.variance(t)

    def draw_time(self, uniform: Array) -> Array:
        """Uniform times in 0..`end` from uniform numbers in [0, 1)."""
        return check_number("uniform", uniform, 0, 1) * self.end

    def clock(self, t: Time) -> Array:
        """Time rescaled to [0, 1000], the range of the network's time input."""
        return self._time(t) * (1000 / self.end)

    def _time(self, t: Time) -> Array:
        return as_array(check_number("t", t, 0, self.end)) * 1.0


def vp(beta_min: float = 0.1, beta_max: float = 20.0) -> Sde:
    r"""Variance-preserving SDE, the limit of DDPM's linear schedule for infinitely many steps.

    $$dx = -\tfrac12 \beta(t) x\, dt + \sqrt{\beta(t)}\, dw, \quad \beta(t) = \beta_{min} + t (\beta_{max} - \beta_{min})$$

    With $B(t) = \int_0^t \beta$, $signal = e^{-B/2}$ and $\sigma^2 = 1 - e^{-B}$. Source: C4 [Song et al. eq. 11].
    """
    beta, integral = _linear(beta_min, beta_max)

    def variance_rate(t: Array) -> Array:
        return beta(t) * np.exp(-integral(t))

    return Sde("vp", lambda t: -integral(t) / 2, lambda t: -beta(t) / 2, lambda t: -np.expm1(-integral(t)), variance_rate)


def sub_vp(beta_min: float = 0.1, beta_max: float = 20.0) -> Sde:
    r"""SDE whose variance stays below that of `vp`: the same drift, and $\sigma = 1 - e^{-B}$.

    $$dx = -\tfrac12 \beta(t) x\, dt + \sqrt{\beta(t) (1 - e^{-2 B(t)})}\, dw$$

    Source: C4 [Song et al. eq. 12].
    """
    beta, integral = _linear(beta_min, beta_max)

    def variance_rate(t: Array) -> Array:
        return -2 * np.expm1(-integral(t)) * beta(t) * np.exp(-integral(t))

    return Sde("sub_vp", lambda t: -integral(t) / 2, lambda t: -beta(t) / 2, lambda t: np.expm1(-integral(t)) ** 2, variance_rate)


def ve(sigma_min: float = 0.01, sigma_max: float = 50.0) -> Sde:
    r"""Variance-exploding SDE: no drift, and noise whose standard deviation grows geometrically.

    $$dx = \sqrt{\frac{d \sigma^2(t)}{dt}}\, dw, \quad \sigma(t) = \sigma_{min} \Bigl(\frac{\sigma_{max}}{\sigma_{min}}\Bigr)^t$$

    The variance of the path is $\sigma^2(t) - \sigma^2(0)$, so that it starts from clean data. Source: C4 [Song et al. eq. 9].
    """
    sigma_min = check_scalar("sigma_min", sigma_min, 1e-60, 1e60)
    sigma_max = check_scalar("sigma_max", sigma_max, sigma_min, 1e60)
    log_ratio = 2 * np.log(sigma_max / sigma_min)
    start = sigma_min**2
    return Sde(
        "ve",
        lambda t: 0 * t,
        lambda t: 0 * t,
        lambda t: start * np.expm1(log_ratio * t),
        lambda t: start * log_ratio * np.exp(log_ratio * t),
    )


def edm(sigma_max: float = 80.0) -> Sde:
    r"""Noise whose standard deviation is the time itself: $dx = \sqrt{2 t}\, dw$, with $t$ in 0..`sigma_max`.

    The path is $x_t = x_0 + t \epsilon$. Source: C4 [EDM sec. 3].
    """
    sigma_max = check_scalar("sigma_max", sigma_max, 1e-60, 1e60)
    return Sde("edm", lambda t: 0 * t, lambda t: 0 * t, lambda t: t**2, lambda t: 2 * t, sigma_max)


def forward_drift(x: Array, t: Time, sde: Sde) -> Array:
    r"""Drift $f(t)\, x$ of the forward SDE; shaped like `x` (B, ...). Source: C4 [Song et al. eq. 5]."""
    check_arrays(x=x)
    return like(sde.drift_diffusion(t)[0], x) * x


def reverse_drift(x: Array, t: Time, score: Array, sde: Sde, k: float = 1.0) -> Array:
    r"""Drift of the process that runs the SDE backwards, with noise $k\, g$; shaped like `x` (B, ...).

    $$dx = \Bigl[f x - \frac{1 + k^2}{2} g^2 \nabla \log p_t(x)\Bigr] dt + k\, g\, d\bar w$$

    `score` is $\nabla \log p_t(x)$. For every $k \ge 0$ the solutions have the density $p_t$. $k = 1$ is the reverse SDE, and $k = 0$ the
    probability-flow ODE. Time decreases along a solution. Source: C5 [Song et al. eq. 6, 13].
    """
    check_arrays(x=x, score=score)
    k = check_scalar("k", k, 0, 1e6)
    rate, square = sde.drift_diffusion(t)
    return like(rate, x) * x - like((1 + k**2) / 2 * square, x) * score


def euler_maruyama_step(x: Array, t: Time, s: Time, score: Array, sde: Sde, noise: Array, k: float = 1.0) -> Array:
    r"""Step of the reverse process from $t$ to an earlier $s$, with drift and noise of the time $t$; noise is shaped like `x`.

    $$x_s = x_t + (s - t)\, \mu(x_t, t) + k\, g(t) \sqrt{t - s}\; \epsilon$$

    $\mu$ is `reverse_drift`. Source: C5 [Song et al. sec. 4.1].
    """
    check_arrays(x=x, score=score, noise=noise)
    t, s = (per_example(name, check_number(name, time, 0, sde.end), x) for name, time in (("t", t), ("s", s)))
    if not holds(as_array(t) >= as_array(s)):
        raise ValueError(f"s = {s!r} is later than t = {t!r}; allowed: earlier, or the same")
    span, k = as_array(t) - as_array(s), check_scalar("k", k, 0, 1e6)
    width = like(k * np.sqrt(sde.drift_diffusion(t)[1] * span), x)
    return x - like(span, x) * reverse_drift(x, t, score, sde, k) + width * noise


def _linear(beta_min: float, beta_max: float) -> tuple[Curve, Curve]:
    """beta(t), linear in t, and its integral from 0."""
    beta_min = check_scalar("beta_min", beta_min, 0, 1e140)
    beta_max = check_scalar("beta_max", beta_max, beta_min, 1e140)
    slope = beta_max - beta_min
    return lambda t: beta_min + slope * t, lambda t: t * (beta_min + slope * t / 2)
