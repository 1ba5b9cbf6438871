"""The contest behind the demo: a diffusion and a flow learn a 2-D data set, and samplers draw from them. `judging` judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .. import fast, rng
from ..arrays import Array, GaussianPath, Model, Time
from ..data import toy2d as data
from ..networks import mlp
from ..objectives import flow
from ..process import schedules
from ..process.schedules import Schedule
from ..sampling import guidance, samplers
from ..training import loop as training
from ..training import parallel

States = dict[str, list[Array]]  # by a sampler's name, all it went through, from noise to data


@dataclass(frozen=True)
class Settings:
    """What the demo does: `steps` of training for each model, `points` drawn by each sampler, `fresh` sets to compare with.

    T times of the diffusion, of which DDPM visits `ddpm`; a pool of points to learn from; `frames` of the animation.
    """

    dataset: str = "two_moons"
    seed: int = 0
    steps: int = 3000
    guidance: float = 3.0
    T: int = 1000
    ddpm: int = 1000
    points: int = 2000
    pool: int = 50_000
    fresh: int = 4
    frames: int = 40
    quick: bool = False


QUICK: dict[str, Any] = {"steps": 200, "ddpm": 100, "points": 160, "pool": 2000, "fresh": 3, "frames": 8, "quick": True}


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
    """A sampler of a model, with its grid and guidance, and its role: only the good ones must come near the floor."""

    name: str
    model: str
    step: samplers.Step
    grid: Array
    role: str = "good"  # or few, or guided
    gamma: float = 1.0


def gather(source: Callable[[int, int], data.Points], settings: Settings) -> Data:
    """A draw of the data set, cut into a pool to train on and `fresh` sets with equally many points of each label."""
    points, labels = source(settings.pool + 4 * settings.fresh * settings.points, settings.seed)
    classes = int(labels.max()) + 1
    n = settings.points // classes
    rest, rest_labels = points[settings.pool :], labels[settings.pool :]
    fresh = [rest[rest_labels == y][: settings.fresh * n].reshape(settings.fresh, n, 2) for y in range(classes)]
    return Data(points[: settings.pool], labels[: settings.pool], np.stack(fresh, axis=1))


def learn(known: Data, settings: Settings) -> Models:
    """Both models, a core each, trained alike: three layers of 128, batches of 256, Adam, a running average of the parameters."""
    schedule = schedules.linear(settings.T)
    points, start = known.points.astype(np.float32), training.start(mlp.init(settings.seed, classes=known.classes))
    paths: dict[str, GaussianPath] = {"eps": schedule, "velocity": flow.straight}
    config = training.Config(steps=settings.steps, warmup=settings.steps // 20, classes=known.classes, seed=settings.seed)
    configs = {kind: replace(config, kind=kind) for kind in paths}
    runs = [training.train(start, points, known.labels, paths[kind], configs[kind], L=fast) for kind in paths]
    losses = []
    bar = progress(range(settings.steps), "learning", settings.steps)
    with parallel.one_blas_thread():
        for step in bar:
            latest = parallel.run([partial(next, run) for run in runs])
            losses.append([loss for _, loss in latest])
            if step % 50 == 49:
                bar.set_postfix_str("loss {:.3f} (noise), {:.3f} (velocity)".format(*np.mean(losses[-200:], axis=0)), refresh=False)
    eps, velocity = (
        on_threads(training.as_model(state.averaged(configs[kind]), paths[kind], L=fast))
        for kind, (state, _) in zip(paths, latest, strict=True)
    )
    noise_losses, velocity_losses = np.array(losses).T
    return Models(schedule, eps, velocity, {"diffusion (noise)": noise_losses, "flow (velocity)": velocity_losses})


def methods(schedule: Schedule, settings: Settings, samplers: ModuleType = samplers) -> list[Method]:
    """The samplers of the table. gamma = 1 is the conditional model as it is; a larger one sharpens on purpose."""
    T, S, gamma = schedule.T, settings.ddpm, settings.guidance
    ddpm, ddim = (samplers.stepper(formula, schedule) for formula in (samplers.ddpm_step, samplers.ddim_step))
    ddim50, heun10 = schedules.grid("linspace", T, 50), np.linspace(0, 1, 11)
    return [
        Method(f"DDPM, {S} steps", "eps", ddpm, schedules.grid("linspace", T, S)),
        Method("DDIM, 50 steps", "eps", ddim, ddim50),
        Method("DDIM, 10 steps", "eps", ddim, schedules.grid("quadratic", T, 10), "few"),
        Method("flow, Euler, 20 steps", "velocity", samplers.euler_step, np.linspace(0, 1, 21)),
        Method("flow, Heun, 10 steps", "velocity", samplers.heun_step, heun10),
        Method(f"DDIM, 50 steps, guidance {gamma:g}", "eps", ddim, ddim50, "guided", gamma),
        Method(f"flow, Heun, 10 steps, guidance {gamma:g}", "velocity", samplers.heun_step, heun10, "guided", gamma),
    ]


def draw(method: Method, models: Models, labels: Array, seed: int) -> Iterator[Array]:
    """All states of a sampler, (B, 2) float32 each, from noise to data: for every label asked for, one point."""
    net = getattr(models, method.model)
    model = guidance.guided(net, labels, method.gamma, int(labels.max()) + 1)
    if method.gamma == 1:  # the same answers, for half the work
        model = partial(_conditional, net, labels)
    start = rng.normal(seed, len(labels), (2,), stream=rng.START, dtype=np.float32)
    others = np.arange(len(labels)) + 2**20  # training has had the noise of samples 0..255
    noise: Any = rng.Normals(seed, others, (2,), dtype=np.float32)
    return samplers.sample(model, method.step, method.grid, start, noise)


def _conditional(net: Model, labels: Array, x: Array, t: Time) -> Array:
    return net(x, t, labels)


def draw_all(chosen: list[Method], models: Models, labels: Array, seed: int, draw: Callable[..., Iterator[Array]] = draw) -> States:
    """The states of every sampler by its name, with a bar that counts steps."""
    bar = progress(None, "sampling", sum(len(method.grid) - 1 for method in chosen))
    states: States = {}
    for method in chosen:
        bar.set_postfix_str(method.name)  # shown at once: a short method may end before the bar would move by itself
        states[method.name] = []
        for state in draw(method, models, labels, seed):
            states[method.name].append(state)
            bar.update(len(states[method.name]) > 1)
    bar.close()
    return states


def progress(steps: Any, text: str, total: int) -> Any:
    """A tqdm bar on stderr around an iterable, or to be updated by hand."""
    from tqdm import tqdm

    return tqdm(steps, desc=f"{text:<18}", total=total, unit=" steps", dynamic_ncols=True)


def on_threads(model: Model) -> Model:
    """The same model, a batch answered in slices that stay in cache, on all cores."""

    def spread(x: Array, t: Time, y: Array | None = None) -> Array:
        out = np.empty_like(x)
        slices = [slice(low, low + 256) for low in range(0, len(x), 256)]
        workers = max(1, min(parallel.cores(), len(slices)))

        def fill(mine: list[slice]) -> None:
            for rows in mine:
                out[rows] = model(x[rows], t, None if y is None else y[rows])

        with parallel.one_blas_thread():
            parallel.run([partial(fill, slices[i::workers]) for i in range(workers)])
        return out

    return spread
