"""`refdiff.normalize` with normalization, scale and shift, and SiLU fused into one kernel, forward and backward.

Images are reshaped to (B, positions, groups, channels of a group); means and standard deviations of a group are (B, 1,
groups, 1).
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np

from refdiff.arrays import Array
from refdiff.networks import layers as reference
from refdiff.networks.normalize import film, normalize
from refdiff.tree import Params, Vjp

from ..device.arrays import same_float_dtype
from ..device.launch import launch

__all__ = ["adaptive_group_norm", "film", "group_norm", "normalize"]

EPS = 1e-5


@wraps(reference.group_norm)
def group_norm(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    if _not_fused(x, groups, p["scale"], p["shift"]):
        return reference.group_norm(p, x, groups)
    return _learned(p, x, groups, "")


@wraps(reference.group_norm_silu)
def group_norm_silu(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    if _not_fused(x, groups, p["scale"], p["shift"]):
        return reference.group_norm_silu(p, x, groups)
    return _learned(p, x, groups, "_silu")


@wraps(reference.adaptive_group_norm)
def adaptive_group_norm(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Any]:
    if _not_fused(x, groups, emb, p["w"], p["b"]) or not _fits(p, x, emb):
        return reference.adaptive_group_norm(p, x, emb, groups)
    return _adaptive(p, x, emb, groups, "")


@wraps(reference.adaptive_group_norm_silu)
def adaptive_group_norm_silu(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Any]:
    if _not_fused(x, groups, emb, p["w"], p["b"]) or not _fits(p, x, emb):
        return reference.adaptive_group_norm_silu(p, x, emb, groups)
    return _adaptive(p, x, emb, groups, "_silu")


def _learned(p: Params, x: Array, groups: int, silu: str) -> tuple[Array, Vjp]:
    shape = 1, 1, groups, x.shape[-1] // groups
    y, back = _fused("norm", silu, x, p["scale"].reshape(shape), p["shift"].reshape(shape), groups)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dscale, dshift, dx = back(dy)
        return {"scale": launch("sum", dscale, axis=0), "shift": launch("sum", dshift, axis=0)}, dx

    return y, vjp


def _adaptive(p: Params, x: Array, emb: Array, groups: int, silu: str) -> tuple[Array, Any]:
    modulation = emb @ p["w"]
    modulation = launch("bias", modulation, p["b"], out=modulation)
    shape, channels = (len(x), 1, groups, x.shape[-1] // groups), x.shape[-1]
    scale, shift = modulation[:, :channels].reshape(shape), modulation[:, channels:].reshape(shape)
    y, back = _fused("film", silu, x, scale, shift, groups)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dscale, dshift, dx = back(dy)
        dmodulation = np.concatenate([dscale, dshift], axis=1)
        return {"w": emb.T @ dmodulation, "b": launch("sum", dmodulation, axis=0)}, dx, dmodulation @ p["w"].T

    return y, vjp


def _not_fused(x: Array, groups: int, *more: Array) -> bool:
    """Whether the reference implementation has to run: for wrong arguments, empty arrays, or several precisions."""
    return not same_float_dtype(x, *more) or type(groups) is not int or groups < 1 or bool(x.shape[-1] % groups) or not x.size


def _fits(p: Params, x: Array, emb: Array) -> bool:
    """Whether the embedding and the parameters are those of the examples and channels of x."""
    return emb.shape == (len(x), len(p["w"])) and p["w"].shape[1] == 2 * x.shape[-1]


def _fused(name: str, silu: str, x: Array, scale: Array, shift: Array, groups: int) -> tuple[Array, Any]:
    """Normalize, scale and shift, and apply SiLU if `silu`.

    `back(dy)` gives dscale and dshift of every example (B, C), and dx.
    """
    h = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    count = h.shape[1] * h.shape[3]
    mean = launch("mean", h, count=count, axis=(1, 3), keepdims=True)
    s = launch("std", h, mean, count=count, eps=EPS, axis=(1, 3), keepdims=True)
    y = launch(f"{name}{silu}", h, mean, s, scale, shift)

    def back(dy: Array) -> tuple[Array, Array, Array]:
        dy = dy.reshape(h.shape)
        inputs = (h, mean, s, scale, shift, dy) if silu else (h, mean, s, dy)
        dscale = launch(f"{name if silu else 'norm'}{silu}_dscale", *inputs, axis=1, keepdims=True)
        dshift = launch(f"{name}_silu_dshift", *inputs, axis=1, keepdims=True) if silu else launch("sum", dy, axis=1, keepdims=True)
        means = launch(f"{name}_means", scale, dscale, dshift, count=count)
        dx = launch(f"{name}{silu}_back", h, mean, s, scale, *([shift] if silu else []), dy, *means)
        return dscale.reshape(len(x), -1), dshift.reshape(len(x), -1), dx.reshape(x.shape)

    return y.reshape(x.shape), back
