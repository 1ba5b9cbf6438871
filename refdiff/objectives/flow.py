"""Flow matching: paths from noise (t = 0) to data (t = 1), their velocities, losses, and conversions to diffusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..arrays import Array, Time, as_array, event_size, holds, like, sigmoid, sum_event
from ..checks import check_arrays, check_number, check_real, check_scalar, per_example


@dataclass(frozen=True)
class Path:
    r"""Gaussian path from noise at $t = 0$ to data at $t = 1$, with its time derivatives.

    $$x_t = signal(t)\, data + \sigma(t)\, noise, \qquad velocity = signal'(t)\, data + \sigma'(t)\, noise$$

    A prime is a derivative in $t$. Source: M2 [Flow Matching eq. 10, 11], [Stochastic Interpolants eq. 4.1].
    """

    name: str
    signal: Callable[[Array], Array]
    sigma: Callable[[Array], Array]
    signal_rate: Callable[[Array], Array]
    sigma_rate: Callable[[Array], Array]

    def signal_sigma(self, t: Time) -> tuple[Array, Array]:
        """Coefficients `signal` and `sigma` of the path at time `t`. Raises unless `t` is in [0, 1]."""
        t = _flow_time(t)
        return self.signal(t), self.sigma(t)

    def rates(self, t: Time) -> tuple[Array, Array]:
        """Time derivatives `signal_rate` and `sigma_rate` of the coefficients at time `t`. Raises unless `t` is in [0, 1]."""
        t = _flow_time(t)
        return self.signal_rate(t), self.sigma_rate(t)

    def draw_time(self, uniform: Array) -> Array:
        """Uniform flow times from uniform numbers in [0, 1): the same numbers."""
        return check_number("uniform", uniform, 0, 1)

    def clock(self, t: Time) -> Array:
        """Time rescaled from [0, 1] to [0, 1000], the range of the network's time input."""
        return 1000 * _flow_time(t)


straight = Path("straight", lambda t: t, lambda t: 1 - t, lambda t: np.ones_like(t), lambda t: -np.ones_like(t))
r"""Rectified flow: the straight path $x_t = t\, data + (1 - t)\, noise$, with velocity $data - noise$.

Source: M2, M4 [Rectified Flow eq. 1].
"""

trigonometric = Path(
    "trigonometric",
    lambda t: np.sin(np.pi / 2 * t),
    lambda t: np.sin(np.pi / 2 * (1 - t)),  # the cosine, 0 at t = 1
    lambda t: np.pi / 2 * np.sin(np.pi / 2 * (1 - t)),
    lambda t: -np.pi / 2 * np.sin(np.pi / 2 * t),
)
r"""Variance-preserving path: $signal^2 + \sigma^2 = 1$, and the velocity is $-\tfrac\pi2 v$.

Source: M2 [Stochastic Interpolants eq. 4.10].
"""


def optimal_transport(sigma_min: float) -> Path:
    r"""Optimal-transport path: straight, $x_t = t\, data + (1 - (1 - \sigma_{min}) t)\, noise$.

    At $t = 1$ noise of standard deviation $\sigma_{min}$ remains. Source: M2 [Flow Matching eq. 22].
    """
    sigma_min = check_scalar("sigma_min", sigma_min, 0, 1)
    rate = sigma_min - 1
    return Path(
        "optimal_transport", lambda t: t, lambda t: 1 - t + sigma_min * t, lambda t: np.ones_like(t), lambda t: rate * np.ones_like(t)
    )


def interpolate(data: Array, noise: Array, t: Time, path: Path = straight) -> Array:
    r"""State on the path, $x_t = signal(t)\, data + \sigma(t)\, noise$; data, noise (B, ...); t () or (B,).

    Source: M2 [Flow Matching eq. 11].
    """
    check_arrays(data=data, noise=noise)
    signal, sigma = path.signal_sigma(t)
    return like(signal, data) * data + like(sigma, data) * noise


def velocity(data: Array, noise: Array, t: Time, path: Path = straight) -> Array:
    r"""Velocity of a path: time derivative of `interpolate`, and training target. Straight path: $data - noise$.

    $$\frac{d x_t}{dt} = signal'(t)\, data + \sigma'(t)\, noise$$

    Source: M2, M4 [Flow Matching eq. 15], [Rectified Flow eq. 1].
    """
    check_arrays(data=data, noise=noise)
    signal_rate, sigma_rate = path.rates(t)
    return like(signal_rate, data) * data + like(sigma_rate, data) * noise


