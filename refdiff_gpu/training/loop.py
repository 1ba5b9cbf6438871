"""`refdiff.training` on the device: data are copied once, noise is drawn there, a loss is fetched when it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

from refdiff import tree
from refdiff.arrays import Array, GaussianPath, Model, device_get, like
from refdiff.networks.inputs import check_data
from refdiff.networks.layers import Params
from refdiff.networks.mlp import mlp
from refdiff.process.predict import row
from refdiff.sampling import guidance
from refdiff.training import loop as reference
from refdiff.training import parallel
from refdiff.training.loop import Batch, Config, Network, State, check_loss, rate, start
from refdiff.training.optim import debias
from refdiff.training.parallel import Reduce

from .. import rng
from ..device.arrays import asarray, unchecked
from ..device.launch import launch
from ..device.transfer import to_device
from ..networks import layers

__all__ = [
    "Batch",
    "Config",
    "Loss",
    "Network",
    "State",
    "as_model",
    "batches",
    "check_loss",
    "draw",
    "rate",
    "start",
    "step",
    "train",
    "update",
    "value_and_grad",
]


@dataclass
class Loss:
    """A loss on the device, fetched by float(loss) or by formatting; then raises FloatingPointError unless finite."""

    summed: Array
    step: int
    config: Config

    def __float__(self) -> float:
        loss = float(device_get(self.summed))
        check_loss(loss, self.step, self.config)
        return loss / self.config.batch

    def __format__(self, spec: str) -> str:
        return format(float(self), spec)


@dataclass
class FlatState(State):
    """A state whose trees are views into flat buffers on the device: parameters, EMA parameters, Adam's m and v."""

    buffers: list[Array]


@wraps(reference.draw)
def draw(step: int | Array, data: Array, labels: Array | None, path: GaussianPath, config: Config) -> Batch:
    check_data(data, labels)
    samples, steps = _counters(step, config)
    indices = rng.integers(config.seed, samples, len(data), steps, rng.BATCH)
    x0 = data[indices]
    noise = rng.normal(config.seed, samples, x0.shape[1:], steps, rng.NOISE, x0.dtype)
    t = path.draw_time(rng.uniform(config.seed, samples, 1, steps, rng.TIME)[:, 0])
    (signal, sigma), (a, b) = path.signal_sigma(t), row(config.kind, t, path)
    y = None
    if labels is not None:
        uniform = rng.uniform(config.seed, samples, 1, steps, rng.LABEL)[:, 0]
        y = guidance.drop_labels(labels[indices], uniform, config.label_dropout, _classes(labels, config))
    x_t, target = launch("q_sample_target", x0, noise, like(signal, x0), like(sigma, x0), like(a, x0), like(b, x0))
    return Batch(x_t, path.clock(t), y, target)


def _counters(step: int | Array, config: Config) -> tuple[Any, Any]:
    """Sample and step numbers for the random numbers of a batch, or of several batches one after another."""
    if np.ndim(step) == 0:
        return config.batch, step
    return np.tile(np.arange(config.batch), np.size(step)), np.repeat(step, config.batch)


def _classes(labels: Array, config: Config) -> int:
    return int(device_get(labels.max())) + 1 if config.classes is None else config.classes


@wraps(reference.batches)
def batches(first: int, data: Array, labels: Array | None, path: GaussianPath, config: Config) -> Iterator[Batch]:
    for step in range(first, config.steps + 1):
        yield draw(step, data, labels, path, config)


@wraps(reference.value_and_grad)
def value_and_grad(
    net: Network, params: Params, batch: Batch, L: ModuleType = layers, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[float, Params]:
    out, vjp = net(params, batch.x, batch.clock, batch.y, L)
    loss = launch("squared_error", out, batch.target, axis=None)
    grads, _ = vjp(launch("squared_error_back", out, batch.target))
    return all_reduce([(loss, grads)])


def flatten_state(state: State) -> FlatState:
    """A copy of a state on the device, its arrays packed into four flat buffers, which `update` changes in place."""
    trees = [state.params, state.ema, state.moments["m"], state.moments["v"]]
    packed = [tree.pack(each if isinstance(state, FlatState) else to_device(each)) for each in trees]
    buffers, (params, average, m, v) = [buffer for buffer, _ in packed], [views for _, views in packed]
    return FlatState(state.step, params, average, {"m": m, "v": v}, buffers)


@wraps(reference.update)
def update(state: State, grads: Params, config: Config) -> FlatState:
    flat = state if isinstance(state, FlatState) else flatten_state(state)
    g, step = tree.pack(grads)[0], state.step + 1
    factor = launch("clip_factor", launch("squared_norm", g, batch=config.batch, axis=None), limit=float(config.clip)).astype(g.dtype)
    beta1, beta2, ema_decay = 0.9, 0.999, float(config.ema)
    numbers = {"beta1": beta1, "one_minus_beta1": 1 - beta1, "beta2": beta2, "one_minus_beta2": 1 - beta2}
    numbers |= {"bias_correction1": debias(beta1, step), "bias_correction2": debias(beta2, step), "eps": 1e-8, "rate": rate(step, config)}
    numbers |= {"batch": config.batch, "factor": factor, "weight_decay": float(config.decay)}
    numbers |= {"ema_decay": ema_decay, "one_minus_ema_decay": 1 - ema_decay}
    launch("adam", *flat.buffers, g, **numbers, out=tuple(flat.buffers))
    return FlatState(step, flat.params, flat.ema, flat.moments, flat.buffers)


@wraps(reference.step)
def step(
    state: State,
    batch: Batch,
    config: Config,
    net: Network = mlp,
    L: ModuleType = layers,
    workers: int | None = 1,
    all_reduce: Reduce = parallel.total,
) -> tuple[FlatState, Any]:
    flat = state if isinstance(state, FlatState) else flatten_state(state)
    gradient = getattr(L, "value_and_grad", value_and_grad)
    loss, grads = gradient(net, flat.params, batch, L, workers, all_reduce)  # the loss is not read: that would wait for the device
    return update(flat, grads, config), loss


@wraps(reference.train)
def train(
    state: State,
    data: Array,
    labels: Array | None,
    path: GaussianPath,
    config: Config,
    net: Network = mlp,
    L: ModuleType = layers,
    workers: int | None = 1,
    all_reduce: Reduce = parallel.total,
) -> Iterator[tuple[State, Any]]:
    parallel.count(workers, 1)  # for its error; the device is one worker
    flat, data, path = flatten_state(state), asarray(data), to_device(path)
    if labels is not None:
        labels = asarray(labels)
        config = replace(config, classes=_classes(labels, config))
    for number in range(flat.step + 1, config.steps + 1):
        with unchecked():
            batch = draw(number, data, labels, path, config)
            flat, loss = step(flat, batch, config, net, L, workers, all_reduce)
        yield flat, Loss(loss, number, config)


@wraps(reference.as_model)
def as_model(params: Params, path: GaussianPath, net: Network = mlp, L: ModuleType = layers) -> Model:
    return reference.as_model(to_device(params), to_device(path), net, L)
