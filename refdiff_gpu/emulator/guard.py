"""The guard array: computes with NumPy and refuses what CuPy refuses, or does only after waiting for the device.

It accepts no host arrays as operands, is never converted implicitly, and has no function, method or keyword that is not
in the lists of `allowed_calls`, which a test compares with CuPy itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .allowed_calls import CREATORS, FUNCTIONS, METHODS, PROPERTIES, UFUNCS
from .transfers import transfer


class GuardArray(NDArrayOperatorsMixin):
    """An array on the emulated device."""

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
        result = ufunc(*map(_to_numpy, inputs), **{key: _to_numpy(value) for key, value in keywords.items()})
        return out[0] if out else wrap(result)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        name = ".".join([*function.__module__.split(".")[1:], function.__name__])
        if name not in FUNCTIONS:
            raise TypeError(f"{name} is not in CuPy, or nothing here needs it; allowed: {', '.join(sorted(FUNCTIONS))}")
        _check_keywords(name, args, keywords, FUNCTIONS[name])
        if name in CREATORS:
            return _create(name, function, args, keywords)
        return _from_numpy(function(*_to_numpy(args), **_to_numpy(keywords)))

    def __array__(self, *args: Any, **keywords: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    def get(self) -> Any:
        """A copy on the host: an explicit transfer, allowed unless `sealed`."""
        transfer("get", "get()")
        return self._data.copy()

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            return partial(self._method, name)
        if name in PROPERTIES:
            return _from_numpy(getattr(self._data, name))
        raise AttributeError(f"{name} is not in CuPy's arrays, or nothing here needs it")

    def _method(self, name: str, *args: Any, **keywords: Any) -> Any:
        _check_keywords(name, args, keywords, METHODS[name])
        return _from_numpy(getattr(self._data, name)(*_to_numpy(args), **_to_numpy(keywords)))

    def __getitem__(self, key: Any) -> Any:
        if any(isinstance(part, GuardArray) and part.dtype == bool for part in _parts(key)):
            transfer("sync", "x[mask], whose shape depends on values")
        return wrap(self._data[_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._data[_index(key)] = _to_numpy(value)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        if self._data.ndim == 1:
            transfer("sync", "iteration over numbers")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return repr(self.get())

    def __format__(self, spec: str) -> str:
        return format(self._read("format", lambda data: data[()]), spec)

    def _read(self, operation: str, convert: Callable[[Any], Any]) -> Any:
        """Convert the values on the host, which waits for the device."""
        transfer("sync", f"{operation}(x)")
        return convert(self._data)

    def __bool__(self) -> bool:
        return self._read("bool", bool)

    def __int__(self) -> int:
        return self._read("int", int)

    def __index__(self) -> int:
        return self._read("index", lambda data: data.__index__())

    def __float__(self) -> float:
        return self._read("float", float)

    def __complex__(self) -> complex:
        return self._read("complex", complex)

    def item(self) -> Any:
        """The value of an array with one element."""
        return self._read("item", lambda data: data.item())

    def tolist(self) -> Any:
        """The values as nested lists."""
        return self._read("tolist", lambda data: data.tolist())


def wrap(data: Any) -> GuardArray:
    """A NumPy array or number as an array on the device; raises TypeError for dtypes that CuPy does not have."""
    data = np.asarray(data)
    if data.dtype.kind not in "biufc" or data.dtype.itemsize > (16 if data.dtype.kind == "c" else 8):
        raise TypeError(f"Unsupported dtype {data.dtype}")
    return GuardArray(data)


def unwrap(array: GuardArray) -> Any:
    """The NumPy array of a guard array, for kernels, which run on the device."""
    if not isinstance(array, GuardArray):
        raise TypeError(f"Unsupported type {type(array)}")
    return array._data


def asarray(array: Any) -> GuardArray:
    """An array on the device: the argument if it is there already, else a copy."""
    if isinstance(array, GuardArray):
        return array
    transfer("move", "asarray")
    return wrap(np.array(array))


def _create(name: str, function: Any, args: Any, keywords: Any) -> GuardArray:
    """The result of np.asarray(x, like=device_array), and of the other functions that take `like`."""
    if name in ("asarray", "array") and not isinstance(args[0], GuardArray):
        return wrap(function(asarray(args[0])._data, *args[1:], **keywords))
    return wrap(function(*_to_numpy(args), **_to_numpy(keywords)))


def _check_keywords(name: str, args: Any, keywords: Any, allowed: tuple[str, ...]) -> None:
    unknown = keywords.keys() - set(allowed)
    if unknown or len(args) > len(allowed):
        raise TypeError(f"{name} with {', '.join(sorted(unknown)) or f'{len(args)} arguments'}; CuPy's has {', '.join(allowed)}")


def _to_numpy(value: Any) -> Any:
    """Arguments with guard arrays replaced by their NumPy arrays; raises TypeError for a host array."""
    if isinstance(value, GuardArray):
        return value._data
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: an array of the host among arrays of the device; allowed: to_device")
    if isinstance(value, list | tuple):
        return type(value)(map(_to_numpy, value))
    if isinstance(value, dict):
        return {key: _to_numpy(each) for key, each in value.items()}
    return value


def _from_numpy(result: Any) -> Any:
    """A result of NumPy with its arrays and numbers wrapped as guard arrays."""
    if isinstance(result, np.ndarray | np.generic):
        return wrap(result)
    return type(result)(map(_from_numpy, result)) if type(result) in (list, tuple) else result


def _parts(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _index(key: Any) -> Any:
    """An index of numbers, slices and device arrays for NumPy.

    Raises TypeError for a host array, whose transfer would be implicit.
    """
    for part in _parts(key):
        if isinstance(part, np.ndarray | list):
            raise TypeError(f"Unsupported type {type(part)} as an index of an array on the device; allowed: to_device")
    return tuple(map(_to_numpy, key)) if isinstance(key, tuple) else _to_numpy(key)
