"""Signals that wait until a change in place is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HELD = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Context in which Ctrl-C and other signals with a handler in Python wait: the first of them is handled at its end.

    Only the main thread handles signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[Any] = []
    handlers = {number: handler for number in HELD if callable(handler := signal.getsignal(number))}
    holds = True

    def hold(number: int, frame: Any) -> None:
        if holds:
            arrived.append((number, frame))
        else:  # while the handlers are being restored
            handlers[number](number, frame)

    try:
        for number in handlers:
            signal.signal(number, hold)
        yield
    finally:
        holds = False
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in arrived[:1]:
            handlers[number](number, frame)
