"""`refdiff.unet` with its parameters on the device, and the layers there by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff.arrays import Array, Time
from refdiff.networks import unet as text
from refdiff.networks.layers import Params, Vjp
from refdiff.networks.unet import plan

from ..device.wrappers import made_there
from . import layers

__all__ = ["init", "plan", "unet"]

init = made_there(text.init)


@wraps(text.unet)
def unet(
    p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers, heads: int = 4, groups: int = 8
) -> tuple[Array, Vjp]:
    return text.unet(p, x, t, y, L, heads, groups)
