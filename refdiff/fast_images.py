"""The layers of images again, rebound for the CPU's speed: same names, same answers up to rounding, same tests as the text's.

In one real precision; anything else, such as the complex numbers of a derivative's check, is left to the text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from . import convolution, normalize, parallel, scratch
from .arrays import Array
from .products import product
from .tree import Params, Vjp
from .winograd import conv3, sum_rows
from .winograd_up import conv_up3

CACHED = 2**16  # numbers of a part of the images that stays in a core's second-level cache through several passes
FEW = 4  # channels: with so few, a tile's transformation costs more than it saves


def conv(p: Params, x: Array, stride: int = 1) -> tuple[Array, Vjp]:
    """`convolution.conv`: 1 x 1 as one matrix product, 3 x 3 by Winograd's way, or all neighbours side by side and one product."""
    convolution.check_conv(p["w"], x, stride)
    size, _, fan_in, fan_out = p["w"].shape
    if not _real(x, p["w"], p["b"]) or not x.size:
        return convolution.conv(p, x, stride)
    if size == 1 and stride == 1:
        return _conv1(p, x)
    if stride == 1 and fan_out <= FEW < fan_in:
        return _conv_to_few(p, x)
    if size == 3 and stride == 1 and fan_in > FEW:
        return conv3(p, x)
    return _conv_by_columns(p, x, stride)


