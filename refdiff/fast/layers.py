"""Linear layers, SiLU and time features, optimized for the CPU: results are computed in place, in reused memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..arrays import Array, read_only
from ..checks import check_dtype, check_floats, check_shape
from ..networks import layers
from ..networks.inputs import check_features, check_times
from ..tree import Params, Vjp
from . import buffers
from .matmul import matmul
from .mlp import silu_calls

BLOCK = 2**15  # numbers: four float32 arrays of it fit in a core's second-level cache


def linear(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`layers.linear`, with the bias added in place; the gradient of the bias, a sum over rows, is a matrix product."""

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": _matmul(x.T, dy), "b": buffers.ones(len(dy), dy.dtype) @ dy}, _matmul(dy, p["w"].T)

    check_floats("w", p["w"])
    check_shape("x", x, "B", len(p["w"]))
    y = _matmul(x, p["w"])
    return np.add(y, p["b"], y if y.dtype == p["b"].dtype else None), vjp


def silu(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""`layers.silu`, with the derivative computed in the forward pass: $x (1 - \varsigma) = x - y$, so $dy/dx = \varsigma (1 + x - y)$.

    $\varsigma = (1 + \tanh(x / 2)) / 2$ takes less time than an exponential, and is precise relative to 1 only: y is, relative to x.
    """
    check_floats("x", x)
    y, slope = (buffers.empty(x.shape, x.dtype) for _ in range(2))
    flat = [array.reshape(-1) for array in (x, y, slope)]
    for low in range(0, x.size, BLOCK):
        of_x, of_y, of_slope = (array[low : low + BLOCK] for array in flat)
        for call in silu_calls(of_x, of_y, of_slope, buffers.workspace("silu", of_x.shape, x.dtype)):
            call()

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, np.multiply(slope, dy, _out(slope.shape, slope, dy))

    return y, vjp


def time_features(t: Array, features: int, dtype: Any = np.float64) -> Array:
    """`layers.time_features`; for float32, only the angles are computed in float64.

    Whole turns are subtracted from an angle in float64. Sine and cosine of the rest are computed in float32.
    """
    if check_dtype(dtype) != np.float32:
        return layers.time_features(t, features, dtype)
    half = check_features(features) // 2
    turns = check_times(t)[:, None] * _turns(half)
    turns -= np.rint(turns)
    angles = (2 * np.pi * turns).astype(np.float32)
    out = np.empty((len(angles), features), np.float32)
    np.sin(angles, out[:, :half])
    np.cos(angles, out[:, half:])
    return out


def _matmul(a: Array, b: Array) -> Array:
    """a @ b in a reused buffer."""
    out = _out((len(a), b.shape[1]), a, b)
    return a @ b if out is None else matmul(a, b, out)


def _out(shape: tuple[int, ...], a: Array, b: Array) -> Array | None:
    """A reused buffer for the result of a and b, if they have one precision."""
    return buffers.empty(shape, a.dtype) if a.dtype == b.dtype else None


@lru_cache(maxsize=8)
def _turns(half: int) -> Array:
    """Turns per unit of time, frequencies / (2 pi)."""
    return read_only(np.exp(-np.log(10000.0) * np.arange(half) / (half - 1)) / (2 * np.pi))
