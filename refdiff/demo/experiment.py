"""The experiment of `refdiff demo`: train a diffusion and a flow model on 2-D data, and sample with every sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .. import fast, rng
from ..arrays import Array, GaussianPath, Model, Time
from ..data.toy2d import Points
from ..networks import mlp
from ..objectives import flow
from ..process import schedules
from ..process.schedules import Schedule
from ..sampling import guidance, samplers
from ..training import loop, parallel

Trajectories = dict[str, list[Array]]  # the states of each sampler by its name, from noise to data


@dataclass(frozen=True)
class Settings:
    """Settings of the demo: training `steps` of each model, `samples` of each sampler, `fresh_sets` of data to compare with.

    T is the number of diffusion times, of which DDPM visits `ddpm_steps`; `train_size` is the number of training points, and
    `frames` the number of steps in the animation.
    """

    dataset: str = "two_moons"
    seed: int = 0
    steps: int = 3000
    guidance: float = 3.0
    T: int = 1000
    ddpm_steps: int = 1000
    samples: int = 2000
    train_size: int = 50_000
    fresh_sets: int = 4
    frames: int = 40
    quick: bool = False


QUICK: dict[str, Any] = {
    "steps": 200,
    "ddpm_steps": 100,
    "samples": 160,
    "train_size": 2000,
    "fresh_sets": 3,
    "frames": 8,
    "quick": True,
}


class Dataset(NamedTuple):
    """Training points (N, 2) with labels (N,), and fresh points to compare samples with, fresh (sets, classes, n, 2)."""

    points: Array
    labels: Array
    fresh: Array

    @property
    def classes(self) -> int:
        """Number of labels, which is also the "no label" entry."""
        return self.fresh.shape[1]

    @property
    def sample_labels(self) -> Array:
        """The labels that samples are conditioned on: n of each, in order; (classes n,)."""
        return np.repeat(np.arange(self.classes), self.fresh.shape[2])


class Models(NamedTuple):
    """Two models (x, t, y): the noise eps on a schedule, the velocity on the straight path; and their training losses, if any."""

    schedule: Schedule
    eps: Model
    velocity: Model
    losses: dict[str, Array]


class Method(NamedTuple):
    """A sampling method: the model it uses, its step, time grid and guidance scale gamma.

    The role is "checked" for methods whose samples must match the data, "few" for one with too few steps, "guided" for guidance.
    """

    name: str
    model: str
    step: samplers.Step
    grid: Array
    role: str = "checked"
    gamma: float = 1.0


def make_data(source: Callable[[int, int], Points], settings: Settings) -> Dataset:
    """Draw a data set and split it into training points and `fresh_sets` sets with equally many points of each label."""
    points, labels = source(settings.train_size + 4 * settings.fresh_sets * settings.samples, settings.seed)
    classes = int(labels.max()) + 1
    n = settings.samples // classes
    rest, rest_labels = points[settings.train_size :], labels[settings.train_size :]
    fresh = [rest[rest_labels == y][: settings.fresh_sets * n].reshape(settings.fresh_sets, n, 2) for y in range(classes)]
    return Dataset(points[: settings.train_size], labels[: settings.train_size], np.stack(fresh, axis=1))


def train_models(dataset: Dataset, settings: Settings) -> Models:
    """Train both models, each on a core of its own: an MLP with three layers of 128, batches of 256, Adam, EMA parameters."""
    schedule = schedules.linear(settings.T)
    points, start = dataset.points.astype(np.float32), loop.start(mlp.init(settings.seed, classes=dataset.classes))
    paths: dict[str, GaussianPath] = {"eps": schedule, "velocity": flow.straight}
    config = loop.Config(steps=settings.steps, warmup=settings.steps // 20, classes=dataset.classes, seed=settings.seed)
    configs = {kind: replace(config, kind=kind) for kind in paths}
    runs = [loop.train(start, points, dataset.labels, paths[kind], configs[kind], L=fast) for kind in paths]
    losses = []
    bar = progress_bar(range(settings.steps), "training", settings.steps)
    with parallel.one_blas_thread():
        for step in bar:
            latest = parallel.run([partial(next, run) for run in runs])
            losses.append([loss for _, loss in latest])
            if step % 50 == 49:
                bar.set_postfix_str("loss {:.3f} (noise), {:.3f} (velocity)".format(*np.mean(losses[-200:], axis=0)), refresh=False)
    eps, velocity = (
        on_threads(loop.as_model(state.averaged(configs[kind]), paths[kind], L=fast))
        for kind, (state, _) in zip(paths, latest, strict=True)
    )
    noise_losses, velocity_losses = np.array(losses).T
    return Models(schedule, eps, velocity, {"diffusion (noise)": noise_losses, "flow (velocity)": velocity_losses})


def methods(schedule: Schedule, settings: Settings, samplers: ModuleType = samplers) -> list[Method]:
    """The sampling methods of the table. gamma = 1 is the conditional model itself; a larger gamma is guidance."""
    T, S, gamma = schedule.T, settings.ddpm_steps, settings.guidance
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


def draw_samples(method: Method, models: Models, labels: Array, seed: int) -> Iterator[Array]:
    """All states of a sampling method, each (B, 2) float32, from noise to data: one sample for every label."""
    net = getattr(models, method.model)
    model = guidance.guided(net, labels, method.gamma, int(labels.max()) + 1)
    if method.gamma == 1:  # the same result, at half the cost
        model = partial(_conditional, net, labels)
    start = rng.normal(seed, len(labels), (2,), stream=rng.START, dtype=np.float32)
    indices = np.arange(len(labels)) + 2**20  # training uses the noise of samples 0..255
    noise: Any = rng.Normals(seed, indices, (2,), dtype=np.float32)
    return samplers.sample(model, method.step, method.grid, start, noise)


def _conditional(net: Model, labels: Array, x: Array, t: Time) -> Array:
    return net(x, t, labels)


def draw_all_samples(
    methods: list[Method], models: Models, labels: Array, seed: int, draw: Callable[..., Iterator[Array]] = draw_samples
) -> Trajectories:
    """The states of every sampling method by its name, with a progress bar over the steps."""
    bar = progress_bar(None, "sampling", sum(len(method.grid) - 1 for method in methods))
    trajectories: Trajectories = {}
    for method in methods:
        bar.set_postfix_str(method.name)  # refreshes at once: a short method may end before the bar would refresh by itself
        trajectories[method.name] = []
        for state in draw(method, models, labels, seed):
            trajectories[method.name].append(state)
            bar.update(len(trajectories[method.name]) > 1)
    bar.close()
    return trajectories


def progress_bar(steps: Any, text: str, total: int) -> Any:
    """A tqdm progress bar on stderr, around an iterable or, for None, to be updated by hand."""
    from tqdm import tqdm

    return tqdm(steps, desc=f"{text:<18}", total=total, unit=" steps", dynamic_ncols=True)


def on_threads(model: Model) -> Model:
    """The same model, evaluated on all cores: a batch is split into slices small enough for the cache."""

    def threaded(x: Array, t: Time, y: Array | None = None) -> Array:
        out = np.empty_like(x)
        slices = [slice(low, low + 256) for low in range(0, len(x), 256)]
        workers = max(1, min(parallel.cores(), len(slices)))

        def evaluate(chunk: list[slice]) -> None:
            for rows in chunk:
                out[rows] = model(x[rows], t, None if y is None else y[rows])

        with parallel.one_blas_thread():
            parallel.run([partial(evaluate, slices[i::workers]) for i in range(workers)])
        return out

    return threaded
