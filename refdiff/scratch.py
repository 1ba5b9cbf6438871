"""Memory that is used again: large arrays that nobody holds any more are handed out anew, warm, instead of going back to the system.

A training step needs the same arrays as the step before. Giving them back and asking again costs more than the arithmetic on
them: the system clears every page of large arrays before it lends it.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np

from .arrays import Array

LIMIT = 2**28  # bytes kept per thread; beyond, all is forgotten, and freed when it is let go
LINE = 64  # bytes: arrays that start with a line of the cache are read and written twice as fast


class _Kept(threading.local):
    """The memory of a thread, by size: bytes, and where their first line begins."""

    def __init__(self) -> None:
        self.memory: dict[int, list[tuple[Array, int]]] = {}
        self.bytes = 0


_kept = _Kept()


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Like `np.empty`, in memory that an array of this size had before, once that array and all its views are gone."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = _kept.memory.setdefault(size, [])
    for i in range(len(memory)):
        if _holders(memory, i) == _NOBODY:
            return np.ndarray(shape, dtype, *memory[i])
    fresh = np.empty(size + LINE, np.uint8)
    memory.append((fresh, -fresh.ctypes.data % LINE))
    _kept.bytes += fresh.nbytes
    if _kept.bytes > LIMIT:
        _kept.memory, _kept.bytes = {}, 0
    return np.ndarray(shape, dtype, *memory[-1])


def _holders(memory: list[tuple[Array, int]], i: int) -> int:
    return sys.getrefcount(memory[i][0])


_NOBODY = _holders([(np.empty(1), 0)], 0)
