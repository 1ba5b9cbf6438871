"""The fast op set against the text's, data parallelism against one thread, and training by the one and the other."""

import inspect
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import fast, flow, layers, mlp, parallel, rng, schedules, training, tree
from refdiff.fast import buffers, flat_state, processes
from refdiff.training import Batch, Config

from ..networks import test_layers
from ..strategies import frozen, tree_gradient
from ..tolerances import COMPLEX_STEP, IDENTITY, ROUNDING_GROWTH, SILU, SILU_SLOPE, TIME_FEATURES_32, float32_gradient, relative

seeds = st.integers(0, 10**6)
dtypes = st.sampled_from([np.float32, np.float64])
workers_ = pytest.mark.parametrize("workers", [1, 2, 3, 4, 16, None])


def numbers(seed, shape, step=0, dtype=np.float64):
    """Normal numbers in an array that refuses to be written."""
    return frozen(rng.normal(seed, 1, shape, step, dtype=dtype)[0])


def network(seed, dtype=np.float64, **sizes):
    """A network whose numbers are all drawn, none zero, in arrays that refuse to be written."""
    p = mlp.init(seed, dtype=dtype, **{"width": 6, "features": 4, "classes": 2} | sizes)
    return frozen(tree.map(lambda leaf: leaf + rng.normal(seed, 1, leaf.shape, stream=rng.START, dtype=dtype)[0] / 2, p))


def problem(dtype=np.float64, n=40):
    """Points of the plane with two labels."""
    return frozen(rng.normal(1, n, (2,), stream=rng.DATA, dtype=dtype)), frozen(np.arange(n) % 2)


def drawn(batch, dtype=np.float64, step=1):
    """A batch of the flow's, in arrays that refuse to be written; of no rows if batch is 0."""
    one = training.draw(step, *problem(dtype), flow.straight, Config(kind="velocity", batch=max(batch, 1)))
    return Batch(*(frozen(a[:batch]) for a in one))


def losses_and_states(config, state, dtype=np.float64, path=flow.straight, **options):
    """What a run yields, each state as an own copy."""
    run = training.train(state, *problem(dtype), path, config, **options)
    copies = [(loss, training.State(state.step, *map(frozen, (state.params, state.ema, state.moments)))) for state, loss in run]
    return [loss for loss, _ in copies], [state for _, state in copies]


def same(a, b):
    """Two states, equal bit for bit."""
    trees = [tree.flatten({"p": s.params, "a": s.ema, "m": s.moments}) for s in (a, b)]
    return a.step == b.step and all(trees[0][path].tobytes() == leaf.tobytes() for path, leaf in trees[1].items())


# The op set


@pytest.mark.parametrize("name", [name for name, item in vars(layers).items() if getattr(item, "__module__", "") == layers.__name__])
def test_same_names_and_signatures(name):
    """N2: every public function of the text is in the fast set, with the same arguments and defaults."""
    if not name.startswith("_"):
        assert inspect.signature(getattr(fast, name)) == inspect.signature(getattr(layers, name))


@pytest.fixture(scope="module", autouse=True)
def _layers_are_fast():
    """The tests of `test_layers` that this module imports, or any other, run on the fast set while this module runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_layers, "layers", fast)
        yield


test_linear, test_silu, test_silu_far_out = test_layers.test_linear, test_layers.test_silu, test_layers.test_silu_far_out
test_embedding, test_cross_entropy = test_layers.test_embedding, test_layers.test_cross_entropy
test_cross_entropy_by_hand, test_float32_stays = test_layers.test_cross_entropy_by_hand, test_layers.test_float32_stays
test_errors = test_layers.test_errors
test_time_features_of_integers_are_the_same = test_layers.test_time_features_of_integers_are_the_same


@given(seeds, st.integers(0, 5), st.integers(1, 9), st.integers(1, 9), dtypes)
@example(1, 3, 4, 2, np.float32)
def test_linear_is_the_text(seed, batch, fan_in, fan_out, dtype):
    """N2: the same value and derivative as the text's, sums over the batch in another order."""
    p = {"w": numbers(seed, (fan_in, fan_out), 1, dtype), "b": numbers(seed, (fan_out,), 2, dtype)}
    x, dy = numbers(seed, (batch, fan_in), 3, dtype), numbers(seed, (batch, fan_out), 4, dtype)
    (y, vjp), (text_y, text_vjp) = fast.linear(p, x), layers.linear(p, x)
    (dp, dx), (text_dp, text_dx) = vjp(dy), text_vjp(dy)
    for ours, texts, terms in (y, text_y, x), (dp["w"], text_dp["w"], x), (dp["b"], text_dp["b"], dy), (dx, text_dx, dy):
        assert ours.dtype == texts.dtype == dtype and ours.shape == texts.shape
        scale = max(np.abs(array).max(initial=0) for array in (ours, terms))
        assert np.abs(ours - texts).max(initial=0) <= IDENTITY * np.finfo(dtype).eps * scale


