"""A pool of worker processes. Only one thread of a process can run the interpreter at a time, and the core of a waiting thread goes to sleep.

A step of the U-Net makes some ten thousand calls on each of two threads, which wait for each other a thousand times. Forked processes
wait twice: for their slice of the batch, and for the slowest worker. Where processes cannot be forked, the workers are threads.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import Any, NamedTuple

import numpy as np

from ..training import parallel
from .channel import Channel, close_others, pair

FORKS = sys.platform == "linux"  # elsewhere a fork of a process with threads is not safe, or not possible
PATIENCE = 1.0  # seconds in which a worker may end by itself
Work = Callable[[Any], Any]  # of a message


class WorkerError(RuntimeError):
    """An error of a worker process that cannot be pickled, by its type and text."""


class _Process(NamedTuple):
    pid: int
    channel: Channel


class WorkerPool:
    """Workers, one for each function in `works`, on at most one process per core; the first process is the calling one.

    The others are forked at the first call, and again after a call that was interrupted, or in a fork of the calling process. A worker
    keeps all variables as they were at the fork. Only memory that was shared before and the messages are new to it.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        self._works, self._owner = works, 0
        self._others: list[_Process] = []

    def __call__(self, messages: Sequence[Any]) -> list[Any]:
        """Send each worker its message; the results, in order. Raises the error of a worker, or ChildProcessError if a process has ended."""
        if self._owner != os.getpid():
            self._start()
        if not self._others:
            return parallel.run([partial(work, message) for work, message in zip(self._works, messages, strict=True)])
        count, handling = len(self._others) + 1, np.geterr()
        try:
            for i, other in enumerate(self._others, 1):
                other.channel.send((handling, messages[i::count]))
            own = parallel.attempt(partial(_results, self._works[::count], handling, messages[::count]))
            outcomes = [own, *(other.channel.receive() for other in self._others)]
        except BaseException as error:  # answers that are still to come must not be taken for those of the next call
            self._owner = 0
            self._finalizer()
            if isinstance(error, EOFError | OSError):
                raise ChildProcessError("a worker's process has ended; the system may have stopped it for want of memory") from error
            raise
        results = [parallel.unwrap(outcome) for outcome in outcomes]
        return [results[i % count][i // count] for i in range(len(messages))]

    def _start(self) -> None:
        """Fork the other processes, if this one may: a daemon of `multiprocessing` may not have children."""
        daemon = multiprocessing.current_process().daemon
        count = min(len(self._works), parallel.cores()) if FORKS and not daemon else 1
        self._others = []
        self._finalizer = weakref.finalize(self, _end, self._others, os.getpid())
        try:
            for i in range(1, count):
                self._others.append(_fork(self._works[i::count]))
        except OSError:  # the system allows no more processes
            self._finalizer()
            self._others = []
        self._owner = os.getpid()


def _fork(works: Sequence[Work]) -> _Process:
    """A new process, which answers messages until it is dismissed or this process has ended."""
    (ours, theirs), parent = pair(), os.getpid()
    _flush()  # so that nothing is printed twice
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: those that live on here hold no lock it needs
            pid = os.fork()
        if not pid:
            _serve(theirs, works, parent)
    except BaseException:
        if os.getpid() == parent:
            raise
        traceback.print_exc()
    finally:
        if os.getpid() != parent:  # whatever happens, the new process does not go on with the parent's work
            _flush()
            os._exit(0)
    theirs.close()
    return _Process(pid, ours)


def _serve(channel: Channel, works: Sequence[Work], parent: int) -> None:
    """The loop of a worker process. Signal handlers are the parent's; it also handles Ctrl-C."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    close_others(channel)
    with parallel.one_blas_thread(), suppress(EOFError, OSError):  # the other end has gone
        while (message := channel.receive(lambda: os.getppid() == parent)) is not None:
            result, error = parallel.attempt(partial(_results, works, *message))
            try:
                channel.send((result, error and _portable(error)))
            except OSError:
                raise
            except Exception as problem:  # the result cannot be pickled
                channel.send((None, _portable(problem)))


def _results(works: Sequence[Work], handling: Any, messages: Sequence[Any]) -> list[Any]:
    """The results of works one after another, under the caller's handling of floating-point errors."""
    with np.errstate(**handling):
        return [work(message) for work, message in zip(works, messages, strict=True)]


def _portable(error: BaseException) -> BaseException:
    """The error, or a WorkerError if it would not arrive as it is, with the traceback in a note."""
    try:
        whole = type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        whole = False
    sent = error if whole else WorkerError("".join(traceback.format_exception_only(error)).strip())
    sent.add_note("In a worker's process:\n" + "".join(traceback.format_exception(error)))
    return sent


def _end(processes: list[_Process], owner: int) -> None:
    """End processes of this process; a fork of it does nothing to them."""
    if os.getpid() != owner:
        return
    for process in processes:
        with suppress(OSError):  # the process has ended already
            process.channel.send(None)
        process.channel.close()
    until = monotonic() + PATIENCE
    for process in processes:
        with suppress(ChildProcessError):  # somebody else has waited for it
            while os.waitpid(process.pid, os.WNOHANG) == (0, 0):
                if monotonic() > until:
                    os.kill(process.pid, signal.SIGKILL)
                sleep(1e-3)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
