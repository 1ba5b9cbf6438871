"""Wrappers for functions of the host, whose results are copied to the device, or whose arguments are fetched from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .transfer import to_device, to_host


def returns_device_arrays(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its result copied to the device: for parameters and oracles, which are created once."""

    @wraps(f)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        return to_device(f(*args, **keywords))

    return wrapped


def computed_on_host(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its arguments fetched from the device: for computations by scipy, which runs on the host only."""

    @wraps(f)
    def wrapped(*args: Any, **keywords: Any) -> Any:
        return f(*map(to_host, args), **to_host(keywords))

    return wrapped
