"""Operations of refdiff: unet."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import tree
from ...networks import layers
from ...networks.unet import unet as network
from ...networks.unet_init import Draw

ORDER = (
    "time1", "time2", "conv_in", "down0_block0", "downsample0", "down1_block0", "mid_block0", "mid_attention0", "mid_block1",
    "up1_block0", "up1_block1", "upsample1", "up0_block0", "up0_block1", "norm_out", "conv_out",
)  # fmt: skip
PARTS = ("norm", "norm1", "conv1", "conditioning", "conv2", "shortcut", "attention", "q", "k", "v", "out", "w", "b", "scale", "shift")


def unet(params: Any, x: Any, t: Any, width: int, embedding: int, features: int, groups: int, heads: int) -> Any:
    p = _arrays(params, _zero(x, width, embedding, features))
    return network(p, x, t, None, layers, heads, groups)[0]


def unet_vjp(params: Any, x: Any, t: Any, width: int, embedding: int, features: int, groups: int, heads: int, dy: Any) -> Any:
    p = _arrays(params, _zero(x, width, embedding, features))
    dp, dx = network(p, x, t, None, layers, heads, groups)[1](dy)
    flat = tree.flatten(dp)
    return {"dparams": np.concatenate([flat[path].ravel() for path in _paths(p)]), "dx": dx}


def _zero(x: Any, width: int, embedding: int, features: int) -> Any:
    """Parameters of the right shapes."""
    draw, channels = Draw(0, embedding, "adaptive", x.dtype), x.shape[-1]
    p = {"time1": draw.linear(features, embedding), "time2": draw.linear(embedding, embedding), "conv_in": draw.conv(3, channels, width)}
    p |= {"downsample0": draw.conv(3, width, width), "upsample1": draw.conv(3, width, width)}
    for name in ("down0_block0", "down1_block0", "mid_block0", "mid_block1"):
        p |= draw.block(name, width, width, attention=name == "mid_block0")
    for name in ("up1_block0", "up1_block1", "up0_block0", "up0_block1"):
        p |= draw.block(name, 2 * width, width, attention=False)
    return p | {"norm_out": draw.norm(width), "conv_out": draw.conv(3, width, channels)}


def _arrays(params: Any, p: Any) -> Any:
    """The row of numbers as refdiff's parameters, shaped like p."""
    flat, start, found = tree.flatten(p), 0, {}
    for path in _paths(p):
        size = flat[path].size
        found[path] = params[start : start + size].reshape(flat[path].shape).astype(flat[path].dtype)
        start += size
    return tree.unflatten(found)


def _paths(p: Any) -> list[str]:
    """The paths of all arrays in the order of the specification."""

    def order(path: str) -> tuple[int, ...]:
        first, *parts = path.split("/")
        return ORDER.index(first), *(PARTS.index(part) for part in parts)

    return sorted(tree.flatten(p), key=order)
