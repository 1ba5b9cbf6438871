"""The MLP's gradient as a recorded list of NumPy calls on fixed arrays: recorded at the first step, replayed at every later one.

Replaying runs almost nothing but NumPy, so threads seldom wait for each other, and memory stays in the cache.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from operator import call
from typing import Any

import numpy as np

from ..arrays import Array, read_only
from ..checks import check_shape
from ..training.loop import Batch
from . import buffers
from .buffers import Packed
from .matmul import pieces

TILE = 32  # rows
Calls = list[Callable[[], Any]]


class RecordedMLP:
    """The recorded forward and backward pass for a number of rows: the calls, and the arrays they work on."""

    def __init__(self, params: Packed, grads: Packed, rows: int) -> None:
        """Record the calls; they fill grads with the gradient."""
        depth, dtype = len(params) - ("label" in params), params.buffer.dtype
        self.new = lambda width: buffers.empty((rows, width), dtype)
        self.grads, self.calls = grads, Calls()
        self.stack = [(params[f"layer{i}"], self.grads[f"layer{i}"]) for i in range(depth)]
        self.h, self.ones = self.new(len(params["layer0"]["w"])), buffers.ones(rows, dtype)
        self.target, self.error = (self.new(len(self.stack[-1][0]["b"])) for _ in range(2))
        self.workspaces = {width: (self.new(width), self.new(width)) for width in {len(p["b"]) for p, _ in self.stack[:-1]}}
        d = self._backward(*self._forward())
        if "label" in params:
            table = self.grads["label"]["table"]
            self.one_hot, embedded = self.new(len(table)), self.new(table.shape[1])
            self._record_matmul(d, params["layer0"]["w"][-table.shape[1] :].T, embedded)
            self._record_matmul(self.one_hot.T, embedded, table)

    def __call__(self, batch: Batch, context: Array) -> float:
        """Replay: fill grads and return the summed squared error; context is what `mlp.mlp` concatenates to x."""
        check_shape("data", batch.target, *self.target.shape)
        inputs = batch.x.shape[1]
        self.h[:, :inputs], self.h[:, inputs:], self.target[...] = batch.x, context, batch.target
        if "label" in self.grads:
            entries = np.arange(self.one_hot.shape[1])
            np.equal(entries[-1] if batch.y is None else batch.y[:, None], entries, self.one_hot)
        deque(map(call, self.calls), maxlen=0)
        return float(np.vdot(self.error, self.error))

    def _record(self, f: Callable[..., Any], *arrays: Array) -> Array:
        """Record f(*arrays), which fills the last array."""
        self.calls.append(partial(f, *arrays))
        return arrays[-1]

    def _record_matmul(self, a: Array, b: Array, out: Array) -> Array:
        """Record the calls that fill out with a b."""
        self.calls += [partial(np.matmul, *piece) for piece in pieces(a, b, out)]
        return out

    def _forward(self) -> tuple[list[Array], list[Array]]:
        """Inputs of all layers and derivatives of all silus; the last calls compute the error, output minus target."""
        inputs, slopes = [self.h], []
        for p, _ in self.stack[:-1]:
            width = len(p["b"])
            x, workspace = self.workspaces[width]
            y, slope = self.new(width), self.new(width)
            self._record_matmul(inputs[-1], p["w"], x)
            self._bias(x, p["b"])
            self.calls += silu_calls(x, y, slope, workspace)
            inputs.append(y)
            slopes.append(slope)
        p, _ = self.stack[-1]
        self._record(np.add, self._record_matmul(inputs[-1], p["w"], self.error), p["b"], self.error)
        self._record(np.subtract, self.error, self.target, self.error)
        return inputs, slopes

    def _bias(self, x: Array, b: Array) -> None:
        """x + b in place, `TILE` rows at a time: starting a row costs as much as adding a hundred numbers."""
        tile = buffers.empty((math.gcd(len(x), TILE), len(b)), x.dtype)
        self.calls.append(partial(np.copyto, tile, b))
        rows = x.reshape(-1, tile.size)
        self._record(np.add, rows, tile.reshape(-1), rows)

    def _backward(self, inputs: list[Array], slopes: list[Array]) -> Array:
        """The gradient of every layer's parameters; returns that in the first layer's output."""
        d = self._record(np.add, self.error, self.error, self.new(self.error.shape[1]))
        for i in reversed(range(len(self.stack))):
            p, into = self.stack[i]
            self._record_matmul(inputs[i].T, d, into["w"])
            self._record(np.matmul, self.ones, d, into["b"])
            if i:
                x, other = self.workspaces[len(p["w"])]
                into_x = self._record_matmul(d, p["w"].T, other if d is x else x)
                d = self._record(np.multiply, into_x, slopes[i - 1], into_x)
        return d


def silu_calls(x: Array, y: Array, slope: Array, workspace: Array) -> Calls:
    r"""Calls that fill y with silu(x) and slope with its derivative, $\varsigma (1 + x - y)$ where $\varsigma = (1 + \tanh(x / 2)) / 2$."""
    half, one = _constant(0.5, x.dtype), _constant(1.0, x.dtype)
    return [
        partial(np.multiply, x, half, workspace),
        partial(np.tanh, workspace, slope),
        partial(np.multiply, slope, half, slope),
        partial(np.add, slope, half, slope),
        partial(np.multiply, x, slope, y),
        partial(np.subtract, x, y, workspace),
        partial(np.add, workspace, one, workspace),
        partial(np.multiply, slope, workspace, slope),
    ]


@lru_cache(maxsize=8)
def _constant(value: float, dtype: Any) -> Array:
    """A number as an array, so that NumPy does not convert it at each call."""
    return read_only(np.array(value, dtype))
