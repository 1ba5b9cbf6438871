"""Convolutions optimized for the CPU, with the names, the tests and, up to rounding, the results of `networks.convolution`.

All arrays must have the same real precision. Others, such as the complex numbers of a complex step, are passed to `networks.convolution`.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..arrays import Array
from ..checks import check_floats
from ..networks import convolution
from ..tree import Params, Vjp
from . import buffers
from .matmul import matmul
from .winograd import conv3, sum_rows
from .winograd_up import conv_up3

FEW = 4  # channels: with so few, Winograd's transforms cost more than they save


def conv(p: Params, x: Array, stride: int = 1) -> tuple[Array, Vjp]:
    """`convolution.conv`: a 1 x 1 kernel as one matrix product, 3 x 3 by Winograd's algorithm, others by im2col and one product."""
    stride = convolution.check_conv(p["w"], x, stride)
    size, _, fan_in, fan_out = p["w"].shape
    if not buffers.same_precision(x, p["w"], p["b"]) or not x.size:
        return convolution.conv(p, x, stride)
    if size == 1 and stride == 1:
        return _conv1(p, x)
    if stride == 1 and fan_out <= FEW < fan_in:
        return _conv_to_few(p, x)
    if size == 3 and stride == 1 and fan_in > FEW:
        return conv3(p, x)
    return _conv_by_columns(p, x, stride)


def conv_up(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`convolution.conv_up`: a 3 x 3 kernel by differences of neighbours, without storing the upsampled image."""
    check_floats("x", x)
    if (
        p["w"].shape[:2] != (3, 3)
        or x.ndim != 4
        or x.shape[3] != p["w"].shape[2]
        or not x.size
        or not buffers.same_precision(x, p["w"], p["b"])
    ):
        return convolution.conv_up(p, x)
    return conv_up3(p, x)


def _conv1(p: Params, x: Array) -> tuple[Array, Vjp]:
    w, rows = p["w"][0, 0], x.reshape(-1, x.shape[-1])
    y = matmul(rows, w, buffers.empty((len(rows), w.shape[1]), x.dtype))
    y += p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dy = dy.reshape(len(rows), -1)
        dx = matmul(dy, np.ascontiguousarray(w.T), buffers.empty(rows.shape, x.dtype))
        return {"w": (rows.T @ dy)[None, None], "b": sum_rows(dy)}, dx.reshape(x.shape)

    return y.reshape(*x.shape[:3], -1), vjp


def _conv_by_columns(p: Params, x: Array, stride: int) -> tuple[Array, Vjp]:
    """im2col: all k x k neighbours of a pixel in a row of a matrix, times the weights as a matrix."""
    k, fan_in, fan_out = len(p["w"]), x.shape[3], len(p["b"])
    height, width, r = -(-x.shape[1] // stride), -(-x.shape[2] // stride), k // 2
    neighbours = partial(convolution.neighbours_at, height=height, width=width, stride=stride)
    padded = np.pad(x, ((0, 0), (r, r), (r, r), (0, 0)))
    columns = buffers.empty((len(x), height, width, k, k, fan_in), x.dtype)
    for a, c in np.ndindex(k, k):
        columns[:, :, :, a, c] = neighbours(padded, a, c)
    rows, w = columns.reshape(-1, k * k * fan_in), p["w"].reshape(-1, fan_out)
    y = matmul(rows, w, buffers.empty((len(rows), fan_out), x.dtype))
    y += p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dy = dy.reshape(len(rows), fan_out)
        dcolumns = matmul(dy, np.ascontiguousarray(w.T), buffers.empty(rows.shape, x.dtype)).reshape(columns.shape)
        dpadded = np.zeros(padded.shape, x.dtype)
        for a, c in np.ndindex(k, k):
            neighbours(dpadded, a, c)[...] += dcolumns[:, :, :, a, c]
        dx = dpadded[:, r : r + x.shape[1], r : r + x.shape[2]]
        return {"w": (rows.T @ dy).reshape(p["w"].shape), "b": sum_rows(dy)}, dx

    return y.reshape(len(x), height, width, fan_out), vjp


def _conv_to_few(p: Params, x: Array) -> tuple[Array, Vjp]:
    """The contribution of every pixel to each of its k x k neighbours by one product, then shifted: for few output channels."""
    k, r, fan_in, fan_out = len(p["w"]), len(p["w"]) // 2, x.shape[3], len(p["b"])
    # a neighbour at offset (a, c) has the pixel itself at the mirrored offset
    shifted = partial(convolution.neighbours_at, height=x.shape[1], width=x.shape[2])
    rows, w = x.reshape(-1, fan_in), p["w"].transpose(2, 0, 1, 3).reshape(fan_in, -1)
    contributions = matmul(rows, w, buffers.empty((len(rows), w.shape[1]), x.dtype)).reshape(*x.shape[:3], k, k, fan_out)
    padded = np.zeros((len(x), x.shape[1] + 2 * r, x.shape[2] + 2 * r, fan_out), x.dtype)
    for a, c in np.ndindex(k, k):
        shifted(padded, k - 1 - a, k - 1 - c)[...] += contributions[:, :, :, a, c]
    y = padded[:, r : r + x.shape[1], r : r + x.shape[2]] + p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dpadded = np.pad(dy, ((0, 0), (r, r), (r, r), (0, 0)))
        dcontributions = buffers.empty(contributions.shape, x.dtype)
        for a, c in np.ndindex(k, k):
            dcontributions[:, :, :, a, c] = shifted(dpadded, k - 1 - a, k - 1 - c)
        columns = dcontributions.reshape(len(rows), -1)
        dx = matmul(columns, np.ascontiguousarray(w.T), buffers.empty(rows.shape, x.dtype))
        return {"w": (rows.T @ columns).reshape(fan_in, k, k, fan_out).transpose(1, 2, 0, 3), "b": sum_rows(dy)}, dx.reshape(x.shape)

    return y, vjp
