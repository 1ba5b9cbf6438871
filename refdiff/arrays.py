"""Array types, arrays on a device, and coefficients that broadcast over a batch, which every module uses."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[Any]
Time = Any  # one number for the whole batch, or an array (B,)
Number = Any  # one number, or one per example (B,)
Model = Callable[..., Array]  # model(x, t) or model(x, t, y) -> prediction of x's shape
Step = Callable[[Model, Array, Time, Time, Any], Array]  # step(model, x_t, t, s, noise) -> x_s

LARGEST = {"f4": 1e15, "f8": 1e140, "c8": 1e15, "c16": 1e140}  # of data, by dtype: beyond, squares or their sums may overflow
FARTHEST = {"f4": 1e30, "f8": 1e300, "c8": 1e30, "c16": 1e300}  # of other numbers: beyond, products with data may overflow
SUBCLASSES = np.ma.MaskedArray, np.matrix  # whose arithmetic differs from that of arrays
CHECKED = ContextVar("CHECKED", default=True)  # whether checks read the values of arrays on a device


class Solver(Protocol):
    """Protocol of a solver that keeps a history: every run of `samplers.sample` begins it anew."""

    def begin(self) -> Step: ...


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
    if kind(array) not in ("i", "u", "f", "c"):
        raise TypeError(f"{name} = {describe(value)}; allowed: a number")
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


def cast(name: str, values: Any, x: Array) -> Any:
    """Numbers in x's precision; complex numbers stay complex. Raises for numbers that it cannot hold."""
    values = as_array(values, name)
    dtype = values.dtype if values.dtype.kind == "c" else x.real.dtype
    if dtype.itemsize < values.dtype.itemsize and not holds(within(values, FARTHEST["f4"])):
        raise ValueError(f"{name} leads to a factor of {describe(values)}; allowed: up to {FARTHEST['f4']:g} in {dtype}")
    return values.astype(dtype)[()]


def like(values: Any, x: Array, name: str = "t") -> Array:
    """Coefficients () or (B,), cast to the precision of `x` and reshaped to broadcast with `x` (B, ...)."""
    values = as_array(values, name)
    if values.ndim and (x.ndim == 0 or values.shape != x.shape[:1]):
        raise ValueError(f"{name} has shape {values.shape}; allowed: () or (B,) for an array of shape {x.shape}")
    values = cast(name, values, x)
    return np.asarray(values, like=x).reshape(values.shape + (1,) * (x.ndim - 1)) if values.ndim else values


def read_only(array: Array) -> Array:
    """The array, no longer writable: for tables and constants that are computed once and handed to every caller."""
    array.flags.writeable = False
    return array


def sigmoid(x: Array) -> Array:
    r"""Logistic function $\varsigma(x) = e^x / (1 + e^x)$, to a few ulp for every x; $1 - \varsigma(x) = \varsigma(-x)$ is as precise."""
    power = np.exp(np.minimum(x, 80))  # beyond 80 the result is 1 to the last digit, and the power would overflow
    return power / (1 + power)


def normal_quantile(uniform: Array) -> Array:
    """The standard normal number below which a normal number is with this probability; numbers on a device are taken to the host and back."""
    return np.asarray(ndtri(device_get(uniform)), like=uniform) if on_device(uniform) else ndtri(uniform)


def softplus(x: Array) -> Array:
    r"""Logarithm $\log(1 + e^x)$, to a few ulp for every x; its derivative is `sigmoid`."""
    above = np.where(x.real > 0, x, 0)
    return above + np.log1p(np.exp(x - 2 * above))


def sum_event(values: Array) -> Array:
    """Sum over all axes but the batch: (B, ...) -> (B,); a batch of scalars (B,) and a single scalar stay as they are."""
    return values.sum(axis=tuple(range(1, values.ndim)))


def event_size(x: Array) -> int:
    """Number of entries in one example of a batch (B, ...)."""
    return prod(x.shape[1:])


def _converted(value: Any) -> Any:
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # rows of different lengths
        return None


def kind(value: Any) -> str:
    """The kind of an array's dtype; "O" for all other values, and for `SUBCLASSES`."""
    return "O" if isinstance(value, SUBCLASSES) else getattr(getattr(value, "dtype", None), "kind", "O")


def within(values: Array, limit: float) -> Any:
    """Whether numbers are at most so large; false for NaN. A limit beyond the numbers' own precision is compared in float64."""
    return abs(values) <= (limit if values.dtype.itemsize >= 4 and limit < 1e38 else np.float64(limit))


def code(x: Array) -> str:
    """Kind and bytes of an array's dtype, such as "f4", whatever its byte order."""
    return x.dtype.str[1:]


def describe(value: Any) -> str:
    """A value in an error message: its text, or what a large array holds."""
    value = device_get(value)
    if isinstance(getattr(value, "size", None), int) and value.size > 8:
        numbers = f", from {value.min()} to {value.max()}" if value.dtype.kind in "biufc" else ""
        return f"an array of dtype {value.dtype}, shape {value.shape}{numbers}"
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}..."
