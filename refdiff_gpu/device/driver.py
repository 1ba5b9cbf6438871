"""The device in use: a GPU through CuPy, or a GPU emulated with NumPy; and what is missing if there is none."""

from __future__ import annotations

import os
import warnings
from typing import Any


def emulating() -> bool:
    """Whether REFDIFF_GPU_EMULATE=1 requests a device emulated with NumPy."""
    return os.environ.get("REFDIFF_GPU_EMULATE") == "1"


class NoDevice(RuntimeError):
    """No GPU is available, or no library to use it; the message says what is missing."""


def missing() -> str | None:
    """What is missing to work on a device, and what to do about it; None if nothing is missing."""
    if emulating():
        return None
    advice = "pip install 'refdiff[gpu]' on a machine with an NVIDIA driver, or set REFDIFF_GPU_EMULATE=1 to emulate a device with NumPy"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy warns about what it does not find; the message below says it
            import cupy
    except ImportError as error:
        return f"CuPy is not installed ({error}); {advice}"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no driver ({error}); {advice}"
    return None if count else f"there is a driver, but no device; {advice}"


def available() -> bool:
    """Whether there is a device, real or emulated."""
    return missing() is None


def place() -> str:
    """The device in words, for titles and reports."""
    if emulating():
        return "on a GPU emulated with NumPy"
    properties = require_cupy().cuda.runtime.getDeviceProperties(0)
    return f"on {properties['name'].decode()}"


def require_cupy() -> Any:
    """The module cupy; raises NoDevice, which says what is missing."""
    reason = missing()
    if reason:
        raise NoDevice(reason)
    import cupy

    return cupy
