"""Data parallelism: the gradient does not depend on the number of workers, and errors reach the caller."""

import os
import re
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import fast, layers, mlp, parallel, training, tree
from refdiff.training import Batch, Config

from ..tolerances import COMPLEX_STEP, relative
from .small_runs import drawn, losses_and_states, network

workers_ = pytest.mark.parametrize("workers", [1, 2, 3, 4, 16, None])


@workers_
@pytest.mark.parametrize("L", [layers, fast])
@pytest.mark.parametrize("batch", [0, 1, 2, 7, 33])
def test_workers_agree(workers, L, batch):
    """T1: the gradient is that of one thread for any number of workers, also with more workers than examples or none;
    nothing is modified.
    """
    p, one = network(0), drawn(batch)
    loss, grads = training.value_and_grad(mlp.mlp, p, one, L, workers)
    reference_loss, reference_grads = training.value_and_grad(mlp.mlp, p, one)
    assert relative(loss, reference_loss) <= COMPLEX_STEP and isinstance(loss, float)
    assert tree.map(np.shape, grads) == tree.map(np.shape, p)
    assert relative(tree.pack(grads)[0], tree.pack(reference_grads)[0]) <= COMPLEX_STEP


@given(st.integers(0, 40), st.integers(1, 20))
@example(3, 5)
def test_split(rows, workers):
    """T1: slices contain each row of the batch once, in order, with lengths that differ by at most one; missing labels stay None."""
    one = drawn(rows)._replace(y=None)
    parts = parallel.split(one, workers)
    lengths = [len(part.x) for part in parts]
    assert len(parts) == workers and sum(lengths) == rows and max(lengths) - min(lengths) <= 1
    assert all(part.y is None and type(part) is Batch for part in parts)
    for name in ("x", "clock", "target"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(one, name))


def test_noise_does_not_depend_on_the_split():
    """T1: the workers' slices together are the batch of the step, bit for bit, for any number of workers."""
    seen = []

    def net(p, x, t, y, L):
        seen.append((threading.get_ident(), x, t, y))
        return mlp.mlp(p, x, t, y, L)

    p, one = network(0), drawn(10)
    for workers in (1, 2, 4):
        training.value_and_grad(net, p, one, fast, workers)
        assert len(seen) == workers and len({thread for thread, *_ in seen}) == min(workers, parallel.cores())
        rows = sorted((x for _, *x in seen), key=lambda part: np.flatnonzero(one.clock == part[1][0])[0])
        for i, whole in enumerate((one.x, one.clock, one.y)):
            np.testing.assert_array_equal(np.concatenate([part[i] for part in rows]), whole)
        seen.clear()


def test_all_reduce_is_pluggable():
    """T1: all_reduce receives one loss and gradient per slice, in order, and its result is used, in training too."""
    p, one = network(0), drawn(10)
    given_parts = []

    def keep(parts):
        given_parts.append(parts)
        return parallel.total(parts)

    loss, _ = training.value_and_grad(mlp.mlp, p, one, fast, 3, keep)
    (parts,) = given_parts
    singles = [training.value_and_grad(mlp.mlp, p, part) for part in parallel.split(one, 3)]
    for (part_loss, part_grads), (single_loss, single_grads) in zip(parts, singles, strict=True):
        assert relative(part_loss, single_loss) <= COMPLEX_STEP
        assert relative(tree.pack(part_grads)[0], tree.pack(single_grads)[0]) <= COMPLEX_STEP
    assert loss == sum(part[0] for part in parts)
    config = Config(kind="velocity", steps=2, batch=6)
    first, _ = losses_and_states(config, training.start(p), L=fast, workers=2, all_reduce=lambda parts: (12.0, parallel.total(parts)[1]))
    assert first == [2.0, 2.0]
    for workers in (1, 2):
        given_parts.clear()
        losses_and_states(config, training.start(p), workers=workers, all_reduce=keep)
        assert [len(parts) for parts in given_parts] == [workers] * 2


