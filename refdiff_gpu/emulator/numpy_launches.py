"""Count NumPy's operations on guard arrays as kernel launches, one for each operation; kernels count themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from .guard import GuardArray
from .launch_counter import Launch, LaunchCounter, record

MATRIX_PRODUCTS = ("matmul", "tensordot")  # what cuBLAS computes


@contextmanager
def count_launches() -> Iterator[LaunchCounter]:
    """A `with` block whose counter also lists NumPy's operations on guard arrays; views are no launches."""
    originals = {name: getattr(GuardArray, name) for name in _WRAPPERS}
    for name, wrapper in _WRAPPERS.items():
        setattr(GuardArray, name, wrapper(originals[name]))
    try:
        with LaunchCounter() as counter:
            yield counter
    finally:
        for name, method in originals.items():
            setattr(GuardArray, name, method)


def _ufunc(original: Any) -> Any:
    def counted(self: GuardArray, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        result = original(self, ufunc, method, *inputs, **keywords)
        _record(ufunc.__name__, inputs, result, in_place=bool(keywords.get("out")))
        return result

    return counted


def _function(original: Any) -> Any:
    def counted(self: GuardArray, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        result = original(self, function, types, args, keywords)
        if function.__name__ != "empty_like":
            _record(function.__name__, (args, tuple(keywords.values())), result)
        return result

    return counted


def _array_method(original: Any) -> Any:
    def counted(self: GuardArray, name: str, *args: Any, **keywords: Any) -> Any:
        result = original(self, name, *args, **keywords)
        _record(name, (self, args, tuple(keywords.values())), result)
        return result

    return counted


def _getitem(original: Any) -> Any:
    def counted(self: GuardArray, key: Any) -> Any:
        result = original(self, key)
        if not np.shares_memory(result._data, self._data):  # a gathered row is read once
            read = result._data.nbytes + sum(map(_bytes, _guard_arrays(key)))
            record(Launch("take", result._data.size, read, result._data.nbytes, 0, 0))
        return result

    return counted


def _setitem(original: Any) -> Any:
    def counted(self: GuardArray, key: Any, value: Any) -> None:
        target = original(self, key, value) or self[key]
        if not (isinstance(value, GuardArray) and value._data.ctypes.data == target._data.ctypes.data):  # a += b ends in a copy to itself
            record(Launch("copy", target._data.size, sum(map(_bytes, _guard_arrays(value))), target._data.nbytes, 0, 0))

    return counted


_WRAPPERS = {
    "__array_ufunc__": _ufunc,
    "__array_function__": _function,
    "_method": _array_method,
    "__getitem__": _getitem,
    "__setitem__": _setitem,
}


def _record(name: str, arguments: Any, result: Any, in_place: bool = False) -> None:
    """Record an operation that reads all arrays among its arguments and writes all arrays of its result.

    Views are not recorded.
    """
    inputs, outs = list(_guard_arrays(arguments)), list(_guard_arrays(result))
    if not outs or (not in_place and any(np.shares_memory(out._data, each._data) for out in outs for each in inputs)):
        return
    written = sum(out._data.nbytes for out in outs)
    flops = max([each._data.size for each in (*inputs, *outs)]) if name not in MATRIX_PRODUCTS else 0
    record(Launch(name, sum(out._data.size for out in outs), sum(map(_bytes, inputs)), written, 0, flops))


def _guard_arrays(value: Any) -> Iterator[GuardArray]:
    if isinstance(value, GuardArray):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _guard_arrays(each)


def _bytes(array: GuardArray) -> int:
    """The bytes in memory: what is broadcast is stored once."""
    data = array._data
    return prod(size for size, step in zip(data.shape, data.strides, strict=True) if step) * data.itemsize
