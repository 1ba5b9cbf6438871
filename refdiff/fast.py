"""The layers again, rebound for the CPU's speed: same names, same answers up to rounding, same tests as `layers`.

`layers` is the text; nothing here is needed to read it. What is gained: results are built in place, in memory used before, and
training's functions are here again too, over flat buffers. `training.train(..., L=fast)` takes all of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from . import layers, scratch
from .arrays import Array
from .attention import cross_attention, self_attention, softmax
from .convolution import pool, up
from .fast_images import conv, conv_up
from .fast_norm import adaptive_group_norm, adaptive_group_norm_silu, group_norm, group_norm_silu
from .flat import adopt, update
from .gradient import step, value_and_grad
from .layers import Params, Vjp, cross_entropy, embedding
from .normalize import film, normalize
from .products import product
from .replay import silu_calls

__all__ = [
    "adaptive_group_norm",
    "adaptive_group_norm_silu",
    "adopt",
    "conv",
    "conv_up",
    "cross_attention",
    "cross_entropy",
    "embedding",
    "film",
    "group_norm",
    "group_norm_silu",
    "linear",
    "normalize",
    "pool",
    "self_attention",
    "silu",
    "softmax",
    "step",
    "time_features",
    "up",
    "update",
    "value_and_grad",
]

BLOCK = 2**15  # numbers: four float32 arrays of it fit in a core's second-level cache


def linear(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`layers.linear`, its bias added in place, and the bias' gradient, a sum over rows, left to the matrix library."""

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": _matmul(x.T, dy), "b": scratch.ones(len(dy), dy.dtype) @ dy}, _matmul(dy, p["w"].T)

    y = _matmul(x, p["w"])
    return np.add(y, p["b"], y if y.dtype == p["b"].dtype else None), vjp


def silu(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""`layers.silu`, with its slope taken while x is at hand: $x (1 - \varsigma) = x - y$ leaves $dy/dx = \varsigma (1 + x - y)$."""
    y, slope = (scratch.empty(x.shape, x.dtype) for _ in range(2))
    flat = [array.reshape(-1) for array in (x, y, slope)]
    for low in range(0, x.size, BLOCK):
        of_x, of_y, of_slope = (array[low : low + BLOCK] for array in flat)
        for call in silu_calls(of_x, of_y, of_slope, scratch.room("silu", of_x.shape, x.dtype)):
            call()

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, np.multiply(slope, dy, _room(slope.shape, slope, dy))

    return y, vjp


def time_features(t: Array, features: int, dtype: Any = np.float64) -> Array:
    """`layers.time_features`; for float32, whole turns are taken off in float64, and sines and cosines of the rest in float32."""
    if np.dtype(dtype) != np.float32 or features % 2 or features < 4:
        return layers.time_features(t, features, dtype)
    half = features // 2
    turns = np.asarray(t, dtype=np.float64)[:, None] * _turns(half)
    turns -= np.rint(turns)
    angles = (2 * np.pi * turns).astype(np.float32)
    out = np.empty((len(angles), features), np.float32)
    np.sin(angles, out[:, :half])
    np.cos(angles, out[:, half:])
    return out


def _matmul(a: Array, b: Array) -> Array:
    """a @ b in memory used before."""
    room = _room((len(a), b.shape[1]), a, b)
    return a @ b if room is None else product(a, b, room)


def _room(shape: tuple[int, ...], a: Array, b: Array) -> Array | None:
    """Where the result of a and b may go: memory used before, if they are of one precision."""
    return scratch.empty(shape, a.dtype) if a.dtype == b.dtype else None


@lru_cache(maxsize=8)
def _turns(half: int) -> Array:
    """Turns per unit of time, frequencies / (2 pi)."""
    return np.exp(-np.log(10000.0) * np.arange(half) / (half - 1)) / (2 * np.pi)
