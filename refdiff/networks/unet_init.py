"""Initial parameters of a U-Net. Their names and shapes are its architecture: `unet.plan` reads it from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import rng
from ..arrays import Array
from ..checks import check_choice, check_counts, check_dtype, check_tuple
from ..tree import Params

MODES = ("adaptive", "add")


def init(
    seed: int,
    channels: int = 1,
    base: int = 32,
    multipliers: tuple[int, ...] = (1, 2, 2),
    blocks: int = 1,
    attention: tuple[int, ...] = (),
    embedding: int = 128,
    classes: int = 0,
    mode: str = "adaptive",
    dtype: Any = np.float32,
) -> Params:
    """Initial parameters of a U-Net; level i has base * multipliers[i] channels, `blocks` residual blocks in the encoder, one more in the decoder.

    Attention follows every block of the levels listed in `attention`, and the first of the two middle blocks. `mode` is the
    conditioning of a block on the embedding: "adaptive" group normalization (scale and shift), or "add" (a shift before the
    normalization). For classes > 0 there is a label table of classes + 1 rows, the last for "no label". Weights are drawn from a
    normal distribution of mean 0 and variance 1 / fan-in. The last layer of every block, of every attention and of the network
    starts at zero, so that an untrained network returns 0. Source: N5 [DDPM app. B].
    """
    channels, base, blocks, embedding, classes = check_counts(
        channels=channels, base=base, blocks=blocks, embedding=embedding, classes=classes
    )
    multipliers, attention = check_tuple("multipliers", multipliers), check_tuple("attention", attention)
    dtype = check_dtype(dtype)
    _check(channels, base, multipliers, blocks, attention, embedding, classes, mode)
    draw = Draw(seed, embedding, mode, dtype)
    p = {"time1": draw.linear(base, embedding), "time2": draw.linear(embedding, embedding), "conv_in": draw.conv(3, channels, base)}
    width, skips = base, [base]
    for i, multiplier in enumerate(multipliers):
        for j in range(blocks):
            p |= draw.block(f"down{i}_block{j}", width, width := base * multiplier, i in attention)
            skips.append(width)
        if i + 1 < len(multipliers):
            p[f"downsample{i}"] = draw.conv(3, width, width)
            skips.append(width)
    for j in range(2):
        p |= draw.block(f"mid_block{j}", width, width, attention=j == 0)
    for i, multiplier in reversed(list(enumerate(multipliers))):
        for j in range(blocks + 1):
            p |= draw.block(f"up{i}_block{j}", width + skips.pop(), width := base * multiplier, i in attention)
        if i:
            p[f"upsample{i}"] = draw.conv(3, width, width)
    p |= {"norm_out": draw.norm(width), "conv_out": draw.conv(3, width, channels, zero=True)}
    if classes:
        p["label"] = {"table": draw.normal((classes + 1, embedding), 1)}
    return p


class Draw:
    """Generator of the initial parameters of layers; each array is drawn at its own step number of `rng`."""

    def __init__(self, seed: int, embedding: int, mode: str, dtype: Any) -> None:
        self.seed, self.embedding, self.mode, self.dtype, self.step = seed, embedding, mode, dtype, 0

    def normal(self, shape: tuple[int, ...], fan_in: int, zero: bool = False) -> Array:
        self.step += 1
        if zero:
            return np.zeros(shape, self.dtype)
        return (fan_in**-0.5 * rng.normal(self.seed, 1, shape, self.step, rng.INIT)[0]).astype(self.dtype)

    def linear(self, fan_in: int, fan_out: int, zero: bool = False) -> Params:
        return {"w": self.normal((fan_in, fan_out), fan_in, zero), "b": np.zeros(fan_out, self.dtype)}

    def conv(self, k: int, fan_in: int, fan_out: int, zero: bool = False) -> Params:
        return {"w": self.normal((k, k, fan_in, fan_out), k * k * fan_in, zero), "b": np.zeros(fan_out, self.dtype)}

    def norm(self, width: int) -> Params:
        return {"scale": np.ones(width, self.dtype), "shift": np.zeros(width, self.dtype)}

    def block(self, name: str, fan_in: int, fan_out: int, attention: bool) -> Params:
        """Parameters of a residual block, and of the attention after it if there is one, by name."""
        p = {"norm1": self.norm(fan_in), "conv1": self.conv(3, fan_in, fan_out), "conv2": self.conv(3, fan_out, fan_out, zero=True)}
        if self.mode == "adaptive":
            p["conditioning"] = self.linear(self.embedding, 2 * fan_out)
        else:
            p |= {"conditioning": self.linear(self.embedding, fan_out), "norm2": self.norm(fan_out)}
        if fan_in != fan_out:
            p["shortcut"] = self.conv(1, fan_in, fan_out)
        return {name: p} | ({name.replace("block", "attention"): self.attention(fan_out)} if attention else {})

    def attention(self, width: int) -> Params:
        projections = {name: self.linear(width, width, zero=name == "out") for name in ("q", "k", "v", "out")}
        return {"norm": self.norm(width), "attention": projections}


def _check(
    channels: int, base: int, multipliers: tuple[int, ...], blocks: int, attention: tuple[int, ...], embedding: int, classes: int, mode: str
) -> None:
    check_choice("mode", mode, MODES)
    if channels < 1 or embedding < 1:
        raise ValueError(f"channels = {channels}, embedding = {embedding}; allowed: 1 or more")
    if base < 4 or base % 2 or not multipliers or min(multipliers) < 1:
        raise ValueError(f"base = {base}, multipliers = {multipliers}; allowed: base even and 4 or more, multipliers 1 or more")
    if blocks < 1 or classes < 0:
        raise ValueError(f"blocks = {blocks}, classes = {classes}; allowed: blocks 1 or more, classes 0 or more")
    if not set(attention) <= set(range(len(multipliers))):
        raise ValueError(f"attention = {attention}; allowed: levels, 0..{len(multipliers) - 1}")