def conv_up(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`convolution.conv_up`: 3 x 3 by differences of neighbours, without the larger image."""
    if p["w"].shape[:2] != (3, 3) or x.ndim != 4 or x.shape[3] != p["w"].shape[2] or not x.size or not _real(x, p["w"], p["b"]):
        return convolution.conv_up(p, x)
    return conv_up3(p, x)


def group_norm(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    """`normalize.group_norm`."""
    if groups < 1 or x.shape[-1] % groups or not x.size or not _real(x, p["scale"], p["shift"]):
        return normalize.group_norm(p, x, groups)
    y, back = _normalized(x, p["scale"][None], p["shift"][None], groups)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dx, dscale, dshift = back(dy)
        return {"scale": dscale.sum(axis=0), "shift": dshift.sum(axis=0)}, dx

    return y, vjp


def adaptive_group_norm(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """`normalize.adaptive_group_norm`."""
    if groups < 1 or x.shape[-1] % groups or not x.size or not _real(x, p["w"], p["b"], emb):
        return normalize.adaptive_group_norm(p, x, emb, groups)
    told = emb @ p["w"] + p["b"]
    channels = x.shape[-1]
    y, back = _normalized(x, 1 + told[:, :channels], told[:, channels:], groups)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dx, dscale, dshift = back(dy)
        dtold = np.concatenate([dscale, dshift], axis=1)
        return {"w": emb.T @ dtold, "b": dtold.sum(axis=0)}, dx, dtold @ p["w"].T

    return y, vjp


def _normalized(x: Array, scale: Array, shift: Array, groups: int) -> tuple[Array, Callable[[Array], tuple[Array, Array, Array]]]:
    r"""$scale\, \hat x + shift$ with scale and shift (B or 1, C), in few passes; back(dy) gives dx, and dscale and dshift (B, C).

    With c = x - mean and the factor a = scale / s of each channel, y = a c + shift and dx = a dy - k c - l, where k and l are
    numbers of the group that the sums of dy and dy c over places lead to.
    """
    n, channels = len(x), x.shape[-1]
    places = x.size // (n * channels)
    pixels, y = x.reshape(n, places, channels), scratch.empty((n, places, channels), x.dtype)
    mean, inverse = _of_group(_sum(pixels), groups, places), np.empty((n, 1, channels), x.dtype)
    scale, shift = (np.broadcast_to(each[:, None], mean.shape) for each in (scale, shift))
    parts = parallel.parts(n, places * channels, CACHED)

    def centred(part: slice) -> Array:
        return np.subtract(pixels[part], mean[part], scratch.room("centred", pixels[part].shape, x.dtype))

    for part in parts:
        c = centred(part)
        squares = np.multiply(c, c, y[part])
        inverse[part] = 1 / np.sqrt(_of_group(_sum(squares), groups, places) + x.dtype.type(1e-5))
        np.multiply(c, scale[part] * inverse[part], y[part])
        y[part] += shift[part]

    def back(dy: Array) -> tuple[Array, Array, Array]:
        dy, dx = dy.reshape(pixels.shape), scratch.empty(pixels.shape, x.dtype)
        dscale, dshift = np.empty(mean.shape, x.dtype), _sum(dy)
        for part in parts:
            c = centred(part)
            dscale[part] = _sum(np.multiply(dy[part], c, dx[part])) * inverse[part]
            k = _of_group(scale[part] * dscale[part], groups, places) * inverse[part] * inverse[part]
            np.multiply(dy[part], scale[part] * inverse[part], dx[part])
            dx[part] -= np.multiply(c, k, c)
            dx[part] -= _of_group(scale[part] * dshift[part], groups, places) * inverse[part]
        return dx.reshape(x.shape), dscale[:, 0], dshift[:, 0]

    return y.reshape(x.shape), back


def _sum(x: Array) -> Array:
    """Over places, by the matrix library: (B, P, C) -> (B, 1, C)."""
    return np.matmul(scratch.ones(x.shape[1], x.dtype)[None], x)


def _of_group(sums: Array, groups: int, places: int) -> Array:
    """Sums over places (B, 1, C) as means over each group, told to each of its channels: (B, 1, C)."""
    grouped = sums.reshape(len(sums), groups, -1)
    means = grouped.sum(axis=2, keepdims=True) / sums.dtype.type(places * grouped.shape[2])
    return np.broadcast_to(means, grouped.shape).reshape(sums.shape)


def _conv1(p: Params, x: Array) -> tuple[Array, Vjp]:
    w, rows = p["w"][0, 0], x.reshape(-1, x.shape[-1])
    y = product(rows, w, scratch.empty((len(rows), w.shape[1]), x.dtype))
    y += p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dy = dy.reshape(len(rows), -1)
        dx = product(dy, np.ascontiguousarray(w.T), scratch.empty(rows.shape, x.dtype))
        return {"w": (rows.T @ dy)[None, None], "b": sum_rows(dy)}, dx.reshape(x.shape)

    return y.reshape(*x.shape[:3], -1), vjp


def _conv_by_columns(p: Params, x: Array, stride: int) -> tuple[Array, Vjp]:
    """All k x k neighbours of a pixel side by side in a row of a matrix, times the weights as a matrix."""
    k, fan_in, fan_out = len(p["w"]), x.shape[3], len(p["b"])
    height, width, r = -(-x.shape[1] // stride), -(-x.shape[2] // stride), k // 2
    seen = partial(convolution.seen_at, height=height, width=width, stride=stride)
    padded = np.pad(x, ((0, 0), (r, r), (r, r), (0, 0)))
    columns = scratch.empty((len(x), height, width, k, k, fan_in), x.dtype)
    for a, c in np.ndindex(k, k):
        columns[:, :, :, a, c] = seen(padded, a, c)
    rows, w = columns.reshape(-1, k * k * fan_in), p["w"].reshape(-1, fan_out)
    y = product(rows, w, scratch.empty((len(rows), fan_out), x.dtype))
    y += p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dy = dy.reshape(len(rows), fan_out)
        dcolumns = product(dy, np.ascontiguousarray(w.T), scratch.empty(rows.shape, x.dtype)).reshape(columns.shape)
        dpadded = np.zeros(padded.shape, x.dtype)
        for a, c in np.ndindex(k, k):
            seen(dpadded, a, c)[...] += dcolumns[:, :, :, a, c]
        dx = dpadded[:, r : r + x.shape[1], r : r + x.shape[2]]
        return {"w": (rows.T @ dy).reshape(p["w"].shape), "b": sum_rows(dy)}, dx

    return y.reshape(len(x), height, width, fan_out), vjp


def _conv_to_few(p: Params, x: Array) -> tuple[Array, Vjp]:
    """What every pixel gives to each of its k x k neighbours in one product, then moved there: for few results of many channels."""
    k, r, fan_in, fan_out = len(p["w"]), len(p["w"]) // 2, x.shape[3], len(p["b"])
    sees = partial(convolution.seen_at, height=x.shape[1], width=x.shape[2])  # what a pixel sees from (a, c) sees it at the opposite place
    rows, w = x.reshape(-1, fan_in), p["w"].transpose(2, 0, 1, 3).reshape(fan_in, -1)
    given = product(rows, w, scratch.empty((len(rows), w.shape[1]), x.dtype)).reshape(*x.shape[:3], k, k, fan_out)
    padded = np.zeros((len(x), x.shape[1] + 2 * r, x.shape[2] + 2 * r, fan_out), x.dtype)
    for a, c in np.ndindex(k, k):
        sees(padded, k - 1 - a, k - 1 - c)[...] += given[:, :, :, a, c]
    y = padded[:, r : r + x.shape[1], r : r + x.shape[2]] + p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dpadded = np.pad(dy, ((0, 0), (r, r), (r, r), (0, 0)))
        dgiven = scratch.empty(given.shape, x.dtype)
        for a, c in np.ndindex(k, k):
            dgiven[:, :, :, a, c] = sees(dpadded, k - 1 - a, k - 1 - c)
        columns = dgiven.reshape(len(rows), -1)
        dx = product(columns, np.ascontiguousarray(w.T), scratch.empty(rows.shape, x.dtype))
        return {"w": (rows.T @ columns).reshape(fan_in, k, k, fan_out).transpose(1, 2, 0, 3), "b": sum_rows(dy)}, dx.reshape(x.shape)

    return y, vjp


def _real(*arrays: Array) -> bool:
    """One real precision."""
    return {array.dtype for array in arrays} in ({np.dtype(np.float32)}, {np.dtype(np.float64)})
