"""The layers again, rebound for the CPU's speed: same names, same answers up to rounding, same tests as `layers`.

`layers` is the text; nothing here is needed to read it. What is gained: results are built in place, a pass over memory at a
time, and training's update runs over flat buffers. `training.train(..., L=fast)` takes all of it.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import blas

from . import layers, parallel, scratch, training, tree
from . import mlp as text
from .arrays import Array, Time
from .layers import Params, Vjp, cross_entropy, embedding
from .scratch import Packed
from .training import Config, State

__all__ = ["adopt", "cross_entropy", "embedding", "linear", "silu", "time_features", "update"]

BLOCK = 2**15  # numbers: five float32 buffers of it fit in a core's second-level cache
PART = 2**16  # numbers: fewer are not worth another thread


def linear(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`layers.linear`, its bias added in place, and the bias' gradient, a sum over rows, left to the matrix library."""

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": _matmul(x.T, dy), "b": _ones(len(dy), dy.dtype) @ dy}, _matmul(dy, p["w"].T)

    return _affine(p, x), vjp


def silu(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""`layers.silu`, with its slope taken while x is at hand: $x (1 - \varsigma) = x - y$ leaves $dy/dx = \varsigma (1 + x - y)$."""
    y, slope = _silu(x)

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, _product(slope, dy)

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


def mlp(p: Params, x: Array, t: Time, y: Array | None = None, L: Any = None) -> tuple[Array, Vjp]:
    """`mlp.mlp` as one loop over arrays, without a closure per layer, its gradient in one flat buffer; mixed precisions are left to the text.

    The derivative in the first layer's input is taken in x, and in the label only where there is one.
    """
    L = sys.modules[__name__] if L is None else L
    layers_ = [p[f"layer{i}"] for i in range(sum(name.startswith("layer") for name in p))]
    context, label_vjp = text._context(p, len(x), x, t, y, L)
    if {x.dtype, context.dtype, *(layer[key].dtype for layer in layers_ for key in "wb")} != {x.dtype}:
        return text.mlp(p, x, t, y, L)
    inputs, slopes = [np.concatenate([x, context], axis=1)], []
    for layer in layers_[:-1]:
        h, slope = _silu(_affine(layer, inputs[-1]))
        inputs.append(h)
        slopes.append(slope)

    def vjp(d: Array) -> tuple[Params, Array]:
        dp = scratch.like(p, np.result_type(d, x))
        for i in range(len(layers_) - 1, -1, -1):
            dlayer = dp[f"layer{i}"]
            np.matmul(inputs[i].T, d, dlayer["w"])
            np.matmul(_ones(len(d), d.dtype), d, dlayer["b"])
            if i:
                d = _product(slopes[i - 1], _matmul(d, layers_[i]["w"].T))
        w = layers_[0]["w"]
        if label_vjp is not None:
            dp["label"]["table"][...] = label_vjp(d @ w[x.shape[1] :].T)["table"]
        return dp, d @ w[: x.shape[1]].T

    return _affine(layers_[-1], inputs[-1]), vjp


NETWORKS = {text.mlp: mlp}  # the text of a network, and what stands for it here


@dataclass
class _Flat(State):
    """A state whose trees are views into flat buffers: of the parameters, their average, Adam's m and v."""

    buffers: list[Array]


def adopt(state: State) -> State:
    """An own copy of a state, its numbers in four flat buffers, for `update` to change in place; if not all float32 or all float64, as it is."""
    trees = [state.params, state.average, state.moments["m"], state.moments["v"]]
    dtypes = {leaf.dtype for each in trees for leaf in tree.flatten(each).values()}
    if len(dtypes) != 1 or not dtypes <= _axpy.keys() or not isinstance(state.params, dict):
        return state
    copies = [scratch.like(each, *dtypes) for each in trees]
    for copy, each in zip(copies, trees, strict=True):
        tree.map(np.copyto, copy, each)
    params, average, m, v = copies
    return _Flat(state.step, params, average, {"m": m, "v": v}, [copy.buffer for copy in copies])


def update(state: State, grads: Params, config: Config, workers: int | None = 1) -> State:
    """`training.update`, in place on a state of `adopt`'s: the returned state holds the very arrays of the given one.

    Each worker walks its part of the buffers in blocks that stay in cache from one pass to the next. Any other state is left to
    `training.update`.
    """
    if not isinstance(state, _Flat):
        return training.update(state, grads, config)
    g = _packed(grads, state)
    with parallel.one_blas_thread():
        scale, step = 1 / config.batch, state.step + 1
        norm = scale * math.sqrt(np.dot(g, g))
        if norm > config.clip:
            scale *= config.clip / norm
        if scale == 0:
            g, scale = g * scale, 1.0
        parts = min(parallel.cores() if workers is None else workers, 1 + len(g) // PART)
        ends = [len(g) * i // parts for i in range(parts + 1)]
        change = partial(_change, [g, *state.buffers], scale, step, training.rate(step, config), config)
        parallel.run([partial(change, low, high) for low, high in pairwise(ends)])
    return replace(state, step=step)


def _packed(grads: Params, state: _Flat) -> Array:
    """The gradient as one flat buffer, like those of the state."""
    if isinstance(grads, Packed) and grads.keys() == state.params.keys() and grads.buffer.size == state.buffers[0].size:
        return grads.buffer
    leaves, paths = tree.flatten(grads), tree.flatten(state.params)
    if leaves.keys() != paths.keys():
        raise ValueError(f"trees differ: {list(leaves)} against {list(paths)}")
    return np.concatenate([leaf.ravel() for leaf in leaves.values()])


def _change(buffers: list[Array], scale: float, step: int, rate: float, config: Config, low: int, high: int) -> None:
    """Numbers low..high - 1 of all buffers one step on."""
    for start in range(low, high, BLOCK):
        g, theta, average, m, v = (buffer[start : min(start + BLOCK, high)] for buffer in buffers)
        adam(theta, m, v, g, step, rate, config.decay, scale)
        average *= config.ema
        _axpy[theta.dtype](theta, average, a=1 - config.ema)


def adam(theta: Array, m: Array, v: Array, g: Array, step: int, rate: float, decay: float = 0.0, scale: float = 1.0) -> None:
    """`optim.adam` in place for the gradient scale * g; all flat (n,), of one precision."""
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    add, root, room = _axpy[g.dtype], (1 - beta2**step) ** 0.5, scratch.empty(g.shape, g.dtype)
    m *= beta1
    add(g, m, a=(1 - beta1) * scale)
    np.multiply(g, g, room)
    v *= beta2
    add(room, v, a=(1 - beta2) * scale**2)
    np.sqrt(v, room)
    room += eps * root
    np.divide(m, room, room)
    if decay:
        theta *= 1 - rate * decay
    add(room, theta, a=-rate * root / (1 - beta1**step))


_axpy = {np.dtype(np.float32): blas.saxpy, np.dtype(np.float64): blas.daxpy}  # axpy(x, y, a=a) is y += a x in one pass


@lru_cache(maxsize=64)
def _ones(n: int, dtype: Any) -> Array:
    return np.ones(n, dtype)


@lru_cache(maxsize=8)
def _constant(value: float, dtype: Any) -> Array:
    """A number as an array, which an operation takes without converting it each time."""
    return np.array(value, dtype)


def _affine(p: Params, x: Array) -> Array:
    """The value of `linear`."""
    y = _matmul(x, p["w"])
    return np.add(y, p["b"], y if y.dtype == p["b"].dtype else None)


def _silu(x: Array) -> tuple[Array, Array]:
    """silu(x) and its slope."""
    shape, dtype = x.shape, x.dtype
    half, one = _constant(0.5, dtype), _constant(1.0, dtype)
    gate = np.multiply(x, half, scratch.empty(shape, dtype))
    np.tanh(gate, gate)
    np.multiply(gate, half, gate)
    np.add(gate, half, gate)
    y = np.multiply(x, gate, scratch.empty(shape, dtype))
    rest = np.subtract(x, y, scratch.empty(shape, dtype))
    np.add(rest, one, rest)
    return y, np.multiply(gate, rest, gate)


def _product(a: Array, b: Array) -> Array:
    """a * b in memory used before."""
    return np.multiply(a, b, scratch.empty(a.shape, a.dtype) if a.dtype == b.dtype else None)


def _matmul(a: Array, b: Array) -> Array:
    """a @ b in memory used before."""
    return np.matmul(a, b, scratch.empty((len(a), b.shape[1]), a.dtype) if a.dtype == b.dtype else None)
