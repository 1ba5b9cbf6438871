"""The layers again, rebound for the CPU's speed: same names, same answers up to rounding, same tests as `layers`.

`layers` is the text; nothing here is needed to read it. What is gained: results are built in place, a pass over memory at a
time, and training's update runs over flat buffers. `training.train(..., L=fast)` takes all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import layers, parallel, training, tree
from .arrays import Array
from .layers import Params, Vjp, cross_entropy, embedding
from .training import Config, State

__all__ = ["adopt", "cross_entropy", "embedding", "linear", "silu", "time_features", "update"]

BLOCK = 2**15  # numbers: five float32 buffers of it and two scratch ones fit in a core's second-level cache


def linear(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`layers.linear`, its bias added in place, and the bias' gradient, a sum over rows, left to the matrix library."""
    w, b = p["w"], p["b"]
    y = x @ w
    y = np.add(y, b, out=_room(y, b))

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": x.T @ dy, "b": np.ones(len(dy), dy.dtype) @ dy}, dy @ w.T

    return y, vjp


def silu(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""`layers.silu` in five passes, and back in four, since $x (1 - \varsigma) = x - y$ leaves $dx = dy\, \varsigma (1 + x - y)$."""
    gate = np.asarray(x * 0.5)
    np.tanh(gate, out=gate)
    gate *= 0.5
    gate += 0.5
    y = x * gate

    def vjp(dy: Array) -> tuple[Params, Array]:
        dx = np.asarray(x - y)
        dx += 1
        dx *= gate
        return {}, np.multiply(dx, dy, out=_room(dx, dy))

    return y, vjp


def time_features(t: Array, features: int, dtype: Any = np.float64) -> Array:
    """`layers.time_features`; for float32, whole turns are taken off in float64, and sines and cosines of the rest in float32."""
    if np.dtype(dtype) != np.float32 or features % 2 or features < 4:
        return layers.time_features(t, features, dtype)
    half = features // 2
    frequencies = np.exp(-np.log(10000.0) * np.arange(half) / (half - 1))
    turns = np.asarray(t, dtype=np.float64)[:, None] * (frequencies / (2 * np.pi))
    turns -= np.rint(turns)
    angles = (2 * np.pi * turns).astype(np.float32)
    out = np.empty((len(angles), features), np.float32)
    np.sin(angles, out=out[:, :half])
    np.cos(angles, out=out[:, half:])
    return out


@dataclass
class _Flat(State):
    """A state whose trees are views into flat buffers: of the parameters, their average, Adam's m and v."""

    buffers: tuple[Array, Array, Array, Array]


def adopt(state: State) -> State:
    """An own copy of a state, its numbers in four flat buffers, for `update` to change in place; if of one precision, else as it is."""
    trees = state.params, state.average, state.moments["m"], state.moments["v"]
    if len({leaf.dtype for each in trees for leaf in tree.flatten(each).values()}) != 1:
        return state
    buffers, (params, average, m, v) = zip(*map(tree.pack, trees), strict=True)
    return _Flat(state.step, params, average, {"m": m, "v": v}, buffers)


def update(state: State, grads: Params, config: Config) -> State:
    """`training.update`, in place on a state of `adopt`'s: the returned state holds the very arrays of the given one.

    The buffers are walked in blocks that stay in cache from one pass to the next. Any other state is left to `training.update`.
    """
    if not isinstance(state, _Flat):
        return training.update(state, grads, config)
    leaves = tree.flatten(grads)
    if leaves.keys() != tree.flatten(state.params).keys():
        raise ValueError(f"trees differ: {sorted(leaves)} against {sorted(tree.flatten(state.params))}")
    gradient = np.concatenate([leaf.ravel() for leaf in leaves.values()])
    gradient *= 1 / config.batch
    with parallel.one_blas_thread():  # or its threads would wait, spinning, where those of the next gradient want to run
        norm = math.sqrt(sum(float(np.dot(part, part)) for part in _blocks(gradient)))
    factor = config.clip / norm if norm > config.clip else 1.0
    step = state.step + 1
    for theta, average, m, v, g in zip(*map(_blocks, (*state.buffers, gradient)), strict=True):
        g *= factor
        _adam(theta, m, v, g, step, training.rate(step, config), config.decay)
        _ema(average, theta, config.ema)
    return replace(state, step=step)


def _adam(theta: Array, m: Array, v: Array, g: Array, step: int, rate: float, decay: float) -> None:
    """`optim.adam` in place, its divisors folded into one factor and into epsilon."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    root = (1 - beta2**step) ** 0.5
    scratch = (1 - beta1) * g
    m *= beta1
    m += scratch
    np.multiply(g, 1 - beta2, out=scratch)
    scratch *= g
    v *= beta2
    v += scratch
    np.sqrt(v, out=scratch)
    scratch += eps * root
    np.divide(m, scratch, out=scratch)
    scratch *= rate * root / (1 - beta1**step)
    if decay:
        theta *= 1 - rate * decay
    theta -= scratch


def _ema(average: Array, theta: Array, decay: float) -> None:
    """`optim.ema` in place."""
    average *= decay
    average += (1 - decay) * theta


def _blocks(buffer: Array) -> list[Array]:
    return [buffer[i : i + BLOCK] for i in range(0, len(buffer), BLOCK)]


def _room(x: Array, y: Array) -> Array | None:
    """x, where the result of x and y may take its place."""
    return x if np.result_type(x, y) == x.dtype else None
