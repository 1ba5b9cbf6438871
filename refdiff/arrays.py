"""Array types, coefficients that broadcast over a batch, and checks of arguments, which every module uses."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Time = Any  # one number for the whole batch, or an array (B,)
Number = Any  # one number, or one per example (B,)
Model = Callable[..., Array]  # model(x, t) or model(x, t, y) -> prediction of x's shape

LARGEST = {"f4": 1e15, "f8": 1e140, "c8": 1e15, "c16": 1e140}  # of data, by dtype: beyond, squares or their sums may overflow
FARTHEST = {"f4": 1e30, "f8": 1e300, "c8": 1e30, "c16": 1e300}  # of other numbers: beyond, products with data may overflow
MOST = 2**31  # of layers, channels, steps and the like
CHECKED = ContextVar("CHECKED", default=True)  # whether checks read the values of arrays on a device


class GaussianPath(Protocol):
    r"""Protocol of a Gaussian path, $x_t = signal_t x_0 + \sigma_t \epsilon$: a `Schedule` (integer t) or a flow `Path` (real t)."""

    def signal_sigma(self, t: Time) -> tuple[Array, Array]: ...

    def rates(self, t: Time) -> tuple[Array, Array]: ...

    def draw_time(self, uniform: Array) -> Array: ...

    def clock(self, t: Time) -> Array: ...


def as_array(value: Any, name: str = "value") -> Array:
    """Convert a value to an array of numbers. A value with NumPy's dispatch protocol is an array already, possibly on a device.

    Raises TypeError for what is not made of numbers: words, objects, dates, booleans, and arrays whose mask would be lost.
    """
    array = value if hasattr(value, "__array_function__") else _converted(value)
    if _kind(array) not in ("i", "u", "f", "c"):
        raise TypeError(f"{name} = {_describe(value)}; allowed: a number")
    return array


def on_device(value: Any) -> bool:
    """Whether a value is an array on a device."""
    return hasattr(value, "get") and hasattr(value, "__array_function__")


def device_get(value: Any) -> Any:
    """Copy an array from the device to the host, after waiting for its computation; other values are returned unchanged."""
    return value.get() if on_device(value) else value


def all_true(condition: Any) -> bool:
    """Whether a condition holds for all entries; waits for the result if it is on a device."""
    return bool(device_get(condition.all()))


def reads_values(value: Any) -> bool:
    """Whether checks read these values: always on the host, and on a device only if `CHECKED` is set.

    To read the values of an array on a device, a check must wait for the device.
    """
    return CHECKED.get() or not on_device(value)


def holds(condition: Any) -> bool:
    """Whether a condition holds for all entries; true if checks do not read the entries."""
    return not reads_values(condition) or all_true(condition)


def per_example(name: str, values: Any, x: Array) -> Any:
    """Finite numbers, one for the batch or one for each example of x (B, ...), as `check_number` returns them."""
    numbers = check_number(name, values)
    _check_batch(name, numbers, x)
    if not holds(_within(as_array(numbers), LARGEST["f8"])):
        raise ValueError(f"{name} = {_describe(values)}; allowed: up to {LARGEST['f8']:g} in size, so that no square overflows")
    return numbers


def cast(name: str, values: Any, x: Array) -> Array:
    """Numbers in x's precision; complex numbers stay complex. Raises for numbers that it cannot hold."""
    values = as_array(values, name)
    dtype = values.dtype if values.dtype.kind == "c" else x.real.dtype
    if dtype.itemsize < values.dtype.itemsize and not holds(_within(values, FARTHEST["f4"])):
        raise ValueError(f"{name} leads to a factor of {_describe(values)}; allowed: up to {FARTHEST['f4']:g} in {dtype}")
    return values.astype(dtype)[()]


def like(values: Any, x: Array, name: str = "t") -> Array:
    """Coefficients () or (B,), cast to the precision of `x` and reshaped to broadcast with `x` (B, ...)."""
    values = as_array(values, name)
    _check_batch(name, values, x)
    values = cast(name, values, x)
    return np.asarray(values, like=x).reshape(values.shape + (1,) * (x.ndim - 1)) if values.ndim else values


def _check_batch(name: str, values: Any, x: Array) -> None:
    if np.ndim(values) and (x.ndim == 0 or values.shape != x.shape[:1]):
        raise ValueError(f"{name} has shape {values.shape}; allowed: () or (B,) for an array of shape {x.shape}")


def read_only(array: Array) -> Array:
    """The array, no longer writable: for tables and constants that are computed once and handed to every caller."""
    array.flags.writeable = False
    return array


def sigmoid(x: Array) -> Array:
    r"""Logistic function $\varsigma(x) = e^x / (1 + e^x)$, to a few ulp for every x; $1 - \varsigma(x) = \varsigma(-x)$ is as precise."""
    power = np.exp(np.minimum(x, 80))  # beyond 80 the result is 1 to the last digit, and the power would overflow
    return power / (1 + power)


def sum_event(values: Array) -> Array:
    """Sum over all axes but the batch: (B, ...) -> (B,); a batch of scalars (B,) and a single scalar stay as they are."""
    return values.sum(axis=tuple(range(1, values.ndim)))


