"""Messages between two processes, in shared memory that the receiver polls, and a pipe that wakes a receiver that sleeps.

A message by pipe takes some hundred microseconds, most of which pass until a sleeping core is awake. A parallel step of a small
network takes three thousand. The receiver therefore polls for a millisecond, and only then sleeps.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable
from mmap import mmap
from multiprocessing.connection import Connection, Pipe
from time import perf_counter
from typing import Any
from weakref import WeakSet

from ..training.parallel import POLLING

ORDERED = platform.machine() in ("x86_64", "AMD64")  # other cores see writes in their order: the message before the count
CAPACITY = 2**20 if ORDERED else 0  # bytes; longer messages go through the pipe
CHECK_ALIVE = 0.1  # seconds after which a sleeping receiver checks whether the sender is alive
SENT, LENGTH, ASLEEP = range(3)  # 8-byte numbers of the header
HEADER = 24  # bytes


class Channel:
    """One end of a two-way channel; both ends send and receive in turns."""

    def __init__(self, incoming: mmap, outgoing: mmap, pipe: Connection) -> None:
        self.incoming, self.outgoing, self.pipe = incoming, outgoing, pipe
        self.in_header, self.out_header = (memoryview(each).cast("q") for each in (incoming, outgoing))
        self.received = 0
        _channels.add(self)

    def send(self, message: Any) -> None:
        """Send any message that can be pickled."""
        data, header = pickle.dumps(message, 5), self.out_header
        if len(data) <= CAPACITY:
            self.outgoing[HEADER : HEADER + len(data)] = data
        header[LENGTH] = len(data)
        header[SENT] += 1
        if len(data) > CAPACITY:
            self.pipe.send_bytes(data)
        elif header[ASLEEP]:
            self.pipe.send_bytes(b"")

    def receive(self, alive: Callable[[], bool] = lambda: True) -> Any:
        """The next message. Raises EOFError if the other end is closed, or not alive."""
        end = perf_counter() + POLLING
        while not self._arrived():
            if perf_counter() > end:
                self._sleep()
                if not alive():
                    raise EOFError
        self.received += 1
        length = self.in_header[LENGTH]
        return pickle.loads(self.incoming[HEADER : HEADER + length] if length <= CAPACITY else self._from_pipe(alive))

    def _arrived(self) -> bool:
        return self.in_header[SENT] != self.received

    def _sleep(self) -> None:
        """Sleep until the other end sends something, or until it is time to check that it is alive."""
        self.in_header[ASLEEP] = 1
        if not self._arrived() and self.pipe.poll(CHECK_ALIVE) and not self._arrived():
            self.pipe.recv_bytes()  # a wake-up of an earlier message, which was polled first
        self.in_header[ASLEEP] = 0

    def _from_pipe(self, alive: Callable[[], bool]) -> bytes:
        """The next message in the pipe; an empty one was a wake-up."""
        while True:
            while not self.pipe.poll(CHECK_ALIVE):
                if not alive():
                    raise EOFError
            if data := self.pipe.recv_bytes():
                return data

    def close(self) -> None:
        """Close this end's pipe."""
        self.pipe.close()


_channels: WeakSet[Channel] = WeakSet()


def close_others(mine: Channel) -> None:
    """Close all channels but one: a forked process keeps no end of another's, so that who holds the other end notices its end."""
    for each in list(_channels):
        if each is not mine:
            each.close()


def pair() -> tuple[Channel, Channel]:
    """Both ends of a new channel."""
    one, other = (mmap(-1, HEADER + CAPACITY) for _ in range(2))
    ours, theirs = Pipe()
    return Channel(one, other, ours), Channel(other, one, theirs)
