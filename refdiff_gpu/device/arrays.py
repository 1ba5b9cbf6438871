"""Making arrays on the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from refdiff.arrays import CHECKED

from ..emulator import guard
from .driver import emulating, library


def moved(array: Any) -> Any:
    """One array on the device."""
    return guard.moved(array) if emulating() else library().asarray(array)


def empty(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array on the device, to be filled by kernels."""
    return guard.wrap(np.empty(shape, dtype)) if emulating() else library().empty(shape, dtype)


def arange(count: int, dtype: Any = np.int64) -> Any:
    """0..count - 1, made on the device."""
    return guard.wrap(np.arange(count, dtype=dtype)) if emulating() else library().arange(count, dtype=dtype)


@contextmanager
def unchecked() -> Iterator[None]:
    """A `with` block in which checks do not look at values on the device, which would wait for it; shapes and types they do look at."""
    token = CHECKED.set(False)
    try:
        yield
    finally:
        CHECKED.reset(token)
