"""Copy arrays, and containers of arrays, to the device and back: `to_device` and `to_host`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from refdiff.arrays import on_device
from refdiff.process.tables import Schedule

from .arrays import asarray
from .tables import with_device_copy


def to_device(value: Any) -> Any:
    """A copy on the device of an array, or of all arrays in a dict, list, tuple, schedule or dataclass.

    Device arrays are returned as they are. A `Schedule` keeps its tables on the host; they are copied to the device
    when a time on the device first needs them. Raises NoDevice.
    """
    if isinstance(value, Schedule):
        return with_device_copy(value)
    if isinstance(value, np.ndarray | np.generic) or on_device(value):
        return asarray(value)
    return _map(to_device, value)


def to_host(value: Any) -> Any:
    """The inverse of `to_device`: arrays on the host, for printing, saving and plotting; waits for the device."""
    return value.get() if on_device(value) else _map(to_host, value)


def _map(f: Callable[[Any], Any], value: Any) -> Any:
    """A container with f applied to every element; any other value unchanged."""
    if isinstance(value, dict):
        return {key: f(each) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(map(f, value))
    if isinstance(value, list | tuple):
        return type(value)(map(f, value))
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: f(getattr(value, field.name)) for field in fields(value)})
    return value
