r"""Exact likelihood by the probability-flow ODE: the log-density of data, from the divergence of the velocity along its path."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array, Model, Number, Time, as_array, event_size, sum_event
from ..checks import as_float64, check_arrays, check_count, check_number, check_real, check_scalar, per_example
from . import ode

STEP = 1e-20  # of the complex steps, which have no truncation error
Density = Callable[[Array], Array]


def divergence(f: Model, x: Array, t: Time) -> Array:
    r"""Divergence $\nabla \cdot f(x, t) = \sum_i \partial f_i / \partial x_i$ of a field, (B,), by a complex step in every direction.

    `f` has to accept complex numbers and to be analytic, as the models, networks and oracles here are. It is called once for each of
    the numbers of an example, with all examples. Source: C8 [Chen et al. 2018 eq. 8].
    """
    check_real(x=x)
    check_arrays(x=x)
    per_example("t", t, x)
    flat = np.zeros_like(x).reshape(len(x), event_size(x))
    total = sum_event(flat)
    for i in range(flat.shape[1]):
        direction = flat.copy()
        direction[:, i] = 1
        total = total + hutchinson(f, x, t, direction.reshape(x.shape))
    return total


def hutchinson(f: Model, x: Array, t: Time, probe: Array) -> Array:
    r"""Hutchinson's estimate of the divergence, (B,), with a probe $v$ shaped like `x`.

    $$v^T \frac{\partial f}{\partial x} v, \qquad E[v v^T] = I$$

    It is unbiased for independent numbers of mean 0 and variance 1. Signs $\pm 1$ have the smallest variance, $2 \sum_{i \ne j} A_{ij}^2$
    with the symmetric part $A$ of the Jacobian. The product is found by one complex step along $v$. Source: C9 [FFJORD eq. 7].
    """
    check_real(x=x, probe=probe, t=t)
    check_arrays(x=x, probe=probe)
    per_example("t", t, x)
    value = f(x + 1j * STEP * probe, t)
    if getattr(getattr(value, "dtype", None), "kind", "") != "c":
        raise TypeError("f(x, t) is real for a complex x; allowed: a field that keeps complex numbers, for the complex step")
    slope = value.imag / STEP
    check_arrays(**{"x": x, "f(x, t)": slope.astype(x.dtype)})
    return sum_event(probe * slope.astype(x.dtype))


def log_likelihood(
    f: Model, x: Array, t: float, s: float, log_prior: Density, probe: Array | None = None, rtol: float = 1e-10, atol: float = 1e-12,
    method: str = "DOP853",
) -> tuple[Array, Array]:  # fmt: skip
    r"""Log-density (B,) in nats of the data `x` (B, ...) under the flow $dx/dt = f(x, t)$, and the state to which the flow takes it.

    $$\log p_t(x_t) = \log p_s(x_s) + \int_t^s \nabla \cdot f(x_\tau, \tau)\, d\tau$$

    `t` is the time of the data, `s` that of the noise, and `log_prior` the log-density at `s`, such as that of a standard normal. With a `probe`, the
    divergence is Hutchinson's estimate, with the same probe for the whole path; without one it is exact. The density may be infinite
    for data without width: start above the time of clean data then. Source: C8 [Song et al. eq. 39].
    """
    x = as_float64("x", x)
    check_arrays(x=x)
    size, atol = event_size(x), check_scalar("atol", atol, 1e-16)  # the integral starts at 0, which has no relative error

    def slope(state: Array, tau: float) -> Array:
        at = state[:, :size].reshape(x.shape)
        change = divergence(f, at, tau) if probe is None else hutchinson(f, at, tau, as_float64("probe", probe))
        return np.concatenate([f(at, tau).reshape(len(x), size), change[:, None]], axis=1)

    start = np.concatenate([x.reshape(len(x), size), np.zeros((len(x), 1))], axis=1)
    end = ode.solve_adaptive(slope, start, t, s, rtol, atol, method)
    moved = end[:, :size].reshape(x.shape)
    density = log_prior(moved)
    if np.shape(density) != (len(x),):
        raise ValueError(f"log_prior(x) has shape {np.shape(density)}; allowed: {(len(x),)}, one number for each example")
    return density + end[:, size], moved


def bits_of_density(log_density: Array, dimensions: int, width: Number = 2 / 255) -> Array:
    r"""Bits per dimension of data with steps of a width $w$, from the log-density of the data as real numbers.

    $$-\frac{1}{d \log 2} (\log p(x) + d \log w)$$

    A step of `width` holds about the probability $p(x)\, w^d$. Pixels of 8 bits in [-1, 1] are $2 / 255$ apart, the default; where the scale is
    $k / 128 - 1$, they are $2 / 256$ apart, which adds 7 bits. Source: C8 [Song et al. app. D.2].
    """
    dimensions = check_count("dimensions", dimensions, 1, 10**12)
    width, log_density = check_scalar("width", width, 0, 1e60, open_low=True), as_array(check_number("log_density", log_density))
    return -(log_density / dimensions + np.log(width)) / np.log(2)
