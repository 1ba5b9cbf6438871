"""Create arrays on the device, with NumPy's names, and leave out checks that would wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from refdiff.arrays import CHECKED, Array, kind

from ..emulator import guard
from .driver import emulating, require_cupy


def asarray(array: Any) -> Any:
    """An array on the device: the argument if it is there already, else a copy."""
    return guard.asarray(array) if emulating() else require_cupy().asarray(array)


def empty(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array on the device, for kernels to fill."""
    return guard.wrap(np.empty(shape, dtype)) if emulating() else require_cupy().empty(shape, dtype)


def arange(count: int, dtype: Any = np.int64) -> Any:
    """The numbers 0..count - 1, generated on the device."""
    return guard.wrap(np.arange(count, dtype=dtype)) if emulating() else require_cupy().arange(count, dtype=dtype)


def same_float_dtype(*arrays: Array) -> bool:
    """Whether all arrays are float32, or all are float64, as kernels require; false for all that is no array, or has a mask."""
    dtypes = {array.dtype if kind(array) == "f" else None for array in arrays}
    return dtypes == {np.dtype(np.float32)} or dtypes == {np.dtype(np.float64)}


@contextmanager
def unchecked() -> Iterator[None]:
    """A `with` block in which checks do not read values from the device, which would wait for it.

    They still check shapes and dtypes.
    """
    token = CHECKED.set(False)
    try:
        yield
    finally:
        CHECKED.reset(token)
