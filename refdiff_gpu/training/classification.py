"""`refdiff.training.classification` with the layers of the device by default."""

from __future__ import annotations

from functools import wraps
from types import ModuleType

from refdiff.arrays import Array, Time
from refdiff.training import classification as reference
from refdiff.training.classification import CleanPath, value_and_grad, with_cross_entropy
from refdiff.tree import Params, Vjp

from ..networks import layers

__all__ = ["CleanPath", "as_network", "value_and_grad", "with_cross_entropy"]


@wraps(reference.as_network)
def as_network(p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers) -> tuple[Array, Vjp]:
    return reference.as_network(p, x, t, y, L)
