"""Sampling images from a trained model: DDPM, DDIM, Heun or a fast solver, with classifier-free or classifier guidance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refdiff import classifier, fast, flow, guidance, parallel, predict, rng, samplers, schedules, solvers, training, unet
from refdiff.arrays import Array, Model, Time, like
from refdiff.demo.experiment import progress_bar
from refdiff.fast.processes import WorkerPool
from refdiff.process.tables import Schedule
from refdiff.tree import Tree

from .spec import Spec

SAMPLERS = {"ddpm": 250, "ddim": 50, "heun": 25} | dict.fromkeys(solvers.METHODS, 20)  # the default number of steps of each sampler
SLICE = 64  # images evaluated at once by a process, at most
BATCH = 200  # images sampled at once; their noise is drawn for all of them


@dataclass(frozen=True)
class Method:
    """Sampling method: gamma is the scale of classifier-free guidance (0: no labels, 1: conditional model), `classifier` the
    parameters of a classifier for classifier guidance, or None, and `scale` its scale.
    """

    sampler: str
    steps: int
    gamma: float = 1.0
    classifier: Tree | None = None
    scale: float = 1.0
    seed: int = 0


def network(params: Tree, spec: Spec) -> Model:
    """The trained network as model(x, t, y), on all cores."""
    return on_all_cores(training.as_model(params, spec.path(), unet.unet, fast))


def on_all_cores(model: Any) -> Any:
    """The same function of (x, t, y) on a process per core. The processes have a copy of the model from the first call."""

    def evaluate(inputs: list[Any]) -> list[Array]:
        return [model(*each) for each in inputs]

    pools: list[WorkerPool] = []

    def parallel_model(x: Array, t: Time, y: Array | None = None) -> Array:
        count = parallel.cores()
        slices = parallel.slices(len(x), min(len(x), count * -(-len(x) // (count * SLICE))))
        inputs = [(x[rows], t[rows] if np.ndim(t) else t, None if y is None else y[rows]) for rows in slices]
        pool = pools.pop() if pools else WorkerPool([evaluate] * count)
        with parallel.one_blas_thread():
            outputs = pool([inputs[i::count] for i in range(count)])
        pools.append(pool)  # while it worked, no other thread could use it
        return np.concatenate([outputs[i % count][i // count] for i in range(len(slices))])

    return parallel_model


def predict_x0(net: Model, spec: Spec, y: Array, method: Method) -> Model:
    """The prediction of x0 on the noise schedule of a run, model(x, t): guided, and clipped to [-1, 1], the range of pixels.

    Without clipping, an error at t near T would be divided by the small signal there. The velocity of a flow is one more prediction
    of x0, at the time of the straight path that has the same SNR (M5). Source: [DDPM sec. 3.2].
    """
    path, kind, predicted = spec.diffusion(), spec.kind, conditional(net, spec, y, method)
    gradient = None if method.classifier is None else class_gradient(method.classifier, path)

    def model(x: Array, t: Time) -> Array:
        if kind == "velocity":
            signal, sigma = path.signal_sigma(t)
            tau, z = flow.flow_time(path.log_snr[t]), x / like(signal + sigma, x)
            return np.clip(predict.to_x0(predicted(z, tau), z, tau, flow.straight, kind), -1, 1)
        p = predicted(x, t)
        if gradient is not None:
            eps = predict.to_eps(p, x, t, path, kind)
            eps = guidance.classifier_eps(eps, gradient(x, t, y), method.scale, t, path)
            return np.clip(predict.to_x0(eps, x, t, path, "eps"), -1, 1)
        return np.clip(predict.to_x0(p, x, t, path, kind), -1, 1)

    return model


def conditional(net: Model, spec: Spec, y: Array, method: Method) -> Model:
    """The network as model(x, t): without labels for gamma = 0, conditioned on the labels for gamma = 1, guided otherwise."""
    if method.gamma in (0, 1):  # the same result as `guided`, at half the cost
        return lambda x, t: net(x, t, y if method.gamma else None)
    return guidance.guided(net, y, method.gamma, spec.classes)


def class_gradient(params: Tree, path: Any) -> Any:
    """Gradient of log p(y | x_t) in x_t by a classifier with these parameters, as a function of (x, t, y)."""

    def of_slice(x: Array, t: Time, y: Array) -> Array:
        logits, vjp = classifier.classifier(params, x, path.clock(t), fast)
        return guidance.classifier_gradient(logits, vjp, y)

    return on_all_cores(of_slice)


def trajectory(net: Model, spec: Spec, method: Method, y: Array, first: int = 0) -> Iterator[Array]:
    """All states of the sampler from noise to data for these labels, with the noise of the samples first, first + 1, ..."""
    indices = np.arange(first, first + len(y))
    x = rng.normal(method.seed, indices, spec.padded, stream=rng.START, dtype=np.float32)
    if spec.kind == "velocity" and method.sampler == "heun":
        return samplers.sample(conditional(net, spec, y, method), samplers.heun_step, np.linspace(0, 1, method.steps + 1), x)
    model, schedule = predict_x0(net, spec, y, method), spec.diffusion()
    grid = schedules.grid("linspace", schedule.T, method.steps)
    if method.sampler == "heun":
        return heun_states(model, schedule, grid, x)
    # training uses the noise of the samples 0..63
    noise: Any = rng.Normals(method.seed, indices + 2**20, spec.padded, dtype=np.float32)
    if method.sampler in solvers.METHODS:
        step = solvers.solver(method.sampler, schedule, "x0", grid=grid)
        return samplers.sample(model, step, grid, x, solvers.noise_for(method.sampler, noise))
    formula = samplers.ddpm_step if method.sampler == "ddpm" else samplers.ddim_step
    return samplers.sample(model, samplers.stepper(formula, schedule, kind="x0"), grid, x, noise)


def heun_states(model: Model, schedule: Schedule, grid: Array, x: Array) -> Iterator[Array]:
    """States of Heun's method for a diffusion model: x_t / (signal + sigma) follows the flow on the straight path (M5).

    The last step is an Euler step, because Heun's second velocity would be at t = 0, for which no network is trained.
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


def draw_samples(net: Model, spec: Spec, method: Method, y: Array) -> Array:
    """Samples for these labels, (B, H, W, C), padded, with a progress bar over the steps."""
    batches = [slice(low, low + BATCH) for low in range(0, len(y), BATCH)]
    bar = progress_bar(None, f"sampling, {method.sampler}", method.steps * len(batches))
    samples = []
    for batch in batches:
        states = trajectory(net, spec, method, y[batch], batch.start)
        next(states)  # the noise, before the first step
        samples.append(samplers.last(counted(states, bar)))
    bar.close()
    return np.concatenate(samples)


def counted(states: Iterator[Array], bar: Any) -> Iterator[Array]:
    """The states; each advances the progress bar."""
    for x in states:
        bar.update()
        yield x