@given(seeds, st.sampled_from([(), (0, 3), (5,), (3, 7)]), st.floats(0.01, 30), dtypes)
@example(0, (3, 2), 1.0, np.float32)
def test_silu_is_the_text(seed, shape, scale, dtype):
    """N2: the same value and slope to the roundings of two formulas; those of the faster one count relative to x."""
    x, dy = np.asarray(numbers(seed, shape, 1, dtype) * dtype(scale)), numbers(seed, shape, 2, dtype)
    (y, vjp), (text_y, text_vjp) = fast.silu({}, x), layers.silu({}, x)
    assert (np.abs(y - text_y) <= SILU * np.finfo(dtype).eps * np.abs(x)).all()
    error = np.abs(vjp(dy)[1] - text_vjp(dy)[1])
    assert (error <= SILU_SLOPE * np.finfo(dtype).eps * (1 + np.abs(x)) * np.abs(dy)).all()
    assert y.dtype == vjp(dy)[1].dtype == dtype


@given(st.lists(st.floats(0, 1000), max_size=6), st.integers(2, 16))
@example([0.0, 1.0, 499.5, 1000.0], 16)
@example([], 2)
def test_time_features_are_the_text(times, half):
    """N1: float64 as the text has it bit for bit; float32 to the rounding of an angle within half a turn."""
    exact = layers.time_features(np.array(times), 2 * half)
    np.testing.assert_array_equal(fast.time_features(np.array(times), 2 * half), exact)
    single = fast.time_features(np.array(times), 2 * half, np.float32)
    assert single.dtype == np.float32 and single.shape == exact.shape
    assert np.abs(single - exact).max(initial=0) <= TIME_FEATURES_32 * np.finfo(np.float32).eps


@pytest.mark.parametrize("wide", ["x", "w", "b", "dy"])
@pytest.mark.parametrize("types", [(np.float32, np.float64), (np.float32, np.complex64), (np.float64, np.complex128)])
def test_mixed_precision_widens_as_in_the_text(wide, types):
    """N2: where one argument is wider than the others, complex above all, so is all that depends on it, and no other."""
    narrow, wider = types
    args = {"x": (3, 2), "w": (2, 4), "b": (4,), "dy": (3, 4)}
    x, w, b, dy = (numbers(0, shape, i, narrow).astype(wider if name == wide else narrow) for i, (name, shape) in enumerate(args.items()))
    found = []
    for L in (fast, layers):
        y, linear_vjp = L.linear({"w": w, "b": b}, x)
        dp, dx = linear_vjp(dy)
        s, silu_vjp = L.silu({}, b if wide == "b" else w)
        found.append([y, dp["w"], dp["b"], dx, s, silu_vjp(np.ones_like(s, dtype=wider if wide == "dy" else narrow))[1]])
    for ours, texts in zip(*found, strict=True):
        assert ours.dtype == texts.dtype and relative(ours, texts) <= IDENTITY * np.finfo(narrow).eps


