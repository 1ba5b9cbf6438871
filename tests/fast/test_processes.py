"""Worker processes: results, shared memory, errors, and termination."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest

from refdiff import fast, layers, parallel, training, tree, unet
from refdiff.fast import buffers, channel, processes
from refdiff.fast.processes import WorkerError, WorkerPool

from ..networks.test_layers import numbers
from ..networks.test_unet import normals
from ..strategies import frozen
from ..tolerances import UNET

forked = pytest.mark.skipif(not processes.FORKS, reason="no workers that are processes here")


def squared(message):
    """Work that returns its process id and its result."""
    if message == "raise":
        raise KeyError("what", message)
    return os.getpid(), 10 * message**2


@pytest.mark.parametrize("forks", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("cores", [1, 2, 8])
def test_results_in_order(monkeypatch, forks, count, cores):
    """T1: results of all messages in order, call after call, by as many processes as messages, but no more than cores, this one included."""
    monkeypatch.setattr(processes, "FORKS", forks and processes.FORKS)
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    ours = WorkerPool([squared] * count)
    for offset in range(3):
        pids, results = zip(*ours(range(offset, offset + count)), strict=True)
        assert results == tuple(10 * i**2 for i in range(offset, offset + count))
        assert pids[0] == os.getpid() and len(set(pids)) == (min(count, cores) if processes.FORKS else 1)


def test_as_many_threads_as_cores(monkeypatch):
    """T1: a thousand tasks run on one thread per core."""
    monkeypatch.setattr(parallel, "cores", lambda: 3)
    seen = parallel.run([threading.get_ident] * 1000)
    assert len(set(seen)) == 3 and seen[0] == threading.get_ident()


@forked
@pytest.mark.parametrize("who", [0, 1, 2])
def test_errors_reach_the_caller(monkeypatch, who):
    """T1: an error of any worker is raised by the call, and the next call works."""
    monkeypatch.setattr(parallel, "cores", lambda: 3)
    ours = WorkerPool([squared] * 3)
    with pytest.raises(KeyError, match="what"):
        ours(["raise" if i == who else i for i in range(3)])
    assert [result for _, result in ours(range(3))] == [0, 10, 40]


class TwoArgumentsError(Exception):
    """An error whose pickle cannot be loaded, because it keeps one argument of two."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def failing(message):
    """Work that raises an error of some kind, or returns what cannot be pickled."""

    class LocalError(Exception):
        """An error that cannot be pickled."""

    class SilentError(Exception):
        """An error without a text."""

        def __str__(self):
            raise RuntimeError

    kinds = {
        "local": LocalError("this text"),
        "two": TwoArgumentsError("this", "text"),
        "silent": SilentError(),
        "value": ValueError("this text"),
    }
    if message in kinds:
        raise kinds[message]
    return failing if message is None else lambda: message


@forked
@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("value", ValueError, "^this text"),
        ("local", WorkerError, "LocalError: this text"),
        ("two", WorkerError, "TwoArgumentsError: this and text"),
        ("silent", WorkerError, "SilentError"),
        ("result", Exception, "local object.*<lambda>"),
    ],
)
def test_errors_keep_their_text(kind, error, text):
    """T1: an error arrives with its type, text and traceback, even if it cannot be pickled; the worker goes on."""
    ours = WorkerPool([failing] * 2)
    with pytest.raises(error, match=text) as caught:
        ours([None, kind])
    assert "In a worker's process:" in caught.value.__notes__[0] and "Traceback" in caught.value.__notes__[0]
    assert ours([None, None]) == [failing, failing]


def reciprocal(message):
    return np.divide(1.0, np.float64(message))


@forked
def test_workers_use_the_callers_error_state():
    """T1: NumPy's error state at the call applies in every process, not the one at the fork."""
    ours = WorkerPool([reciprocal] * 2)
    assert ours([1, 2]) == [1.0, 0.5]
    for messages in ([0, 1], [1, 0]):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            ours(messages)
        with np.errstate(divide="ignore"):
            assert np.inf in ours(messages)


