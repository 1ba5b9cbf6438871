"""One training loop for every model, objective and backend. The result of a step depends only on the state and the step number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .. import rng, tree
from ..arrays import Array, GaussianPath, Model, device_get, event_size, like, sum_event
from ..checks import check_choice, check_count, check_integer, check_number, check_shape
from ..networks import layers
from ..networks.inputs import check_data
from ..networks.layers import Params
from ..networks.mlp import mlp
from ..process import predict
from ..sampling import guidance
from ..tree import Tree
from . import optim, parallel
from .parallel import Reduce

Network = Callable[..., Any]  # net(p, x, t, y, L) -> out, vjp


@dataclass(frozen=True)
class Config:
    """Configuration of a run: `kind` is the prediction target, one of `predict.KINDS`, "velocity" for flows.

    `rate` is the peak learning rate after `warmup` steps, `decay` the weight decay, `clip` the largest gradient norm, `ema` the decay
    of the EMA. `label_dropout` is the probability that a label is replaced by "no label". `classes` is the number of labels, which is also
    the index of "no label"; None means the largest label in the data plus 1.
    """

    kind: str = "eps"
    steps: int = 4000
    batch: int = 256
    rate: float = 2e-3
    warmup: int = 100
    decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    label_dropout: float = 0.1
    classes: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise unless every field is a number of its kind, and in its range."""
        check_choice("kind", self.kind, predict.KINDS)
        for name, value in vars(self).items():
            if np.ndim(value) or isinstance(value, complex):
                raise TypeError(f"{name} = {value!r}; allowed: one real number")
        for name, low in (("steps", 0), ("batch", 1), ("warmup", 0), ("seed", 0), *[("classes", 1)] * (self.classes is not None)):
            check_integer(name, getattr(self, name), low, 2**64 - 1)
        for name, high in (("rate", math.inf), ("decay", math.inf), ("label_dropout", 1.0), ("ema", math.nextafter(1.0, 0.0))):
            check_number(name, getattr(self, name), 0, high)
        if not isinstance(self.clip, float) or self.clip != math.inf:
            check_number("clip", self.clip, 0, open_low=True)


@dataclass
class State:
    """Training state after `step` steps: the parameters, their EMA (which starts at zero) and Adam's moments."""

    step: int
    params: Tree
    ema: Tree
    moments: Tree

    def averaged(self, config: Config) -> Tree:
        """The EMA parameters without the bias of their start at zero: use these for sampling."""
        return optim.ema_debiased(self.ema, self.step, config.ema) if self.step else self.params


class Batch(NamedTuple):
    """A training batch: inputs x (B, ...), their times as the network receives them, clock (B,), labels y (B,) or None, targets (B, ...)."""

    x: Array
    clock: Array
    y: Array | None
    target: Array


def start(params: Params) -> State:
    """The training state before the first step."""
    moments = optim.init(params)  # checks the parameters
    return State(0, params, tree.map(np.zeros_like, params), moments)


def draw(step: int | Array, data: Array, labels: Array | None, path: GaussianPath, config: Config) -> Batch:
    r"""Batch of a training step: data drawn with replacement, noised to random times; some labels replaced by "no label" at random.

    $$x_0 \sim data, \quad t \sim U, \quad \epsilon \sim \mathcal N(0, I), \quad x_t = signal_t x_0 + \sigma_t \epsilon$$

    The target is the quantity that `config.kind` names. Diffusions draw $t$ from $1..T$, flows from $(0, 1)$. For an array of K steps,
    the K batches are concatenated. Source: T1, M4 [DDPM alg. 1].
    """
    check_data(data, labels)
    samples, steps = np.tile(np.arange(config.batch), np.size(step)), np.repeat(step, config.batch)
    pick = rng.integers(config.seed, samples, len(data), steps, rng.BATCH)
    x0 = data[pick]
    noise = rng.normal(config.seed, samples, x0.shape[1:], steps, rng.NOISE, x0.dtype)
    t = path.draw_time(rng.uniform(config.seed, samples, 1, steps, rng.TIME)[:, 0])
    signal, sigma = path.signal_sigma(t)
    y = None
    if labels is not None:
        uniform = rng.uniform(config.seed, samples, 1, steps, rng.LABEL)[:, 0]
        no_label = int(labels.max()) + 1 if config.classes is None else config.classes
        y = guidance.drop_labels(labels[pick], uniform, config.label_dropout, no_label)
    target = predict.target(config.kind, x0, noise, t, path)
    return Batch(like(signal, x0) * x0 + like(sigma, x0) * noise, path.clock(t), y, target)


