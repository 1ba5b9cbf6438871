"""A fork of this process, with the part of `subprocess.Popen` that `Program` uses: it starts in a few milliseconds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import IO

with contextlib.suppress(ModuleNotFoundError):  # Windows has no fork
    import fcntl

Work = Callable[[IO[bytes], IO[bytes]], None]


def possible() -> bool:
    """Whether a fork is safe: on Linux, in a process with a single thread of Python."""
    return sys.platform == "linux" and threading.active_count() == 1


class Forked:
    """A child that calls work(requests, answers) on two pipes and ends."""

    def __init__(self, work: Work) -> None:
        (requests, to_child), (from_child, answers) = _pipe(), _pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 also counts the threads of the matrix library
            self.pid = os.fork()
        if self.pid == 0:
            _work(work, requests, answers)
        os.close(requests)
        os.close(answers)
        self.stdin: IO[bytes] | None = os.fdopen(to_child, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(from_child, "rb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None if it is running."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status. Raises TimeoutExpired."""
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (status := self.poll()) is None:
            if time.monotonic() >= end:
                raise subprocess.TimeoutExpired("a fork", timeout or 0)
            time.sleep(0.001)
        return status

    def kill(self) -> None:
        """End the child."""
        os.kill(self.pid, signal.SIGKILL)


def _pipe() -> tuple[int, int]:
    """Both ends of a pipe, beyond the three standard descriptors even where one of those is closed."""
    low = os.pipe()
    read, write = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in low)
    for descriptor in low:
        os.close(descriptor)
    return read, write


def _work(work: Work, requests: int, answers: int) -> None:
    """In the child: it has no other file of the parent's, and nothing of the parent's runs when it ends, not even in error."""
    try:
        os.setsid()
        for before, after in pairwise([2, *sorted((requests, answers)), os.sysconf("SC_OPEN_MAX")]):
            os.closerange(before + 1, after)
        work(os.fdopen(requests, "rb"), os.fdopen(answers, "wb"))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
