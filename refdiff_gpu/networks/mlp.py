"""`refdiff.mlp` with its parameters on the device, and the layers of the device by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff.arrays import Array, Time
from refdiff.networks import mlp as reference
from refdiff.networks.layers import Params, Vjp
from refdiff.networks.mlp import embed_conditions

from ..device.wrappers import returns_device_arrays
from . import layers

__all__ = ["embed_conditions", "init", "mlp"]

init = returns_device_arrays(reference.init)


@wraps(reference.mlp)
def mlp(p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers) -> tuple[Array, Vjp]:
    return reference.mlp(p, x, t, y, L)