def batches(first: int, data: Array, labels: Array | None, path: GaussianPath, config: Config) -> Iterator[Batch]:
    """Batches of the steps from `first` to `config.steps`, equal to those of `draw` bit for bit; several steps are drawn at once, as a block.

    The blocks are the same for every `first`.
    """
    check_data(data, labels)
    first = check_count("first", first, 1, optim.STEPS)
    block = max(1, 2**13 // (config.batch * event_size(data)))
    for low in range((first - 1) // block * block + 1, config.steps + 1, block):
        drawn = parallel.split(draw(np.arange(low, low + block), data, labels, path, config), block)
        yield from drawn[max(first - low, 0) : config.steps + 1 - low]


def value_and_grad(
    net: Network, params: Params, batch: Batch, L: ModuleType = layers, workers: int | None = 1, all_reduce: Reduce = parallel.total
) -> tuple[float, Params]:
    r"""Loss of a batch, summed over its examples, and its gradient with respect to the parameters; each of `workers` threads takes a slice.

    $$L = \sum_B \|f_\theta(x_t, t) - target\|^2, \qquad df_\theta = 2 (f_\theta - target)$$

    `all_reduce` adds the results of the slices. The number of workers changes only the order of this sum. For workers = None,
    `parallel.default_workers` chooses the number. Source: T1 [DDPM alg. 1].
    """

    def of_slice(part: Batch) -> tuple[float, Params]:
        out, vjp = net(params, part.x, part.clock, part.y, L)
        check_shape("data", part.target, *out.shape)  # the target has the shape of the data
        error = out - part.target
        grads, _ = vjp(2 * error)
        return float(device_get(sum_event(error**2).sum())), grads

    optim.check_trees(params=params)
    return parallel.summed(of_slice, batch, batch.x.size * tree.size(params), workers, all_reduce)


def step(
    state: State,
    batch: Batch,
    config: Config,
    net: Network = mlp,
    L: ModuleType = layers,
    workers: int | None = 1,
    all_reduce: Reduce = parallel.total,
) -> tuple[State, float]:
    """One training step: `value_and_grad`, then `update`; returns the new state and the summed loss of the batch. Source: T1 [DDPM alg. 1]."""
    gradient, advance = getattr(L, "value_and_grad", value_and_grad), getattr(L, "update", update)
    with parallel.blas_threads(workers):
        loss, grads = gradient(net, state.params, batch, L, workers, all_reduce)
        check_loss(loss, state.step + 1, config)
        return advance(state, grads, config), loss


def check_loss(loss: float, step: int, config: Config) -> None:
    """Raise FloatingPointError for a loss that is NaN or infinite."""
    if not math.isfinite(loss):
        raise FloatingPointError(f"loss = {loss} in step {step}; allowed: finite. A smaller rate, {config.rate} now, may help")


def rate(step: int, config: Config) -> float:
    """Learning rate of a step; in a run that is too short for `config.warmup`, the warm-up takes all steps but the last."""
    return optim.learning_rate(step, config.rate, min(config.warmup, config.steps - 1), config.steps)


def update(state: State, grads: Params, config: Config) -> State:
    """Update of the state from the gradient of the summed loss: division by the batch size, clipping, Adam, EMA. Source: T1."""
    optim.check_trees(params=state.params, grads=grads)
    step = state.step + 1
    grads, _ = optim.clip(tree.map(lambda g: g / config.batch, grads), config.clip)
    params, moments = optim.adam(state.params, grads, state.moments, step, rate(step, config), decay=config.decay)
    return State(step, params, optim.ema(state.ema, params, config.ema), moments)


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
) -> Iterator[tuple[State, float]]:
    """Train from a state to `config.steps`; yields the state and the mean loss of the batch after every step.

    A step depends only on the state and the step number, so a run resumed from a saved state equals the uninterrupted run bit
    for bit. Progress bars and checkpoints wrap this generator. With L = fast, the next step overwrites the arrays of the yielded
    state: use, save or copy them before that. The state passed in is never changed. Source: T1 [DDPM alg. 1].
    """
    advance = getattr(L, "step", step)
    state = L.adopt(state) if hasattr(L, "adopt") else state
    for batch in batches(state.step + 1, data, labels, path, config):
        state, loss = advance(state, batch, config, net, L, workers, all_reduce)
        yield state, loss / config.batch


def as_model(params: Params, path: GaussianPath, net: Network = mlp, L: ModuleType = layers) -> Model:
    """The network as a model(x, t, y=None) for samplers, where t is a time of the path."""
    return lambda x, t, y=None: net(params, x, path.clock(t), y, L)[0]
