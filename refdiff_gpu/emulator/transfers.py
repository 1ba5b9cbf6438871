"""Transfers between host and emulated device: which are allowed, and how many there were.

`allowed_sync` allows operations that wait for the device implicitly, `sealed` refuses all transfers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

COUNTS: Counter[str] = Counter()  # of "get", "move" and "sync", since the start of the program
_ALLOWED = ContextVar("_ALLOWED", default=frozenset({"get", "move"}))
_DESCRIPTIONS = {
    "get": "an array is fetched from the device",
    "move": "an array is moved to the device",
    "sync": "the device is waited for",
}


class TransferRefused(RuntimeError):
    """A transfer between host and device, or a wait for the device, that is not allowed here."""


def transfer(kind: str, operation: str) -> None:
    """Count a transfer of a kind ("get", "move" or "sync"); raises TransferRefused unless it is allowed."""
    if kind not in _ALLOWED.get():
        allowed = "nothing in here passes" if kind != "sync" else ".get(), or to_host"
        raise TransferRefused(f"{operation}: {_DESCRIPTIONS[kind]}; allowed: {allowed}")
    COUNTS[kind] += 1


def allowed_sync() -> Any:
    """A `with` block in which float(x), bool(x) and the like are allowed, and counted."""
    return _allowing(lambda allowed: allowed | {"sync"})


def sealed() -> Any:
    """A `with` block in which no transfer between host and device is allowed, explicit transfers included."""
    return _allowing(lambda allowed: frozenset())


@contextmanager
def _allowing(change: Callable[[frozenset[str]], frozenset[str]]) -> Iterator[None]:
    token = _ALLOWED.set(change(_ALLOWED.get()))
    try:
        yield
    finally:
        _ALLOWED.reset(token)
