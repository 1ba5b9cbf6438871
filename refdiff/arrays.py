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

CHECKED = ContextVar("CHECKED", default=True)  # whether checks read the values of arrays on a device


class GaussianPath(Protocol):
    r"""Protocol of a Gaussian path, $x_t = signal_t x_0 + \sigma_t \epsilon$: a `Schedule` (integer t) or a flow `Path` (real t)."""

    def signal_sigma(self, t: Time) -> tuple[Array, Array]: ...

    def rates(self, t: Time) -> tuple[Array, Array]: ...

    def draw_time(self, uniform: Array) -> Array: ...

    def clock(self, t: Time) -> Array: ...


def as_array(value: Any) -> Array:
    """Convert a value to an array.

    A value with NumPy's dispatch protocol is already an array, possibly on a device, and is returned unchanged.
    """
    return value if hasattr(value, "__array_function__") else np.asarray(value)


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


def like(values: Any, x: Array, name: str = "t") -> Array:
    """Coefficients () or (B,), cast to the precision of `x` and reshaped to broadcast with `x` (B, ...)."""
    values = as_array(values)
    dtype = values.dtype if values.dtype.kind == "c" else x.real.dtype
    if values.ndim == 0:
        return values.astype(dtype)[()]
    if x.ndim == 0 or values.shape != x.shape[:1]:
        raise ValueError(f"{name} has shape {values.shape}; allowed: () or (B,) for an array of shape {x.shape}")
    return np.asarray(values.astype(dtype), like=x).reshape(values.shape + (1,) * (x.ndim - 1))


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
        kind = getattr(getattr(value, "dtype", None), "kind", None)
        if kind is None or kind not in "fc":
            raise TypeError(f"{name} is {_describe(value)}; allowed: a floating-point array")
        if value.shape != x.shape:
            raise ValueError(f"{name} has shape {value.shape}; allowed: {x.shape}, the shape of {first}")
        if value.real.dtype != x.real.dtype:
            raise TypeError(f"{name} has dtype {value.dtype}; allowed: {x.dtype}, the dtype of {first}")
        if reads_values(value) and not all_true(np.isfinite(value)):
            raise ValueError(f"{name} holds NaN or infinity; allowed: finite numbers")


def check_number(name: str, value: Any, low: float = -np.inf, high: float = np.inf, open_low: bool = False) -> None:
    """Raise unless all entries of the argument (real parts) are finite and in [low, high], or in (low, high] with open_low."""
    if type(value) in (int, float) and (low < value if open_low else low <= value) and value <= high and abs(value) != np.inf:
        return
    values = np.real(as_array(value))
    if values.dtype.kind not in "iuf":
        raise TypeError(f"{name} = {_describe(value)}; allowed: a number")
    if not reads_values(values):
        return
    inside = (values > low if open_low else values >= low) & (values <= high)
    if not all_true(np.isfinite(values) & inside):
        raise ValueError(f"{name} = {_describe(value)}; allowed: finite, in {'(' if open_low else '['}{low:g}, {high:g}]")


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise unless value is one of the allowed strings."""
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}; allowed: {', '.join(allowed)}")


def check_integer(name: str, value: Any, low: int, high: int) -> Array:
    """Convert an argument to an integer array of shape () or (B,); raises unless all entries are in low..high."""
    if type(value) is int and low <= value <= high:
        return np.asarray(value)
    values = as_array(value)
    if not (isinstance(value, int | np.integer) or values is value) or values.dtype.kind not in "iu" or values.ndim > 1:
        raise TypeError(f"{name} = {_describe(value)}; allowed: an integer or an array (B,) of integers, {low}..{high}")
    if reads_values(values) and not all_true((values >= low) & (values <= high)):
        raise ValueError(f"{name} = {_describe(value)}; allowed: {low}..{high}")
    return values


def _describe(value: Any) -> str:
    value = device_get(value)
    if getattr(value, "size", 0) > 8:
        return f"an array of dtype {value.dtype}, shape {value.shape}, from {value.min()} to {value.max()}"
    return repr(value)
