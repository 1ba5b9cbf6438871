"""Where the device is: whether there is one, what is missing if not, and the way there and back. Nothing here falls back to the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from refdiff.arrays import CHECKED, on_device
from refdiff.tables import Schedule

from . import guard, tables
from .launch import emulating


class NoDevice(RuntimeError):
    """There is no GPU to work on, or no library to reach it; the message says what is missing."""


def missing() -> str | None:
    """What is missing for work on a device, and what to do about it; None if nothing is."""
    if emulating():
        return None
    advice = "pip install 'refdiff[gpu]' on a machine with an NVIDIA driver, or set REFDIFF_GPU_EMULATE=1 to emulate a device with NumPy"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy's own about what it does not find: it is said below
            import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}); {advice}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no driver ({error}); {advice}"
    return None if count else f"there is a driver, but no device; {advice}"


def available() -> bool:
    """Whether there is a device, or an emulated one."""
    return missing() is None


def place() -> str:
    """What there is, in words: for titles and reports."""
    if emulating():
        return "on a GPU emulated with NumPy"
    properties = library().cuda.runtime.getDeviceProperties(0)
    return f"on {properties['name'].decode()}"


def library() -> Any:
    """CuPy; raises NoDevice, saying what is missing."""
    lacks = missing()
    if lacks:
        raise NoDevice(lacks)
    import cupy

    return cupy


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


def moved(array: Any) -> Any:
    """One array on the device."""
    return guard.moved(array) if emulating() else library().asarray(array)


def empty(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array on the device, to be filled by kernels."""
    return guard.wrap(np.empty(shape, dtype)) if emulating() else library().empty(shape, dtype)


def arange(count: int, dtype: Any = np.int64) -> Any:
    """0..count - 1, made on the device."""
    return guard.wrap(np.arange(count, dtype=dtype)) if emulating() else library().arange(count, dtype=dtype)


@contextmanager
def unchecked() -> Iterator[None]:
    """A `with` block in which checks do not look at values on the device, which would wait for it; shapes and types they do look at."""
    token = CHECKED.set(False)
    try:
        yield
    finally:
        CHECKED.reset(token)


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
