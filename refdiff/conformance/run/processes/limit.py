"""A time limit of computing for calls in this process. The time that a debugger waits does not count."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn


class OutOfTime(BaseException):
    """A call took longer than its limit. No `except Exception` of an implementation catches it."""


@contextlib.contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raise OutOfTime in the block after so many seconds of computing; without a limit on Windows, and outside the main thread."""
    if seconds is None or not hasattr(signal, "SIGPROF") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _stop(*_: object) -> NoReturn:
    raise OutOfTime
