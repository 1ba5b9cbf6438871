"""Checks of arguments, which every module uses: a wrong one is an error that names it, its value and what is allowed.

Most checks return what they check, in a type that computes without surprises: numbers that widen no array beside them, and
integers that do not overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import (
    FARTHEST,
    LARGEST,
    Array,
    all_true,
    as_array,
    cast,
    code,
    describe,
    device_get,
    holds,
    kind,
    like,
    on_device,
    reads_values,
    within,
)

MOST = 2**31  # of layers, channels, steps and the like


def check_arrays(**named: Array) -> None:
    """Raise unless all named arguments are finite floating-point arrays of one shape and precision."""
    first, x = next(iter(named.items()))
    for name, value in named.items():
        check_floats(name, value)
        if value.shape != x.shape:
            raise ValueError(f"{name} has shape {value.shape}; allowed: {x.shape}, the shape of {first}")
        if value.real.dtype != x.real.dtype:
            raise TypeError(f"{name} has dtype {value.dtype}; allowed: {x.dtype}, the dtype of {first}")
        if reads_values(value) and not all_true(within(value, LARGEST[code(value)])):
            if not all_true(np.isfinite(value)):
                raise ValueError(f"{name} holds NaN or infinity; allowed: finite numbers")
            raise ValueError(f"{name} = {describe(value)}; allowed: up to {LARGEST[code(value)]:g} in size, so that no square overflows")


def check_floats(name: str, value: Any) -> None:
    """Raise unless the argument is an array of float32 or float64, or of complex numbers of these precisions; values are not read."""
    if kind(value) not in ("f", "c"):
        raise TypeError(f"{name} is {describe(value)}; allowed: a floating-point array")
    if code(value) not in LARGEST:
        raise TypeError(f"{name} has dtype {value.dtype}; allowed: float32 or float64")


def check_real(**named: Any) -> None:
    """Raise for complex numbers among the named arguments."""
    for name, value in named.items():
        if as_array(value, name).dtype.kind == "c":
            raise TypeError(f"{name} = {describe(value)}; allowed: real numbers")


def check_shape(name: str, x: Any, *axes: Any) -> None:
    """Raise unless x is a floating-point array with these axes: a number is a length, "B" any, "K+" any from 1, and ... any axes."""
    check_floats(name, x)
    wanted = list(axes)
    if ... in axes:
        i = axes.index(...)
        wanted[i : i + 1] = x.shape[i : i + 1 + x.ndim - len(axes)]
    lengths = dict(zip(wanted, x.shape, strict=False))
    fits = (
        n == (axis if isinstance(axis, int) else lengths[axis]) and n >= str(axis).endswith("+")
        for axis, n in zip(wanted, x.shape, strict=False)
    )
    if len(wanted) != x.ndim or not all(fits):
        texts = ["..." if axis is ... else str(axis).strip("+") for axis in axes]
        more = " and ".join(axis[0] for axis in axes if str(axis).endswith("+"))
        raise ValueError(
            f"{name} has shape {x.shape}; allowed: ({', '.join(texts)}{',' * (len(texts) == 1)}){more and f' with {more} 1 or more'}"
        )


def check_broadcast(to: str, x: Array, /, **named: Any) -> None:
    """Raise unless all named arguments broadcast to the shape of x, which is called `to`."""
    for name, shape in zip(named, map(np.shape, named.values()), strict=True):
        if len(shape) > np.ndim(x) or any(n not in (1, m) for n, m in zip(shape[::-1], np.shape(x)[::-1], strict=False)):
            raise ValueError(f"{name} has shape {shape}; allowed: one that broadcasts to {np.shape(x)}, the shape of {to}")


def check_shapes(**named: Any) -> None:
    """Raise unless all named arguments broadcast to the shape of one of them, so that no result is larger than they are."""
    largest = max(named, key=lambda name: (np.ndim(named[name]), np.size(named[name])))
    check_broadcast(largest, named[largest], **named)


def check_number(name: str, value: Any, low: float = -np.inf, high: float = np.inf, open_low: bool = False) -> Any:
    """The argument as numbers to compute with: one as a Python number, which no precision yields to, others as an array of floats.

    Raises unless all entries are finite and, in their real parts, in [low, high], or in (low, high] with open_low.
    """
    if type(value) in (int, float) and (low < value if open_low else low <= value) and value <= high and abs(value) <= FARTHEST["f8"]:
        return value
    values = as_array(value, name)
    values = values if code(values) in LARGEST else values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)
    if reads_values(values):
        size = within(values, FARTHEST[code(values)])  # false for NaN
        above = size if low == -np.inf else values.real > np.float64(low) if open_low else values.real >= np.float64(low)
        inside = above if high == np.inf else above & (values.real <= np.float64(high))
        if not all_true(size & inside):
            if all_true(np.isfinite(values) & (inside | ~size)):
                raise ValueError(f"{name} = {describe(value)}; allowed: up to {FARTHEST[code(values)]:g} in size")
            raise ValueError(f"{name} = {describe(value)}; allowed: finite, in {'(' if open_low else '['}{low:g}, {high:g}]")
    return values if values.ndim or on_device(values) else _alone(as_array(value))


def check_scalar(name: str, value: Any, low: float = -np.inf, high: float = np.inf, open_low: bool = False) -> Any:
    """The argument as one real Python number; raises like `check_number`, and for arrays (B,) and complex numbers."""
    number = check_number(name, device_get(value), low, high, open_low)
    if not isinstance(number, int | float | np.float32):
        raise ValueError(f"{name} = {describe(value)}; allowed: one number, real")
    return number if isinstance(number, int) else float(number)


def per_example(name: str, values: Any, x: Array, low: float = -np.inf, high: float = np.inf) -> Any:
    """Finite numbers in [low, high], one for the batch or one for each example of x (B, ...), as `check_number` returns them."""
    numbers = check_number(name, values, low, high)
    like(numbers, x, name)  # raises unless they are () or (B,), and x's precision holds them
    if not holds(within(as_array(numbers), LARGEST["f8"])):
        raise ValueError(f"{name} = {describe(values)}; allowed: up to {LARGEST['f8']:g} in size, so that no square overflows")
    return numbers


def together(**named: Any) -> list[Any]:
    """Numbers that broadcast to the shape of one of them, in the precision of the floating-point arrays among them."""
    numbers = {name: check_number(name, value) for name, value in named.items()}
    check_shapes(**numbers)
    arrays = [value for value in named.values() if kind(value) in ("f", "c") and value.ndim]
    widest = max(arrays, key=lambda array: array.real.dtype.itemsize, default=None)
    return [number if widest is None else cast(name, number, widest) for name, number in numbers.items()]


def as_float64(name: str, value: Any) -> Array:
    """A float64 copy of the argument, for tables; raises unless it is made of real numbers."""
    check_real(**{name: value})
    return np.array(as_array(value), dtype=np.float64)


def check_integer(name: str, value: Any, low: int, high: int) -> Array:
    """The argument as an int64 array of shape () or (B,); raises unless all entries are integers in low..high."""
    if type(value) is int:
        if not low <= value <= high:
            raise ValueError(f"{name} = {value}; allowed: {low}..{high}")
        return np.asarray(value)
    if kind(value) not in ("i", "u") or value.ndim > 1:
        raise TypeError(f"{name} = {describe(value)}; allowed: an integer or an array (B,) of integers, {low}..{high}")
    if reads_values(value) and not all_true((value >= low) & (value <= high)):
        raise ValueError(f"{name} = {describe(value)}; allowed: {low}..{high}")
    return value if on_device(value) and value.dtype == np.int64 else as_array(value.astype(np.int64))


def check_count(name: str, value: Any, low: int, high: int) -> int:
    """The argument as one Python integer; raises unless it is one in low..high."""
    numbers = check_integer(name, device_get(value), low, high)
    if numbers.ndim:
        raise TypeError(f"{name} = {describe(value)}; allowed: an integer, {low}..{high}")
    return int(numbers)


def check_tuple(name: str, values: Any, low: int = -MOST) -> tuple[int, ...]:
    """The argument as a tuple of Python integers, such as a shape; raises unless it is a tuple, a list or an array (n,) of them, from low on."""
    if isinstance(values, str) or not hasattr(values, "__len__") or np.ndim(values) != 1:
        raise TypeError(f"{name} = {describe(values)}; allowed: a tuple of integers")
    return tuple(check_count(f"{name}[{i}]", value, low, MOST) for i, value in enumerate(values))


def check_counts(**named: Any) -> list[int]:
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
        raise ValueError(f"{name} = {describe(value)}; allowed: {', '.join(allowed)}")


def check_flag(name: str, value: Any) -> bool:
    """The argument as a Python bool; raises unless it is one, or NumPy's."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} = {describe(value)}; allowed: True, False")
    return bool(value)


def check_dtype(value: Any) -> Any:
    """The argument as a dtype; raises unless it is one of floating-point numbers."""
    try:
        dtype = np.dtype(np.int8 if value is None else value)
    except TypeError:
        dtype = np.dtype(np.int8)
    if dtype.kind not in "fc":
        raise TypeError(f"dtype = {describe(value)}; allowed: a floating-point dtype")
    return dtype


def _alone(value: Any) -> Any:
    """One number as Python's, which takes the precision of the arrays beside it; float32, which widens nothing, as it is."""
    if code(value) in ("f4", "c8"):
        return value[()]
    return (complex if value.dtype.kind == "c" else float if value.dtype.kind == "f" else int)(value)
