"""The order of convergence of every sampler, measured with exact models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import rng
from ..arrays import Array, Model
from ..objectives import flow
from ..process import schedules
from ..process.schedules import Schedule
from ..sampling import oracles, samplers
from ..sampling import orders as measured
from ..sampling.oracles import Mixture
from .experiment import Settings, progress_bar
from .plots import Curve

STEPS, QUICK_STEPS = (16, 32, 64, 128, 256), (16, 32, 64)
TOLERANCE, QUICK_TOLERANCE = 0.1, 0.2  # of the measured order: with fewer steps, higher-order terms of the error count more
SOLVERS = "dpm_solver_2", "dpm_solver_3", "dpmpp_2s", "dpmpp_2m"  # those with their order from any start, in so few steps
MEAN, VARIANCE = 0.7, 0.25  # the Gaussian data of the stochastic samplers, whose steps are then affine

Errors = dict[str, tuple[Callable[[int], float], int]]  # by sampler: the error as a function of the steps, the expected order


class Order(NamedTuple):
    """Errors of a sampler as its number of steps doubles, and the order of convergence expected from theory."""

    name: str
    steps: tuple[int, ...]
    errors: Array
    expected: int

    @property
    def measured(self) -> float:
        """The order at the last doubling: the binary logarithm of the ratio of the errors."""
        return float(np.log2(self.errors[-2] / self.errors[-1]))


def measure_orders(mixture: Mixture, settings: Settings) -> list[Order]:
    """Orders of convergence: deterministic samplers by the error of each sample, stochastic ones by the error of the moments."""
    steps = QUICK_STEPS if settings.quick else STEPS
    count = 16 if settings.quick else 32
    x = rng.normal(settings.seed, count, (2,), stream=rng.START)
    labels = np.arange(count) % mixture.classes
    rows = {**_flow_errors(mixture, x, labels), **_ddim_errors(mixture, x, labels), **_moment_errors(), **_solver_errors()}
    bar = progress_bar(None, "convergence", len(steps) * len(rows))
    orders = []
    for name, (error, expected) in rows.items():
        errors = []
        for S in steps:
            errors.append(error(S))
            bar.update()
        orders.append(Order(name, steps, np.array(errors), expected))
    bar.close()
    return orders


def level_schedule(S: int) -> Schedule:
    r"""A schedule of S noise levels, $\bar\alpha(u) = \cos^2(0.99 \tfrac\pi2 u)$ at u = i / S: a larger S refines the same curve.

    sigma / signal is then a tangent, smooth down to data. DDIM takes Euler steps in this variable, so it converges at order 1.
    """
    return schedules.from_alpha_bars(np.cos(0.99 * np.pi / 2 * np.arange(1, S + 1) / S) ** 2)


def _flow_errors(mixture: Mixture, x: Array, labels: Array) -> Errors:
    """Euler, Heun and RK4 on the flow, compared with an adaptive solution to 12 digits."""
    field = _conditioned(mixture.model(flow.straight, "velocity"), labels)
    exact = samplers.solve_adaptive(field, x, 0.0, 1.0, rtol=1e-12, atol=1e-12)

    def error(step: samplers.Step) -> Callable[[int], float]:
        return lambda S: _rms(samplers.last(samplers.sample(field, step, np.linspace(0, 1, S + 1), x)) - exact)

    steps = {"flow, Euler": (samplers.euler_step, 1), "flow, Heun": (samplers.heun_step, 2), "flow, RK4": (samplers.rk4_step, 4)}
    return {name: (error(step), expected) for name, (step, expected) in steps.items()}


def _ddim_errors(mixture: Mixture, x: Array, labels: Array) -> Errors:
    """DDIM from noise to data, and DDIM inversion from data to noise, compared with the ODE that both discretize."""
    field = _conditioned(mixture.model(flow.straight, "velocity"), labels)
    signal, sigma = (float(a[-1]) for a in (level_schedule(1).signal, level_schedule(1).sigma))
    exact = samplers.solve_adaptive(field, x / (signal + sigma), signal / (signal + sigma), 1.0, rtol=1e-12, atol=1e-12)

    def run(formula: Any, S: int, start: Array, grid: Array) -> Array:
        schedule = level_schedule(S)

        def model(x: Array, t: int) -> Array:
            return mixture.eps(x, *schedule.signal_sigma(t), labels)

        return samplers.last(samplers.sample(model, samplers.stepper(formula, schedule), grid, start))

    return {
        "DDIM": (lambda S: _rms(run(samplers.ddim_step, S, x, np.arange(S, -1, -1)) - exact), 1),
        "DDIM inversion": (lambda S: _rms(run(samplers.ddim_inversion_step, S, exact, np.arange(S + 1)) - x), 1),
    }


def _moment_errors() -> Errors:
    """The stochastic samplers, by the mean and standard deviation of their samples."""
    rows: dict[str, tuple[Any, dict[str, Any]]] = {
        "DDPM, variance beta-tilde": (samplers.ddpm_step, {"variance": "posterior"}),
        "DDPM, variance beta": (samplers.ddpm_step, {"variance": "beta"}),
        "DDPM, variance mix 0.5": (samplers.ddpm_step, {"variance": "learned", "mix": np.full((3, 1), 0.5)}),
        "DDIM, eta 0.5": (samplers.ddim_step, {"eta": 0.5}),
    }

    def error(formula: Any, options: dict[str, Any]) -> Callable[[int], float]:
        def of_steps(S: int) -> float:
            mean, variance = sample_moments(formula, level_schedule(S), **options)
            return float(np.hypot(mean - MEAN, np.sqrt(variance) - np.sqrt(VARIANCE)))

        return of_steps

    return {name: (error(formula, options), 1) for name, (formula, options) in rows.items()}


def _solver_errors() -> Errors:
    """Fast solvers, by the largest error on the one-dimensional mixture of `orders`."""
    return {f"solver {name}": (partial(measured.error, name), measured.nominal(name)[0]) for name in SOLVERS}


def sample_moments(formula: Any, schedule: Schedule, **options: Any) -> tuple[float, float]:
    r"""Exact mean and variance of a sampler's samples, for data N(0.7, 0.25), exact eps and exact $x_T$.

    A step is then affine, $x_s = a x_t + b + c z$. Three evaluations give a, b and c: x = 0 and x = 1 without noise, and x = 0
    with z = 1.
    """
    step, model = samplers.stepper(formula, schedule, **options), oracles.gaussian([MEAN], [[VARIANCE]]).model(schedule)
    mean, variance = schedule.signal[-1] * MEAN, schedule.alpha_bar[-1] * VARIANCE + schedule.one_minus_alpha_bar[-1]
    x, z = np.array([[0.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [1.0]])
    for t in range(schedule.T, 0, -1):
        b, ab, bc = step(model, x, t, t - 1, z)[:, 0]
        mean, variance = (ab - b) * mean + b, (ab - b) ** 2 * variance + (bc - b) ** 2
    return float(mean), float(variance)


def failed(orders: list[Order], settings: Settings) -> bool:
    """Whether a measured order differs from the expected one by more than the tolerance."""
    return not all(_passes(order, settings) for order in orders)


def table(orders: list[Order], settings: Settings) -> str:
    """Errors and orders as text, with notes on how the errors are measured."""
    head = f"{'error, by number of steps':<26}" + "".join(f"{S:>9}" for S in orders[0].steps) + "    order"
    rows = [
        f"{order.name:<26}"
        + "".join(f"{error:9.1e}" for error in order.errors)
        + f"  {order.measured:7.2f}  {'PASS' if _passes(order, settings) else 'FAIL'}, expected {order.expected}"
        for order in orders
    ]
    return "\n".join([head, *rows, *NOTES])


NOTES = (
    "Flow and DDIM: root mean square error over all starting points, compared with the same ODE solved to 12 digits.",
    f"DDPM and DDIM with eta 0.5: error of the mean and standard deviation (2-Wasserstein distance) for data N({MEAN}, {VARIANCE}).",
    "For these data every step is affine, so the mean and standard deviation are computed without sampling.",
    "DDIM and DDPM with S steps visit all S noise levels of one smooth schedule: T = S.",
    "Solvers: error on another mixture, in one dimension, compared with its exact flow. `refdiff orders` measures all of them.",
)


def curves(orders: list[Order]) -> list[Curve]:
    """The orders as curves of the convergence chart, without the fast solvers, which `refdiff orders` draws."""
    charted = (order for order in orders if not order.name.startswith("solver"))
    return [Curve(f"{order.measured:.2f}  {order.name}", np.array(order.steps), order.errors) for order in charted]


def _passes(order: Order, settings: Settings) -> bool:
    return abs(order.measured - order.expected) <= (QUICK_TOLERANCE if settings.quick else TOLERANCE)


def _conditioned(model: Model, labels: Array) -> Model:
    return lambda x, t: model(x, t, labels)


def _rms(error: Array) -> float:
    return float(np.sqrt((error**2).sum(axis=1).mean()))
