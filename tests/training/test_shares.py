"""Who computes what: the sum of the slices' gradients, runs of rows, and the number of workers, each against its rule."""

import os
import re
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import layers, mlp, parallel, training, tree
from refdiff.fast import buffers
from refdiff.training import classification

from .small_runs import drawn, network


def test_sum_of_plain_and_packed_gradients():
    """T1: the default all-reduce adds losses and gradients, whether a gradient is a plain tree or a flat buffer, and changes neither."""
    plain = {"a": {"w": np.array([[1.0, 2.0]])}, "b": np.array([4.0, 8.0, 16.0])}
    packed = buffers.like(plain, np.dtype(np.float64))
    packed.buffer[:] = 32, 64, 128, 256, 512
    parts = [(1.0, plain), (2.0, packed), (4.0, tree.map(lambda leaf: 1024 * leaf, plain))]
    expected = sum(tree.pack(each)[0] for _, each in parts)
    for order in permutations(parts):
        loss, grads = parallel.total(list(order))
        assert loss == 7.0 and tree.map(np.shape, grads) == tree.map(np.shape, plain)
        np.testing.assert_array_equal(tree.pack(grads)[0], expected)
    np.testing.assert_array_equal(packed.buffer, [32, 64, 128, 256, 512])
    np.testing.assert_array_equal(tree.pack(plain)[0], [1, 2, 4, 8, 16])
    assert parallel.total(parts[:1]) == parts[0]


@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 60))
@example(12, 3, 12)
@example(5, 7, 3)
def test_parts(rows, numbers, capacity):
    """Runs contain each row once, in order; as many rows each as the capacity holds, but at least one; only the last is shorter."""
    runs = parallel.parts(rows, numbers, capacity)
    assert [row for run in runs for row in range(run.start, run.stop)] == list(range(rows))
    assert all(run.stop - run.start == max(1, capacity // numbers) for run in runs[:-1])
    assert not runs or 1 <= runs[-1].stop - runs[-1].start <= max(1, capacity // numbers)


@given(st.integers(0, 50), st.integers(1, 60))
def test_slices(rows, workers):
    """As many runs as workers, each row in one of them, in order, with lengths that differ by at most one."""
    runs = parallel.slices(rows, workers)
    assert len(runs) == workers and runs[0].start == 0 and runs[-1].stop == rows
    assert all(a.stop == b.start for a, b in pairwise(runs))
    assert {run.stop - run.start for run in runs} <= {rows // workers, -(-rows // workers)}


def test_numbers_of_threads(monkeypatch):
    """One thread per core, if each has `WORK` of a gradient or `PASS` numbers of a pass; never none, and always a whole number."""
    monkeypatch.setattr(parallel, "cores", lambda: 3)
    for f, unit in (parallel.default_workers, parallel.WORK), (parallel.threads_for, parallel.PASS):
        found = [f(work) for work in (0, 1, unit, 2 * unit - 1, 2 * unit, 3 * unit, 4 * unit, 100 * unit)]
        assert found == [1, 1, 1, 1, 2, 3, 3, 3] and {type(number) for number in found} == {int}
    assert parallel.count(None, 2 * parallel.WORK) == 2 and parallel.count(5, 0) == parallel.count(np.int64(5), 1e99) == 5
    assert parallel.summed(lambda part: (1.0, {}), drawn(3), 1e99) == (1.0, {}), "one worker by default"


def test_cores(monkeypatch):
    """The cores are those that the process may use; where the system does not say, all, and 1 if their number is unknown."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4, 5}, raising=False)
    assert parallel.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    for known, expected in (6, 6), (None, 1):
        monkeypatch.setattr(os, "cpu_count", lambda known=known: known)
        assert parallel.cores() == expected


@pytest.mark.parametrize("workers", [2**16 + 1, 2**40])
def test_absurd_numbers_of_workers(workers):
    """An absurd number of workers is an error that names it and what is allowed; as many as a large machine has cores are allowed."""
    with pytest.raises(ValueError, match=re.escape(f"workers = {workers}; allowed: 1..")):
        parallel.count(workers, 0)
    assert parallel.count(512, 0) == 512


@pytest.mark.parametrize("gradient", [training.value_and_grad, classification.value_and_grad])
def test_what_is_shared(gradient, monkeypatch):
    """T1: the work by which the number of workers is chosen is the numbers of the batch times the parameters; the rest is passed on."""
    seen, p, batch = [], network(0), drawn(7)
    monkeypatch.setattr(parallel, "summed", lambda f, *arguments: seen.append(arguments))
    gradient(mlp.mlp, p, batch, layers, 3, max)
    gradient(mlp.mlp, p, batch, layers)
    work = batch.x.size * tree.size(p)
    assert seen == [(batch, work, 3, max), (batch, work, 1, parallel.total)]
