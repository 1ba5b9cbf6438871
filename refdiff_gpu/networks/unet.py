"""`refdiff.unet` with its parameters on the device, and the layers of the device by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff.arrays import Array, Time
from refdiff.networks import unet as reference
from refdiff.networks.layers import Params, Vjp
from refdiff.networks.unet import plan

from ..device.wrappers import returns_device_arrays
from . import layers

__all__ = ["init", "plan", "unet"]

init = returns_device_arrays(reference.init)


@wraps(reference.unet)
def unet(
    p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers, heads: int = 4, groups: int = 8
) -> tuple[Array, Vjp]:
    return reference.unet(p, x, t, y, L, heads, groups)