@given(seeds, st.integers(1, 3), st.integers(0, 3), st.booleans())
@example(0, 3, 4, True)
def test_whole_network_by_complex_step(seed, depth, batch, labelled):
    """N1, N2: the derivative of the MLP on the fast set, in all parameters and in x, by complex step, and the text's."""
    p, one = network(seed, depth=depth, width=4), drawn(batch)
    y = one.y if labelled else None
    out, vjp = mlp.mlp(p, one.x, one.clock, y, fast)
    weights = numbers(seed, out.shape, 5)
    dp, dx = vjp(weights)
    exact = tree_gradient(lambda a: (weights * mlp.mlp(a["p"], a["x"], one.clock, y, fast)[0]).sum(), {"p": p, "x": one.x})
    assert relative(tree.pack({"p": dp, "x": dx})[0], tree.pack(exact)[0]) <= COMPLEX_STEP
    text_out, text_vjp = mlp.mlp(p, one.x, one.clock, y)
    text_dp, text_dx = text_vjp(weights)
    assert relative(out, text_out) <= COMPLEX_STEP
    assert relative(tree.pack({"p": dp, "x": dx})[0], tree.pack({"p": text_dp, "x": text_dx})[0]) <= COMPLEX_STEP


@pytest.mark.parametrize("workers", [1, 2])
def test_float32_gradient(workers):
    """N1, N2: at the demo's size, the text and the fast set in float32 are within float32 accuracy of float64."""
    p, batch = network(3, np.float32, width=64, features=32), drawn(128, np.float32)
    wide = Batch(*(a.astype(np.float64) if a.dtype == np.float32 else a for a in batch))
    _, exact = training.value_and_grad(mlp.mlp, tree.map(lambda leaf: leaf.astype(np.float64), p), wide)
    for L in (layers, fast):
        _, grads = training.value_and_grad(mlp.mlp, p, batch, L, workers)
        assert {leaf.dtype for leaf in tree.flatten(grads).values()} == {np.dtype(np.float32)}
        errors = tree.map(lambda g, e: relative(g, e), grads, exact)
        assert max(tree.flatten(errors).values()) <= float32_gradient(64, 128) * np.finfo(np.float32).eps


def test_a_vjp_answers_again():
    """N2: a vjp gives the same answer when asked twice, with other layers and vjps run in between, and spoils neither dy nor y."""
    x, p = numbers(0, (5, 3)), {"w": numbers(0, (3, 3), 1), "b": numbers(0, (3,), 2)}
    for layer in (fast.linear, fast.silu):
        y, vjp = layer(p, x)
        kept, dy = y.copy(), numbers(0, y.shape, 3)
        first = tree.pack(dict(zip("ab", vjp(dy), strict=True)))[0]
        layer(p, y)[1](numbers(0, y.shape, 4))
        np.testing.assert_array_equal(tree.pack(dict(zip("ab", vjp(dy), strict=True)))[0], first)
        np.testing.assert_array_equal(y, kept)


# Data parallelism


@workers_
@pytest.mark.parametrize("L", [layers, fast])
@pytest.mark.parametrize("batch", [0, 1, 2, 7, 33])
def test_workers_agree(workers, L, batch):
    """T1: the gradient is that of one thread whatever the number of workers, also with more workers than examples, or none; nothing is modified."""
    p, one = network(0), drawn(batch)
    loss, grads = training.value_and_grad(mlp.mlp, p, one, L, workers)
    text_loss, text_grads = training.value_and_grad(mlp.mlp, p, one)
    assert relative(loss, text_loss) <= COMPLEX_STEP and isinstance(loss, float)
    assert tree.map(np.shape, grads) == tree.map(np.shape, p)
    assert relative(tree.pack(grads)[0], tree.pack(text_grads)[0]) <= COMPLEX_STEP


