"""The way to the device and back: `to_device` and `to_host`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from refdiff.arrays import on_device
from refdiff.process.tables import Schedule

from . import tables
from .arrays import moved


def to_device(value: Any) -> Any:
    """A copy on the device of an array, or of all arrays in a dict, list, tuple, schedule or dataclass; what is there already stays.

    A `Schedule` keeps its tables on the host, and has them on the device too from the first time a step asks there. Raises NoDevice.
    """
    if isinstance(value, Schedule):
        return tables.both_sides(value)
    if isinstance(value, np.ndarray | np.generic) or on_device(value):
        return moved(value)
    return _each(to_device, value)


def to_host(value: Any) -> Any:
    """The same on the host, for printing, saving and drawing; waits for the device."""
    return value.get() if on_device(value) else _each(to_host, value)


def _each(f: Any, value: Any) -> Any:
    """f of everything in a container; another value as it is."""
    if isinstance(value, dict):
        return {key: f(each) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(map(f, value))
    if isinstance(value, list | tuple):
        return type(value)(map(f, value))
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: f(getattr(value, field.name)) for field in fields(value)})
    return value
