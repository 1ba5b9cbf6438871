"""`refdiff.classifier` with its parameters on the device, and the layers there by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff import classifier as text
from refdiff.arrays import Array, Time
from refdiff.classifier import HALVINGS, Clean, judged, value_and_grad
from refdiff.layers import Params, Vjp

from . import layers
from .ways import made_there

__all__ = ["HALVINGS", "Clean", "as_network", "classifier", "features", "init", "judged", "value_and_grad"]

init = made_there(text.init)


@wraps(text.classifier)
def classifier(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    return text.classifier(p, x, t, L, groups)


@wraps(text.features)
def features(p: Params, x: Array, t: Time, L: ModuleType = layers, groups: int = 8) -> tuple[Array, Vjp]:
    return text.features(p, x, t, L, groups)


@wraps(text.as_network)
def as_network(p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers) -> tuple[Array, Vjp]:
    return text.as_network(p, x, t, y, L)
