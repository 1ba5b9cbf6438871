"""The demo's experiment on the device: training and sampling run there; the states are copied to the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from refdiff.arrays import Array, GaussianPath, Model, Time, on_device
from refdiff.demo import experiment
from refdiff.demo.experiment import Dataset, Method, Models, Settings, Trajectories, progress_bar
from refdiff.objectives import flow

from .. import rng
from ..device.transfer import to_device, to_host
from ..networks import mlp
from ..process import schedules
from ..process.schedules import Schedule
from ..sampling import guidance, samplers
from ..training import loop

LOSS_INTERVAL = 50  # steps between two displays of the loss


def train_models(dataset: Dataset, settings: Settings) -> Models:
    """Train both models, one after the other in every step; the losses are read every `LOSS_INTERVAL` steps and at the end."""
    schedule = schedules.linear(settings.T)
    points, labels = to_device((dataset.points.astype(np.float32), dataset.labels))
    paths: dict[str, GaussianPath] = {"eps": schedule, "velocity": flow.straight}
    config = loop.Config(steps=settings.steps, warmup=settings.steps // 20, classes=dataset.classes, seed=settings.seed)
    configs = {kind: replace(config, kind=kind) for kind in paths}
    start = loop.start(mlp.init(settings.seed, classes=dataset.classes))
    runs = [loop.train(start, points, labels, paths[kind], configs[kind]) for kind in paths]
    losses: list[list[Any]] = []
    bar = progress_bar(range(settings.steps), "training", settings.steps)
    for step in bar:
        latest = [next(run) for run in runs]
        losses.append([loss for _, loss in latest])
        if step % LOSS_INTERVAL == LOSS_INTERVAL - 1:
            bar.set_postfix_str("loss {:.3f} (noise), {:.3f} (velocity)".format(*losses[-1]), refresh=False)
    eps, velocity = (
        _for_host_and_device(loop.as_model(state.averaged(configs[kind]), paths[kind]))
        for kind, (state, _) in zip(paths, latest, strict=True)
    )
    noise_losses, velocity_losses = (_read(each) for each in zip(*losses, strict=True))
    return Models(schedule, eps, velocity, {"diffusion (noise)": noise_losses, "flow (velocity)": velocity_losses})


def _read(losses: Any) -> Array:
    """All losses of a run, copied to the host at once."""
    return to_host(np.stack([loss.summed for loss in losses])) / losses[0].config.batch


def _for_host_and_device(model: Model) -> Model:
    """The model for arrays of the device and of the host; host arrays are copied there and the result back."""

    def either(x: Array, t: Time, y: Array | None = None) -> Array:
        return model(x, t, y) if on_device(x) else to_host(model(*to_device((x, t, y))))

    return either


def methods(schedule: Schedule, settings: Settings) -> list[Method]:
    """The sampling methods of the table, with the steps of this package."""
    return experiment.methods(schedule, settings, samplers)


def draw_samples(method: Method, models: Models, labels: Array, seed: int) -> Iterator[Array]:
    """All states of a sampling method, each copied to the host."""
    net, y = getattr(models, method.model), to_device(labels)
    model = guidance.guided(net, y, method.gamma, int(labels.max()) + 1)
    if method.gamma == 1:
        model = partial(experiment._conditional, net, y)
    start = rng.normal(seed, len(labels), (2,), stream=rng.START, dtype=np.float32)
    indices = to_device(np.arange(len(labels)) + 2**20)
    noise: Any = rng.Normals(seed, indices, (2,), dtype=np.float32)
    yield from map(to_host, samplers.sample(model, method.step, method.grid, start, noise))


def draw_all_samples(methods: list[Method], models: Models, labels: Array, seed: int) -> Trajectories:
    """The states of every sampling method by its name."""
    return experiment.draw_all_samples(methods, models, labels, seed, draw_samples)