def test_ranks_instead_of_threads():
    """T1: ranks that each differentiate their slice and share one sum, as with MPI, all get the gradient of the whole batch."""
    ranks, p, one = 3, network(0), drawn(11)
    shared, barrier, results = [None] * ranks, threading.Barrier(ranks), [None] * ranks

    def rank(i):
        def over_ranks(parts):
            shared[i] = parallel.total(parts)
            barrier.wait()
            return parallel.total(shared)

        results[i] = training.value_and_grad(mlp.mlp, p, parallel.split(one, ranks)[i], fast, 1, over_ranks)

    threads = [threading.Thread(target=rank, args=(i,)) for i in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loss, grads = training.value_and_grad(mlp.mlp, p, one)
    for rank_loss, rank_grads in results:
        assert relative(rank_loss, loss) <= COMPLEX_STEP
        assert relative(tree.pack(rank_grads)[0], tree.pack(grads)[0]) <= COMPLEX_STEP


def blas_threads():
    """Number of threads of each BLAS library in the process."""
    return [library.num_threads for library in parallel._libraries()]


def test_blas_uses_one_thread_inside():
    """T1: BLAS uses one thread inside, nested and concurrent uses included, and its former number afterwards, also after errors."""
    before = blas_threads()
    for library in parallel._libraries():
        library.set_num_threads(2)
    own = blas_threads()
    with parallel.one_blas_thread():
        assert blas_threads() == [1] * len(own)
        with parallel.one_blas_thread():
            pass
        assert blas_threads() == [1] * len(own)
    assert blas_threads() == own
    inside = []

    def net(p, x, t, y, L):
        inside.append(blas_threads())
        if len(x) == 0:
            raise ZeroDivisionError("no rows")
        return mlp.mlp(p, x, t, y, L)

    training.value_and_grad(net, network(0), drawn(4), fast, 2)
    with pytest.raises(ZeroDivisionError, match="no rows"):
        training.value_and_grad(net, network(0), drawn(1), fast, 2)
    assert inside == [[1] * len(own)] * 4 and blas_threads() == own
    training.value_and_grad(net, network(0), drawn(4), fast, 1)
    assert inside[-1] == own
    for library, number in zip(parallel._libraries(), before, strict=True):
        library.set_num_threads(number)


def test_errors_of_workers_reach_the_caller():
    """T1: an error on any thread is raised by the call, after all threads are done, and the next call works."""
    done = []

    def fail(i):
        if i == 1:
            raise KeyError(i)
        done.append(i)
        return i

    for _ in range(2):
        with pytest.raises(KeyError, match="1"):
            parallel.run([partial(fail, i) for i in range(4)])
    assert sorted(done) == [0, 0, 2, 2, 3, 3]
    assert parallel.run([partial(pow, i, 2) for i in range(9)]) == [i * i for i in range(9)]
    assert parallel.run([lambda: parallel.run([partial(pow, i, 2) for i in range(3)])] * 3) == [[0, 1, 4]] * 3


def test_workers_use_the_callers_error_state():
    """T1: NumPy's error state of the caller applies on every thread."""
    for i in range(2):
        tasks = [partial(np.divide, 1.0, float(j != i)) for j in range(2)]
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            parallel.run(tasks)
        with np.errstate(divide="ignore"):
            assert parallel.run(tasks)[i] == np.inf


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child_starts_its_own_threads():
    """T1: a process forked after threads were used, without them, starts new ones and does not hang."""
    code = """if True:
        import os
        from functools import partial
        from refdiff import parallel
        parallel.run([partial(int, i) for i in range(3)])
        child = os.fork()
        if child == 0:
            os._exit(parallel.run([partial(int, i) for i in range(3)]) != [0, 1, 2])
        raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("workers, error", [(0, ValueError), (-1, ValueError), (2000, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_wrong_number_of_workers(workers, error):
    """The error of a wrong number of workers gives what is allowed."""
    with pytest.raises(error, match=re.escape(f"workers = {workers!r}; allowed:")):
        training.value_and_grad(mlp.mlp, network(0), drawn(3), fast, workers)


def test_switch_interval_is_shortened_and_restored(request):
    """While threads work, the interpreter's switch interval is short; afterwards it is restored, whoever finishes last."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(0.003)
    before = sys.getswitchinterval()
    with parallel.one_blas_thread():
        with parallel.one_blas_thread():
            assert sys.getswitchinterval() < 1e-5
        assert sys.getswitchinterval() < 1e-5
    assert sys.getswitchinterval() == before


def test_default_workers():
    """T1: the default is one worker per core, but only one below `WORK` numbers times parameters for each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert [parallel.default_workers(work) for work in (0, 1, parallel.WORK, 2 * parallel.WORK - 1)] == [1, 1, 1, 1]
    assert parallel.default_workers(2 * parallel.WORK) == min(cores, 2)
    assert parallel.default_workers(1e12) == cores