def conditional_path(data: Array, noise: Array, t: Time, width: float = 0.0) -> tuple[Array, Array]:
    r"""Conditional path $p_t(x | noise, data)$: mean and variance. The conditional velocity is $data - noise$.

    $$p_t(x | noise, data) = \mathcal N(t\, data + (1 - t)\, noise, width^2 I)$$

    Source: M2 [Tong et al. eq. 14].
    """
    width = check_scalar("width", width, 0, 1e140)
    return interpolate(data, noise, t, straight), like(width**2, data, "width")


def conditional_loss(prediction: Array, data: Array, noise: Array, t: Time, path: Path = straight) -> Array:
    r"""Conditional flow-matching loss: squared error against the velocity of one pair, summed over the event; (B,).

    $$L_{CFM} = \|u_\theta(x_t, t) - \dot x_t\|^2$$

    Source: M3, M4 [Flow Matching eq. 9].
    """
    check_arrays(data=data, prediction=prediction)
    return sum_event((prediction - velocity(data, noise, t, path)) ** 2)


def marginal_loss(prediction: Array, marginal_velocity: Array) -> Array:
    r"""Flow-matching loss: squared error against the mean velocity given $x_t$, summed over the event; (B,).

    $$L_{FM} = \|u_\theta(x_t, t) - E[\dot x_t | x_t]\|^2$$

    Its gradient in $\theta$, averaged over $x_t$, equals the gradient of $L_{CFM}$. On average, the two losses differ
    by the variance of the velocity given $x_t$, which does not depend on $\theta$.
    Source: M3 [Flow Matching eq. 5, thm. 2].
    """
    check_arrays(prediction=prediction, marginal_velocity=marginal_velocity)
    return sum_event((prediction - marginal_velocity) ** 2)


def couple_optimally(data: Array, noise: Array) -> Array:
    r"""Optimal coupling of a batch: order of the data with the smallest squared distance to the noise; (B,) indices.

    $$\min_\pi \sum_i \|data_{\pi(i)} - noise_i\|^2$$

    The result is `order`; pair `data[order]` with `noise`. Without reordering, the coupling is independent.
    Source: M4 [Tong et al.].
    """
    check_arrays(data=data, noise=noise)
    check_real(data=data, noise=noise)
    a, b = (x.reshape(len(x), event_size(x)) for x in (noise, data))
    return linear_sum_assignment(((a[:, None] - b[None]) ** 2).sum(axis=2))[1]


def flow_time(log_snr: Array) -> Array:
    r"""Flow time $\tau$ at which the straight path has the signal-to-noise ratio of a diffusion.

    $$\tau = \frac{signal}{signal + \sigma} = \mathrm{sigmoid}\bigl(\tfrac12 \log\mathrm{SNR}\bigr)$$

    A `log_snr` of $-\infty$ is pure noise, $\tau = 0$; $+\infty$ is data, $\tau = 1$. Source: M5 [SD3 sec. 3.1], [VDM++].
    """
    check_real(log_snr=log_snr)
    values = as_array(log_snr) * 1.0
    if not holds(~np.isnan(values)):
        raise ValueError(f"log_snr = {log_snr!r}; allowed: numbers, infinite ones included")
    return sigmoid(values / 2)


def flow_log_snr(tau: Array) -> Array:
    r"""Log-SNR of the straight path at flow time $\tau$, $2 \log\tau - 2 \log(1 - \tau)$; infinite at the ends.

    It is the inverse of `flow_time`. Source: M5 [SD3 sec. 3.1].
    """
    tau = as_array(check_number("tau", tau, 0, 1))
    with np.errstate(divide="ignore"):
        return 2 * (np.log(tau) - np.log1p(-tau))


def to_flow(x_t: Array, signal: Array, sigma: Array) -> Array:
    r"""Convert a diffusion state to the straight path at $\tau = signal / (signal + \sigma)$: $x_t / (signal + \sigma)$.

    Source: M5.
    """
    check_arrays(x_t=x_t)
    total = per_example("signal", signal, x_t) + per_example("sigma", sigma, x_t)
    return x_t / like(check_number("signal + sigma", total, 0, open_low=True), x_t, "signal + sigma")


def from_flow(x_tau: Array, tau: Time) -> Array:
    r"""Convert a straight-path state to the variance-preserving diffusion: $x_\tau / \sqrt{\tau^2 + (1 - \tau)^2}$.

    The signal-to-noise ratio stays the same. Source: M5.
    """
    check_arrays(x_tau=x_tau)
    check_real(tau=tau)
    tau = _flow_time(tau)
    return x_tau / like(np.hypot(tau, 1 - tau), x_tau)


def _flow_time(t: Time) -> Array:
    t = as_array(check_number("t", t, 0, 1))
    return t.astype(np.float64) if t.dtype.kind in "iu" else t
