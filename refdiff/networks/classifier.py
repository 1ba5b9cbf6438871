"""A classifier of noised images, told how noisy they are: the layers of the U-Net on its way down, then one number per class."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ..arrays import Array, Time
from ..tree import Params, Vjp
from . import layers
from .residual import embed
from .unet_init import Draw

HALVINGS = 2


def init(
    seed: int, channels: int = 1, base: int = 16, classes: int = 10, embedding: int = 64, groups: int = 8, dtype: Any = np.float32
) -> Params:
    """Parameters: `base` channels, twice as many after each of two halvings; the last layer starts at zero, so that all classes are equal.

    Weights are N(0, 1 / fan-in). Source: G2, N5.
    """
    if base < 4 or base % 2 or base % groups:
        raise ValueError(f"base = {base}; allowed: even, 4 or more, and a multiple of groups = {groups}")
    if channels < 1 or classes < 2 or embedding < 1:
        raise ValueError(f"channels = {channels}, classes = {classes}, embedding = {embedding}; allowed: 1 or more, classes 2 or more")
    draw = Draw(seed, embedding, "adaptive", dtype)
    p = {"time1": draw.linear(base, embedding), "time2": draw.linear(embedding, embedding), "conv0": draw.conv(3, channels, base)}
    for i in range(1, HALVINGS + 1):
        p[f"conv{i}"] = draw.conv(3, base * 2 ** (i - 1), base * 2**i)
    for i in range(HALVINGS + 1):
        p[f"tell{i}"] = draw.linear(embedding, 2 * base * 2**i)
    width = base * 2**HALVINGS
    return p | {"conv": draw.conv(3, width, width), "norm": draw.norm(width), "last": draw.linear(width, classes, zero=True)}


def classifier(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    """The logits (B, K) of images x (B, H, W, C) at times t, () or (B,) in units of 0..1000. vjp(dlogits) gives (dp, dx).

    Source: G2 [Dhariwal & Nichol sec. 4].
    """
    h, features_vjp = features(p, x, t, L, groups)
    logits, last_vjp = L.linear(p["last"], h)

    def vjp(dlogits: Array) -> tuple[Params, Array]:
        dlast, dh = last_vjp(dlogits)
        dp, dx = features_vjp(dh)
        return dp | {"last": dlast}, dx

    return logits, vjp


def features(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    """What the last layer sees, (B, F): convolved, told the time and halved, twice; convolved once more; the mean over pixels."""
    emb, emb_vjp = embed(p, len(x), t, None, x.real.dtype, L)
    h, tape = x, []
    for i in range(HALVINGS + 1):
        h, conv_vjp = L.conv(p[f"conv{i}"], h, stride=1 if i == 0 else 2)
        h, tell_vjp = L.adaptive_group_norm(p[f"tell{i}"], h, emb, groups)
        h, silu_vjp = L.silu({}, h)
        tape.append((f"{i}", conv_vjp, tell_vjp, silu_vjp))
    h, end_vjp = _end(p, h, L, groups)

    def vjp(dout: Array) -> tuple[Params, Array]:
        dp, dh = end_vjp(dout)
        demb = np.zeros_like(emb)
        for name, conv_vjp, tell_vjp, silu_vjp in reversed(tape):
            dp["tell" + name], dh, dtold = tell_vjp(silu_vjp(dh)[1])
            dp["conv" + name], dh = conv_vjp(dh)
            demb = demb + dtold
        return dp | emb_vjp(demb), dh

    return h, vjp


def _end(p: Params, x: Array, L: ModuleType, groups: int) -> tuple[Array, Vjp]:
    """A convolution, normalized and gated, and its mean over pixels; (B, F)."""
    h, conv_vjp = L.conv(p["conv"], x)
    h, norm_vjp = L.group_norm(p["norm"], h, groups)
    h, silu_vjp = L.silu({}, h)
    shape, pixels = h.shape, h.shape[1] * h.shape[2]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dh = np.broadcast_to(dy[:, None, None, :] / pixels, shape)
        dnorm, dh = norm_vjp(silu_vjp(dh)[1])
        dconv, dx = conv_vjp(dh)
        return {"norm": dnorm, "conv": dconv}, dx

    return h.mean(axis=(1, 2)), vjp
