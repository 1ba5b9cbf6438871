"""ODE solvers for $dx/dt = f(x, t)$, forward or backward in time: steps of order 1, 2 and 4, and an adaptive solver."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from ..arrays import Array, GaussianPath, Model, Time, cast, like
from ..checks import check_arrays, check_choice, check_number, check_scalar, per_example
from ..process import predict
from ..process.tables import Schedule

METHODS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")


def euler_step(f: Model, x: Array, t: Time, s: Time, noise: None = None) -> Array:
    r"""Euler step of the ODE $dx/dt = f(x, t)$, forward or backward in time; order 1.

    $$x_s = x_t + h f(x_t, t), \qquad h = s - t$$

    Source: M1 [Hairer et al. sec. I.7].
    """
    return x + _h(x, t, s) * _slope(f, x, t)


def heun_step(f: Model, x: Array, t: Time, s: Time, noise: None = None) -> Array:
    r"""Heun step of the ODE $dx/dt = f(x, t)$; order 2.

    $$x_s = x_t + \tfrac h2 (k_1 + k_2), \qquad k_1 = f(x_t, t), \quad k_2 = f(x_t + h k_1, s)$$

    The step uses the mean of the slopes at both ends. An Euler step gives the state at $s$ for the second slope. $f$ is
    evaluated at $s$ as well, so $f$ must be defined there. Source: M1 [EDM alg. 1].
    """
    h = _h(x, t, s)
    k1 = _slope(f, x, t)
    k2 = _slope(f, x + h * k1, s)
    return x + h * (k1 + k2) / 2


def rk4_step(f: Model, x: Array, t: Time, s: Time, noise: None = None) -> Array:
    r"""Classical Runge-Kutta step (RK4) of the ODE $dx/dt = f(x, t)$; order 4.

    $$x_s = x_t + \tfrac h6 (k_1 + 2 k_2 + 2 k_3 + k_4)$$

    The slope $k_1$ is taken at the start, $k_2$ and $k_3$ in the middle, and $k_4$ at the end. So $f$ is evaluated at
    $s$ as well. Source: M1 [Hairer et al. sec. II.1].
    """
    t, s = check_number("t", t), check_number("s", s)
    h, middle = _h(x, t, s), (t + s) / 2
    k1 = _slope(f, x, t)
    k2 = _slope(f, x + h * k1 / 2, middle)
    k3 = _slope(f, x + h * k2 / 2, middle)
    k4 = _slope(f, x + h * k3, s)
    return x + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6


def solve_adaptive(f: Model, x: Array, t: float, s: float, rtol: float = 1e-6, atol: float = 1e-9, method: str = "DOP853") -> Array:
    """Solve the ODE $dx/dt = f(x, t)$ from $t$ to $s$ with SciPy's adaptive step size.

    All examples are solved together as one system. Source: M1 [SciPy solve_ivp].
    """
    check_arrays(x=x)
    t, s = check_scalar("t", t), check_scalar("s", s)
    rtol, atol = check_scalar("rtol", rtol, 1e-13), check_scalar("atol", atol, 0)  # scipy raises a smaller rtol, with a warning
    check_choice("method", method, METHODS)

    def slope(tau: float, y: Array) -> Array:
        values = f(y.reshape(x.shape), tau)
        check_number("f(x, t)", values)  # with a NaN, scipy would search for a step size forever
        return np.broadcast_to(values, x.shape).ravel()

    solution = solve_ivp(slope, (t, s), x.ravel(), method, rtol=rtol, atol=atol)
    if not solution.success:
        raise RuntimeError(f"solve_ivp stopped between t = {t} and s = {s}: {solution.message}")
    return cast("s", solution.y[:, -1].reshape(x.shape), x).astype(x.dtype)


def velocity_field(model: Model, path: GaussianPath, kind: str) -> Model:
    r"""Velocity field of a flow: a model of any prediction kind as the right-hand side of the path's ODE.

    Raises for a `Schedule`. For a `Schedule`, the predicted velocity is that of $x_t / (signal + \sigma)$ in the time
    $\tau$ of `flow.flow_time`, not $dx_t / dt$. Convert the state by `flow.to_flow` and integrate in $\tau$, or use
    `ddim_step`. Source: R6, M1.
    """
    check_choice("kind", kind, predict.KINDS)
    if isinstance(path, Schedule):
        raise TypeError(f"path is a Schedule, T = {path.T}; allowed: a flow's path. Move states by flow.to_flow, or use ddim_step")
    return lambda x, t: predict.convert(model(x, t), x, t, path, kind, "velocity")


def _slope(f: Model, x: Array, t: Time) -> Array:
    slope = f(x, t)
    check_arrays(**{"x": x, "f(x, t)": slope})
    return slope


def _h(x: Array, t: Time, s: Time) -> Array:
    check_arrays(x=x)
    t, s = per_example("t", t, x), per_example("s", s, x)
    return like(s - t, x, "s - t")
