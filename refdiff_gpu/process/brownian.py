"""`refdiff.process.brownian` on the device: its normal numbers are generated there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from refdiff.arrays import Array
from refdiff.process import brownian as reference
from refdiff.process.brownian import LEVELS

from .. import rng

__all__ = ["LEVELS", "Increments", "increment"]


@wraps(reference.increment)
def increment(
    seed: int, samples: Any, s: float, t: float, shape: tuple[int, ...] = (), end: float = 1.0, stream: int = rng.BROWNIAN, dtype: Any = np.float64
) -> Array:  # fmt: skip
    return reference._increment(rng.normal, seed, samples, s, t, shape, end, stream, dtype)


@dataclass(frozen=True)
class Increments(reference.Increments):
    __doc__ = reference.Increments.__doc__

    _increment = staticmethod(increment)
