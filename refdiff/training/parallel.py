"""One batch on several threads: split it, differentiate each slice with the matrix library held to one thread, add up.

The random numbers of a batch are drawn before it is split, so the answer does not depend on the number of workers, up to the
order of the sum. The sum is one function, `all_reduce`: given the results of this process' slices it returns the sum over all
slices there are, so that ranks of MPI, or several GPUs, can take the place of threads.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial, reduce
from itertools import pairwise
from queue import SimpleQueue
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from .. import tree
from ..arrays import check_integer
from ..tree import Tree

Task = Callable[[], Any]
Reduce = Callable[[list[tuple[float, Tree]]], tuple[float, Tree]]

WORK = 2**25  # numbers of the batch times parameters: a slice with less is not worth a thread's while
PASS = 2**16  # numbers: the same for one operation on each
AWAKE = 1e-3  # seconds that a thread stays awake for its next task


def total(parts: list[tuple[float, Tree]]) -> tuple[float, Tree]:
    """The plain all-reduce: losses and gradients of all slices added up, in the order of the slices."""
    return reduce(lambda a, b: (a[0] + b[0], tree.map(np.add, a[1], b[1])), parts)


def split(batch: Any, workers: int) -> list[Any]:
    """A batch, a named tuple of arrays (B, ...) or None, as `workers` slices of nearly equal length; some are empty if B is less."""
    return [batch._make(None if a is None else a[part] for a in batch) for part in slices(len(batch[0]), workers)]


def slices(rows: int, workers: int) -> list[slice]:
    """Rows 0..rows - 1 in `workers` runs of nearly equal length."""
    return [slice(low, high) for low, high in pairwise(rows * i // workers for i in range(workers + 1))]


def parts(rows: int, numbers: int, room: int) -> list[slice]:
    """Rows 0..rows - 1 in runs of as many as fit in the room, at so many numbers each; at least one at a time."""
    few = max(1, room // numbers)
    return [slice(low, min(low + few, rows)) for low in range(0, rows, few)]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(work: float) -> int:
    """How many threads a batch is worth on this machine, by its numbers times the parameters: one per core, each with `WORK` or more."""
    return max(1, min(cores(), int(work / WORK)))


def threads_for(numbers: int) -> int:
    """How many threads a pass over so many numbers is worth: one per core, each with `PASS` or more."""
    return max(1, min(cores(), numbers // PASS))


def count(workers: int | None, work: float) -> int:
    """The number of slices for workers threads; for None, `default_workers`. Raises for workers < 1."""
    return default_workers(work) if workers is None else int(check_integer("workers", workers, 1, 2**16))


def summed(
    f: Callable[[Any], tuple[float, Tree]], batch: Any, work: float, workers: int | None = 1, all_reduce: Reduce = total
) -> tuple[float, Tree]:
    """all_reduce of f, a loss and its gradient, over the slices of a batch, each on a thread of its own; their number is `count`'s."""
    with hold(workers):
        return all_reduce(run([partial(f, part) for part in split(batch, count(workers, work))]))


def run(tasks: Sequence[Task]) -> list[Any]:
    """The results of all tasks, the first computed here and the others on threads that stay for later calls."""
    if len(tasks) == 1 or threading.current_thread().name == _NAME:
        return [task() for task in tasks]
    replies = [_hand_over(i, task) for i, task in enumerate(tasks[1:])]
    first = attempt(tasks[0])
    return [unwrap(outcome) for outcome in [first, *map(_next, replies)]]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold the matrix library to one thread; the last of several who hold it at once lets go.

    Meanwhile a thread that waits for the interpreter looks again every microsecond: its core would wake too late from a sleep.
    """
    with _lock:
        if not _holders:
            _before[:] = [sys.getswitchinterval(), *(library.num_threads for library in _libraries())]
            _set([1e-6] + [1] * len(_libraries()))
        _holders.append(None)
    try:
        yield
    finally:
        with _lock:
            _holders.pop()
            if not _holders:
                _set(_before)


def hold(workers: int | None) -> AbstractContextManager[None]:
    """`one_blas_thread` for the time that workers run; nothing for one worker, asked for, which may have the library's own threads."""
    return nullcontext() if workers == 1 else one_blas_thread()


_NAME = "refdiff worker"
_IDLE = np.ones(2**13)  # their sines take some ten microseconds, in which other threads have the interpreter to themselves
_SINES = np.empty_like(_IDLE)  # of all threads: they write the same numbers
_lock = threading.Lock()
_holders: list[None] = []
_before: list[Any] = []  # seconds after which a thread asks for the interpreter, and threads of each library, when nobody held them
_inboxes: list[SimpleQueue] = []  # one per worker thread, made when first needed


@cache
def _libraries() -> list[Any]:
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set(values: list[Any]) -> None:
    seconds, *threads = values
    sys.setswitchinterval(seconds)
    for library, number in zip(_libraries(), threads, strict=True):
        library.set_num_threads(number)


def _hand_over(i: int, task: Task) -> SimpleQueue:
    """Give the task to worker thread i, in the caller's context (NumPy keeps its error state there); where the outcome will be."""
    with _lock:
        while len(_inboxes) <= i:
            _inboxes.append(SimpleQueue())
            threading.Thread(target=_work, args=(_inboxes[-1],), name=_NAME, daemon=True).start()
    reply: SimpleQueue = SimpleQueue()
    _inboxes[i].put((partial(contextvars.copy_context().run, task), reply))
    return reply


def _work(inbox: SimpleQueue) -> None:
    while True:
        task, reply = _next(inbox)
        reply.put(attempt(task))


def stay_awake(until: Callable[[], bool]) -> None:
    """Pass the time at work until something has come, or for `AWAKE`: a core that sleeps may wake too late for a short task."""
    end = perf_counter() + AWAKE
    while not until() and perf_counter() < end:
        np.sin(_IDLE, _SINES)


def _next(queue: SimpleQueue) -> Any:
    stay_awake(lambda: not queue.empty())
    return queue.get()


def attempt(task: Task) -> tuple[Any, BaseException | None]:
    """The task's outcome: its result, or its error for `unwrap` to raise."""
    try:
        return task(), None
    except BaseException as error:
        return None, error


def unwrap(outcome: tuple[Any, BaseException | None]) -> Any:
    """The result of a task that was attempted; raises what it raised."""
    result, error = outcome
    if error is not None:
        raise error
    return result


def _forget() -> None:
    """A forked child has no worker threads, whatever the parent had."""
    global _lock
    _lock = threading.Lock()
    _inboxes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
