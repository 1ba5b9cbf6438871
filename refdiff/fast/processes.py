"""A pool of worker processes. Only one thread of a process can run the interpreter at a time, and the core of a waiting thread goes to sleep.

A step of the U-Net makes some ten thousand calls on each of two threads, which wait for each other a thousand times. Forked processes
wait twice: for their slice of the batch, and for the slowest worker. They share memory that was mapped before the fork: the parameters,
which they read, and the gradients, which they write. Where processes cannot be forked, the workers are threads.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ..training import parallel
from .channel import Channel, pair

FORKS = sys.platform == "linux"  # elsewhere a fork of a process with threads is not safe, or not possible
Work = Callable[[Any, Any], Any]  # of the shared argument and of a message


class WorkerPool:
    """One worker for each function in `works`; the first worker is the calling process itself."""

    def __init__(self, works: Sequence[Work], shared: Any) -> None:
        forks = FORKS and not multiprocessing.current_process().daemon  # a daemon may not have children
        self._works = works
        self._channels = [_fork(work, shared) for work in works[1:]] if forks else []
        weakref.finalize(self, _shut_down, self._channels)

    def __call__(self, shared: Any, messages: Sequence[Any]) -> list[Any]:
        """Send each worker its message; the results, in order. Raises the error of a worker, or ChildProcessError if a process has ended."""
        if not self._channels:
            return parallel.run([partial(work, shared, message) for work, message in zip(self._works, messages, strict=True)])
        try:
            for channel, message in zip(self._channels, messages[1:], strict=True):
                channel.send(message)
            first = parallel.attempt(partial(self._works[0], shared, messages[0]))
            outcomes = [first, *(channel.receive() for channel in self._channels)]
        except (EOFError, OSError) as error:
            raise ChildProcessError("a worker's process has ended; the system may have stopped it for want of memory") from error
        return [parallel.unwrap(outcome) for outcome in outcomes]


def _fork(work: Work, shared: Any) -> Channel:
    """Channel to a new process, which does this work until it is shut down or this process ends."""
    ours, theirs = pair()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: those that live on here hold no lock it needs
        context = multiprocessing.get_context("fork")
        context.Process(target=_serve, args=(theirs, work, shared, os.getpid()), name="refdiff worker", daemon=True).start()
    theirs.close()
    return ours


def _serve(channel: Channel, work: Work, shared: Any, parent: int) -> None:
    """The loop of a worker process: it ends when it is shut down or its parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    with parallel.one_blas_thread(), suppress(EOFError, BrokenPipeError):
        while (message := channel.receive(lambda: os.getppid() == parent)) is not None:
            channel.send(parallel.attempt(partial(work, shared, message)))


def _shut_down(channels: list[Channel]) -> None:
    for channel in channels:
        with suppress(OSError):  # the process has ended already
            channel.send(None)
        channel.close()
