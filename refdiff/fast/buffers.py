"""Buffers: the memory of large arrays that are no longer referenced is reused for new arrays. It is not returned to the operating system.

A training step needs arrays of the same shapes as the step before. Freeing and allocating them costs more than the arithmetic on them,
because the system clears every page of a large new array.
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

from ..arrays import Array, read_only
from ..tree import Tree

LIMIT = 2**28  # bytes kept per thread; beyond it all are dropped, and freed once nobody references them
UFUNC_BUFFER = 256  # numbers: longer rows are not copied into NumPy's own buffer
CACHE_LINE = 64  # bytes: arrays that start at a cache line are read and written up to twice as fast

Layout = dict[str, Any]
Memory = list[tuple[Array, int]]  # bytes, and the offset of the first cache line


class _ThreadMemory(threading.local):
    """The buffers of a thread, by shape and dtype, and its workspaces."""

    def __init__(self) -> None:
        self.memory: dict[tuple[tuple[int, ...], Any], Memory] = {}
        self.bytes = 0
        self.workspaces: dict[tuple[str, Any], Array] = {}


_thread = _ThreadMemory()


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """`np.empty`, in the memory of an earlier array of the same shape and dtype if that array and all its views are no longer referenced."""
    for entry in _thread.memory.get((shape, dtype), ()):
        if getrefcount(entry[0]) == _UNREFERENCED:
            return np.ndarray(shape, dtype, *entry)
    return np.ndarray(shape, dtype, *_allocate(shape, dtype))


def _allocate(shape: tuple[int, ...], dtype: Any) -> tuple[Array, int]:
    if np.dtype(dtype).hasobject:
        raise TypeError(f"dtype = {dtype}; allowed: one of numbers, whose memory can be reused")
    memory = np.empty(int(np.prod(shape)) * np.dtype(dtype).itemsize + CACHE_LINE, np.uint8)
    entry = memory, -memory.ctypes.data % CACHE_LINE
    _thread.bytes += memory.nbytes
    if _thread.bytes > LIMIT:
        _thread.memory, _thread.bytes = {}, memory.nbytes
    _thread.memory.setdefault((shape, dtype), []).append(entry)
    return entry


def workspace(role: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Workspace of this thread for one role, uninitialized; the next call for the same role returns the same memory, in use or not."""
    size = prod(shape)
    held = _thread.workspaces.get((role, dtype))
    if held is None or held.size < size:
        held = _thread.workspaces[role, dtype] = empty((size,), dtype)
    return held[:size].reshape(shape)


@lru_cache(maxsize=64)
def ones(n: int, dtype: Any) -> Array:
    """Ones (n,), read-only: their product with a matrix is the sum of its rows, computed by the matrix library."""
    return read_only(np.ones(n, dtype))


@contextmanager
def unbuffered() -> Iterator[None]:
    """Context in which NumPy works in place on rows of hundreds of numbers.

    By default NumPy first copies all rows that fit into its buffer of 8192 numbers, which takes as long as the arithmetic.
    """
    before = np.setbufsize(UFUNC_BUFFER)
    try:
        yield
    finally:
        np.setbufsize(before)


def same_precision(*arrays: Array) -> bool:
    """Whether all arrays are float32, or all float64."""
    return {array.dtype for array in arrays} in ({np.dtype(np.float32)}, {np.dtype(np.float64)})


class Views(dict[str, Any]):
    """A dict of arrays that are views of a flat buffer, and stay so: their elements can be changed, the dict cannot."""

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("the arrays are views of one buffer and cannot be replaced; allowed: p[name][...] = values, or a copy, dict(p)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


class Packed(Views):
    """A tree whose arrays are views of one flat buffer, in the order of `tree.flatten`; `layout` holds their slices and shapes."""

    def __init__(self, layout: Layout, buffer: Array) -> None:
        super().__init__(_views(layout, buffer))
        self.layout, self.buffer = layout, buffer
        self.cache: dict[str, Any] = {}  # objects made for this tree's arrays, such as worker pools

    def __reduce__(self) -> Any:
        return Packed, (self.layout, self.buffer)  # copied and pickled as views of one buffer


def like(tree: Tree, dtype: Any, shared: bool = False) -> Packed:
    """Uninitialized packed tree of the same shapes; shared: in memory that processes forked later share with this one."""
    layout, size = (tree.layout, tree.buffer.size) if isinstance(tree, Packed) else _layout(tree, 0)
    buffer = np.frombuffer(mmap(-1, max(1, size * dtype.itemsize)), dtype, size) if shared else empty((size,), dtype)
    return Packed(layout, buffer)


def alike(tree: Any, *others: Any) -> bool:
    """Whether all trees are packed, with one layout and precision."""
    return isinstance(tree, Packed) and all(
        isinstance(each, Packed) and each.layout == tree.layout and each.buffer.dtype == tree.buffer.dtype for each in others
    )


def copy(packed: Packed) -> Packed:
    """Copy of a packed tree."""
    new = like(packed, packed.buffer.dtype)
    new.buffer[...] = packed.buffer
    return new


def _layout(tree: Tree, start: int) -> tuple[Layout, int]:
    """First and last number and shape of each array in a buffer, from start on; and the end of the last one."""
    layout: Layout = {}
    for key in sorted(tree):
        if isinstance(tree[key], dict):
            layout[key], start = _layout(tree[key], start)
        else:
            end = start + tree[key].size
            layout[key], start = (start, end, tree[key].shape), end
    return layout, start


def _views(layout: Layout, buffer: Array) -> Views:
    return Views(
        (key, _views(item, buffer) if isinstance(item, dict) else buffer[item[0] : item[1]].reshape(item[2]))
        for key, item in layout.items()
    )


def _references(memory: Memory) -> int:
    """The reference count that `empty` sees for memory that nobody uses."""
    for entry in memory:
        return getrefcount(entry[0])
    raise AssertionError


_UNREFERENCED = _references([(np.empty(1), 0)])
