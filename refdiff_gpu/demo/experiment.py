"""The demo's contest on the device: networks learn and samplers draw there, and what is judged and drawn as pictures is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from refdiff.arrays import Array, GaussianPath, Model, Time, on_device
from refdiff.demo import experiment as text
from refdiff.demo.experiment import Data, Method, Models, Settings, States, progress
from refdiff.objectives import flow

from .. import rng
from ..device.transfer import to_device, to_host
from ..networks import mlp
from ..process import schedules
from ..process.schedules import Schedule
from ..sampling import guidance, samplers
from ..training import loop as training

EVERY = 50  # steps between two looks at the loss


def learn(known: Data, settings: Settings) -> Models:
    """Both models, trained alike, one after the other in every step; the losses are read every `EVERY` steps, and at the end."""
    schedule = schedules.linear(settings.T)
    points, labels = to_device((known.points.astype(np.float32), known.labels))
    paths: dict[str, GaussianPath] = {"eps": schedule, "velocity": flow.straight}
    config = training.Config(steps=settings.steps, warmup=settings.steps // 20, classes=known.classes, seed=settings.seed)
    configs = {kind: replace(config, kind=kind) for kind in paths}
    start = training.start(mlp.init(settings.seed, classes=known.classes))
    runs = [training.train(start, points, labels, paths[kind], configs[kind]) for kind in paths]
    losses: list[list[Any]] = []
    bar = progress(range(settings.steps), "learning", settings.steps)
    for step in bar:
        latest = [next(run) for run in runs]
        losses.append([loss for _, loss in latest])
        if step % EVERY == EVERY - 1:
            bar.set_postfix_str("loss {:.3f} (noise), {:.3f} (velocity)".format(*losses[-1]), refresh=False)
    eps, velocity = (
        _for_both(training.as_model(state.averaged(configs[kind]), paths[kind])) for kind, (state, _) in zip(paths, latest, strict=True)
    )
    noise_losses, velocity_losses = (_read(each) for each in zip(*losses, strict=True))
    return Models(schedule, eps, velocity, {"diffusion (noise)": noise_losses, "flow (velocity)": velocity_losses})


def _read(losses: Any) -> Array:
    """All losses of a run at once."""
    return to_host(np.stack([loss.summed for loss in losses])) / losses[0].config.batch


def _for_both(model: Model) -> Model:
    """The model for arrays of the device, and of the host, which are moved there and back."""

    def either(x: Array, t: Time, y: Array | None = None) -> Array:
        return model(x, t, y) if on_device(x) else to_host(model(*to_device((x, t, y))))

    return either


def methods(schedule: Schedule, settings: Settings) -> list[Method]:
    """The samplers of the table, by this package's steps."""
    return text.methods(schedule, settings, samplers)


def draw(method: Method, models: Models, labels: Array, seed: int) -> Iterator[Array]:
    """All states of a sampler, each fetched to be judged and drawn."""
    net, asked = getattr(models, method.model), to_device(labels)
    model = guidance.guided(net, asked, method.gamma, int(labels.max()) + 1)
    if method.gamma == 1:
        model = partial(text._conditional, net, asked)
    start = rng.normal(seed, len(labels), (2,), stream=rng.START, dtype=np.float32)
    others = to_device(np.arange(len(labels)) + 2**20)
    noise: Any = rng.Normals(seed, others, (2,), dtype=np.float32)
    yield from map(to_host, samplers.sample(model, method.step, method.grid, start, noise))


def draw_all(chosen: list[Method], models: Models, labels: Array, seed: int) -> States:
    """The states of every sampler by its name."""
    return text.draw_all(chosen, models, labels, seed, draw)
