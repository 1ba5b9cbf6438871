"""A training state in flat buffers, and the update of it in place: what `training.update` says, in fewer passes over memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import NamedTuple

import numpy as np

from .. import tree
from ..arrays import Array
from ..networks.layers import Params
from ..training import loop as training
from ..training import parallel
from ..training.loop import Config, State
from . import buffers as scratch
from .buffers import Packed

BLOCK = 2**17  # numbers: fewer cost more calls, more leave the second-level cache
_DTYPES = {np.dtype(np.float32), np.dtype(np.float64)}


@dataclass
class Flat(State):
    """A state whose trees are views into flat buffers: of the parameters, their average, Adam's m and v."""

    buffers: list[Array]


def adopt(state: State) -> State:
    """An own copy of a state, its numbers in four flat buffers, for `update` to change in place; if not all float32 or all float64, as it is."""
    trees = [state.params, state.average, state.moments["m"], state.moments["v"]]
    dtypes = {leaf.dtype for each in trees for leaf in tree.flatten(each).values()}
    if len(dtypes) != 1 or not dtypes <= _DTYPES or not isinstance(state.params, dict):
        return state
    (dtype,) = dtypes
    copies = [scratch.like(each, dtype, shared=True) for each in trees]
    for copy, each in zip(copies, trees, strict=True):
        tree.map(np.copyto, copy, each)
    params, average, m, v = copies
    return Flat(state.step, params, average, {"m": m, "v": v}, [copy.buffer for copy in copies])


def update(state: State, grads: Params, config: Config) -> State:
    """`training.update`, in place on a state of `adopt`'s: the returned state holds the very arrays of the given one.

    The buffers are walked in blocks that stay in cache from one pass to the next. Any other state is left to `training.update`.
    """
    if not isinstance(state, Flat):
        return training.update(state, grads, config)
    g = _packed(grads, state)
    told = Advance.of(state.step + 1, float(np.dot(g, g)), config)
    parts = parallel.slices(len(g), parallel.threads_for(len(g)))
    parallel.run([partial(advance, state.buffers, g, part, told) for part in parts])
    return next_step(state)


def next_step(state: Flat) -> Flat:
    """The state one step on: the very arrays, which have been changed."""
    return replace(state, step=state.step + 1)


class Advance(NamedTuple):
    """What a step does to every number: `Config`'s numbers, and what the gradient, still a sum, is multiplied with."""

    step: int
    rate: float
    decay: float
    ema: float
    scale: float

    @classmethod
    def of(cls, step: int, squares: float, config: Config) -> Advance:
        """For a summed gradient whose squares have this sum."""
        scale, norm = 1 / config.batch, math.sqrt(squares) / config.batch
        clipped = scale if config.clip == math.inf or norm <= config.clip else scale * config.clip / norm
        return cls(step, training.rate(step, config), config.decay, config.ema, clipped)


def advance(buffers: list[Array], g: Array, part: slice, told: Advance) -> None:
    """Change a part of parameters, average, m and v for the gradient g."""
    for start in range(part.start, min(part.stop, len(g)), BLOCK):
        block = slice(start, min(start + BLOCK, part.stop))
        gradient, theta, average, m, v = (buffer[block] for buffer in (g, *buffers))
        room = scratch.room("update", gradient.shape, g.dtype)
        if told.scale == 0:  # the norm is infinite: 0, and NaN where the gradient is, as in the text
            gradient = gradient * 0
        adam(theta, m, v, gradient, room, told.step, told.rate, told.decay, told.scale or 1.0)
        _average(theta, average, room, told.ema)


def adam(theta: Array, m: Array, v: Array, g: Array, room: Array, step: int, rate: float, decay: float = 0.0, scale: float = 1.0) -> None:
    """`optim.adam` in place for the gradient scale * g; all flat (n,), of one precision; room is written over."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    root = (1 - beta2**step) ** 0.5
    m *= beta1
    m += np.multiply(g, (1 - beta1) * scale, room)
    v *= beta2
    np.multiply(g, g, room)
    v += np.multiply(room, (1 - beta2) * scale**2, room)
    np.sqrt(v, room)
    room += eps * root
    np.divide(m, room, room)
    if decay:
        theta *= 1 - rate * decay
    theta -= np.multiply(room, rate * root / (1 - beta1**step), room)


def _average(theta: Array, average: Array, room: Array, decay: float) -> None:
    """`optim.ema` in place; room is written over."""
    if decay == 0:
        np.copyto(average, theta)
        return
    average *= decay
    average += np.multiply(theta, 1 - decay, room)


def _packed(grads: Params, state: Flat) -> Array:
    """The gradient as one flat buffer, like those of the state."""
    if isinstance(grads, scratch.Packed) and grads.keys() == state.params.keys() and grads.buffer.shape == state.buffers[0].shape:
        return grads.buffer
    leaves, paths = tree.flatten(grads), tree.flatten(state.params)
    if leaves.keys() != paths.keys():
        raise ValueError(f"trees differ: {list(leaves)} against {list(paths)}")
    return np.concatenate([leaf.ravel() for leaf in leaves.values()])


def total(parts: list[tuple[float, Packed]]) -> tuple[float, Packed]:
    """`parallel.total` of gradients in flat buffers, the sum shared out among threads."""
    return reduce(lambda a, b: (a[0] + b[0], _sum(a[1], b[1])), parts)


def _sum(a: Packed, b: Packed) -> Packed:
    both = scratch.like(a, a.buffer.dtype)
    parts = parallel.slices(both.buffer.size, parallel.threads_for(both.buffer.size))
    parallel.run([partial(np.add, a.buffer[part], b.buffer[part], both.buffer[part]) for part in parts])
    return both
