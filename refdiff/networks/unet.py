"""U-Net for images: residual blocks at several resolutions with skip connections, composed from an op set L."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, takewhile
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays import Array, Time
from ..checks import check_arrays
from ..tree import Params, Vjp
from . import layers
from .inputs import check_params
from .residual import attend, block, embed
from .unet_init import init

__all__ = ["init", "plan", "unet"]


def unet(
    p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers, heads: int = 4, groups: int = 8
) -> tuple[Array, Vjp]:
    r"""U-Net; x (B, H, W, C), t () or (B,) between 0 and 1000, y (B,) labels or None for "no label"; out shaped like x.

    The layers run in the order of `plan`. Skip connections save the encoder's feature maps and concatenate them to the decoder's
    channels, the last one first. `vjp(dout)` gives the parameters' gradient, nested like p, and dx. H and W are multiples of
    $2^{levels - 1}$, so that all feature maps of one level have the same size.
    Source: N5 [DDPM app. B].
    """
    _check(p, x)
    emb, emb_vjp = embed(p, len(x), t, y, x.real.dtype, L)
    layer = _layers(emb, L, heads, groups)
    h, skips, tape = x, [], []
    for what, name in plan(p):
        back: Any = None
        if what == "save":
            skips.append(h)
        elif what == "concat":
            back = h.shape[-1]
            h = np.concatenate([h, skips.pop()], axis=-1)
        else:
            h, back = layer[what](p.get(name, {}), h)
        tape.append((what, name, back))

    def vjp(dout: Array) -> tuple[Params, Array]:
        dp: Params = {}
        dskips: list[Array] = []
        dh, demb = dout, np.zeros_like(emb)
        for what, name, back in reversed(tape):
            if what == "save":
                dh = dh + dskips.pop()
            elif what == "concat":
                dskips.append(dh[..., back:])
                dh = dh[..., :back]
            elif what == "block":
                dp[name], dh, demb_block = back(dh)
                demb = demb + demb_block
            else:
                dlayer, dh = back(dh)
                dp |= {name: dlayer} if name else {}
        return dp | emb_vjp(demb), dh

    return h, vjp


def _layers(emb: Array, L: ModuleType, heads: int, groups: int) -> dict[str, Callable[..., Any]]:
    """The layer of every step of the plan."""
    return {
        "conv": L.conv,
        "downsample": partial(L.conv, stride=2),
        "upsample": L.conv_up,
        "block": partial(block, emb=emb, L=L, groups=groups),
        "attention": partial(attend, L=L, heads=heads, groups=groups),
        "norm": partial(L.group_norm, groups=groups),
        "silu": L.silu,
    }


def plan(p: Params) -> Iterator[tuple[str, str]]:
    """Steps of the network in order, each a layer and the name of its parameters, "" if it has none: encoder, middle, decoder.

    The step "save" keeps a feature map for a skip connection; "concat" concatenates the last one kept and drops it.
    """
    levels = len(_numbered(p, "downsample")) + 1
    yield from (("conv", "conv_in"), ("save", ""))
    for i in range(levels):
        for name in _numbered(p, f"down{i}_block"):
            yield from (*_block(p, name), ("save", ""))
        if i + 1 < levels:
            yield from (("downsample", f"downsample{i}"), ("save", ""))
    for name in _numbered(p, "mid_block"):
        yield from _block(p, name)
    for i in reversed(range(levels)):
        for name in _numbered(p, f"up{i}_block"):
            yield from (("concat", ""), *_block(p, name))
        if i:
            yield "upsample", f"upsample{i}"
    yield from (("norm", "norm_out"), ("silu", ""), ("conv", "conv_out"))


def _check(p: Params, x: Array) -> None:
    """Raise unless x is a batch of images with the network's channels, whose size can be downsampled at every level."""
    check_params(p, "time1", "time2", "conv_in", "mid_block0", "norm_out", "conv_out")
    check_arrays(x=x)
    channels, multiple = p["conv_in"]["w"].shape[2], 2 ** len(_numbered(p, "downsample"))
    if x.ndim != 4 or x.shape[3] != channels or any(size < 1 or size % multiple for size in x.shape[1:3]):
        raise ValueError(f"x has shape {x.shape}; allowed: (B, H, W, {channels}) with H and W positive multiples of {multiple}")


def _numbered(p: Params, prefix: str) -> list[str]:
    return list(takewhile(p.__contains__, (f"{prefix}{j}" for j in count())))


def _block(p: Params, name: str) -> list[tuple[str, str]]:
    """A block, and the attention after it if it has one."""
    attention = name.replace("block", "attention")
    return [("block", name)] + [("attention", attention)] * (attention in p)
