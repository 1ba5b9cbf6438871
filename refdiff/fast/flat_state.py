"""A training state in flat buffers, and `training.update` of it in place, in fewer passes over memory."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from .. import tree
from ..arrays import Array
from ..networks.layers import Params
from ..training import loop, optim, parallel
from ..training.loop import Config, State
from . import buffers
from .buffers import Packed

BLOCK = 2**17  # numbers: fewer cost more calls, more leave the second-level cache
HELD = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)
]  # signals that wait for the end of an update
_DTYPES = {np.dtype(np.float32), np.dtype(np.float64)}


@dataclass
class FlatState(State):
    """A state whose trees are packed in flat buffers, which `update` changes in place."""

    @property
    def buffers(self) -> list[Array]:
        """The buffers of the parameters, their EMA, Adam's m and v; none if a tree was replaced by one that is packed otherwise."""
        trees = [self.params, self.ema, self.moments.get("m"), self.moments.get("v")]
        return [each.buffer for each in trees] if buffers.alike(*trees) else []


def adopt(state: State) -> State:
    """Copy of a state in four flat buffers, which `update` changes in place.

    A state whose arrays are not all float32 or all float64, or whose trees differ, is returned unchanged.
    """
    trees = [state.params, state.ema, state.moments["m"], state.moments["v"]]
    dtypes = {leaf.dtype for each in trees for leaf in tree.flatten(each).values()}
    if len(dtypes) != 1 or not dtypes <= _DTYPES or not isinstance(state.params, dict):
        return state
    (dtype,) = dtypes
    copies = [buffers.like(each, dtype) for each in trees]
    if not buffers.alike(*copies):
        return state
    for copy, each in zip(copies, trees, strict=True):
        tree.map(np.copyto, copy, each)
    params, ema, m, v = copies
    return FlatState(state.step, params, ema, {"m": m, "v": v})


def update(state: State, grads: Params, config: Config) -> State:
    """`training.update`, in place on a state of `adopt`, which is returned; an interrupt finds it before or after the update, never between.

    The buffers are updated in blocks that stay in the cache from one pass to the next. Any other state is passed to `training.update`.
    """
    if not isinstance(state, FlatState) or not (arrays := state.buffers):
        return loop.update(state, grads, config)
    g = _packed(grads, state.params)
    change = Update.of(state.step + 1, float(np.dot(g, g)), config)
    parts = parallel.slices(len(g), parallel.threads_for(len(g)))
    with uninterrupted():
        parallel.run([partial(apply, arrays, g, part, change) for part in parts])
        state.step += 1
    return state


class Update(NamedTuple):
    """Coefficients of one update: step number, learning rate, weight decay, EMA decay, and the factor of the summed gradient."""

    step: int
    rate: float
    decay: float
    ema: float
    scale: float

    @classmethod
    def of(cls, step: int, squares: float, config: Config) -> Update:
        """Coefficients of the update, from the sum of squares of the summed gradient."""
        scale, norm = 1 / config.batch, math.sqrt(squares) / config.batch
        clipped = scale if config.clip == math.inf or norm <= config.clip else scale * config.clip / norm
        return cls(step, loop.rate(step, config), config.decay, config.ema, clipped)


def apply(state_buffers: list[Array], g: Array, part: slice, update: Update) -> None:
    """Apply an update with gradient g to a slice of the parameters, their EMA, m and v."""
    for start in range(part.start, min(part.stop, len(g)), BLOCK):
        block = slice(start, min(start + BLOCK, part.stop))
        gradient, theta, ema, m, v = (buffer[block] for buffer in (g, *state_buffers))
        workspace = buffers.workspace("update", gradient.shape, g.dtype)
        if update.scale == 0:  # the norm is infinite: 0, and NaN where the gradient is, as in the text
            gradient = gradient * 0
        adam(theta, m, v, gradient, workspace, update.step, update.rate, update.decay, update.scale or 1.0)
        _ema(theta, ema, workspace, update.ema)


def adam(
    theta: Array, m: Array, v: Array, g: Array, workspace: Array, step: int, rate: float, decay: float = 0.0, scale: float = 1.0
) -> None:
    """`optim.adam` in place, for the gradient scale * g; all arrays are (n,) and of one precision; workspace is overwritten."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    root = optim.debias(beta2, step) ** 0.5
    m *= beta1
    m += np.multiply(g, (1 - beta1) * scale, workspace)
    v *= beta2
    np.multiply(g, g, workspace)
    v += np.multiply(workspace, (1 - beta2) * scale**2, workspace)
    np.sqrt(v, workspace)
    workspace += eps * root
    np.divide(m, workspace, workspace)
    if decay:
        theta *= 1 - rate * decay
    theta -= np.multiply(workspace, rate * root / optim.debias(beta1, step), workspace)


def _ema(theta: Array, ema: Array, workspace: Array, decay: float) -> None:
    """`optim.ema` in place; workspace is overwritten."""
    if decay == 0:
        np.copyto(ema, theta)
        return
    ema *= decay
    ema += np.multiply(theta, 1 - decay, workspace)


def _packed(grads: Params, params: Packed) -> Array:
    """The gradient as one flat buffer, in the order and precision of the parameters."""
    if isinstance(grads, Packed) and buffers.alike(grads, params):
        return grads.buffer
    shapes, allowed = ({path: leaf.shape for path, leaf in tree.flatten(each).items()} for each in (grads, params))
    if shapes != allowed:
        raise ValueError(f"trees differ: grads has shapes {shapes}; allowed: {allowed}")
    return np.concatenate([leaf.ravel() for leaf in tree.flatten(grads).values()]).astype(params.buffer.dtype, copy=False)


def total(parts: list[tuple[float, Packed]]) -> tuple[float, Packed]:
    """`parallel.total` of gradients in flat buffers of one layout, with the sum divided among threads."""
    return reduce(lambda a, b: (a[0] + b[0], _sum(a[1], b[1])), parts)


def _sum(a: Packed, b: Packed) -> Packed:
    both = buffers.like(a, a.buffer.dtype)
    parts = parallel.slices(both.buffer.size, parallel.threads_for(both.buffer.size))
    parallel.run([partial(np.add, a.buffer[part], b.buffer[part], both.buffer[part]) for part in parts])
    return both


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Context in which Ctrl-C and other signals with a handler in Python wait: the first of them is handled at its end.

    Only the main thread handles signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[Any] = []
    handlers = {number: handler for number in HELD if callable(handler := signal.getsignal(number))}
    holds = True

    def hold(number: int, frame: Any) -> None:
        if holds:
            arrived.append((number, frame))
        else:  # while the handlers are being restored
            handlers[number](number, frame)

    try:
        for number in handlers:
            signal.signal(number, hold)
        yield
    finally:
        holds = False
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in arrived[:1]:
            handlers[number](number, frame)
