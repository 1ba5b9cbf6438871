"""The network for images: residual blocks at several resolutions, with bridges from the way down to the way up, composed from an op set L."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, takewhile
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays import Array, Time
from ..tree import Params, Vjp
from . import layers
from .residual import attend, block, embed
from .unet_init import init

__all__ = ["init", "plan", "unet"]


def unet(
    p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers, heads: int = 4, groups: int = 8
) -> tuple[Array, Vjp]:
    r"""The network; x (B, H, W, C), t () or (B,) in units of 0..1000, y (B,) labels or None for "no label"; out shaped like x.

    It follows `plan`: what is saved on the way down is joined to the channels on the way up, last first. `vjp(dout)` gives the
    parameters' gradient, nested like p, and dx. H and W are multiples of 2^(levels - 1), so that what is halved can be joined again.
    Source: N5 [DDPM app. B].
    """
    _check(p, x)
    emb, emb_vjp = embed(p, len(x), t, y, x.real.dtype, L)
    layer = _layers(emb, L, heads, groups)
    h, saved, tape = x, [], []
    for what, name in plan(p):
        back: Any = None
        if what == "save":
            saved.append(h)
        elif what == "join":
            back = h.shape[-1]
            h = np.concatenate([h, saved.pop()], axis=-1)
        else:
            h, back = layer[what](p.get(name, {}), h)
        tape.append((what, name, back))

    def vjp(dout: Array) -> tuple[Params, Array]:
        dp: Params = {}
        dsaved: list[Array] = []
        dh, demb = dout, np.zeros_like(emb)
        for what, name, back in reversed(tape):
            if what == "save":
                dh = dh + dsaved.pop()
            elif what == "join":
                dsaved.append(dh[..., back:])
                dh = dh[..., :back]
            elif what == "block":
                dp[name], dh, dtold = back(dh)
                demb = demb + dtold
            else:
                dlayer, dh = back(dh)
                dp |= {name: dlayer} if name else {}
        return dp | emb_vjp(demb), dh

    return h, vjp


def _layers(emb: Array, L: ModuleType, heads: int, groups: int) -> dict[str, Callable[..., Any]]:
    """What the plan's words stand for."""
    return {
        "conv": L.conv,
        "half": partial(L.conv, stride=2),
        "double": L.conv_up,
        "block": partial(block, emb=emb, L=L, groups=groups),
        "attend": partial(attend, L=L, heads=heads, groups=groups),
        "norm": partial(L.group_norm, groups=groups),
        "silu": L.silu,
    }


def plan(p: Params) -> Iterator[tuple[str, str]]:
    """The steps of the network and the names of their parameters, "" for those without: down, the middle, and up again."""
    levels = len(_numbered(p, "half")) + 1
    yield from (("conv", "first"), ("save", ""))
    for i in range(levels):
        for name in _numbered(p, f"down{i}_"):
            yield from (*_block(p, name), ("save", ""))
        if i + 1 < levels:
            yield from (("half", f"half{i}"), ("save", ""))
    for name in _numbered(p, "middle"):
        yield from _block(p, name)
    for i in reversed(range(levels)):
        for name in _numbered(p, f"up{i}_"):
            yield from (("join", ""), *_block(p, name))
        if i:
            yield "double", f"double{i}"
    yield from (("norm", "norm"), ("silu", ""), ("conv", "last"))


def _check(p: Params, x: Array) -> None:
    """Raise unless x is a batch of images with the network's channels, whose size can be halved at every level and doubled back."""
    channels, multiple = p["first"]["w"].shape[2], 2 ** len(_numbered(p, "half"))
    if x.ndim != 4 or x.shape[3] != channels or any(size < 1 or size % multiple for size in x.shape[1:3]):
        raise ValueError(f"x has shape {x.shape}; allowed: (B, H, W, {channels}) with H and W positive multiples of {multiple}")


def _numbered(p: Params, prefix: str) -> list[str]:
    return list(takewhile(p.__contains__, (f"{prefix}{j}" for j in count())))


def _block(p: Params, name: str) -> list[tuple[str, str]]:
    """A block, and the attention after it if it has one."""
    return [("block", name)] + [("attend", f"{name}_attention")] * (f"{name}_attention" in p)
