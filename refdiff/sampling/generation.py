"""Samples in one call: the steps of `samplers`, the noise of `rng` and guidance, put together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import rng, solvers
from ..arrays import Array, GaussianPath, Model, Solver, Step, as_array, describe
from ..checks import MOST, check_choice, check_count, check_dtype, check_flag, check_integer, check_scalar, check_tuple
from ..process import grids, predict
from ..process.sde import Sde
from ..process.tables import Schedule
from . import guidance as guidance_
from . import samplers

SOLVERS = tuple(solvers.METHODS)
METHODS = {
    "diffusion": ("ddim", "ddpm", *SOLVERS),
    "sde": SOLVERS,
    "flow": ("heun", "euler", "rk4", *(name for name, (_, formula, *_) in solvers.METHODS.items() if formula is solvers.dpmpp_step)),
}
FIRST = 2**20  # index of the first sample: training draws noise for the samples 0, 1, ... of its batches


class Modules(NamedTuple):
    """Where the parts come from: this package, or the package for a GPU."""

    rng: Any
    samplers: Any
    guidance: Any
    asarray: Any


HOST = Modules(rng, samplers, guidance_, np.asarray)


def generate(
    model: Model,
    path: GaussianPath,
    shape: tuple[int, ...],
    steps: int = 50,
    method: str | None = None,
    seed: int = 0,
    labels: Any = None,
    guidance: float = 1.0,
    kind: str | None = None,
    grid: Any = None,
    dtype: Any = np.float32,
    progress: bool = False,
    **options: Any,
) -> Array:
    r"""Samples (B, ...) of a model, from noise by `steps` steps of a method. Only one state is kept in memory.

    `model(x, t)` predicts `kind`: "eps" by default for a `Schedule` or an `Sde`, "velocity" for the path of a flow. With `labels`, one integer or
    one for each sample, it is called as `model(x, t, labels)`, and without a label as `model(x, t, None)`; `guidance` is the scale
    $\gamma$ of classifier-free guidance. `method` is the name of a step: for a
    `Schedule` "ddim" (default) or "ddpm", for the path of a flow "heun" (default), "euler" or "rk4"; or a name of `solvers.METHODS`, which
    an `Sde` always has (default "dpmpp_2m"). Solvers of `dpmpp_step` work on any path, the others need signal at the start. `grid` is the name of a time
    grid of a `Schedule`, or the times themselves; by default "linspace", and for an `Sde` the times with equal angles of
    `solvers.solver_grid`. Other options are those of the step: note that `eta` of DDIM is a factor of the standard deviation, and `eta` of a
    solver one of the variance.

    A sample depends on the seed and on its index only. `steps_of` gives the same steps to drive by hand. Source: S1, S2, M1, G3.
    """
    return _generate(HOST, model, path, shape, steps, method, seed, labels, guidance, kind, grid, dtype, progress, **options)


def steps_of(
    path: GaussianPath, steps: int = 50, method: str | None = None, kind: str | None = None, grid: Any = None, **options: Any
) -> tuple[Step | Solver, Array]:
    """The step of a method and its time grid, for `samplers.sample`; arguments as in `generate`. Source: S1, S2, M1."""
    return _steps_of(HOST, path, steps, method, kind, grid, **options)


def _generate(
    on: Modules, model: Model, path: GaussianPath, shape: Any, steps: Any, method: Any, seed: Any, labels: Any, gamma: Any, kind: Any,
    grid: Any, dtype: Any, progress: Any, **options: Any,
) -> Array:  # fmt: skip
    count, *event = check_tuple("shape", shape, 1) or check_tuple("shape", (0,), 1)
    indices, dtype = FIRST + np.arange(count), check_dtype(dtype)
    step, times = _steps_of(on, path, steps, method, kind, grid, **options)
    start = on.rng.normal(seed, indices, tuple(event), stream=rng.START, dtype=dtype)
    if isinstance(path, Sde):
        start = start * dtype.type(path.signal_sigma(times[0])[1])
    noise: Any = on.rng.Normals(seed, indices, tuple(event), dtype=dtype)
    if method in SOLVERS:
        noise = solvers.noise_for(method, noise)
    states = on.samplers.sample(_conditioned(on, model, labels, gamma, count), step, times, start, noise)
    if check_flag("progress", progress):
        from tqdm import tqdm

        states = tqdm(states, "sampling", len(times), unit=" states", dynamic_ncols=True)
    return samplers.last(states)


def _steps_of(on: Modules, path: Any, steps: Any, method: Any, kind: Any, grid: Any, **options: Any) -> tuple[Step | Solver, Array]:
    if not hasattr(path, "signal_sigma"):
        raise TypeError(f"path = {describe(path)}; allowed: a Schedule, an Sde, or the path of a flow, such as flow.straight")
    family = "diffusion" if isinstance(path, Schedule) else "sde" if isinstance(path, Sde) else "flow"
    method = METHODS[family][0] if method is None else method
    kind = ("velocity" if family == "flow" else "eps") if kind is None else kind
    check_choice("method", method, METHODS[family])
    check_choice("kind", kind, predict.KINDS)
    times = _times(path, family, steps, grid)
    if method in SOLVERS:
        return solvers.solver(method, path, kind, **{"grid": times} | options), times
    formula = getattr(on.samplers, f"{method}_step")
    if family == "diffusion":
        return on.samplers.stepper(formula, path, kind=kind, **options), times
    if options:
        raise TypeError(f"{next(iter(options))} = {next(iter(options.values()))!r}; allowed: no other options for the path of a flow")
    return _flow_step(formula, path, kind), times


def _times(path: Any, family: str, steps: int, grid: Any) -> Array:
    if grid is not None and not isinstance(grid, str):
        return grids.check_grid(grid, path.T) if family == "diffusion" else _checked(grid, family == "sde")
    steps = check_count("steps", steps, 1, path.T if family == "diffusion" else MOST)
    name = "linspace" if grid is None else grid
    check_choice("grid", name, grids.GRIDS if family == "diffusion" else ("linspace",))
    if family == "diffusion":
        return grids.grid(name, path.T, steps)
    if family == "sde" and grid is None:
        return solvers.solver_grid(path.end, 0.0, steps, path, "angle")
    start, end = (path.end, 0) if family == "sde" else (0, 1)
    return np.linspace(start, end, steps + 1)


def _checked(grid: Any, falling: bool) -> Array:
    grids.check_times(grid)
    times = as_array(grid)
    if not np.all((times[1:] < times[:-1]) if falling else (times[1:] > times[:-1])):
        raise ValueError(f"grid = {grid!r}; allowed: {'falling' if falling else 'rising'} times")
    return times


def _flow_step(formula: Step, path: GaussianPath, kind: str) -> Step:
    if kind == "velocity":
        return formula
    return lambda model, x, t, s, noise: formula(samplers.velocity_field(model, path, kind), x, t, s, noise)


def _conditioned(on: Modules, model: Model, labels: Any, gamma: float, count: int) -> Model:
    r"""The `model(x, t)` that samples with labels need: conditional on them, and guided with the scale $\gamma$. Source: G3."""
    gamma = check_scalar("guidance", gamma, -1e6, 1e6)
    if labels is None and gamma == 1:
        return model
    if labels is None:
        raise ValueError(f"guidance = {gamma!r}; allowed: 1 without labels")
    y = check_integer("labels", as_array(labels, "labels"), 0, MOST)
    if y.shape not in ((), (count,)):
        raise ValueError(f"labels has shape {y.shape}; allowed: () or ({count},), one for each sample")
    y = on.asarray(np.broadcast_to(y, count))
    if gamma == 1:
        return lambda x, t: model(x, t, y)
    return lambda x, t: on.guidance.classifier_free(model(x, t, None), model(x, t, y), gamma)
