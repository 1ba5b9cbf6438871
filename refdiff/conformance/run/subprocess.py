"""A program as a child process that is sent lines and sends lines back, with a time limit for everything: it can fail, but not hang us."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Sequence
from typing import IO, Any

LONGEST = 2**28  # bytes of a line
WAITING = 1000  # lines that a program may be ahead
GRACE = 2.0  # seconds that a program has to end by itself
LOOK = 0.2  # seconds between looks whether the program is alive


class Gone(Exception):
    """The program ended, closed its output, or did not answer in time; it does not run any more."""


class Child:
    """A running program. Two threads carry the lines, so that neither a full pipe nor a silent program can block the caller."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self.process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )  # its own session: it is ended with all that it started
        except OSError as error:
            raise ValueError(f"command = {list(command)}; allowed: a program that can be started ({error.strerror})") from None
        self._sent: queue.Queue[bytes | None] = queue.Queue()
        self._came: queue.Queue[bytes | None] = queue.Queue(WAITING)
        assert self.process.stdin is not None and self.process.stdout is not None
        self._threads = [
            threading.Thread(target=_write, args=(self.process.stdin, self._sent), daemon=True),
            threading.Thread(target=_read, args=(self.process.stdout, self._came), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._finish = weakref.finalize(self, kill, self.process)

    def send(self, line: str) -> None:
        """Send a line; returns at once."""
        self._sent.put(line.encode() + b"\n")

    def receive(self, deadline: float) -> bytes:
        """The next line that is not blank, before the deadline of `time.monotonic`; else the program is ended and `Gone` says why."""
        while True:
            left = deadline - time.monotonic()
            try:
                line = self._came.get(timeout=max(0.0, min(left, LOOK)))
            except queue.Empty:
                if self.process.poll() is not None and self._came.empty():
                    self._give_up(None)
                if left <= 0:
                    self._give_up("gave no answer in time")
                continue
            if line is None:
                self._give_up(None)
            elif not line.endswith(b"\n") and len(line) >= LONGEST:
                self._give_up(f"wrote a line of more than {LONGEST} bytes")
            elif left <= 0:
                self._give_up("gave no answer in time")
            elif line.strip():
                return line.strip()

    def _give_up(self, reason: str | None) -> None:
        if reason is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(LOOK)
            status = self.process.poll()
            reason = "closed its output" if status is None else ended(status)
        self.close(0)
        raise Gone(reason)

    def close(self, grace: float = GRACE) -> None:
        """Close the program's input, give it time to end, then end it."""
        self._sent.put(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        self._finish()
        until = time.monotonic() + GRACE
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                self._came.get(timeout=0.01)  # makes room for a reader that waits for some


def ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exited with status {status}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was ended by {names.get(-status, f'signal {-status}')}"


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the program, and what it started."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    process.wait()


def _write(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with contextlib.suppress(OSError), stream:
        while (line := lines.get()) is not None:
            stream.write(line)
            stream.flush()


def _read(stream: IO[bytes], lines: queue.Queue[Any]) -> None:
    with contextlib.suppress(OSError, ValueError), stream:
        while line := stream.readline(LONGEST):
            lines.put(line)
    lines.put(None)
