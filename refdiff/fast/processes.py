"""Workers that are processes: threads of one process take turns at the interpreter, and a core whose thread waits for its turn falls asleep.

A step of the U-Net makes some ten thousand calls on each of two threads, and they wait for each other a thousand times. Forked
processes wait twice: for their part of the batch and for the slowest. What they share is memory that was shared before they were
forked: the parameters, which they read, and the gradients, which they write. Where processes cannot be forked, threads do the work.
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
from .channel import Line, line

FORKS = sys.platform == "linux"  # elsewhere a fork of a process with threads is not safe, or not there
Work = Callable[[Any, Any], Any]  # of what all are given and a part of the batch


class Team:
    """One worker for each piece of work; the first is the calling process itself."""

    def __init__(self, works: Sequence[Work], given: Any) -> None:
        forks = FORKS and not multiprocessing.current_process().daemon  # such a process may not have children
        self._works = works
        self._lines = [_fork(work, given) for work in works[1:]] if forks else []
        weakref.finalize(self, _dismiss, self._lines)

    def __call__(self, given: Any, parts: Sequence[Any]) -> list[Any]:
        """What the works return for their parts, in order; raises an error of theirs, or ChildProcessError for a process that is gone."""
        if not self._lines:
            return parallel.run([partial(work, given, part) for work, part in zip(self._works, parts, strict=True)])
        try:
            for each, part in zip(self._lines, parts[1:], strict=True):
                each.send(part)
            first = parallel.attempt(partial(self._works[0], given, parts[0]))
            outcomes = [first, *(each.expect() for each in self._lines)]
        except (EOFError, OSError) as error:
            raise ChildProcessError("a worker's process has ended; the system may have stopped it for want of memory") from error
        return [parallel.unwrap(outcome) for outcome in outcomes]


def _fork(work: Work, given: Any) -> Line:
    """The line to a new process that does this work, for as long as this process lives and does not dismiss it."""
    ours, its = line()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: those that live on here hold no lock it needs
        context = multiprocessing.get_context("fork")
        context.Process(target=_serve, args=(its, work, given, os.getpid()), name="refdiff worker", daemon=True).start()
    its.close()
    return ours


def _serve(its: Line, work: Work, given: Any, parent: int) -> None:
    """A worker's life: until it is dismissed, or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    with parallel.one_blas_thread(), suppress(EOFError, BrokenPipeError):
        while (part := its.expect(lambda: os.getppid() == parent)) is not None:
            its.send(parallel.attempt(partial(work, given, part)))


def _dismiss(lines: list[Line]) -> None:
    for each in lines:
        with suppress(OSError):  # it is gone already
            each.send(None)
        each.close()