@forked
def test_interrupted_call(monkeypatch):
    """T1: after an interrupt while answers are awaited, the next call gets its own answers, from other processes."""
    ours = WorkerPool([squared] * 2)
    (_, _), (first, _) = ours([1, 2])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(channel.Channel, "receive", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        ours([3, 4])
    (_, one), (second, two) = ours([5, 6])
    assert (one, two) == (250, 360) and gone(first) and second != first


@forked
def test_stopped_processes_end_with_their_pool(monkeypatch):
    """T1: a process that does not end by itself is killed when its pool ends."""
    monkeypatch.setattr(processes, "PATIENCE", 0.1)
    ours = WorkerPool([squared] * 2)
    (_, _), (pid, _) = ours([1, 2])
    os.kill(pid, signal.SIGSTOP)
    del ours
    gc.collect()
    assert gone(pid)


@forked
def test_forks_of_the_caller():
    """T1: a fork of the calling process has workers of its own, and ends without ending the parent's; both get their own results."""
    code = """if True:
        import os, sys
        from refdiff.fast.processes import WorkerPool
        ours = WorkerPool([lambda message: (os.getpid(), message)] * 2)
        (_, _), (worker, _) = ours([1, 2])
        child = os.fork()
        first, second = ours([5, 6] if child == 0 else [3, 4])
        if child == 0:
            sys.exit(not (first == (os.getpid(), 5) and second[0] not in (os.getpid(), worker) and second[1] == 6))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (first, second) == ((os.getpid(), 3), (worker, 4))
        assert ours([7, 8])[1] == (worker, 8)"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


@forked
def test_a_stopped_worker_is_named():
    """T1: if a worker process is killed, the call raises instead of waiting."""
    ours = WorkerPool([squared] * 2)
    (_, _), (pid, _) = ours([1, 2])
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ChildProcessError, match="has ended"):
        ours([1, 2])


def gone(pid, seconds=10.0):
    """Whether a process ends within some seconds; a child that has ended is reaped."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        multiprocessing.active_children()
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@forked
def test_workers_end_with_their_pool():
    """T1: worker processes end when their pool is no longer referenced, though younger ones still run."""
    ours = WorkerPool([squared] * 2)
    (_, _), (pid, _) = ours([1, 2])
    younger = WorkerPool([squared] * 2)
    del ours
    gc.collect()
    assert gone(pid) and len(younger([1, 2])) == 2


@forked
def test_workers_end_with_their_parent():
    """T1: worker processes end when their parent is killed."""
    work = "lambda message: os.getpid()"
    code = f"import os, time; from refdiff.fast.processes import WorkerPool; t = WorkerPool([{work}] * 2); print(t([1, 2])[1], flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)


@forked
def test_threads_where_processes_are_not_allowed():
    """T1: a process that may not have child processes uses threads."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    context.Process(target=lambda: theirs.send(WorkerPool([squared] * 2)([1, 2])), daemon=True).start()
    (first, one), (second, two) = ours.recv()
    assert first == second and (one, two) == (10, 40)


def batch(rows, dtype):
    x, target = numbers(0, (rows, 8, 8, 1)), numbers(1, (rows, 8, 8, 1))
    return training.Batch(
        *(frozen(each) for each in (x.astype(dtype), np.linspace(0, 900, rows), np.arange(rows) % 10, target.astype(dtype)))
    )


@pytest.mark.parametrize("workers", [1, 2, 3, None])
@pytest.mark.parametrize("L", [layers, fast])
def test_gradient_of_a_unet(workers, L):
    """T1, N5: with worker processes, loss and gradient of an adopted state equal the reference, step after step; earlier
    results are kept.
    """
    p = normals(unet.init(0, base=4, multipliers=(1, 2), attention=(1,), embedding=8, classes=10), 3)
    net = lambda *args: unet.unet(*args, heads=2, groups=2)  # noqa: E731
    state, config, one = fast.adopt(training.start(p)), training.Config(batch=5, steps=20), batch(5, np.float64)
    reference = training.start(p)
    for _ in range(2):
        loss, grads = fast.value_and_grad(net, state.params, one, L, workers)
        kept = tree.pack(grads)[0]
        reference_loss, reference_grads = training.value_and_grad(net, reference.params, one)
        assert abs(loss - reference_loss) <= UNET * reference_loss
        assert np.linalg.norm(kept - tree.pack(reference_grads)[0]) <= UNET * np.linalg.norm(kept)
        state, reference = fast.update(state, grads, config), training.update(reference, reference_grads, config)
        again = fast.value_and_grad(net, state.params, one, L, workers)[1]
        assert not np.array_equal(tree.pack(again)[0], kept) and np.array_equal(tree.pack(grads)[0], kept)


def test_slices_in_order():
    """T1: all_reduce receives the slices' losses and gradients in the order of the batch."""
    p, one = normals(unet.init(0, base=4, multipliers=(1,), embedding=8, classes=10), 3), batch(5, np.float64)
    seen = []

    def keep(parts):
        seen.append([(loss, tree.pack(grads)[0]) for loss, grads in parts])
        return parallel.total(parts)

    for gradient, params in ((fast.value_and_grad, fast.adopt(training.start(p)).params), (training.value_and_grad, p)):
        gradient(partial(unet.unet, groups=2), params, one, layers, 3, keep)
    for (loss, grads), (reference_loss, reference_grads) in zip(*seen, strict=True):
        assert abs(loss - reference_loss) <= UNET * reference_loss and np.linalg.norm(grads - reference_grads) <= UNET * np.linalg.norm(
            grads
        )
    assert len({loss for loss, _ in seen[0]}) == 3


def test_workers_of_the_last_network_only():
    """T1: a new function in every step leaves one pool, not a growing number of processes."""
    p = normals(unet.init(0, base=4, multipliers=(1, 2), embedding=8, classes=10), 3)
    adopted, one = fast.adopt(training.start(p)).params, batch(2, np.float64)
    for _ in range(4):
        fast.value_and_grad(lambda *args: unet.unet(*args, groups=2), adopted, one, fast, 2)
        assert len(adopted.cache) == 1


def test_shared_memory():
    """T1: a packed tree in shared memory has the values stored in it, also an empty one."""
    for leaf in (np.arange(6.0).reshape(2, 3), np.zeros((0, 3))):
        packed = buffers.like({"w": leaf}, leaf.dtype, shared=True)
        packed["w"][...] = leaf
        assert packed["w"].shape == leaf.shape and np.array_equal(packed.buffer, leaf.ravel())
    assert parallel.count(3, 0) == 3
