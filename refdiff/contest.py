"""The contest behind the demo: a diffusion and a flow model learn a 2-D data set, samplers draw from them, fresh data judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from . import data, fast, flow, guidance, metrics, mlp, parallel, rng, samplers, schedules, training
from .arrays import Array, GaussianPath, Model, Time
from .schedules import Schedule

States = dict[str, list[Array]]  # by a sampler's name, all it went through, from noise to data

BOUND = 3.0  # a good sampler's distance, in floors; fresh data itself strays up to 2.1 in 50 draws, since 2000 points are few


@dataclass(frozen=True)
class Settings:
    """What the demo does: `steps` of training for each model, `points` drawn by each sampler, `fresh` sets to compare with.

    T times of the diffusion, of which DDPM visits `ddpm`; a pool of points to learn from; `frames` of the animation.
    """

    dataset: str = "two_moons"
    seed: int = 0
    steps: int = 4000
    guidance: float = 3.0
    T: int = 1000
    ddpm: int = 1000
    points: int = 2000
    pool: int = 50_000
    fresh: int = 6
    frames: int = 48
    quick: bool = False


QUICK: dict[str, Any] = {"steps": 60, "ddpm": 100, "points": 160, "pool": 2000, "fresh": 3, "frames": 8, "quick": True}


class Data(NamedTuple):
    """Points to learn from, with labels, and fresh ones to judge by: fresh (sets, classes, n, 2)."""

    points: Array
    labels: Array
    fresh: Array

    @property
    def classes(self) -> int:
        """Number of labels, which is also the "no label" entry."""
        return self.fresh.shape[1]

    @property
    def asked(self) -> Array:
        """The labels that samplers are asked for: n of each, in order; (classes n,)."""
        return np.repeat(np.arange(self.classes), self.fresh.shape[2])


class Models(NamedTuple):
    """model(x, t, y) of the noise on a schedule, and of the velocity on the straight path; losses by name, if they were trained."""

    schedule: Schedule
    eps: Model
    velocity: Model
    losses: dict[str, Array]


class Method(NamedTuple):
    """A sampler with its grid and guidance; good ones must come near the floor."""

    name: str
    model: str
    step: samplers.Step
    grid: Array
    gamma: float = 1.0
    good: bool = False


class Score(NamedTuple):
    """A row of the table: the energy distance to fresh data, and as a multiple of the floor."""

    name: str
    distance: float
    multiple: float
    remark: str


def gather(source: Callable[[int, int], data.Points], settings: Settings) -> Data:
    """A draw of the data set, cut into a pool to train on and `fresh` sets with equally many points of each label."""
    points, labels = source(settings.pool + 4 * settings.fresh * settings.points, settings.seed)
    classes = int(labels.max()) + 1
    n = settings.points // classes
    rest, rest_labels = points[settings.pool :], labels[settings.pool :]
    fresh = [rest[rest_labels == y][: settings.fresh * n].reshape(settings.fresh, n, 2) for y in range(classes)]
    return Data(points[: settings.pool], labels[: settings.pool], np.stack(fresh, axis=1))


def learn(known: Data, settings: Settings) -> Models:
    """Both models, trained alike: three layers of 128, batches of 256, Adam, a running average of the parameters."""
    schedule = schedules.linear(settings.T)
    eps, eps_losses = _fit("eps", schedule, known, settings)
    velocity, velocity_losses = _fit("velocity", flow.straight, known, settings)
    return Models(schedule, eps, velocity, {"diffusion (noise)": eps_losses, "flow (velocity)": velocity_losses})


def _fit(kind: str, path: GaussianPath, known: Data, settings: Settings) -> tuple[Model, Array]:
    config = training.Config(kind=kind, steps=settings.steps, seed=settings.seed)
    state = training.start(mlp.init(settings.seed, classes=known.classes))
    run = training.train(state, known.points.astype(np.float32), known.labels, path, config, L=fast, workers=None)
    bar = progress(run, f"learning the {'noise' if kind == 'eps' else kind}", settings.steps)
    losses = []
    for state, loss in bar:
        losses.append(loss)
        if state.step % 50 == 0:
            bar.set_postfix_str(f"loss {np.mean(losses[-200:]):.3f}", refresh=False)
    return on_threads(training.as_model(state.averaged(config), path, L=fast)), np.array(losses)


def methods(schedule: Schedule, settings: Settings) -> list[Method]:
    """The samplers of the table. gamma = 1 is the conditional model as it is; a larger one sharpens on purpose."""
    T, S, gamma = schedule.T, settings.ddpm, settings.guidance
    ddpm, ddim = (samplers.stepper(formula, schedule) for formula in (samplers.ddpm_step, samplers.ddim_step))
    ddim50, heun10 = schedules.grid("linspace", T, 50), np.linspace(0, 1, 11)
    return [
        Method(f"DDPM, {S} steps", "eps", ddpm, schedules.grid("linspace", T, S), good=True),
        Method("DDIM, 50 steps", "eps", ddim, ddim50, good=True),
        Method("DDIM, 10 steps", "eps", ddim, schedules.grid("quadratic", T, 10)),
        Method("flow, Euler, 20 steps", "velocity", samplers.euler_step, np.linspace(0, 1, 21), good=True),
        Method("flow, Heun, 10 steps", "velocity", samplers.heun_step, heun10, good=True),
        Method(f"DDIM, 50 steps, guidance {gamma:g}", "eps", ddim, ddim50, gamma),
        Method(f"flow, Heun, 10 steps, guidance {gamma:g}", "velocity", samplers.heun_step, heun10, gamma),
    ]


def draw(method: Method, models: Models, labels: Array, seed: int) -> Iterator[Array]:
    """All states of a sampler, (B, 2) float32 each, from noise to data: for every label asked for, one point."""
    model = guidance.guided(getattr(models, method.model), labels, method.gamma, int(labels.max()) + 1)
    start = rng.normal(seed, len(labels), (2,), stream=rng.START, dtype=np.float32)
    noise = rng.Normals(seed, len(labels), (2,), dtype=np.float32)
    return samplers.sample(model, method.step, method.grid, start, noise)


def draw_all(chosen: list[Method], models: Models, labels: Array, seed: int) -> States:
    """The states of every sampler by its name, with a bar that counts steps."""
    bar = progress(None, "sampling", sum(len(method.grid) - 1 for method in chosen))
    states: States = {}
    for method in chosen:
        bar.set_postfix_str(method.name, refresh=False)
        states[method.name] = []
        for state in draw(method, models, labels, seed):
            states[method.name].append(state)
            bar.update(len(states[method.name]) > 1)
    bar.close()
    return states


def distance(samples: Array, fresh: Array) -> float:
    """Energy distance within each label, averaged over labels; samples and fresh (classes, n, 2)."""
    return float(np.mean([metrics.energy_distance(a, b) for a, b in zip(samples, fresh, strict=True)]))


def judge(chosen: list[Method], states: States, known: Data, settings: Settings) -> list[Score]:
    """The table: fresh data against fresh data (the floor), every sampler against fresh data, and pure noise."""
    floor = float(np.mean([distance(a, b) for a, b in combinations(known.fresh, 2)]))

    def score(name: str, samples: Array, remark: str) -> Score:
        mean = float(np.mean([distance(samples.reshape(fresh.shape), fresh) for fresh in known.fresh]))
        return Score(name, mean, mean / floor, remark)

    rows = [score(method.name, states[method.name][-1], "") for method in chosen]
    rows = [row._replace(remark=_remark(method, row.multiple, settings)) for method, row in zip(chosen, rows, strict=True)]
    noise = score("pure noise", states[chosen[0].name][0], "where sampling starts")
    return [Score("fresh data, the floor", floor, 1.0, ""), *rows, noise]


def _remark(method: Method, multiple: float, settings: Settings) -> str:
    if method.gamma != 1:
        return "sharpened on purpose, not judged"
    if not method.good or settings.quick:
        return "few steps, not judged" if not method.good else "--quick, not judged"
    return f"{'PASS' if multiple <= BOUND else 'EXCEEDED'}, allowed {BOUND:g}"


def failed(scores: list[Score]) -> bool:
    """Whether a good sampler stayed too far from the data."""
    return any(row.remark.startswith("EXCEEDED") for row in scores)


def table(scores: list[Score]) -> str:
    """The scores as text."""
    head = f"{'energy distance to fresh data':<38} {'distance':>9} {'x floor':>8}"
    return "\n".join([head, *(f"{row.name:<38} {row.distance:9.5f} {row.multiple:8.2f}  {row.remark}".rstrip() for row in scores)])


def progress(steps: Any, text: str, total: int) -> Any:
    """A tqdm bar on stderr around an iterable, or to be updated by hand."""
    from tqdm import tqdm

    return tqdm(steps, desc=f"{text:<21}", total=total, unit=" steps", dynamic_ncols=True)


def on_threads(model: Model) -> Model:
    """The same model, a batch answered in slices that stay in cache, on all cores."""

    def spread(x: Array, t: Time, y: Array | None = None) -> Array:
        out = np.empty_like(x)
        slices = [slice(low, low + 256) for low in range(0, len(x), 256)]
        workers = parallel.default_workers(len(x))

        def fill(mine: list[slice]) -> None:
            for rows in mine:
                out[rows] = model(x[rows], t, None if y is None else y[rows])

        with parallel.one_blas_thread():
            parallel.run([partial(fill, slices[i::workers]) for i in range(workers)])
        return out

    return spread
