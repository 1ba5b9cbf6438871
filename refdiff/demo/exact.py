"""The exact demo: a Gaussian mixture in the network's place, and the error of every sampler as its number of steps doubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2

from .. import rng
from ..arrays import Array, Model
from ..data import toy2d as data
from ..objectives import flow
from ..process import schedules
from ..process.schedules import Schedule
from ..sampling import oracles, samplers
from ..sampling.oracles import Mixture
from .experiment import Models, Settings, on_threads, progress
from .plots import Curve

STEPS, QUICK_STEPS = (16, 32, 64, 128, 256), (16, 32, 64)
OFF, QUICK_OFF = 0.1, 0.2  # how far a measured order may be from the theoretical one: fewer steps see higher terms of the error
MEAN, VARIANCE = 0.7, 0.25  # the single Gaussian on which random samplers are affine maps


class Order(NamedTuple):
    """Errors of a sampler at doubling steps, and the order that theory promises."""

    name: str
    steps: tuple[int, ...]
    errors: Array
    promised: int

    @property
    def measured(self) -> float:
        """The last doubling's gain in powers of two."""
        return float(np.log2(self.errors[-2] / self.errors[-1]))


def fit(dataset: str, per_label: int = 4, blur: float = 0.2) -> Mixture:
    """A mixture that looks like a data set: each label's points in clusters, a Gaussian per cluster, blurred a little."""
    points, labels = data.load(dataset, 4000)
    means, covariances, weights, classes = [], [], [], []
    for y in range(int(labels.max()) + 1):
        mine = points[labels == y]
        centers, cluster = kmeans2(mine, mine[:per_label], iter=50, minit="matrix")
        for k in range(per_label):
            members = mine[cluster == k]
            means.append(centers[k])
            covariances.append(np.cov(members.T, bias=True) + blur**2 * np.eye(2))
            weights.append(len(members))
            classes.append(y)
    return oracles.mixture(means, covariances, weights, classes)


def source(mixture: Mixture) -> Callable[[int, int], data.Points]:
    """The mixture as a data set: points (count, 2) and labels (count,)."""

    def draw(count: int, seed: int) -> data.Points:
        choice = rng.uniform(seed, count, 1, 0, rng.DATA)[:, 0]
        component = np.minimum(np.searchsorted(np.cumsum(np.exp(mixture.log_weights)), choice, side="right"), len(mixture.means) - 1)
        return mixture.sample(choice, rng.normal(seed, count, (2,), 1, rng.DATA)), mixture.labels[component]

    return draw


def exact_models(mixture: Mixture, T: int) -> Models:
    """What the networks would be after perfect training."""
    schedule = schedules.linear(T)

    def eps(x: Array, t: Any, y: Array | None = None) -> Array:
        return mixture.eps(x, *schedule.signal_sigma(t), y)

    return Models(schedule, on_threads(eps), on_threads(mixture.model(flow.straight, "velocity")), {})


def measure(mixture: Mixture, settings: Settings) -> list[Order]:
    """Errors of every sampler: on the mixture, point by point, if it is deterministic, else in the law of its samples."""
    steps = QUICK_STEPS if settings.quick else STEPS
    count = 16 if settings.quick else 32
    x = rng.normal(settings.seed, count, (2,), stream=rng.START)
    labels = np.arange(count) % mixture.classes
    pathwise = {**_flow_errors(mixture, x, labels), **_ddim_errors(mixture, x, labels)}
    law = _law_errors()
    bar = progress(None, "doubling the steps", len(steps) * (len(pathwise) + len(law)))
    orders = []
    for name, (error, promised) in {**pathwise, **law}.items():
        errors = []
        for S in steps:
            errors.append(error(S))
            bar.update()
        orders.append(Order(name, steps, np.array(errors), promised))
    bar.close()
    return orders


def level_schedule(S: int) -> Schedule:
    r"""S levels of one smooth curve, $\bar\alpha(u) = \cos^2(0.99 \tfrac\pi2 u)$ at u = i / S: more steps are finer steps along the same way.

    sigma / signal is the tangent, smooth down to data, so that Euler steps in it, which is what DDIM takes, converge at order 1.
    """
    return schedules.from_alpha_bars(np.cos(0.99 * np.pi / 2 * np.arange(1, S + 1) / S) ** 2)


