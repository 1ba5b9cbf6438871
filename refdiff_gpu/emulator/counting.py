"""What arrays of the emulated device are asked to do outside the kernels, put down in the same ledger: one launch for each operation of NumPy's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from .guard import Guard
from .launch_counter import Call, Ledger, note

PRODUCTS = ("matmul", "tensordot")  # what a library of matrix products does


@contextmanager
def counted() -> Iterator[Ledger]:
    """A `with` block whose ledger also lists the operations of NumPy's protocols; views are no launches."""
    kept = {name: getattr(Guard, name) for name in _WATCHED}
    for name, watch in _WATCHED.items():
        setattr(Guard, name, watch(kept[name]))
    try:
        with Ledger() as ledger:
            yield ledger
    finally:
        for name, method in kept.items():
            setattr(Guard, name, method)


def _ufunc(method: Any) -> Any:
    def watched(self: Guard, ufunc: Any, how: str, *inputs: Any, **keywords: Any) -> Any:
        result = method(self, ufunc, how, *inputs, **keywords)
        _note(ufunc.__name__, inputs, result, into=bool(keywords.get("out")))
        return result

    return watched


def _function(method: Any) -> Any:
    def watched(self: Guard, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        result = method(self, function, types, args, keywords)
        if function.__name__ != "empty_like":
            _note(function.__name__, (args, tuple(keywords.values())), result)
        return result

    return watched


def _of_array(method: Any) -> Any:
    def watched(self: Guard, name: str, *args: Any, **keywords: Any) -> Any:
        result = method(self, name, *args, **keywords)
        _note(name, (self, args, tuple(keywords.values())), result)
        return result

    return watched


def _getitem(method: Any) -> Any:
    def watched(self: Guard, key: Any) -> Any:
        result = method(self, key)
        if not np.shares_memory(result._data, self._data):  # a gathered row is read once
            note(Call("take", result._data.size, result._data.nbytes + sum(map(_bytes, _guards(key))), result._data.nbytes, 0, 0))
        return result

    return watched


def _setitem(method: Any) -> Any:
    def watched(self: Guard, key: Any, value: Any) -> None:
        target = method(self, key, value) or self[key]
        if not (isinstance(value, Guard) and value._data.ctypes.data == target._data.ctypes.data):  # a += b ends in a copy to itself
            note(Call("copy", target._data.size, sum(map(_bytes, _guards(value))), target._data.nbytes, 0, 0))

    return watched


_WATCHED = {
    "__array_ufunc__": _ufunc,
    "__array_function__": _function,
    "_method": _of_array,
    "__getitem__": _getitem,
    "__setitem__": _setitem,
}


def _note(name: str, given: Any, result: Any, into: bool = False) -> None:
    """An operation that reads every array it is given, and writes every array it makes."""
    inputs, outs = list(_guards(given)), list(_guards(result))
    if not outs or (not into and any(np.shares_memory(out._data, each._data) for out in outs for each in inputs)):
        return
    written = sum(out._data.nbytes for out in outs)
    flops = max([each._data.size for each in (*inputs, *outs)]) if name not in PRODUCTS else 0
    note(Call(name, sum(out._data.size for out in outs), sum(map(_bytes, inputs)), written, 0, flops))


def _guards(value: Any) -> Iterator[Guard]:
    if isinstance(value, Guard):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _guards(each)


def _bytes(array: Guard) -> int:
    """Of the numbers that lie in memory: what is broadcast lies there once."""
    data = array._data
    return prod(size for size, step in zip(data.shape, data.strides, strict=True) if step) * data.itemsize
