"""Normalization on the device, with what scales, shifts and gates it in the same kernel, forwards and backwards.

Images are seen as (B, places, groups, channels of a group); means and roots of a group are (B, 1, groups, 1).
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np

from refdiff.arrays import Array
from refdiff.networks import layers as text
from refdiff.tree import Params, Vjp

from ..device.launch import launch
from ..device.precision import real

EPS = 1e-5


@wraps(text.group_norm)
def group_norm(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    return text.group_norm(p, x, groups) if _odd(x, groups, p["scale"], p["shift"]) else _normed(p, x, groups, "")


@wraps(text.group_norm_silu)
def group_norm_silu(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    return text.group_norm_silu(p, x, groups) if _odd(x, groups, p["scale"], p["shift"]) else _normed(p, x, groups, "_silu")


@wraps(text.adaptive_group_norm)
def adaptive_group_norm(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Any]:
    return text.adaptive_group_norm(p, x, emb, groups) if _odd(x, groups, emb, p["w"], p["b"]) else _told(p, x, emb, groups, "")


@wraps(text.adaptive_group_norm_silu)
def adaptive_group_norm_silu(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Any]:
    return text.adaptive_group_norm_silu(p, x, emb, groups) if _odd(x, groups, emb, p["w"], p["b"]) else _told(p, x, emb, groups, "_silu")


def _normed(p: Params, x: Array, groups: int, gate: str) -> tuple[Array, Vjp]:
    apart = 1, 1, groups, x.shape[-1] // groups
    y, back = _fused("norm", gate, x, p["scale"].reshape(apart), p["shift"].reshape(apart), groups)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dscale, dshift, dx = back(dy)
        return {"scale": launch("sum", dscale, axis=0), "shift": launch("sum", dshift, axis=0)}, dx

    return y, vjp


def _told(p: Params, x: Array, emb: Array, groups: int, gate: str) -> tuple[Array, Any]:
    words = emb @ p["w"]
    words = launch("bias", words, p["b"], out=words)
    apart, channels = (len(x), 1, groups, x.shape[-1] // groups), x.shape[-1]
    scale, shift = words[:, :channels].reshape(apart), words[:, channels:].reshape(apart)
    y, back = _fused("film", gate, x, scale, shift, groups)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dscale, dshift, dx = back(dy)
        dwords = np.concatenate([dscale, dshift], axis=1)
        return {"w": emb.T @ dwords, "b": launch("sum", dwords, axis=0)}, dx, dwords @ p["w"].T

    return y, vjp


def _odd(x: Array, groups: int, *more: Array) -> bool:
    """Whether the case is the text's: an error, no numbers, or several precisions."""
    return groups < 1 or bool(x.shape[-1] % groups) or not x.size or not real(x, *more)


def _fused(name: str, gate: str, x: Array, scale: Array, shift: Array, groups: int) -> tuple[Array, Any]:
    """Normalized, scaled, shifted and perhaps gated; back(dy) gives dscale and dshift of every example (B, C), and dx."""
    h = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    count = h.shape[1] * h.shape[3]
    mean = launch("mean", h, count=count, axis=(1, 3), keepdims=True)
    s = launch("root", h, mean, count=count, eps=EPS, axis=(1, 3), keepdims=True)
    y = launch(f"{name}{gate}", h, mean, s, scale, shift)

    def back(dy: Array) -> tuple[Array, Array, Array]:
        dy = dy.reshape(h.shape)
        inputs = (h, mean, s, scale, shift, dy) if gate else (h, mean, s, dy)
        dscale = launch(f"{name if gate else 'norm'}{gate}_dscale", *inputs, axis=1, keepdims=True)
        dshift = launch(f"{name}_silu_dshift", *inputs, axis=1, keepdims=True) if gate else launch("sum", dy, axis=1, keepdims=True)
        means = launch(f"{name}_means", scale, dscale, dshift, count=count)
        dx = launch(f"{name}{gate}_back", h, mean, s, scale, *([shift] if gate else []), dy, *means)
        return dscale.reshape(len(x), -1), dshift.reshape(len(x), -1), dx.reshape(x.shape)

    return y.reshape(x.shape), back
