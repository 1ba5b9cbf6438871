"""`refdiff.classifier` with its parameters on the device, and the layers there by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff.arrays import Array, Time
from refdiff.networks import classifier as text
from refdiff.networks.classifier import DOWNSAMPLINGS
from refdiff.networks.layers import Params, Vjp

from ..device.wrappers import made_there
from . import layers

__all__ = ["DOWNSAMPLINGS", "classifier", "features", "init"]

init = made_there(text.init)


@wraps(text.classifier)
def classifier(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    return text.classifier(p, x, t, L, groups)


@wraps(text.features)
def features(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    return text.features(p, x, t, L, groups)
