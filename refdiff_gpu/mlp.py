"""`refdiff.mlp` with its parameters on the device, and the layers there by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff import mlp as text
from refdiff.arrays import Array, Time
from refdiff.layers import Params, Vjp
from refdiff.mlp import conditions

from . import layers
from .ways import made_there

__all__ = ["conditions", "init", "mlp"]

init = made_there(text.init)


@wraps(text.mlp)
def mlp(p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers) -> tuple[Array, Vjp]:
    return text.mlp(p, x, t, y, L)
