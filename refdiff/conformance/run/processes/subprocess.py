"""A program as a subprocess that reads and writes lines, with a time limit for each answer: it can fail, but not block
the run.
"""

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
from typing import IO, Any, Protocol

MAX_LINE = 2**25  # bytes
MAX_QUEUED = 8  # lines written by the program and not yet read
MAX_UNREAD = 100  # lines sent to the program and not yet read
GRACE = 2.0  # seconds for the program to end by itself
POLL = 0.2  # seconds between checks that the program is running
LATE = "gave no answer in time"


class ProgramEnded(Exception):
    """The program ended, closed its output, or did not answer in time and was killed."""


class Process(Protocol):
    """A process with pipes, such as `subprocess.Popen`: `stdin` to write to it, `stdout` to read from it."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


def start(command: Sequence[str]) -> Process:
    """A program, in a session of its own: `kill` ends it with all processes that it started."""
    try:
        return subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"command = {list(command)}; allowed: a program that can be started ({reason})") from None


class Program:
    """A running program. Two threads move the lines, so that neither a full pipe nor a silent program can block the caller.

    `last_signal`, if not 0, is sent to a program that does not answer in time, shortly before it is killed.
    """

    def __init__(self, process: Process, last_signal: int = 0) -> None:
        self.process, self._last_signal = process, last_signal
        self._to_send: queue.Queue[bytes | None] = queue.Queue()
        self._received: queue.Queue[bytes | None] = queue.Queue(MAX_QUEUED)
        assert process.stdin is not None and process.stdout is not None
        self._threads = [
            threading.Thread(target=_write, args=(process.stdin, self._to_send), daemon=True),
            threading.Thread(target=_read, args=(process.stdout, self._received), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._finish = weakref.finalize(self, kill, process)

    def send(self, line: str) -> None:
        """Send a line without waiting for it to be read. Raises `ProgramEnded` if the program has not read many lines before it."""
        if self._to_send.qsize() >= MAX_UNREAD:
            self._fail("does not read its input")
        self._to_send.put(line.encode() + b"\n")

    def receive(self, deadline: float) -> bytes:
        """The next line that is not blank, before the deadline by `time.monotonic`.

        Otherwise the program is killed and `ProgramEnded` says why.
        """
        while True:
            left = deadline - time.monotonic()
            try:
                line = self._received.get(timeout=max(0.0, min(left, POLL)))
            except queue.Empty:
                if self.process.poll() is not None and self._received.empty():
                    self._fail(None)
                if left <= 0:
                    self._fail(LATE)
                continue
            if line is None:
                self._fail(None)
            elif not line.endswith(b"\n") and len(line) >= MAX_LINE:
                self._fail(f"wrote a line of more than {MAX_LINE} bytes")
            elif left <= 0:
                self._fail(LATE)
            elif line.strip():
                return line.strip()

    def _fail(self, reason: str | None) -> None:
        if reason is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(4 * POLL)  # its output is closed, so it is about to end
            status = self.process.poll()
            reason = "closed its output" if status is None else describe_exit(status)
        elif reason == LATE and self._last_signal and self.process.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(self.process.pid, self._last_signal)
                time.sleep(POLL)
        self.close(0)
        raise ProgramEnded(reason)

    def close(self, grace: float = GRACE) -> None:
        """Close the program's input, wait for it to end, then kill it."""
        self._to_send.put(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        self._finish()
        until = time.monotonic() + GRACE
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                self._received.get(timeout=0.01)  # makes room for the thread that waits to put a line


def describe_exit(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exited with status {status}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was ended by {names.get(-status, f'signal {-status}')}"


def kill(process: Process) -> None:
    """Kill the program and the processes that it started."""
    with contextlib.suppress(OSError, AttributeError):  # the process has no group of its own yet, or the system has none
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        if process.poll() is None:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)


def _write(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with contextlib.suppress(OSError), stream:
        while (line := lines.get()) is not None:
            stream.write(line)
            stream.flush()


def _read(stream: IO[bytes], lines: queue.Queue[Any]) -> None:
    with contextlib.suppress(OSError, ValueError), stream:
        while line := stream.readline(MAX_LINE):
            lines.put(line)
    lines.put(None)
