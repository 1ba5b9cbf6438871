r"""Group normalization, alone or fused with SiLU, optimized for the CPU: all steps for a few images at a time, in the cache.

SiLU is computed as $\mathrm{silu}(2z) = z (1 + \tanh z)$, so scale and shift are halved before it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..arrays import Array, read_only
from ..checks import check_shape
from ..networks import layers, normalize
from ..networks.inputs import check_modulation
from ..training import parallel
from ..tree import Params, Vjp
from . import buffers

CACHED = 2**16  # numbers of a slice of the images that stays in a core's second-level cache through all steps
WIDE = 2**11  # numbers of the longest row for an operation per channel

Back = Callable[[Array], tuple[Array, Array, Array]]


def group_norm(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    """`normalize.group_norm`, with all steps for a few images at a time."""
    return _affine(p, x, groups, False) if _supported(x, groups, *p.values()) else normalize.group_norm(p, x, groups)


def group_norm_silu(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    """`layers.group_norm_silu`, with all steps for a few images at a time."""
    return _affine(p, x, groups, True) if _supported(x, groups, *p.values()) else layers.group_norm_silu(p, x, groups)


def adaptive_group_norm(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """`normalize.adaptive_group_norm`, with all steps for a few images at a time."""
    check_modulation(p, x, emb)
    supported = _supported(x, groups, emb, *p.values())
    return _adaptive(p, x, emb, groups, False) if supported else normalize.adaptive_group_norm(p, x, emb, groups)


def adaptive_group_norm_silu(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """`layers.adaptive_group_norm_silu`, with all steps for a few images at a time."""
    check_modulation(p, x, emb)
    supported = _supported(x, groups, emb, *p.values())
    return _adaptive(p, x, emb, groups, True) if supported else layers.adaptive_group_norm_silu(p, x, emb, groups)


def _supported(x: Array, groups: int, *others: Array) -> bool:
    check_shape("x", x, "B", ..., "C+")
    return type(groups) is int and groups > 0 and x.shape[-1] % groups == 0 and x.size > 0 and buffers.same_precision(x, *others)


def _affine(p: Params, x: Array, groups: int, silu: bool) -> tuple[Array, Vjp]:
    y, back = _normalized(x, p["scale"][None], p["shift"][None], groups, silu)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dx, dscale, dshift = back(dy)
        return {"scale": dscale.sum(axis=0), "shift": dshift.sum(axis=0)}, dx

    return y, vjp


def _adaptive(p: Params, x: Array, emb: Array, groups: int, silu: bool) -> tuple[Array, Callable[[Array], Any]]:
    modulation = emb @ p["w"] + p["b"]
    channels = x.shape[-1]
    y, back = _normalized(x, 1 + modulation[:, :channels], modulation[:, channels:], groups, silu)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dx, dscale, dshift = back(dy)
        dmodulation = np.concatenate([dscale, dshift], axis=1)
        return {"w": emb.T @ dmodulation, "b": dmodulation.sum(axis=0)}, dx, dmodulation @ p["w"].T

    return y, vjp


def _normalized(x: Array, scale: Array, shift: Array, groups: int, silu: bool) -> tuple[Array, Back]:
    r"""Normalization, scale and shift, $scale\, \hat x + shift$, with or without SiLU; scale and shift are (B or 1, C).

    With $c = x - \mu$ and $a = scale / s$, one number per channel, $y = a c + shift$ and $dx = a\, dy - k c - r$. The numbers $k$ and $r$ of
    each group follow from the sums of $dy$ and $dy\, c$ over positions. back(dy) gives dx, and dscale and dshift (B, C).
    """
    n, channels = len(x), x.shape[-1]
    pixels, half = x.reshape(n, -1, channels), x.dtype.type(0.5 if silu else 1)
    y, mean, inverse = buffers.empty(pixels.shape, x.dtype), *np.empty((2, n, 1, channels), x.dtype)
    scale, shift = (np.broadcast_to(half * each[:, None], mean.shape) for each in (scale, shift))
    means, parts = _means(channels, groups, pixels.shape[1], x.dtype), parallel.parts(n, pixels[0].size, CACHED)

    def centred(part: slice) -> Array:
        return _per_channel(np.subtract, pixels[part], mean[part], buffers.workspace("centred", pixels[part].shape, x.dtype))

    def scaled(c: Array, part: slice, out: Array) -> Array:
        return _per_channel(np.add, _per_channel(np.multiply, c, scale[part] * inverse[part], out), shift[part], out)

    with buffers.unbuffered():
        for part in parts:
            np.matmul(_sum(pixels[part]), means, mean[part])
            c = centred(part)
            variance = _sum(np.multiply(c, c, y[part])) @ means
            inverse[part] = 1 / np.sqrt(variance + x.dtype.type(1e-5))
            z = scaled(c, part, y[part])
            if silu:
                _silu(z)

    def back(dy: Array) -> tuple[Array, Array, Array]:
        dy, dx = dy.reshape(pixels.shape), buffers.empty(pixels.shape, x.dtype)
        dscale, dshift = np.empty((2, *mean.shape), x.dtype)
        with buffers.unbuffered():
            for part in parts:
                c, d = centred(part), dy[part]
                if silu:
                    d = _silu_back(scaled(c, part, dx[part]), d)
                dshift[part] = _sum(d)
                dscale[part] = _sum(np.multiply(d, c, dx[part])) * inverse[part]
                a = scale[part] * inverse[part]
                k = (scale[part] * dscale[part]) @ means * inverse[part] * inverse[part]
                _combined(a, d, k, c, (a * dshift[part]) @ means, dx[part])
        return dx.reshape(x.shape), half * dscale[:, 0], half * dshift[:, 0]

    return y.reshape(x.shape), back


def _combined(a: Array, d: Array, k: Array, c: Array, rest: Array, out: Array) -> None:
    """Fill out with a d - k c - rest; a, k and rest are numbers per channel; c is overwritten."""
    _per_channel(np.multiply, c, k, c)
    np.subtract(_per_channel(np.multiply, d, a, out), c, out)
    _per_channel(np.subtract, out, rest, out)


def _silu(z: Array) -> None:
    """SiLU of 2z in place: z (1 + tanh z)."""
    np.multiply(z, _one_plus_tanh(z), z)


def _one_plus_tanh(z: Array) -> Array:
    t = np.tanh(z, buffers.workspace("silu", z.shape, z.dtype))
    return np.add(t, z.dtype.type(1), t)


def _silu_back(z: Array, dy: Array) -> Array:
    r"""dz of $y = z q$ with $q = 1 + \tanh z$, whose slope is $q (1 + z (2 - q))$; z is overwritten."""
    one, q = z.dtype.type(1), _one_plus_tanh(z)
    other = np.subtract(one + one, q, buffers.workspace("slope", z.shape, z.dtype))
    np.multiply(z, other, z)
    np.add(z, one, z)
    np.multiply(z, q, z)
    return np.multiply(z, dy, other)


def _sum(x: Array) -> Array:
    """Sum over positions, by the matrix library: (B, P, C) -> (B, 1, C)."""
    return np.matmul(buffers.ones(x.shape[1], x.dtype)[None], x)


@lru_cache
def _means(channels: int, groups: int, positions: int, dtype: Any) -> Array:
    """Matrix (C, C): a row of sums over positions times it is the mean of each group, repeated for each of its channels."""
    size = channels // groups
    return read_only(np.kron(np.eye(groups), np.ones((size, size)) / (positions * size)).astype(dtype))


def _per_channel(f: np.ufunc, x: Array, each: Array, out: Array) -> Array:
    """Fill out with f(x, each), with one number per channel in each; (B, P, C) and (B, 1, C).

    Several pixels form a row: starting a row costs NumPy as much as dozens of numbers.
    """
    n, positions, channels = x.shape
    count = _pixels_per_row(positions, channels)
    row = buffers.workspace("row", (n, count, channels), x.dtype)
    np.copyto(row, each)
    shape = n, positions // count, count * channels
    f(x.reshape(shape), row.reshape(n, 1, -1), out.reshape(shape))
    return out


@lru_cache
def _pixels_per_row(positions: int, channels: int) -> int:
    """Number of pixels in a row: the largest divisor of the number of positions that fits."""
    return max(count for count in range(1, positions + 1) if positions % count == 0 and (count == 1 or count * channels <= WIDE))
