"""The layers again, rebound for the CPU's speed: same names, same answers up to rounding, same tests as `layers`.

`layers` is the text; nothing here is needed to read it. What is gained: results are built in place, a pass over memory at a
time, and training's update runs over flat buffers. `training.train(..., L=fast)` takes all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from scipy.linalg import blas

from . import layers, parallel, scratch, training, tree
from .arrays import Array
from .layers import Params, Vjp, cross_entropy, embedding
from .training import Config, State

__all__ = ["adopt", "cross_entropy", "embedding", "linear", "silu", "time_features", "update"]

BLOCK = 2**15  # numbers: five float32 buffers of it and two scratch ones fit in a core's second-level cache


def linear(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`layers.linear`, its bias added in place, and the bias' gradient, a sum over rows, left to the matrix library."""
    w, b = p["w"], p["b"]
    y = _matmul(x, w)
    y = np.add(y, b, out=_room(y, b))

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": _matmul(x.T, dy), "b": _ones(len(dy), dy.dtype) @ dy}, _matmul(dy, w.T)

    return y, vjp


def silu(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""`layers.silu`, with its slope taken while x is at hand: $x (1 - \varsigma) = x - y$ leaves $dy/dx = \varsigma (1 + x - y)$."""
    gate = np.multiply(x, 0.5, out=scratch.empty(x.shape, x.dtype))
    np.tanh(gate, out=gate)
    gate *= 0.5
    gate += 0.5
    y = np.multiply(x, gate, out=scratch.empty(x.shape, x.dtype))
    rest = np.subtract(x, y, out=scratch.empty(x.shape, x.dtype))
    rest += 1
    slope = np.multiply(gate, rest, out=gate)

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, np.multiply(slope, dy, out=scratch.empty(slope.shape, slope.dtype) if slope.dtype == dy.dtype else None)

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

    buffers: list[Array]
    paths: list[str]


def adopt(state: State) -> State:
    """An own copy of a state, its numbers in four flat buffers, for `update` to change in place; if not all float32 or all float64, as it is."""
    trees = [state.params, state.average, state.moments["m"], state.moments["v"]]
    leaves = [leaf for each in trees for leaf in tree.flatten(each).values()]
    if {leaf.dtype for leaf in leaves} not in ({np.dtype(np.float32)}, {np.dtype(np.float64)}):
        return state
    buffers = [scratch.empty((tree.size(each),), leaves[0].dtype) for each in trees]
    params, average, m, v = map(tree.views, buffers, trees)
    for copy, each in zip((params, average, m, v), trees, strict=True):
        tree.map(np.copyto, copy, each)
    return _Flat(state.step, params, average, {"m": m, "v": v}, buffers, list(tree.flatten(params)))


def update(state: State, grads: Params, config: Config) -> State:
    """`training.update`, in place on a state of `adopt`'s: the returned state holds the very arrays of the given one.

    The buffers are walked in blocks that stay in cache from one pass to the next. Any other state is left to `training.update`.
    """
    if not isinstance(state, _Flat):
        return training.update(state, grads, config)
    leaves = tree.flatten(grads)
    if list(leaves) != state.paths:
        raise ValueError(f"trees differ: {list(leaves)} against {state.paths}")
    gradient = scratch.empty(state.buffers[0].shape, state.buffers[0].dtype)
    np.concatenate([leaf.ravel() for leaf in leaves.values()], out=gradient)
    with parallel.one_blas_thread():
        norm = math.sqrt(np.dot(gradient, gradient)) / config.batch
        if norm > config.clip:
            gradient *= config.clip / norm
        change = partial(_adam, 1 / config.batch, state.step + 1, training.rate(state.step + 1, config), config)
        for start in range(0, len(gradient), BLOCK):
            change(gradient[start : start + BLOCK], *(buffer[start : start + BLOCK] for buffer in state.buffers))
    return replace(state, step=state.step + 1)


def _adam(scale: float, step: int, rate: float, config: Config, g: Array, theta: Array, average: Array, m: Array, v: Array) -> None:
    """`optim.adam` and `optim.ema` in place, for the gradient scale * g; g is spoiled."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    add = _axpy[g.dtype]
    root = (1 - beta2**step) ** 0.5
    m *= beta1
    add(g, m, a=(1 - beta1) * scale)
    g *= g
    v *= beta2
    add(g, v, a=(1 - beta2) * scale**2)
    np.sqrt(v, out=g)
    g += eps * root
    np.divide(m, g, out=g)
    if config.decay:
        theta *= 1 - rate * config.decay
    add(g, theta, a=-rate * root / (1 - beta1**step))
    average *= config.ema
    add(theta, average, a=1 - config.ema)


_axpy = {np.dtype(np.float32): blas.saxpy, np.dtype(np.float64): blas.daxpy}  # axpy(x, y, a=a) is y += a x in one pass


@lru_cache(maxsize=64)
def _ones(n: int, dtype: Any) -> Array:
    return np.ones(n, dtype)


def _matmul(a: Array, b: Array) -> Array:
    """a @ b in memory used before."""
    return np.matmul(a, b, out=scratch.empty((len(a), b.shape[1]), a.dtype) if a.dtype == b.dtype else None)


def _room(x: Array, y: Array) -> Array | None:
    """x, where the result of x and y may take its place."""
    return x if np.result_type(x, y) == x.dtype else None
