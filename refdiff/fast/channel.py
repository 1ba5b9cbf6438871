"""A line between two processes: messages in memory that both see, watched by who expects one, and a pipe that wakes who sleeps.

A message by pipe costs some hundred microseconds, of which most pass until a sleeping core is awake; a parallel step of a small
network takes three thousand. So whoever waits watches for a millisecond, and only then sleeps.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable
from mmap import mmap
from multiprocessing.connection import Connection, Pipe
from time import perf_counter
from typing import Any

from ..training.parallel import AWAKE

ORDERED = platform.machine() in ("x86_64", "AMD64")  # writes reach other cores in their order, so what is announced is there
ROOM = 2**20 if ORDERED else 0  # bytes; longer messages go through the pipe
PATIENCE = 0.1  # seconds until a sleeper looks whether the other end is alive
SENT, LENGTH, ASLEEP = range(3)  # numbers of eight bytes before every message
START = 24


class Line:
    """One end; both send and expect in turns."""

    def __init__(self, incoming: mmap, outgoing: mmap, pipe: Connection) -> None:
        self.incoming, self.outgoing, self.pipe = incoming, outgoing, pipe
        self.head, self.their_head = (memoryview(each).cast("q") for each in (incoming, outgoing))
        self.read = 0

    def send(self, message: Any) -> None:
        data, head = pickle.dumps(message, 5), self.their_head
        if len(data) <= ROOM:
            self.outgoing[START : START + len(data)] = data
        head[LENGTH] = len(data)
        head[SENT] += 1
        if len(data) > ROOM:
            self.pipe.send_bytes(data)
        elif head[ASLEEP]:
            self.pipe.send_bytes(b"")

    def expect(self, alive: Callable[[], bool] = lambda: True) -> Any:
        """The next message; raises EOFError if the other end is closed, or not alive."""
        end = perf_counter() + AWAKE
        while not self._news():
            if perf_counter() > end:
                self._sleep()
                if not alive():
                    raise EOFError
        self.read += 1
        length = self.head[LENGTH]
        return pickle.loads(self.incoming[START : START + length] if length <= ROOM else self._from_pipe())

    def _news(self) -> bool:
        return self.head[SENT] != self.read

    def _sleep(self) -> None:
        """Until the other end says something, or patience ends."""
        self.head[ASLEEP] = 1
        if not self._news() and self.pipe.poll(PATIENCE) and not self._news():
            self.pipe.recv_bytes()  # an earlier wake-up call, come too late
        self.head[ASLEEP] = 0

    def _from_pipe(self) -> bytes:
        while not (data := self.pipe.recv_bytes()):
            pass
        return data

    def close(self) -> None:
        self.pipe.close()


def line() -> tuple[Line, Line]:
    """Both ends."""
    one, other = (mmap(-1, START + ROOM) for _ in range(2))
    ours, theirs = Pipe()
    return Line(one, other, ours), Line(other, one, theirs)
