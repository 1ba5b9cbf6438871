"""Memory that is used again: large arrays that nobody holds any more are handed out anew, warm, instead of going back to the system.

A training step needs the same arrays as the step before. Giving them back and asking again costs more than the arithmetic on
them: the system clears every page of large arrays before it lends it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from mmap import mmap
from sys import getrefcount
from typing import Any

import numpy as np

from ..arrays import Array
from ..tree import Tree

LIMIT = 2**28  # bytes kept per thread; beyond, all is forgotten, and freed when it is let go
BUFFER = 256  # numbers: rows longer than these are worked on where they lie
LINE = 64  # bytes: arrays that start with a line of the cache are read and written up to twice as fast

Plan = dict[str, Any]
Memory = list[tuple[Array, int]]  # bytes, and where in them the first line begins


class _Kept(threading.local):
    """The memory of a thread, by shape and dtype."""

    def __init__(self) -> None:
        self.memory: dict[tuple[tuple[int, ...], Any], Memory] = {}
        self.bytes = 0
        self.rooms: dict[tuple[str, Any], Array] = {}


_kept = _Kept()


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Like `np.empty`, in memory that such an array had before, once that array and all its views are gone."""
    for entry in _kept.memory.get((shape, dtype), ()):
        if getrefcount(entry[0]) == _NOBODY:
            return np.ndarray(shape, dtype, *entry)
    return np.ndarray(shape, dtype, *_more(shape, dtype))


def _more(shape: tuple[int, ...], dtype: Any) -> tuple[Array, int]:
    memory = np.empty(int(np.prod(shape)) * np.dtype(dtype).itemsize + LINE, np.uint8)
    entry = memory, -memory.ctypes.data % LINE
    _kept.bytes += memory.nbytes
    if _kept.bytes > LIMIT:
        _kept.memory, _kept.bytes = {}, memory.nbytes
    _kept.memory.setdefault((shape, dtype), []).append(entry)
    return entry


def room(role: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory of this thread for one purpose, whatever is in it: the next call for the same role hands it out again, in use or not."""
    size = prod(shape)
    held = _kept.rooms.get((role, dtype))
    if held is None or held.size < size:
        held = _kept.rooms[role, dtype] = empty((size,), dtype)
    return held[:size].reshape(shape)


@lru_cache(maxsize=64)
def ones(n: int, dtype: Any) -> Array:
    """Ones (n,), not to be written: times a matrix, they let the matrix library sum its rows."""
    array = np.ones(n, dtype)
    array.flags.writeable = False
    return array


@contextmanager
def unbuffered() -> Iterator[None]:
    """For arrays with rows of hundreds of numbers: NumPy works on them where they lie; shorter rows it copies together first, which it
    does for all that fit in its buffer, 8192 numbers unless told, and which takes as long as the arithmetic.
    """
    before = np.setbufsize(BUFFER)
    try:
        yield
    finally:
        np.setbufsize(before)


def real(*arrays: Array) -> bool:
    """Whether all are of one real precision."""
    return {array.dtype for array in arrays} in ({np.dtype(np.float32)}, {np.dtype(np.float64)})


class Packed(dict[str, Any]):
    """A tree whose arrays are views of one flat buffer, in the order of `tree.flatten`; `plan` says where, nested like the tree."""

    buffer: Array
    plan: Plan
    kept: dict[Any, Any]  # what was made for this tree's arrays


def like(tree: Tree, dtype: Any, shared: bool = False) -> Packed:
    """A packed tree of the same shapes, to be filled; shared: in memory that processes forked later have in common with this one."""
    plan, size = (tree.plan, tree.buffer.size) if isinstance(tree, Packed) else _plan(tree, 0)
    buffer = np.frombuffer(mmap(-1, max(1, size * dtype.itemsize)), dtype, size) if shared else empty((size,), dtype)
    packed = Packed(_views(plan, buffer))
    packed.buffer, packed.plan, packed.kept = buffer, plan, {}
    return packed


def copy(packed: Packed) -> Packed:
    """A packed tree of the same numbers."""
    new = like(packed, packed.buffer.dtype)
    new.buffer[...] = packed.buffer
    return new


def _plan(tree: Tree, start: int) -> tuple[Plan, int]:
    """Where each array goes, from start on: its first and last number and its shape; and where they end."""
    plan: Plan = {}
    for key in sorted(tree):
        if isinstance(tree[key], dict):
            plan[key], start = _plan(tree[key], start)
        else:
            end = start + tree[key].size
            plan[key], start = (start, end, tree[key].shape), end
    return plan, start


def _views(plan: Plan, buffer: Array) -> dict[str, Any]:
    return {
        key: _views(place, buffer) if isinstance(place, dict) else buffer[place[0] : place[1]].reshape(place[2])
        for key, place in plan.items()
    }


def _holders(memory: Memory) -> int:
    """What `empty` counts where nobody holds the memory."""
    for entry in memory:
        return getrefcount(entry[0])
    raise AssertionError


_NOBODY = _holders([(np.empty(1), 0)])