def event_size(x: Array) -> int:
    """Number of entries in one example of a batch (B, ...)."""
    return int(np.prod(x.shape[1:]))


def check_arrays(**named: Array) -> None:
    """Raise unless all named arguments are finite floating-point arrays of one shape and precision."""
    first, x = next(iter(named.items()))
    for name, value in named.items():
        check_floats(name, value)
        if value.shape != x.shape:
            raise ValueError(f"{name} has shape {value.shape}; allowed: {x.shape}, the shape of {first}")
        if value.real.dtype != x.real.dtype:
            raise TypeError(f"{name} has dtype {value.dtype}; allowed: {x.dtype}, the dtype of {first}")
        if reads_values(value) and not all_true(_within(value, LARGEST[_code(value)])):
            if not all_true(np.isfinite(value)):
                raise ValueError(f"{name} holds NaN or infinity; allowed: finite numbers")
            raise ValueError(f"{name} = {_describe(value)}; allowed: up to {LARGEST[_code(value)]:g} in size, so that no square overflows")


def check_floats(name: str, value: Any) -> None:
    """Raise unless the argument is an array of float32 or float64, or of complex numbers of these precisions; values are not read."""
    if _kind(value) not in ("f", "c"):
        raise TypeError(f"{name} is {_describe(value)}; allowed: a floating-point array")
    if _code(value) not in LARGEST:
        raise TypeError(f"{name} has dtype {value.dtype}; allowed: float32 or float64")


def check_real(**named: Any) -> None:
    """Raise for complex numbers among the named arguments."""
    for name, value in named.items():
        if as_array(value, name).dtype.kind == "c":
            raise TypeError(f"{name} = {_describe(value)}; allowed: real numbers")


def as_float64(name: str, value: Any) -> Array:
    """A float64 copy of the argument, for tables; raises unless it is made of real numbers."""
    check_real(**{name: value})
    return np.array(as_array(value), dtype=np.float64)


def check_shape(name: str, x: Any, *axes: Any) -> None:
    """Raise unless x is a floating-point array with these axes: a number is a length, a letter any, "K+" any from 1, ... any axes between."""
    check_floats(name, x)
    start, between = (axes.index(...), x.ndim - len(axes) + 1) if ... in axes else (len(axes), 0)
    wanted, found = [axis for axis in axes if axis is not ...], x.shape[:start] + x.shape[start + max(between, 0) :]
    lengths = dict(zip(wanted, found, strict=False))
    if between < 0 or len(found) != len(wanted) or not all(_is_length(n, axis, lengths) for n, axis in zip(found, wanted, strict=True)):
        texts, filled = (
            ["..." if axis is ... else str(axis).strip("+") for axis in axes],
            [axis[0] for axis in wanted if str(axis).endswith("+")],
        )
        more = f" with {' and '.join(filled)} 1 or more" if filled else ""
        raise ValueError(f"{name} has shape {x.shape}; allowed: ({', '.join(texts)}{',' * (len(texts) == 1)}){more}")


def _is_length(n: int, axis: Any, lengths: dict[Any, int]) -> bool:
    return axis == n if isinstance(axis, int) else lengths[axis] == n and n >= axis.endswith("+")


def check_broadcast(like: str, x: Array, **named: Any) -> None:
    """Raise unless all named arguments broadcast to x's shape."""
    for name, shape in zip(named, map(np.shape, named.values()), strict=True):
        if len(shape) > np.ndim(x) or any(n not in (1, m) for n, m in zip(shape[::-1], np.shape(x)[::-1], strict=False)):
            raise ValueError(f"{name} has shape {shape}; allowed: one that broadcasts to {np.shape(x)}, the shape of {like}")


def check_shapes(**named: Any) -> None:
    """Raise unless all named arguments broadcast to the shape of one of them, so that no result is larger than they are."""
    largest = max(named, key=lambda name: (np.ndim(named[name]), np.size(named[name])))
    check_broadcast(largest, named[largest], **named)


def together(**named: Any) -> list[Any]:
    """Numbers that broadcast to the shape of one of them, in the precision of the floating-point arrays among them."""
    numbers = {name: check_number(name, value) for name, value in named.items()}
    check_shapes(**numbers)
    arrays = [value for value in named.values() if _kind(value) in ("f", "c") and value.ndim]
    widest = max(arrays, key=lambda array: array.real.dtype.itemsize, default=None)
    return [number if widest is None else cast(name, number, widest) for name, number in numbers.items()]


