"""Digits drawn from a trained model: DDPM, DDIM or Heun, guided by the model's own labels or by a classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refdiff import classifier, fast, flow, guidance, parallel, predict, rng, samplers, schedules, training, unet
from refdiff.arrays import Array, Model, Time, like
from refdiff.demo import experiment as contest
from refdiff.fast.processes import WorkerPool
from refdiff.process.tables import Schedule
from refdiff.tree import Tree

from .spec import CLASSES, SHAPE, Spec

SAMPLERS = {"ddpm": 250, "ddim": 50, "heun": 25}  # and how many steps each takes unless told
ROWS = 64  # images that a process answers at once, at most
TOGETHER = 200  # images that walk from noise to data at once, by which the noise is known


@dataclass(frozen=True)
class Method:
    """How to draw: gamma as in `guidance` (0: no labels, 1: labels as learned), and a classifier's parameters and how strongly it pulls."""

    sampler: str
    steps: int
    gamma: float = 1.0
    judge: Tree | None = None
    scale: float = 1.0
    seed: int = 0


def network(params: Tree, spec: Spec) -> Model:
    """The trained network as model(x, t, y), on all cores."""
    return on_all_cores(training.as_model(params, spec.path(), unet.unet, fast))


def on_all_cores(model: Any) -> Any:
    """The same function of (x, t, y), a batch answered in slices by a process on each core; they know the model as it is at the first call."""

    def answer_all(given: None, mine: list[Any]) -> list[Array]:
        return [model(*each) for each in mine]

    kept: list[WorkerPool] = []

    def spread(x: Array, t: Time, y: Array | None = None) -> Array:
        count = parallel.cores()
        slices = parallel.slices(len(x), min(len(x), count * -(-len(x) // (count * ROWS))))
        asked = [(x[rows], t[rows] if np.ndim(t) else t, None if y is None else y[rows]) for rows in slices]
        pool = kept.pop() if kept else WorkerPool([answer_all] * count, None)
        with parallel.one_blas_thread():
            answers = pool(None, [asked[i::count] for i in range(count)])
        kept.append(pool)  # not reached after an error: its answers might be taken for those of the next call
        return np.concatenate([answers[i % count][i // count] for i in range(len(slices))])

    return spread


def predict_x0(net: Model, spec: Spec, y: Array, method: Method) -> Model:
    """What a diffusion says of the data, model(x, t): guided, and held to [-1, 1], where pixels are.

    Otherwise an error at t near T, where hardly any signal is left, would be divided by that signal. Source: [DDPM sec. 3.2].
    """
    path, kind, predicted = spec.path(), spec.kind, labelled(net, y, method)
    gradient = None if method.judge is None else judge_gradient(method.judge, path)

    def model(x: Array, t: Time) -> Array:
        p = predicted(x, t)
        if gradient is not None:
            eps = predict.to_eps(p, x, t, path, kind)
            eps = guidance.classifier_eps(eps, gradient(x, t, y), method.scale, t, path)
            return np.clip(predict.to_x0(eps, x, t, path, "eps"), -1, 1)
        return np.clip(predict.to_x0(p, x, t, path, kind), -1, 1)

    return model


def labelled(net: Model, y: Array, method: Method) -> Model:
    """The network as model(x, t): told no label for gamma = 0, the label for gamma = 1, both otherwise."""
    if method.gamma in (0, 1):  # the same answers as `guided`, for half the work
        return lambda x, t: net(x, t, y if method.gamma else None)
    return guidance.guided(net, y, method.gamma, CLASSES)


def judge_gradient(params: Tree, path: Any) -> Any:
    """The gradient of log p(y | x_t) in x_t by a classifier with these parameters, as a function of (x, t, y)."""

    def of_slice(x: Array, t: Time, y: Array) -> Array:
        logits, vjp = classifier.classifier(params, x, path.clock(t), fast)
        return guidance.classifier_gradient(logits, vjp, y)

    return on_all_cores(of_slice)


def walk(net: Model, spec: Spec, method: Method, y: Array, first: int = 0) -> Iterator[Array]:
    """All states of the sampler from noise to data for these labels, the noise being that of the samples first, first + 1, ..."""
    mine = np.arange(first, first + len(y))
    x = rng.normal(method.seed, mine, SHAPE, stream=rng.START, dtype=np.float32)
    if spec.kind == "velocity":
        return samplers.sample(labelled(net, y, method), samplers.heun_step, np.linspace(0, 1, method.steps + 1), x)
    model, schedule = predict_x0(net, spec, y, method), spec.path()
    assert isinstance(schedule, Schedule)
    grid = schedules.grid("linspace", schedule.T, method.steps)
    if method.sampler == "heun":
        return straightened(model, schedule, grid, x)
    # training has had the noise of the samples 0..63
    noise: Any = rng.Normals(method.seed, mine + 2**20, SHAPE, dtype=np.float32)
    formula = samplers.ddpm_step if method.sampler == "ddpm" else samplers.ddim_step
    return samplers.sample(model, samplers.stepper(formula, schedule, kind="x0"), grid, x, noise)


def straightened(model: Model, schedule: Schedule, grid: Array, x: Array) -> Iterator[Array]:
    """Heun's method for a diffusion: x_t / (signal + sigma) walks the straight path of flows, in flow time (M5).

    The last step is Euler's, as the far slope, at t = 0, is one that no network is trained for.
    """
    times = flow.flow_time(schedule.log_snr[grid])

    def velocity(x: Array, tau: Time) -> Array:
        t = int(grid[np.abs(times - tau).argmin()])
        signal, sigma = schedule.signal_sigma(t)
        x_t = x * like(signal + sigma, x)
        x0 = model(x_t, t)
        return x0 - predict.to_eps(x0, x_t, t, schedule, "x0")

    def step(f: Model, x: Array, t: Time, s: Time, noise: None) -> Array:
        return (samplers.euler_step if s == times[-1] else samplers.heun_step)(f, x, t, s)

    signal, sigma = schedule.signal_sigma(int(grid[0]))
    return samplers.sample(velocity, step, times, x / like(signal + sigma, x))


def draw(net: Model, spec: Spec, method: Method, y: Array) -> Array:
    """The digits for these labels, (B, 28, 28, 1), with a bar that counts steps."""
    parts = [slice(low, low + TOGETHER) for low in range(0, len(y), TOGETHER)]
    bar = contest.progress(None, f"sampling, {method.sampler}", method.steps * len(parts))
    drawn = []
    for part in parts:
        states = walk(net, spec, method, y[part], part.start)
        next(states)  # the noise, which is no step
        drawn.append(samplers.last(counted(states, bar)))
    bar.close()
    return np.concatenate(drawn)


def counted(states: Iterator[Array], bar: Any) -> Iterator[Array]:
    """The states, each moving the bar on."""
    for x in states:
        bar.update()
        yield x
