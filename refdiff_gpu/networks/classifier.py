"""`refdiff.classifier` with its parameters on the device, and the layers of the device by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff.arrays import Array, Time
from refdiff.networks import classifier as reference
from refdiff.networks.classifier import DOWNSAMPLINGS
from refdiff.networks.layers import Params, Vjp

from ..device.wrappers import returns_device_arrays
from . import layers

__all__ = ["DOWNSAMPLINGS", "classifier", "features", "init"]

init = returns_device_arrays(reference.init)


@wraps(reference.classifier)
def classifier(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    return reference.classifier(p, x, t, L, groups)


@wraps(reference.features)
def features(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    return reference.features(p, x, t, L, groups)
