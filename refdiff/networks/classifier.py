"""Classifier of noised images, conditioned on the time: the encoder layers of the U-Net, then one logit per class."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from ..arrays import Array, Time
from ..checks import MOST, check_arrays, check_count, check_counts, check_dtype, check_shape
from ..tree import Params, Vjp
from . import layers
from .inputs import check_params
from .residual import embed
from .unet_init import Draw

DOWNSAMPLINGS = 2


def init(
    seed: int, channels: int = 1, base: int = 16, classes: int = 10, embedding: int = 64, groups: int = 8, dtype: Any = np.float32
) -> Params:
    """Initial parameters of the classifier: `base` channels, doubled at each of two downsamplings.

    Weights are drawn from a normal distribution of mean 0 and variance 1 / fan-in. The last layer, the head, starts at zero, so that all
    logits are equal. Source: G2, N5.
    """
    channels, base, classes, embedding = check_counts(channels=channels, base=base, classes=classes, embedding=embedding)
    groups, dtype = check_count("groups", groups, 1, MOST), check_dtype(dtype)
    if base < 4 or base % 2 or base % groups:
        raise ValueError(f"base = {base}; allowed: even, 4 or more, and a multiple of groups = {groups}")
    if channels < 1 or classes < 2 or embedding < 1:
        raise ValueError(f"channels = {channels}, classes = {classes}, embedding = {embedding}; allowed: 1 or more, classes 2 or more")
    draw = Draw(seed, embedding, "adaptive", dtype)
    p = {"time1": draw.linear(base, embedding), "time2": draw.linear(embedding, embedding), "conv0": draw.conv(3, channels, base)}
    for i in range(1, DOWNSAMPLINGS + 1):
        p[f"conv{i}"] = draw.conv(3, base * 2 ** (i - 1), base * 2**i)
    for i in range(DOWNSAMPLINGS + 1):
        p[f"conditioning{i}"] = draw.linear(embedding, 2 * base * 2**i)
    width = base * 2**DOWNSAMPLINGS
    return p | {
        "conv_out": draw.conv(3, width, width),
        "norm_out": draw.norm(width),
        "head": draw.linear(width, classes, zero=True),
    }


def classifier(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    """Classifier of noised images: logits (B, K) of x (B, H, W, C) at times t, () or (B,) between 0 and 1000. vjp(dlogits) gives (dp, dx).

    Source: G2 [Dhariwal & Nichol sec. 4].
    """
    check_params(p, "head")
    h, features_vjp = features(p, x, t, L, groups)
    logits, head_vjp = L.linear(p["head"], h)

    def vjp(dlogits: Array) -> tuple[Params, Array]:
        dhead, dh = head_vjp(dlogits)
        dp, dx = features_vjp(dh)
        return dp | {"head": dhead}, dx

    return logits, vjp


def features(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    """Features before the last layer, (B, F): convolutions conditioned on the time, two of them with stride 2, then a mean over pixels."""
    check_params(p, "time1", "time2", "conv0", "conv_out", "norm_out")
    check_arrays(x=x)
    check_shape("x", x, "B", "H+", "W+", p["conv0"]["w"].shape[2])
    emb, emb_vjp = embed(p, len(x), t, None, x.real.dtype, L)
    h, tape = x, []
    for i in range(DOWNSAMPLINGS + 1):
        h, conv_vjp = L.conv(p[f"conv{i}"], h, stride=1 if i == 0 else 2)
        h, norm_vjp = L.adaptive_group_norm(p[f"conditioning{i}"], h, emb, groups)
        h, silu_vjp = L.silu({}, h)
        tape.append((f"{i}", conv_vjp, norm_vjp, silu_vjp))
    h, pool_vjp = _pool(p, h, L, groups)

    def vjp(dout: Array) -> tuple[Params, Array]:
        dp, dh = pool_vjp(dout)
        demb = np.zeros_like(emb)
        for name, conv_vjp, norm_vjp, silu_vjp in reversed(tape):
            dp["conditioning" + name], dh, demb_layer = norm_vjp(silu_vjp(dh)[1])
            dp["conv" + name], dh = conv_vjp(dh)
            demb = demb + demb_layer
        return dp | emb_vjp(demb), dh

    return h, vjp


def _pool(p: Params, x: Array, L: ModuleType, groups: int) -> tuple[Array, Vjp]:
    """A convolution, group normalization, silu, and the mean over pixels; (B, F)."""
    h, conv_vjp = L.conv(p["conv_out"], x)
    h, norm_vjp = L.group_norm(p["norm_out"], h, groups)
    h, silu_vjp = L.silu({}, h)
    shape, pixels = h.shape, h.shape[1] * h.shape[2]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dh = np.broadcast_to(dy[:, None, None, :] / pixels, shape)
        dnorm, dh = norm_vjp(silu_vjp(dh)[1])
        dconv, dx = conv_vjp(dh)
        return {"norm_out": dnorm, "conv_out": dconv}, dx

    return h.mean(axis=(1, 2)), vjp
