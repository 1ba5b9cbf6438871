"""Data-parallel gradients on threads: split a batch, differentiate each slice with BLAS limited to one thread, and sum.

The random numbers of a batch are drawn before it is split, so the result does not depend on the number of workers, up to the order
of the sum. The sum is one function, `all_reduce`: given the results of this process' slices, it returns the sum over all slices, so
that MPI ranks or several GPUs can take the place of threads.
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
from ..arrays import read_only
from ..checks import check_integer
from ..tree import Tree

Task = Callable[[], Any]
Reduce = Callable[[list[tuple[float, Tree]]], tuple[float, Tree]]

WORK = 2**25  # numbers of the batch times parameters: the least for which a slice is worth a thread
PASS = 2**16  # numbers: the same for one operation on each
MOST = 1024  # slices
POLLING = 1e-3  # seconds for which a thread polls for its next task before it sleeps


def total(parts: list[tuple[float, Tree]]) -> tuple[float, Tree]:
    """The default all-reduce: the sum of losses and gradients, in the order of the slices."""
    return reduce(lambda a, b: (a[0] + b[0], tree.map(np.add, a[1], b[1])), parts)


def split(batch: Any, workers: int) -> list[Any]:
    """A batch, a named tuple of arrays (B, ...) or None, as `workers` slices of nearly equal length; some are empty if B is less."""
    return [batch._make(None if a is None else a[part] for a in batch) for part in slices(len(batch[0]), workers)]


def slices(rows: int, workers: int) -> list[slice]:
    """Rows 0..rows - 1 in `workers` runs of nearly equal length."""
    return [slice(low, high) for low, high in pairwise(rows * i // workers for i in range(workers + 1))]


def parts(rows: int, numbers: int, capacity: int) -> list[slice]:
    """Rows 0..rows - 1, of so many numbers each, in runs whose numbers fit into a capacity; at least one row at a time."""
    count = max(1, capacity // numbers)
    return [slice(low, min(low + count, rows)) for low in range(0, rows, count)]


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(work: float) -> int:
    """Default number of threads for a batch, by its numbers times the parameters: one per core, each with `WORK` or more."""
    return max(1, min(cores(), int(work / WORK)))


def threads_for(numbers: int) -> int:
    """Number of threads for a pass over so many numbers: one per core, each with `PASS` or more."""
    return max(1, min(cores(), numbers // PASS))


def count(workers: int | None, work: float) -> int:
    """Number of slices for `workers` workers; for None, `default_workers`. Raises for workers < 1 or above `MOST`."""
    return default_workers(work) if workers is None else int(check_integer("workers", workers, 1, MOST))


def summed(
    f: Callable[[Any], tuple[float, Tree]], batch: Any, work: float, workers: int | None = 1, all_reduce: Reduce = total
) -> tuple[float, Tree]:
    """all_reduce of f, a loss and its gradient, over the slices of a batch, each on a thread of its own; their number is `count`'s."""
    with blas_threads(workers):
        return all_reduce(run([partial(f, part) for part in split(batch, count(workers, work))]))


def run(tasks: Sequence[Task]) -> list[Any]:
    """Results of all tasks, on one thread per core at most: the first is this one, the others are kept for later calls."""
    count = min(len(tasks), cores())
    if count == 1 or threading.current_thread().name == _NAME:
        return [task() for task in tasks]
    replies = [_submit(i, partial(_attempts, tasks[i + 1 :: count])) for i in range(count - 1)]
    outcomes = [_attempts(tasks[::count]), *(unwrap(_next(reply)) for reply in replies)]
    return [unwrap(outcomes[i % count][i // count]) for i in range(len(tasks))]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Context in which BLAS uses one thread; of nested or concurrent contexts the last one to end restores the setting.

    Meanwhile a thread that waits for the interpreter checks every microsecond, because its core would wake too late from a sleep.
    """
    with _lock:
        if not _holders:
            _settings[:] = [sys.getswitchinterval(), *(library.num_threads for library in _libraries())]
            _set([1e-6] + [1] * len(_libraries()))
        _holders.append(None)
    try:
        yield
    finally:
        with _lock:
            _holders.pop()
            if not _holders:
                _set(_settings)


def blas_threads(workers: int | None) -> AbstractContextManager[None]:
    """`one_blas_thread` while workers run; for workers = 1 nothing, so that BLAS keeps its own threads."""
    return nullcontext() if workers == 1 else one_blas_thread()


_NAME = "refdiff worker"
_IDLE = read_only(np.ones(2**13))  # computing their sines takes some ten microseconds, in which other threads have the interpreter
_SINES = np.empty_like(_IDLE)  # shared by all threads, which write the same numbers
_lock = threading.Lock()
_holders: list[None] = []
_settings: list[Any] = []  # the switch interval and the threads of each library outside of `one_blas_thread`
_inboxes: list[SimpleQueue] = []  # one per worker thread, made when first needed


@cache
def _libraries() -> list[Any]:
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set(values: list[Any]) -> None:
    seconds, *threads = values
    sys.setswitchinterval(seconds)
    for library, number in zip(_libraries(), threads, strict=True):
        library.set_num_threads(number)


def _submit(i: int, task: Task) -> SimpleQueue:
    """Queue a task for worker thread i, in the caller's context, which holds NumPy's error state; returns the queue of the outcome."""
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


def poll(until: Callable[[], bool]) -> None:
    """Keep the core busy until something has arrived, for at most `POLLING`: a sleeping core may wake too late for a short task."""
    end = perf_counter() + POLLING
    while not until() and perf_counter() < end:
        np.sin(_IDLE, _SINES)


def _next(queue: SimpleQueue) -> Any:
    poll(lambda: not queue.empty())
    return queue.get()


def attempt(task: Task) -> tuple[Any, BaseException | None]:
    """Outcome of a task: its result, or its error for `unwrap` to raise."""
    try:
        return task(), None
    except BaseException as error:
        return None, error


def _attempts(tasks: Sequence[Task]) -> list[tuple[Any, BaseException | None]]:
    return [attempt(task) for task in tasks]


def unwrap(outcome: tuple[Any, BaseException | None]) -> Any:
    """The result of an outcome; raises the error if there is one."""
    result, error = outcome
    if error is not None:
        raise error
    return result


def _reset_after_fork() -> None:
    """A forked child has no worker threads, even if the parent had."""
    global _lock
    _lock = threading.Lock()
    _inboxes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
