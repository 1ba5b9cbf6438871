"""The gradient of the MLP as a list of calls on arrays that stay: made at the first step, repeated at every later one.

What repeats is NumPy at work and hardly anything else, so that threads seldom wait for each other, and memory stays warm.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from operator import call
from typing import Any

import numpy as np

from ..arrays import Array
from ..training.loop import Batch
from . import buffers as scratch
from .buffers import Packed
from .matmul import pieces

TILE = 32  # rows
Calls = list[Callable[[], Any]]


class Replay:
    """Some rows through the network and back: the calls, and the arrays they work on."""

    def __init__(self, params: Packed, grads: Packed, rows: int) -> None:
        """grads will be filled with the gradient, call after call."""
        depth, dtype = len(params) - ("label" in params), params.buffer.dtype
        self.new = lambda width: scratch.empty((rows, width), dtype)
        self.grads, self.calls = grads, Calls()
        self.stack = [(params[f"layer{i}"], self.grads[f"layer{i}"]) for i in range(depth)]
        self.h, self.ones = self.new(len(params["layer0"]["w"])), scratch.ones(rows, dtype)
        self.target, self.error = (self.new(len(self.stack[-1][0]["b"])) for _ in range(2))
        self.room = {width: (self.new(width), self.new(width)) for width in {len(p["b"]) for p, _ in self.stack[:-1]}}
        d = self._back(*self._forth())
        if "label" in params:
            table = self.grads["label"]["table"]
            self.one_hot, embedded = self.new(len(table)), self.new(table.shape[1])
            self._multiply(d, params["layer0"]["w"][-table.shape[1] :].T, embedded)
            self._multiply(self.one_hot.T, embedded, table)

    def __call__(self, batch: Batch, context: Array) -> float:
        """The summed squared error, when grads is filled; context: what `mlp.mlp` joins to x."""
        inputs = batch.x.shape[1]
        self.h[:, :inputs], self.h[:, inputs:], self.target[...] = batch.x, context, batch.target
        if "label" in self.grads:
            entries = np.arange(self.one_hot.shape[1])
            np.equal(entries[-1] if batch.y is None else batch.y[:, None], entries, self.one_hot)
        deque(map(call, self.calls), maxlen=0)
        return float(np.vdot(self.error, self.error))

    def _do(self, f: Callable[..., Any], *arrays: Array) -> Array:
        """Note f(*arrays), which fills the last of them."""
        self.calls.append(partial(f, *arrays))
        return arrays[-1]

    def _multiply(self, a: Array, b: Array, out: Array) -> Array:
        """Note the calls that fill out with a b."""
        self.calls += [partial(np.matmul, *piece) for piece in pieces(a, b, out)]
        return out

    def _forth(self) -> tuple[list[Array], list[Array]]:
        """Every layer's input, and the slope of every silu; at the end the error, which the network's output minus the target is."""
        inputs, slopes = [self.h], []
        for p, _ in self.stack[:-1]:
            width = len(p["b"])
            x, room = self.room[width]
            y, slope = self.new(width), self.new(width)
            self._multiply(inputs[-1], p["w"], x)
            self._bias(x, p["b"])
            self.calls += silu_calls(x, y, slope, room)
            inputs.append(y)
            slopes.append(slope)
        p, _ = self.stack[-1]
        self._do(np.add, self._multiply(inputs[-1], p["w"], self.error), p["b"], self.error)
        self._do(np.subtract, self.error, self.target, self.error)
        return inputs, slopes

    def _bias(self, x: Array, b: Array) -> None:
        """x + b in place, `TILE` rows at a time, for each row by itself costs as much as a hundred numbers."""
        tile = scratch.empty((math.gcd(len(x), TILE), len(b)), x.dtype)
        self.calls.append(partial(np.copyto, tile, b))
        rows = x.reshape(-1, tile.size)
        self._do(np.add, rows, tile.reshape(-1), rows)

    def _back(self, inputs: list[Array], slopes: list[Array]) -> Array:
        """The gradient of every layer; returned: that in the first layer's output."""
        d = self._do(np.add, self.error, self.error, self.new(self.error.shape[1]))
        for i in reversed(range(len(self.stack))):
            p, into = self.stack[i]
            self._multiply(inputs[i].T, d, into["w"])
            self._do(np.matmul, self.ones, d, into["b"])
            if i:
                x, other = self.room[len(p["w"])]
                into_x = self._multiply(d, p["w"].T, other if d is x else x)
                d = self._do(np.multiply, into_x, slopes[i - 1], into_x)
        return d


def silu_calls(x: Array, y: Array, slope: Array, room: Array) -> Calls:
    r"""Fill y with silu(x) and slope with its derivative, $\varsigma (1 + x - y)$ where $\varsigma = (1 + \tanh(x / 2)) / 2$."""
    half, one = _constant(0.5, x.dtype), _constant(1.0, x.dtype)
    return [
        partial(np.multiply, x, half, room),
        partial(np.tanh, room, slope),
        partial(np.multiply, slope, half, slope),
        partial(np.add, slope, half, slope),
        partial(np.multiply, x, slope, y),
        partial(np.subtract, x, y, room),
        partial(np.add, room, one, room),
        partial(np.multiply, slope, room, slope),
    ]


@lru_cache(maxsize=8)
def _constant(value: float, dtype: Any) -> Array:
    """A number as an array, which an operation takes without converting it each time."""
    return np.array(value, dtype)
