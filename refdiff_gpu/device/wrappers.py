"""Functions of the host, dressed for arrays of the device: what comes out is moved there, or what goes in is fetched."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .transfer import to_device, to_host


def made_there(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its result moved to the device: for parameters and oracles, which are made once."""

    @wraps(f)
    def there(*args: Any, **keywords: Any) -> Any:
        return to_device(f(*args, **keywords))

    return there


def judged_here(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its arguments fetched from the device: for what scipy computes, which has no device."""

    @wraps(f)
    def here(*args: Any, **keywords: Any) -> Any:
        return f(*map(to_host, args), **to_host(keywords))

    return here