def _flow_errors(mixture: Mixture, x: Array, labels: Array) -> dict[str, tuple[Callable[[int], float], int]]:
    """Euler, Heun and RK4 on the flow, against an adaptive solution to 12 digits."""
    field = _labelled(mixture.model(flow.straight, "velocity"), labels)
    exact = samplers.solve_adaptive(field, x, 0.0, 1.0, rtol=1e-12, atol=1e-12)

    def error(step: samplers.Step) -> Callable[[int], float]:
        return lambda S: _rms(samplers.last(samplers.sample(field, step, np.linspace(0, 1, S + 1), x)) - exact)

    steps = {"flow, Euler": (samplers.euler_step, 1), "flow, Heun": (samplers.heun_step, 2), "flow, RK4": (samplers.rk4_step, 4)}
    return {name: (error(step), promised) for name, (step, promised) in steps.items()}


def _ddim_errors(mixture: Mixture, x: Array, labels: Array) -> dict[str, tuple[Callable[[int], float], int]]:
    """DDIM from the first level to data, and its inversion from there back, against the ODE that both discretize."""
    field = _labelled(mixture.model(flow.straight, "velocity"), labels)
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


def _law_errors() -> dict[str, tuple[Callable[[int], float], int]]:
    """The random samplers, by the law of what they make."""
    rows: dict[str, tuple[Any, dict[str, Any]]] = {
        "DDPM, variance beta-tilde": (samplers.ddpm_step, {"variance": "posterior"}),
        "DDPM, variance beta": (samplers.ddpm_step, {"variance": "beta"}),
        "DDPM, variance between": (samplers.ddpm_step, {"variance": "learned", "mix": np.full((3, 1), 0.5)}),
        "DDIM, eta 0.5": (samplers.ddim_step, {"eta": 0.5}),
    }

    def error(formula: Any, options: dict[str, Any]) -> Callable[[int], float]:
        def of(S: int) -> float:
            mean, variance = law(formula, level_schedule(S), **options)
            return float(np.hypot(mean - MEAN, np.sqrt(variance) - np.sqrt(VARIANCE)))

        return of

    return {name: (error(formula, options), 1) for name, (formula, options) in rows.items()}


def law(formula: Any, schedule: Schedule, **options: Any) -> tuple[float, float]:
    r"""Mean and variance of what a sampler makes of the right x_T, with exact eps for data N(0.7, 0.25).

    A step is then $x_s = a x_t + b + c z$. Three probes read off a, b and c: x = 0 and x = 1 without noise, and x = 0 with z = 1.
    """
    step, model = samplers.stepper(formula, schedule, **options), oracles.gaussian([MEAN], [[VARIANCE]]).model(schedule)
    mean, variance = schedule.signal[-1] * MEAN, schedule.alpha_bar[-1] * VARIANCE + schedule.one_minus_alpha_bar[-1]
    x, z = np.array([[0.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [1.0]])
    for t in range(schedule.T, 0, -1):
        b, ab, bc = step(model, x, t, t - 1, z)[:, 0]
        mean, variance = (ab - b) * mean + b, (ab - b) ** 2 * variance + (bc - b) ** 2
    return float(mean), float(variance)


def failed(orders: list[Order], settings: Settings) -> bool:
    """Whether a measured order is off."""
    return any(not _right(order, settings) for order in orders)


def table(orders: list[Order], settings: Settings) -> str:
    """Errors and orders as text, with a line on what the errors are."""
    steps = orders[0].steps
    head = f"{'error with this many steps':<26}" + "".join(f"{S:>9}" for S in steps) + "    order"
    rows = [
        f"{order.name:<26}"
        + "".join(f"{error:9.1e}" for error in order.errors)
        + f"  {order.measured:7.2f}  {'PASS' if _right(order, settings) else 'OFF'}, {order.promised} in theory"
        for order in orders
    ]
    return "\n".join([head, *rows, *NOTES])


NOTES = (
    "Flow and DDIM: root mean square over starting points, against the same ODE solved to 12 digits.",
    f"DDPM and eta 0.5: error of mean and standard deviation (2-Wasserstein) on data N({MEAN}, {VARIANCE}), where every step is affine",
    "and the law of the samples needs no sampling. DDIM and DDPM walk S levels of one smooth curve, so that S steps is T = S.",
)


def curves(orders: list[Order]) -> list[Curve]:
    """The orders as lines of the chart."""
    return [Curve(f"{order.measured:.2f}  {order.name}", np.array(order.steps), order.errors) for order in orders]


def _right(order: Order, settings: Settings) -> bool:
    return abs(order.measured - order.promised) <= (QUICK_OFF if settings.quick else OFF)


def _labelled(model: Model, labels: Array) -> Model:
    return lambda x, t: model(x, t, labels)


def _rms(error: Array) -> float:
    return float(np.sqrt((error**2).sum(axis=1).mean()))
