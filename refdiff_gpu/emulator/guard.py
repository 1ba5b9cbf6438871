"""A stand-in for arrays on a device: NumPy does the arithmetic, and what CuPy refuses, or does only after waiting for the device, is refused.

What runs on it mixes no arrays of the host with those of the device, converts none without saying so, waits for nothing, and calls no
function, method or keyword that is not in the lists of `guard_lists`, which a test holds against CuPy itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .allowed_calls import CREATORS, FUNCTIONS, METHODS, PROPERTIES, UFUNCS

COUNTS: Counter[str] = Counter()  # of "get", "move" and "sync", since the program began
_ALLOWED = ContextVar("_ALLOWED", default=frozenset({"get", "move"}))
_WHAT = {"get": "an array is fetched from the device", "move": "an array is moved to the device", "sync": "the device is waited for"}
_NUMBERS = (bool, int, float, complex, np.generic)


class Refused(RuntimeError):
    """CuPy would do it, but not without a transfer or a wait that nothing in the program says."""


@contextmanager
def _allowing(change: Callable[[frozenset[str]], frozenset[str]]) -> Iterator[None]:
    token = _ALLOWED.set(change(_ALLOWED.get()))
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def allowed_sync() -> Any:
    """A `with` block in which float(x), bool(x) and the like are let through, and counted."""
    return _allowing(lambda allowed: allowed | {"sync"})


def sealed() -> Any:
    """A `with` block in which nothing passes between host and device, not even openly."""
    return _allowing(lambda allowed: frozenset())


def _passes(what: str, how: str) -> None:
    """Count a passage between host and device, or raise unless it is allowed."""
    if what not in _ALLOWED.get():
        raise Refused(f"{how}: {_WHAT[what]}; allowed: {'nothing in here passes' if what != 'sync' else '.get(), or to_host'}")
    COUNTS[what] += 1


class Guard(NDArrayOperatorsMixin):
    """An array that only a device is to touch."""

    __slots__ = ("_data",)
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: Any) -> None:
        self._data = data

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        name = ufunc.__name__
        if name not in UFUNCS or method != "__call__":
            raise TypeError(f"{name}.{method} is not in CuPy, or nothing here needs it; allowed: {', '.join(sorted(UFUNCS))}")
        _check_keywords(name, (), keywords, ("out", "dtype"))
        if any(isinstance(each, list | tuple) for each in inputs):
            raise TypeError(f"Unsupported type {list}")
        out = keywords.get("out")
        result = ufunc(*map(_inside, inputs), **{key: _inside(value) for key, value in keywords.items()})
        return out[0] if out else wrap(result)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        name = ".".join([*function.__module__.split(".")[1:], function.__name__])
        if name not in FUNCTIONS:
            raise TypeError(f"{name} is not in CuPy, or nothing here needs it; allowed: {', '.join(sorted(FUNCTIONS))}")
        _check_keywords(name, args, keywords, FUNCTIONS[name])
        if name in CREATORS:
            return _create(name, function, args, keywords)
        return _outside(function(*_inside(args), **_inside(keywords)))

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    def get(self) -> Any:
        """A copy on the host: what it says, so it is allowed, unless `sealed`."""
        _passes("get", "get()")
        return self._data.copy()

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            return partial(self._method, name)
        if name in PROPERTIES:
            return _outside(getattr(self._data, name))
        raise AttributeError(f"{name} is not in CuPy's arrays, or nothing here needs it")

    def _method(self, name: str, *args: Any, **keywords: Any) -> Any:
        _check_keywords(name, args, keywords, METHODS[name])
        return _outside(getattr(self._data, name)(*_inside(args), **_inside(keywords)))

    def __getitem__(self, key: Any) -> Any:
        if any(isinstance(part, Guard) and part.dtype == bool for part in _parts(key)):
            _passes("sync", "x[mask], whose shape depends on values")
        return wrap(self._data[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._data[_index(key)] = _inside(value)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        if self._data.ndim == 1:
            _passes("sync", "iteration over numbers")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return repr(self.get())

    def __format__(self, how: str) -> str:
        return format(self._number("format", lambda data: data[()]), how)

    def _number(self, how: str, convert: Callable[[Any], Any]) -> Any:
        _passes("sync", f"{how}(x)")
        return convert(self._data)

    def __bool__(self) -> bool:
        return self._number("bool", bool)

    def __int__(self) -> int:
        return self._number("int", int)

    def __index__(self) -> int:
        return self._number("index", lambda data: data.__index__())

    def __float__(self) -> float:
        return self._number("float", float)

    def __complex__(self) -> complex:
        return self._number("complex", complex)

    def item(self) -> Any:
        """The one number."""
        return self._number("item", lambda data: data.item())

    def tolist(self) -> Any:
        """Nested lists."""
        return self._number("tolist", lambda data: data.tolist())


def wrap(data: Any) -> Guard:
    """An array or number of NumPy's as if it lay on the device; raises TypeError for types that CuPy does not have."""
    data = np.asarray(data)
    if data.dtype.kind not in "biufc" or data.dtype.itemsize > (16 if data.dtype.kind == "c" else 8):
        raise TypeError(f"Unsupported dtype {data.dtype}")
    return Guard(data)


def unwrap(array: Guard) -> Any:
    """The array of NumPy's inside, for those who are the device: kernels."""
    if not isinstance(array, Guard):
        raise TypeError(f"Unsupported type {type(array)}")
    return array._data


def moved(array: Any) -> Guard:
    """A copy on the device of an array of the host."""
    if isinstance(array, Guard):
        return array
    _passes("move", "asarray")
    return wrap(np.array(array))


def _create(name: str, function: Any, args: Any, keywords: Any) -> Guard:
    """np.asarray(x, like=device array) and its kin."""
    if name in ("asarray", "array") and not isinstance(args[0], Guard):
        return wrap(function(moved(args[0])._data, *args[1:], **keywords))
    return wrap(function(*_inside(args), **_inside(keywords)))


def _check_keywords(name: str, args: Any, keywords: Any, allowed: tuple[str, ...]) -> None:
    unknown = keywords.keys() - set(allowed)
    if unknown or len(args) > len(allowed):
        raise TypeError(f"{name} with {', '.join(sorted(unknown)) or f'{len(args)} arguments'}; CuPy's has {', '.join(allowed)}")


def _inside(value: Any) -> Any:
    """Arguments as NumPy is to see them; raises for an array of the host."""
    if isinstance(value, Guard):
        return value._data
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: an array of the host among arrays of the device; allowed: to_device")
    if isinstance(value, list | tuple):
        return type(value)(map(_inside, value))
    if isinstance(value, dict):
        return {key: _inside(each) for key, each in value.items()}
    return value


def _outside(result: Any) -> Any:
    """What NumPy gives back, as the device would."""
    if isinstance(result, np.ndarray | np.generic):
        return wrap(result)
    return type(result)(map(_outside, result)) if type(result) in (list, tuple) else result


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _index(key: Any) -> Any:
    """Host numbers, slices and device arrays; an index array of the host would be moved without a word."""
    for part in _parts(key):
        if isinstance(part, np.ndarray | list):
            raise TypeError(f"Unsupported type {type(part)} as an index of an array on the device; allowed: to_device")
    return tuple(map(_inside, key)) if isinstance(key, tuple) else _inside(key)
