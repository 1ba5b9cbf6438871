"""`refdiff.ode` with Euler and Heun steps by kernels; `solve_adaptive` steps on the host, its model on the device."""

from __future__ import annotations

from functools import wraps
from typing import Any

from refdiff.arrays import Array, Model, Time
from refdiff.sampling import ode as reference
from refdiff.sampling.ode import rk4_step, velocity_field

from ..device.launch import launch
from ..device.transfer import to_device, to_host
from .guidance import evaluate, kernel_inputs

__all__ = ["euler_step", "heun_step", "rk4_step", "solve_adaptive", "velocity_field"]


@wraps(reference.euler_step)
def euler_step(f: Model, x: Array, t: Time, s: Time, noise: None = None) -> Array:
    h = reference._h(x, t, s)
    guided, slopes = _slopes(f, x, t)
    return launch(f"{guided}euler", x, *slopes, h)


@wraps(reference.heun_step)
def heun_step(f: Model, x: Array, t: Time, s: Time, noise: None = None) -> Array:
    h = reference._h(x, t, s)
    guided, slopes = _slopes(f, x, t)
    if guided:
        slope, end = launch("guided_heun_first", x, *slopes, h)
    else:
        slope, end = slopes[0], launch("euler", x, *slopes, h)
    _, slopes = _slopes(f, end, s)
    return launch(f"{guided}heun_last", x, slope, *slopes, h)


@wraps(reference.solve_adaptive)
def solve_adaptive(f: Model, x: Array, t: float, s: float, rtol: float = 1e-6, atol: float = 1e-9, method: str = "DOP853") -> Array:
    def f_on_host(y: Array, tau: float) -> Array:
        return to_host(f(to_device(y), tau))

    return to_device(reference.solve_adaptive(f_on_host, to_host(x), t, s, rtol, atol, method))


def _slopes(f: Model, x: Array, t: Time) -> tuple[str, tuple[Any, ...]]:
    """The prefix of a kernel's name, and its inputs for the slope f(x, t)."""
    return kernel_inputs(evaluate(f, x, t), x, "x", "f(x, t)")