@workers_
@pytest.mark.parametrize("labelled", [None, False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_repeated_gradient_is_the_text(workers, labelled, dtype):
    """T1, N1: the MLP's gradient by calls made before is the text's, with labels, without, and without a table; an earlier answer stays."""
    p = network(0, dtype, classes=0 if labelled is None else 2)
    bound = COMPLEX_STEP if dtype == np.float64 else float32_gradient(6, 33) * np.finfo(dtype).eps
    adopted = fast.adopt(training.start(p)).params
    for batch in (0, 1, 7, 7, 33):  # the second 7 finds what the first has left
        one = drawn(batch, dtype) if labelled else drawn(batch, dtype)._replace(y=None)
        loss, grads = fast.value_and_grad(mlp.mlp, adopted, one, fast, workers)
        then, (text_loss, text_grads) = tree.pack(grads)[0], training.value_and_grad(mlp.mlp, p, one)
        fast.value_and_grad(mlp.mlp, adopted, one._replace(target=one.target + 1), fast, workers)
        np.testing.assert_array_equal(tree.pack(grads)[0], then)
        assert abs(loss - text_loss) <= bound * abs(text_loss) and tree.map(np.shape, grads) == tree.map(np.shape, p)
        assert {leaf.dtype for leaf in tree.flatten(grads).values()} == {np.dtype(dtype)}
        assert relative(then, tree.pack(text_grads)[0]) <= bound


def test_repeated_gradient_on_several_threads():
    """T1: threads that ask at once for gradients at the same parameters do not share the arrays they work in."""
    adopted, ones = (
        fast.adopt(training.start(network(0, width=64))).params,
        [drawn(600)._replace(target=drawn(600).target * i) for i in range(4)],
    )
    alone = [fast.value_and_grad(mlp.mlp, adopted, one, fast) for one in ones]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            together = list(pool.map(lambda one: fast.value_and_grad(mlp.mlp, adopted, one, fast), ones))
            for (loss, grads), (its_loss, its_grads) in zip(together, alone, strict=True):
                assert loss == its_loss and np.array_equal(grads.buffer, its_grads.buffer)


def test_fast_gradient_leaves_other_cases_to_the_text():
    """T1, N1: other networks and complex numbers get the text's own answer."""
    p, one = network(0), drawn(5)
    other = fast.value_and_grad(lambda *args: mlp.mlp(*args), p, one, layers)
    shifted = tree.map(lambda leaf: leaf + 1e-30j, p)
    for (loss, grads), (text_loss, text_grads) in (
        (other, training.value_and_grad(mlp.mlp, p, one)),
        (
            fast.value_and_grad(mlp.mlp, p, one._replace(x=one.x.astype(np.float32)), fast),
            training.value_and_grad(mlp.mlp, p, one._replace(x=one.x.astype(np.float32)), fast),
        ),
    ):
        assert loss == text_loss and all(
            np.array_equal(a, b) for a, b in zip(tree.flatten(grads).values(), tree.flatten(text_grads).values(), strict=True)
        )
    assert np.iscomplexobj(mlp.mlp(shifted, one.x, one.clock, one.y, fast)[0])


@given(st.integers(0, 40), st.integers(1, 20))
@example(3, 5)
def test_split(rows, workers):
    """T1: slices are the batch, in order, each row once, and their lengths differ by one at most; no labels stay none."""
    one = drawn(rows)._replace(y=None)
    parts = parallel.split(one, workers)
    lengths = [len(part.x) for part in parts]
    assert len(parts) == workers and sum(lengths) == rows and max(lengths) - min(lengths) <= 1
    assert all(part.y is None and type(part) is Batch for part in parts)
    for name in ("x", "clock", "target"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(one, name))


def test_noise_does_not_depend_on_the_split():
    """T1: what the workers see, put together, is the batch of the step, bit for bit, whatever their number."""
    seen = []

    def net(p, x, t, y, L):
        seen.append((threading.get_ident(), x, t, y))
        return mlp.mlp(p, x, t, y, L)

    p, one = network(0), drawn(10)
    for workers in (1, 2, 4):
        training.value_and_grad(net, p, one, fast, workers)
        assert len(seen) == len({thread for thread, *_ in seen}) == workers
        rows = sorted((x for _, *x in seen), key=lambda part: np.flatnonzero(one.clock == part[1][0])[0])
        for i, whole in enumerate((one.x, one.clock, one.y)):
            np.testing.assert_array_equal(np.concatenate([part[i] for part in rows]), whole)
        seen.clear()


def test_all_reduce_is_pluggable():
    """T1: all_reduce gets one loss and gradient per slice, in order, and its answer is the result, in training too."""
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


def test_ranks_in_the_place_of_threads():
    """T1: ranks that each differentiate their slice and share one sum, as MPI's would, all end with the gradient of the whole batch."""
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
    """Threads of each matrix library in the process."""
    return [library.num_threads for library in parallel._libraries()]


def test_blas_is_held_to_one_thread_and_let_go():
    """T1: the matrix library has one thread inside, nested and concurrent holds included, and its own number afterwards, errors included."""
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


def test_errors_of_workers_are_the_callers():
    """T1: an error on any thread is raised where the call stands, when all threads are done, and the next call works."""
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


def test_workers_see_the_callers_error_state():
    """T1: what NumPy is told to raise, it raises on every thread."""
    for i in range(2):
        tasks = [partial(np.divide, 1.0, float(j != i)) for j in range(2)]
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            parallel.run(tasks)
        with np.errstate(divide="ignore"):
            assert parallel.run(tasks)[i] == np.inf


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_makes_its_own_threads():
    """T1: a process forked after threads were used, without them, makes new ones instead of waiting for ever."""
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


@pytest.mark.parametrize("workers, error", [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_wrong_workers(workers, error):
    """A wrong number of workers is named, with what is allowed."""
    with pytest.raises(error, match=re.escape(f"workers = {workers!r}; allowed:")):
        training.value_and_grad(mlp.mlp, network(0), drawn(3), fast, workers)


def test_waiting_for_the_interpreter(request):
    """While threads work, one that waits for the interpreter looks again soon; afterwards the caller's setting is back, whoever leaves last."""
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(0.003)
    before = sys.getswitchinterval()
    with parallel.one_blas_thread():
        with parallel.one_blas_thread():
            assert sys.getswitchinterval() < 1e-5
        assert sys.getswitchinterval() < 1e-5
    assert sys.getswitchinterval() == before


def test_default_workers():
    """T1: one worker per core, but none with less than `WORK` numbers times parameters."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert [parallel.default_workers(work) for work in (0, 1, parallel.WORK, 2 * parallel.WORK - 1)] == [1, 1, 1, 1]
    assert parallel.default_workers(2 * parallel.WORK) == min(cores, 2)
    assert parallel.default_workers(1e12) == cores


def test_kept_memory(monkeypatch):
    """Memory is handed out again when an array and its views are gone, not before; past the limit it is forgotten."""
    shape, dtype = (5, 7), np.dtype(np.float32)
    first = buffers.empty(shape, dtype)
    where, view = first.ctypes.data, first[1:3].T[:2]
    del first
    assert where % buffers.CACHE_LINE == 0 and buffers.empty(shape, dtype).ctypes.data != where
    del view
    assert where in {array.ctypes.data for array in [buffers.empty(shape, dtype) for _ in range(1)] + [buffers.empty(shape, dtype)]}
    monkeypatch.setattr(buffers, "LIMIT", 1)
    buffers.empty((13, 17), dtype)
    assert list(buffers._thread.memory) == [((13, 17), dtype)]


# Training


@pytest.mark.parametrize("path", [flow.straight, schedules.cosine(25)])
@pytest.mark.parametrize("batch, first", [(5, 1), (5, 3), (600, 1), (600, 8), (1000, 6), (4096, 2)])
def test_batches_are_those_drawn_one_by_one(path, batch, first):
    """T1: batches drawn in blocks equal those of their own step bit for bit, wherever the run starts."""
    data, labels = problem(np.float32)
    config = Config(kind="x0", batch=batch, steps=first + 9)
    for y in (labels, None):
        ours = list(training.batches(first, data, y, path, config))
        assert len(ours) == 10
        for step, one in enumerate(ours, first):
            for a, b in zip(one, training.draw(step, data, y, path, config), strict=True):
                assert (a is b is None) or (a.dtype == b.dtype and a.tobytes() == b.tobytes())


def growth(losses, wobbled):
    """The yardstick: how far one rounding of every parameter at the start moves a run's losses."""
    return np.max(np.abs(np.subtract(losses, wobbled)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("L", [layers, fast])
def test_runs_agree_to_rounding(L, dtype):
    """T1: thirty steps on 1, 2 and 4 workers, by the text or the fast set, give the loss curve and the end of the text on one, to rounding."""
    config = Config(kind="velocity", steps=30, batch=48, rate=5e-3, warmup=4, decay=0.02, clip=0.7)
    start = training.start(network(1, dtype, width=16, features=8))
    text, text_states = losses_and_states(config, start, dtype)
    wobble = tree.map(lambda a: a * (1 + np.finfo(dtype).eps * (-1) ** np.arange(a.size, dtype=dtype).reshape(a.shape)), start.params)
    wobbled, wobbled_states = losses_and_states(config, replace(start, params=wobble), dtype)
    for workers in (1, 2, 4):
        losses, states = losses_and_states(config, start, dtype, L=L, workers=workers)
        assert [state.step for state in states] == list(range(1, 31))
        assert growth(losses, text) <= ROUNDING_GROWTH * growth(wobbled, text)
        for part in ("params", "ema", "moments"):
            ours, texts, moved = (tree.pack(getattr(run[-1], part))[0] for run in (states, text_states, wobbled_states))
            assert np.linalg.norm(ours - texts) <= ROUNDING_GROWTH * np.linalg.norm(moved - texts)
    assert growth(wobbled, text) <= COMPLEX_STEP * max(text) or dtype == np.float32


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("clip", [1e-3, 1e3])
@pytest.mark.parametrize(("block", "cores"), [(flat_state.BLOCK, 1), (flat_state.BLOCK, 3), (7, 1), (7, 3)])
def test_update_is_the_text(monkeypatch, decay, clip, block, cores):
    """T1: clipping, Adam with decay and the running average in place are the text's, whatever the block and the number of threads."""
    monkeypatch.setattr(flat_state, "BLOCK", block)
    monkeypatch.setattr(parallel, "PASS", 1)
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    config, p = Config(steps=50, batch=4, rate=0.1, warmup=3, decay=decay, clip=clip, ema=0.7), network(0)
    text, ours = training.start(p), fast.adopt(training.start(p))
    for step in range(1, 6):
        grads = frozen(tree.map(lambda leaf: rng.normal(step, 1, leaf.shape)[0], p))  # noqa: B023
        text, ours = training.update(text, grads, config), fast.update(ours, grads, config)
        assert ours.step == step
        for part in ("params", "ema", "moments"):
            assert relative(tree.pack(getattr(ours, part))[0], tree.pack(getattr(text, part))[0]) <= COMPLEX_STEP


def test_update_of_another_state_is_the_text_itself():
    """T1: a state that is not adopted, or of two precisions, is left to the text bit for bit, and not modified."""
    config, p = Config(steps=5, batch=4), network(0)
    mixed = p | {"label": {"table": p["label"]["table"].astype(np.float32)}}
    for params in (p, mixed):
        state = training.start(params)
        grads = tree.map(np.ones_like, params)
        ours = state if params is p else fast.adopt(state)
        assert same(fast.update(ours, grads, config), training.update(state, grads, config))
    with pytest.raises(ValueError, match="trees differ"):
        fast.update(fast.adopt(training.start(p)), {"w": np.ones(3)}, config)


@pytest.mark.parametrize("workers", [1, 2, None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resumed_equals_uninterrupted(workers, dtype):
    """T1: a fast run continued from any state it yielded, saved then, gives the same losses and states bit for bit; the state given stays."""
    config, start = Config(kind="velocity", steps=9, batch=1500, warmup=3), training.start(network(0, dtype))
    start = training.State(0, *map(frozen, (start.params, start.ema, start.moments)))
    run = partial(losses_and_states, config, dtype=dtype, L=fast, workers=workers)
    losses, states = run(start)
    for stop in (1, 4, 9):
        kept = replace(states[stop - 1])
        rest, rest_states = run(states[stop - 1])
        assert rest == losses[stop:] and all(map(same, rest_states, states[stop:]))
        assert same(states[stop - 1], kept)
    assert states[-1].step == 9


@pytest.mark.parametrize("forks", [True, False])
@pytest.mark.parametrize("clip", [1e-3, 1e3, np.inf])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_step_is_gradient_and_update(monkeypatch, workers, clip, forks):
    """T1: a whole step, shared out, is the text's, and without a limit on the gradient bit for bit `value_and_grad`, then `update`."""
    monkeypatch.setattr(processes, "FORKS", forks and processes.FORKS)
    config, p = Config(steps=50, batch=7, rate=0.1, warmup=3, decay=0.3, clip=clip, ema=0.7), network(0)
    text, ours, apart = training.start(p), fast.adopt(training.start(p)), fast.adopt(training.start(p))
    for target in range(4):
        one = drawn(7)._replace(target=drawn(7).target + target)
        text, text_loss = training.step(text, one, config)
        ours, loss = fast.step(ours, one, config, mlp.mlp, fast, workers)
        apart = fast.update(apart, fast.value_and_grad(mlp.mlp, apart.params, one, fast, workers)[1], config)
        assert relative(loss, text_loss) <= COMPLEX_STEP and ours.step == text.step
        assert clip < np.inf or same(ours, apart)
        for part in ("params", "ema", "moments"):
            assert relative(tree.pack(getattr(ours, part))[0], tree.pack(getattr(text, part))[0]) <= COMPLEX_STEP


def test_step_of_an_unlimited_gradient():
    """T1: a gradient whose norm is infinite leaves NaN where it is infinite, as in the text, or is an error if the loss is."""
    config, one, p = Config(steps=5, batch=7), drawn(7), network(0)
    far = one._replace(target=np.full_like(one.target, 1e200))
    for state in (training.start(p), fast.adopt(training.start(p))):
        before = tree.pack(state.params)[0]
        with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="loss = inf in step 1"):
            fast.step(state, far, config, mlp.mlp, fast, 2)
        np.testing.assert_array_equal(tree.pack(state.params)[0], before)
    grads = {name: {key: np.zeros_like(leaf) for key, leaf in layer.items()} for name, layer in p.items()}
    grads["layer0"]["w"][0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        text, ours = training.update(training.start(p), grads, config), fast.update(fast.adopt(training.start(p)), grads, config)
    np.testing.assert_array_equal(np.isnan(tree.pack(ours.params)[0]), np.isnan(tree.pack(text.params)[0]))
    assert np.isnan(ours.params["layer0"]["w"][0, 0]) and np.isinf(grads["layer0"]["w"][0, 0])


@pytest.mark.parametrize("what", ["value_and_grad", "update", "all_reduce"])
def test_step_uses_what_it_is_given(what):
    """T1: another loss, update or sum, in the op set or as an argument, is the one that is used."""
    calls, (given, right) = (
        [],
        {"value_and_grad": (fast, fast.value_and_grad), "update": (fast, fast.update), "all_reduce": (None, parallel.total)}[what],
    )

    def noted(*args):
        calls.append(what)
        return right(*args)

    L = SimpleNamespace(**vars(fast) | {what: noted}) if given else fast
    fast.step(fast.adopt(training.start(network(0))), drawn(4), Config(steps=5, batch=4), mlp.mlp, L, 2, parallel.total if given else noted)
    assert calls == [what]


def test_a_yielded_state_can_be_the_start_of_another_run():
    """T1: a run from the live state of a run left half way neither changes that state nor is changed by it."""
    config, data, labels = Config(kind="velocity", steps=6, batch=8), *problem()
    first = training.train(training.start(network(0)), data, labels, flow.straight, config, L=fast)
    live, _ = [next(first) for _ in range(3)][-1]
    before = tree.map(np.array, live.params)
    _, states = losses_and_states(config, live, L=fast)
    np.testing.assert_array_equal(tree.pack(live.params)[0], tree.pack(before)[0])
    assert [state.step for state in states] == [4, 5, 6]
    final = [state for state, _ in first][-1]
    assert same(final, states[-1])
