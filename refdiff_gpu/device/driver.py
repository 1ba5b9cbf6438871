"""The device there is: a GPU by CuPy, or one emulated with NumPy; and what is missing if there is none. Nothing falls back to the CPU."""

from __future__ import annotations

import os
import warnings
from typing import Any


def emulating() -> bool:
    """Whether REFDIFF_GPU_EMULATE=1 asks for a device emulated with NumPy."""
    return os.environ.get("REFDIFF_GPU_EMULATE") == "1"


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
