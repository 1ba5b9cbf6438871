r"""Normalization in groups, alone or with the smooth gate after it, rebound for the CPU's speed: a few images at a time, all steps in the cache.

The gate is silu of twice a number, $z (1 + \tanh z)$, of half of what was normalized, so scale and shift are halved before it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..arrays import Array
from ..networks import layers, normalize
from ..training import parallel
from ..tree import Params, Vjp
from . import buffers as scratch

CACHED = 2**16  # numbers of a part of the images that stays in a core's second-level cache through all steps
WIDE = 2**11  # numbers of the longest row that a step for each channel is done in

Back = Callable[[Array], tuple[Array, Array, Array]]


def group_norm(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    """`normalize.group_norm`."""
    return _learned(p, x, groups, False) if _fit(x, groups, *p.values()) else normalize.group_norm(p, x, groups)


def group_norm_silu(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    """`layers.group_norm_silu`."""
    return _learned(p, x, groups, True) if _fit(x, groups, *p.values()) else layers.group_norm_silu(p, x, groups)


def adaptive_group_norm(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """`normalize.adaptive_group_norm`."""
    good = _fit(x, groups, emb, *p.values())
    return _told(p, x, emb, groups, False) if good else normalize.adaptive_group_norm(p, x, emb, groups)


def adaptive_group_norm_silu(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """`layers.adaptive_group_norm_silu`."""
    good = _fit(x, groups, emb, *p.values())
    return _told(p, x, emb, groups, True) if good else layers.adaptive_group_norm_silu(p, x, emb, groups)


def _fit(x: Array, groups: int, *others: Array) -> bool:
    return groups > 0 and x.shape[-1] % groups == 0 and x.size > 0 and scratch.real(x, *others)


def _learned(p: Params, x: Array, groups: int, gated: bool) -> tuple[Array, Vjp]:
    y, back = _normalized(x, p["scale"][None], p["shift"][None], groups, gated)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dx, dscale, dshift = back(dy)
        return {"scale": dscale.sum(axis=0), "shift": dshift.sum(axis=0)}, dx

    return y, vjp


def _told(p: Params, x: Array, emb: Array, groups: int, gated: bool) -> tuple[Array, Callable[[Array], Any]]:
    told = emb @ p["w"] + p["b"]
    channels = x.shape[-1]
    y, back = _normalized(x, 1 + told[:, :channels], told[:, channels:], groups, gated)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dx, dscale, dshift = back(dy)
        dtold = np.concatenate([dscale, dshift], axis=1)
        return {"w": emb.T @ dtold, "b": dtold.sum(axis=0)}, dx, dtold @ p["w"].T

    return y, vjp


def _normalized(x: Array, scale: Array, shift: Array, groups: int, gated: bool) -> tuple[Array, Back]:
    r"""$scale\, \hat x + shift$ with scale and shift (B or 1, C), gated or not; back(dy) gives dx, and dscale and dshift (B, C).

    With c = x - mean and the factor a = scale / s of each channel, y = a c + shift and dx = a dy - k c - rest, where k and rest are
    numbers of the group that the sums of dy and dy c over places lead to.
    """
    n, channels = len(x), x.shape[-1]
    pixels, half = x.reshape(n, -1, channels), x.dtype.type(0.5 if gated else 1)
    y, mean, inverse = scratch.empty(pixels.shape, x.dtype), *np.empty((2, n, 1, channels), x.dtype)
    scale, shift = (np.broadcast_to(half * each[:, None], mean.shape) for each in (scale, shift))
    means, parts = _means(channels, groups, pixels.shape[1], x.dtype), parallel.parts(n, pixels[0].size, CACHED)

    def centred(part: slice) -> Array:
        return _each(np.subtract, pixels[part], mean[part], scratch.room("centred", pixels[part].shape, x.dtype))

    def scaled(c: Array, part: slice, out: Array) -> Array:
        return _each(np.add, _each(np.multiply, c, scale[part] * inverse[part], out), shift[part], out)

    with scratch.unbuffered():
        for part in parts:
            np.matmul(_sum(pixels[part]), means, mean[part])
            c = centred(part)
            variance = _sum(np.multiply(c, c, y[part])) @ means
            inverse[part] = 1 / np.sqrt(variance + x.dtype.type(1e-5))
            z = scaled(c, part, y[part])
            if gated:
                _gate(z)

    def back(dy: Array) -> tuple[Array, Array, Array]:
        dy, dx = dy.reshape(pixels.shape), scratch.empty(pixels.shape, x.dtype)
        dscale, dshift = np.empty((2, *mean.shape), x.dtype)
        with scratch.unbuffered():
            for part in parts:
                c, d = centred(part), dy[part]
                if gated:
                    d = _gate_back(scaled(c, part, dx[part]), d)
                dshift[part] = _sum(d)
                dscale[part] = _sum(np.multiply(d, c, dx[part])) * inverse[part]
                a = scale[part] * inverse[part]
                k = (scale[part] * dscale[part]) @ means * inverse[part] * inverse[part]
                _combined(a, d, k, c, (a * dshift[part]) @ means, dx[part])
        return dx.reshape(x.shape), half * dscale[:, 0], half * dshift[:, 0]

    return y.reshape(x.shape), back


def _combined(a: Array, d: Array, k: Array, c: Array, rest: Array, out: Array) -> None:
    """Fill out with a d - k c - rest; a, k and rest are numbers of each channel, c is used up."""
    _each(np.multiply, c, k, c)
    np.subtract(_each(np.multiply, d, a, out), c, out)
    _each(np.subtract, out, rest, out)


def _gate(z: Array) -> None:
    """z becomes z (1 + tanh z)."""
    np.multiply(z, _one_plus_tanh(z), z)


def _one_plus_tanh(z: Array) -> Array:
    t = np.tanh(z, scratch.room("gate", z.shape, z.dtype))
    return np.add(t, z.dtype.type(1), t)


def _gate_back(z: Array, dy: Array) -> Array:
    r"""dz of $y = z q$ with $q = 1 + \tanh z$, whose slope is $q (1 + z (2 - q))$; z is used up."""
    one, q = z.dtype.type(1), _one_plus_tanh(z)
    other = np.subtract(one + one, q, scratch.room("slope", z.shape, z.dtype))
    np.multiply(z, other, z)
    np.add(z, one, z)
    np.multiply(z, q, z)
    return np.multiply(z, dy, other)


def _sum(x: Array) -> Array:
    """Over places, by the matrix library: (B, P, C) -> (B, 1, C)."""
    return np.matmul(scratch.ones(x.shape[1], x.dtype)[None], x)


@lru_cache
def _means(channels: int, groups: int, places: int, dtype: Any) -> Array:
    """(C, C): a row of sums over places times this is their mean over each group, told to each of its channels."""
    size = channels // groups
    return np.kron(np.eye(groups), np.ones((size, size)) / (places * size)).astype(dtype)


def _each(f: np.ufunc, x: Array, each: Array, out: Array) -> Array:
    """Fill out with f(x, each), what is told each channel being the same for all places; (B, P, C) and (B, 1, C).

    Several pixels at once: for every row that is begun NumPy takes as long as for dozens of numbers.
    """
    n, places, channels = x.shape
    count = _side_by_side(places, channels)
    row = scratch.room("row", (n, count, channels), x.dtype)
    np.copyto(row, each)
    shape = n, places // count, count * channels
    f(x.reshape(shape), row.reshape(n, 1, -1), out.reshape(shape))
    return out


@lru_cache
def _side_by_side(places: int, channels: int) -> int:
    """How many pixels make a row: as many as divide the places and fit in it."""
    return max(count for count in range(1, places + 1) if places % count == 0 and (count == 1 or count * channels <= WIDE))