def check_number(name: str, value: Any, low: float = -np.inf, high: float = np.inf, open_low: bool = False) -> Any:
    """The argument as numbers to compute with: one as a Python number, which no precision yields to, others as an array of floats.

    Raises unless all entries are finite and, in their real parts, in [low, high], or in (low, high] with open_low.
    """
    if type(value) in (int, float) and (low < value if open_low else low <= value) and value <= high and abs(value) <= FARTHEST["f8"]:
        return value
    values = as_array(value, name)
    values = values if _code(values) in LARGEST else values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
    if reads_values(values):
        above = values.real > np.float64(low) if open_low else values.real >= np.float64(low)
        inside = above & (values.real <= np.float64(high))
        if not all_true(np.isfinite(values) & inside):
            raise ValueError(f"{name} = {_describe(value)}; allowed: finite, in {'(' if open_low else '['}{low:g}, {high:g}]")
        if not all_true(_within(values, FARTHEST[_code(values)])):
            raise ValueError(f"{name} = {_describe(value)}; allowed: up to {FARTHEST[_code(values)]:g} in size")
    return values if values.ndim or on_device(values) else _alone(as_array(value))


def check_scalar(name: str, value: Any, low: float = -np.inf, high: float = np.inf, open_low: bool = False) -> Any:
    """The argument as one real Python number; raises like `check_number`, and for arrays (B,) and complex numbers."""
    number = check_number(name, device_get(value), low, high, open_low)
    if not isinstance(number, int | float | np.float32):
        raise ValueError(f"{name} = {_describe(value)}; allowed: one number, real")
    return number if isinstance(number, int) else float(number)


def check_integer(name: str, value: Any, low: int, high: int) -> Array:
    """The argument as an int64 array of shape () or (B,); raises unless all entries are integers in low..high."""
    if type(value) is int:
        if not low <= value <= high:
            raise ValueError(f"{name} = {value}; allowed: {low}..{high}")
        return np.asarray(value)
    if _kind(value) not in ("i", "u") or value.ndim > 1:
        raise TypeError(f"{name} = {_describe(value)}; allowed: an integer or an array (B,) of integers, {low}..{high}")
    if reads_values(value) and not all_true((value >= low) & (value <= high)):
        raise ValueError(f"{name} = {_describe(value)}; allowed: {low}..{high}")
    return value if on_device(value) and value.dtype == np.int64 else as_array(value.astype(np.int64))


def check_count(name: str, value: Any, low: int, high: int) -> int:
    """The argument as one Python integer; raises unless it is one in low..high."""
    numbers = check_integer(name, device_get(value), low, high)
    if numbers.ndim:
        raise TypeError(f"{name} = {_describe(value)}; allowed: an integer, {low}..{high}")
    return int(numbers)


def check_counts(name: str, values: Any) -> tuple[int, ...]:
    """The argument as a tuple of Python integers, such as a shape; raises unless it is a tuple, a list or an array (n,) of integers."""
    if isinstance(values, str) or not hasattr(values, "__len__") or np.ndim(values) != 1:
        raise TypeError(f"{name} = {_describe(values)}; allowed: a tuple of integers")
    return tuple(check_count(f"{name}[{i}]", value, -MOST, MOST) for i, value in enumerate(values))


def counts(**named: Any) -> list[int]:
    """The named arguments as Python integers, such as the sizes of a network; which of them may be 0 the caller checks."""
    return [check_count(name, value, -MOST, MOST) for name, value in named.items()]


def check_labels(name: str, labels: Any, classes: int, x: Array) -> Array:
    """The argument as int64 labels (B,) in 0..classes - 1; raises unless it holds one label for each example of x (B, ...)."""
    labels = check_integer(name, as_array(labels, name), 0, classes - 1)
    if labels.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {labels.shape}; allowed: {x.shape[:1]}, one label for each example of x")
    return labels


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise unless value is one of the allowed strings."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} = {_describe(value)}; allowed: {', '.join(allowed)}")


def check_dtype(value: Any) -> Any:
    """The argument as a dtype; raises unless it is one of floating-point numbers."""
    try:
        dtype = np.dtype(np.int8 if value is None else value)
    except TypeError:
        dtype = np.dtype(np.int8)
    if dtype.kind not in "fc":
        raise TypeError(f"dtype = {_describe(value)}; allowed: a floating-point dtype")
    return dtype


def _converted(value: Any) -> Any:
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # rows of different lengths
        return None


def _kind(value: Any) -> str:
    """The kind of an array's dtype; "O" for all other values, and for arrays that would compute otherwise."""
    return "O" if isinstance(value, np.ma.MaskedArray | np.matrix) else getattr(getattr(value, "dtype", None), "kind", "O")


def _within(values: Array, limit: float) -> Any:
    """Whether numbers are at most so large; false for NaN."""
    return abs(values) <= (limit if values.dtype.itemsize >= 4 and limit < 1e38 else np.float64(limit))


def _code(x: Array) -> str:
    return x.dtype.str[1:]


def _alone(value: Any) -> Any:
    """One number as Python's, which takes the precision of the arrays beside it; float32, which widens nothing, as it is."""
    if _code(value) in ("f4", "c8"):
        return value[()]
    return (complex if value.dtype.kind == "c" else float if value.dtype.kind == "f" else int)(value)


def _describe(value: Any) -> str:
    value = device_get(value)
    if isinstance(getattr(value, "size", None), int) and value.size > 8:
        numbers = f", from {value.min()} to {value.max()}" if value.dtype.kind in "biufc" else ""
        return f"an array of dtype {value.dtype}, shape {value.shape}{numbers}"
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}..."
