"""The training loop: batches, gradients, updates, and reproducibility."""

import re
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import flow, layers, mlp, optim, parallel, predict, rng, schedules, training, tree
from refdiff.training import Config

from ..strategies import frozen, tree_gradient
from ..tolerances import COMPLEX_STEP, IDENTITY, SIGMAS, relative, ulps

EPS = np.finfo(np.float64).eps
PATHS = {"linear": schedules.linear(1000), "cosine": schedules.cosine(25), "straight": flow.straight, "trigonometric": flow.trigonometric}
paths = pytest.mark.parametrize("name", PATHS)
seeds = st.integers(0, 10**6)


def problem(dtype=np.float64, n=7):
    """Points of the plane with two labels."""
    return frozen(rng.normal(1, n, (2,), stream=rng.DATA, dtype=dtype)), frozen(np.arange(n) % 2)


def network(seed, dtype=np.float64, **sizes):
    """A small network with random parameters, none zero."""
    p = mlp.init(seed, width=5, depth=2, features=4, classes=2, dtype=dtype, **sizes)
    return tree.map(lambda leaf: leaf + rng.normal(seed, 1, leaf.shape, stream=rng.START, dtype=dtype)[0] / 2, p)


def same(a, b):
    """Whether two trees are equal bit for bit."""
    a, b = tree.flatten(a), tree.flatten(b)
    return a.keys() == b.keys() and all(a[path].dtype == b[path].dtype and a[path].tobytes() == b[path].tobytes() for path in a)


def run(state, config, path=flow.straight, dtype=np.float64):
    """All states and losses of a run on the problem."""
    data, labels = problem(dtype)
    return list(training.train(state, data, labels, path, config))


@paths
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draw_is_algorithm_1(name, dtype):
    """T1, M4: x = signal x0 + sigma noise exactly, from a data point, the step's noise, time and label, with the target of the kind."""
    path, (data, labels), config = PATHS[name], problem(dtype), Config(batch=9, seed=5, label_dropout=0.5, classes=4)
    pick = rng.integers(5, 9, len(data), 33, rng.BATCH)
    x0, noise = data[pick], rng.normal(5, 9, (2,), 33, rng.NOISE, dtype)
    t = path.draw_time(rng.uniform(5, 9, 1, 33, rng.TIME)[:, 0])
    y = np.where(rng.uniform(5, 9, 1, 33, rng.LABEL)[:, 0] < 0.5, 4, labels[pick])
    signal, sigma = (values.astype(dtype)[:, None] for values in path.signal_sigma(t))
    for kind in ("x0", "eps", "v", "velocity"):
        batch = training.draw(33, data, labels, path, replace(config, kind=kind))
        np.testing.assert_array_equal(batch.x, signal * x0 + sigma * noise)
        np.testing.assert_array_equal(batch.clock, path.clock(t))
        np.testing.assert_array_equal(batch.y, y)
        np.testing.assert_array_equal(batch.target, predict.target(kind, x0, noise, t, path))
        assert batch.x.dtype == batch.target.dtype == dtype and batch.clock.dtype == np.float64
    assert training.draw(33, data, None, path, config).y is None


@paths
def test_targets_determine_the_data(name):
    """T1, R6: target and x determine the data point and the noise, the same for every kind."""
    path, (data, labels) = PATHS[name], problem()
    clock = training.draw(8, data, labels, path, Config(batch=16)).clock
    t = np.rint(clock * path.T / 1000).astype(int) if isinstance(path, schedules.Schedule) else clock / 1000
    signal, sigma = path.signal_sigma(t)
    noises = []
    for kind in ("x0", "eps", "v", "score", "velocity"):
        batch = training.draw(8, data, labels, path, Config(kind=kind, batch=16))
        x0, noise = (convert(batch.target, batch.x, t, path, kind) for convert in (predict.to_x0, predict.to_eps))
        gap = np.abs(x0[:, None] - data).max(axis=2).min(axis=1)
        assert (
            gap
            <= IDENTITY
            * EPS
            * np.maximum(1, np.abs(batch.x).max())
            * (1 + np.max(np.abs(batch.target), axis=1))
            / np.minimum(signal, sigma)
        ).all()
        noises.append(noise * sigma[:, None])
    for noise in noises[1:]:
        assert np.abs(noise - noises[0]).max() <= IDENTITY * EPS * np.abs(noises).max()


@paths
def test_times_are_uniform(name):
    """T1, M4: times of a schedule are uniform in 1..T, those of a flow in (0, 1)."""
    path, (data, _) = PATHS[name], problem()
    clock = training.draw(1, data, None, path, Config(kind="x0", batch=20_000)).clock
    discrete = isinstance(path, schedules.Schedule)
    fraction = clock / 1000 - (0.5 / path.T if discrete else 0)
    assert clock.min() > 0 and (clock.max() == 1000 if discrete else clock.max() < 1000)
    assert abs(fraction.mean() - 0.5) < SIGMAS / np.sqrt(12 * 20_000)
    assert abs((fraction**2).mean() - 1 / 3) < SIGMAS * np.sqrt(4 / 45 / 20_000) + (1 / (12 * path.T**2) if discrete else 0)


def test_draw_is_a_function_of_the_step():
    """T1: the batch is a function of seed and step, independent of earlier draws; other steps and seeds give other samples."""
    (data, labels), config = problem(), Config(batch=8)
    one, other = training.draw(4, data, labels, flow.straight, config), training.draw(5, data, labels, flow.straight, config)
    again, seeded = (
        training.draw(4, data, labels, flow.straight, config),
        training.draw(4, data, labels, flow.straight, replace(config, seed=1)),
    )
    larger = training.draw(4, data, labels, flow.straight, replace(config, batch=11))
    for a, b, c in zip(one, again, larger, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c[:8])
    assert (one.x != other.x).all() and (one.clock != other.clock).all() and (one.x != seeded.x).all() and (one.clock != seeded.clock).all()


@pytest.mark.parametrize("path", [flow.straight, schedules.cosine(25)])
@pytest.mark.parametrize("batch, first", [(5, 1), (5, 3), (600, 1), (600, 8), (1000, 6), (4096, 2)])
def test_batches_equal_single_draws(path, batch, first):
    """T1: batches drawn in blocks equal those of single steps bit for bit, from any first step."""
    data, labels = problem(np.float32, 40)
    config = Config(kind="x0", batch=batch, steps=first + 9)
    for y in (labels, None):
        ours = list(training.batches(first, data, y, path, config))
        assert len(ours) == 10
        for step, one in enumerate(ours, first):
            for a, b in zip(one, training.draw(step, data, y, path, config), strict=True):
                assert (a is b is None) or (a.dtype == b.dtype and a.tobytes() == b.tobytes())


@pytest.mark.parametrize("batch", [1, 7, 4096, 9999])
def test_batches_are_drawn_in_blocks(batch, monkeypatch):
    """T1: the steps of a block are drawn at once, as many as have 8192 numbers of data, but at least one, and no block without need."""
    drawn, draw = [], training.loop.draw
    monkeypatch.setattr(training.loop, "draw", lambda steps, *arguments: (drawn.append(steps), draw(steps, *arguments))[1])
    most = max(1, 8192 // (2 * batch))
    assert len(list(training.batches(most + 1, *problem(), flow.straight, Config(batch=batch, steps=2 * most)))) == most
    (steps,) = drawn
    np.testing.assert_array_equal(steps, np.arange(most + 1, 2 * most + 1))


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.7, 1.0])
def test_label_dropout(probability):
    """G3, T1: labels are those of the drawn points or, with the given probability, the index after the last class; nothing else."""
    (data, labels), n = problem(), 20_000
    batch = training.draw(2, data, labels, flow.straight, Config(kind="x0", batch=n, label_dropout=probability))
    dropped = batch.y == 2
    assert abs(dropped.mean() - probability) <= SIGMAS * np.sqrt(probability * (1 - probability) / n)
    picked = np.array([np.flatnonzero((data == x0).all(axis=1))[0] for x0 in batch.target[:500]])
    np.testing.assert_array_equal(batch.y[:500][~dropped[:500]], labels[picked][~dropped[:500]])
    assert batch.y.min() >= 0 and batch.y.max() <= 2 and batch.y.shape == (n,)


@given(seeds, st.sampled_from(sorted(PATHS)), st.sampled_from(["x0", "eps", "v", "velocity"]), st.integers(1, 4), st.booleans())
def test_value_and_grad(seed, name, kind, batch_size, labelled):
    """T1: the summed squared error, and its gradient in every parameter by complex step."""
    (data, labels), p = problem(), frozen(network(seed))
    batch = training.draw(1, data, labels if labelled else None, PATHS[name], Config(kind=kind, batch=batch_size, seed=seed))
    loss, grads = training.value_and_grad(mlp.mlp, p, batch)

    def total(shifted):
        return ((mlp.mlp(shifted, batch.x, batch.clock, batch.y)[0] - batch.target) ** 2).sum()

    assert isinstance(loss, float) and ulps(loss, total(p)) <= IDENTITY
    assert tree.map(np.shape, grads) == tree.map(np.shape, p)
    assert relative(tree.pack(grads)[0], tree.pack(tree_gradient(total, p))[0]) <= COMPLEX_STEP


def test_update_takes_the_mean_gradient():
    """T1: an update takes the summed gradient divided by the batch size: Adam's first moments are (1 - beta) g / B and (1 - beta) (g / B)^2."""
    grads = tree.map(lambda leaf: 3 + leaf, network(0))
    moments = training.update(training.start(network(0)), grads, Config(batch=8, clip=np.inf)).moments
    for name, expected in ("m", lambda g: 0.1 * (g / 8)), ("v", lambda g: 0.001 * (g / 8) ** 2):
        assert relative(tree.pack(moments[name])[0], expected(tree.pack(grads)[0])) <= IDENTITY * EPS / 0.001


@pytest.mark.parametrize("limit", [0.3, np.inf])
def test_step_by_hand(limit):
    """T1: a step is the mean gradient, clipped, Adam with the step's rate and decay, then the EMA; no state is modified."""
    config = Config(steps=9, batch=6, rate=0.05, warmup=4, decay=0.2, clip=limit, ema=0.8, seed=2)
    (data, labels), state = problem(), training.start(network(0))
    for step, (after, loss) in enumerate(run(training.State(0, *map(frozen, (state.params, state.ema, state.moments))), config), 1):
        total, grads = training.value_and_grad(mlp.mlp, state.params, training.draw(step, data, labels, flow.straight, config))
        clipped, norm = optim.clip(tree.map(lambda g: g / 6, grads), limit)
        assert norm > 0.3 and relative(loss, total / 6) <= EPS
        rate = 0.05 * step / 4 if step <= 4 else optim.learning_rate(step, 0.05, 4, 9)
        params, moments = optim.adam(state.params, clipped, state.moments, step, rate, decay=0.2)
        state = training.State(step, params, optim.ema(state.ema, params, 0.8), moments)
        for ours, theirs in (state.params, after.params), (state.ema, after.ema), (state.moments, after.moments):
            assert relative(tree.pack(theirs)[0], tree.pack(ours)[0]) <= COMPLEX_STEP
        assert after.step == step


def test_start_and_ema():
    """T1: a run starts at step 0 with zero EMA and moments; its model is the initial parameters, and after one step the new ones."""
    p, config = network(0), Config(steps=3, batch=4, ema=0.9)  # the rate of the last step is 0
    state = training.start(p)
    assert state.step == 0 and state.params is p and state.averaged(config) is p
    assert not any(leaf.any() for leaf in tree.flatten({"a": state.ema, "m": state.moments}).values())
    assert state.moments.keys() == {"m", "v"} and tree.map(np.shape, state.ema) == tree.map(np.shape, p)
    (first, _), (second, _), _ = run(state, config)
    assert relative(tree.pack(second.params)[0], tree.pack(first.params)[0]) > 1e-5
    assert relative(tree.pack(first.averaged(config))[0], tree.pack(first.params)[0]) <= IDENTITY * EPS
    mean = tree.map(lambda a, b: (0.9 * a + b) / 1.9, first.params, second.params)
    assert relative(tree.pack(second.averaged(config))[0], tree.pack(mean)[0]) <= IDENTITY * EPS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["cosine", "straight"])
def test_resumed_equals_uninterrupted(name, dtype):
    """T1: a run resumed from any of its states gives the same states and losses bit for bit, in the precision of its parameters."""
    config = Config(steps=8, batch=5, warmup=3)
    whole = run(training.start(network(0, dtype)), config, PATHS[name], dtype)
    assert [state.step for state, _ in whole] == list(range(1, 9))
    for stop in (1, 5, 8):
        rest = run(whole[stop - 1][0], config, PATHS[name], dtype)
        assert [loss for _, loss in rest] == [loss for _, loss in whole[stop:]]
        for (a, _), (b, _) in zip(rest, whole[stop:], strict=True):
            assert a.step == b.step and all(same(getattr(a, part), getattr(b, part)) for part in ("params", "ema", "moments"))
    assert {leaf.dtype for leaf in tree.flatten(vars(whole[-1][0]) | {"step": np.zeros((), dtype)}).values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("kind, name", [("eps", "cosine"), ("v", "cosine"), ("x0", "linear"), ("velocity", "straight")])
def test_loss_decreases(kind, name):
    """T1: on two points of the plane, 300 steps more than halve the loss, for every objective."""
    data, labels = np.array([[1.0, 2.0], [-2.0, 0.5]]), np.arange(2)
    p = mlp.init(0, width=32, depth=2, features=16, classes=2, dtype=np.float64)
    config = Config(kind=kind, steps=300, batch=64, rate=1e-2, warmup=20)
    losses = [loss for _, loss in training.train(training.start(p), data, labels, PATHS[name], config)]
    assert np.mean(losses[-30:]) < np.mean(losses[:30]) / 2


def test_short_runs():
    """T1: a run of no steps or at its end yields nothing, and a run shorter than its warm-up only warms up."""
    state = training.start(network(0))
    assert run(state, Config(steps=0)) == []
    assert run(training.State(3, state.params, state.ema, state.moments), Config(steps=3)) == []
    after = [state for state, _ in run(state, Config(steps=4, batch=4, warmup=100, rate=0.1))]
    first = tree.pack(after[0].params)[0] - tree.pack(state.params)[0]
    assert relative(np.abs(first).max(), 0.1 / 3) <= 1e-6, "Adam's first step has the size of the rate, up to its eps"


@paths
def test_as_model(name):
    """T1: the network as a model in its path's own time, with or without labels."""
    path, p, x = PATHS[name], network(0), problem()[0]
    model = training.as_model(p, path)
    t = np.array([1, 3, 5, 7, 11, 13, 17]) if isinstance(path, schedules.Schedule) else np.linspace(0, 1, 7)
    clock = t * 1000 / path.T if isinstance(path, schedules.Schedule) else 1000 * t
    for y in None, np.array([0, 1, 2, 0, 1, 2, 0]):
        np.testing.assert_allclose(model(x, t, y), mlp.mlp(p, x, clock, y)[0], rtol=COMPLEX_STEP)
        np.testing.assert_allclose(model(x, t[3], y), mlp.mlp(p, x, clock[3], y)[0], rtol=COMPLEX_STEP)
    np.testing.assert_array_equal(model(x, t), model(x, t, np.full(7, 2)))


def test_networks_and_layers_are_arguments():
    """T1: train, value_and_grad and as_model use the network and the layers of their arguments."""
    seen = []

    def net(p, x, t, y, L):
        seen.append(L)
        return layers.linear(p, x)

    data, p, ops = problem()[0], {"w": np.eye(2), "b": np.ones(2)}, object()
    config = Config(steps=1, batch=3)
    ((state, _),) = training.train(training.start(p), data, None, flow.straight, config, net, ops)
    np.testing.assert_array_equal(training.as_model(p, flow.straight, net, ops)(data, 0.5), data + 1)
    training.value_and_grad(net, p, training.draw(1, data, None, flow.straight, config), ops)
    assert seen == [ops] * 3 and state.step == 1


def test_layers_may_bring_their_own_steps():
    """T1: the loop calls `adopt` and `step` of the layers, and a step their `value_and_grad` and `update`, with all that it was given."""
    state, (data, labels), config = training.start(network(0)), problem(), Config(steps=1, batch=3)
    seen, batch, own, done = (
        [],
        training.draw(1, data, labels, flow.straight, config),
        training.start(network(1)),
        training.start(network(2)),
    )
    L = SimpleNamespace(
        adopt=lambda given: (seen.append(("adopt", given)), own)[1],
        step=lambda *given: (seen.append(("step", given[0], *given[2:])), (done, 12.0))[1],
        value_and_grad=lambda *given: (seen.append(("value_and_grad", *given)), (7.0, "grads"))[1],
        update=lambda *given: (seen.append(("update", *given)), done)[1],
    )
    assert list(training.train(state, data, labels, flow.straight, config, "net", L, 5, max)) == [(done, 4.0)]
    assert seen == [("adopt", state), ("step", own, config, "net", L, 5, max)]
    seen.clear()
    assert training.step(state, batch, config, "net", L, 5, max) == (done, 7.0)
    assert seen == [("value_and_grad", "net", state.params, batch, L, 5, max), ("update", state, "grads", config)]
    seen.clear()
    training.step(state, batch, config, "net", L)
    list(training.train(state, data, labels, flow.straight, config, "net", L))
    assert [call[-2:] for call in (seen[0], seen[3])] == [(1, parallel.total)] * 2, "one worker and the sum by default"


def test_a_single_worker_keeps_the_threads_of_blas(monkeypatch):
    """T1: a step and its gradient limit BLAS for the number of workers that they were given."""
    asked, state = [], training.start(network(0))
    batch = training.draw(1, *problem(), flow.straight, Config(batch=4))
    monkeypatch.setattr(parallel, "blas_threads", lambda workers: (asked.append(workers), nullcontext())[1])
    for workers in 1, 2, None:
        training.step(state, batch, Config(batch=4), workers=workers)
    assert asked == [1, 1, 2, 2, None, None]


def test_defaults():
    """T1: the default configuration, and no warm-up as the shortest."""
    assert Config(warmup=0).warmup == 0
    plain = Config()
    assert (plain.kind, plain.steps, plain.batch, plain.rate, plain.warmup) == ("eps", 4000, 256, 2e-3, 100)
    assert (plain.decay, plain.clip, plain.ema, plain.label_dropout, plain.seed) == (0.0, 1.0, 0.999, 0.1, 0)


DATA, LABELS = problem()


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: training.draw(1, DATA, None, flow.straight, Config(kind="noise")), ValueError, "kind = 'noise'; allowed: x0, eps, v"),
        (lambda: training.draw(1, LABELS[:, None], None, flow.straight, Config()), TypeError, "data is"),
        (lambda: training.draw(-1, DATA, None, flow.straight, Config()), ValueError, "step = "),
        (
            lambda: training.draw(1, DATA[:0], None, flow.straight, Config()),
            ValueError,
            "data has 0 examples, labels 0; allowed: 1 or more",
        ),
        (
            lambda: training.draw(1, DATA, LABELS[:3], flow.straight, Config()),
            ValueError,
            "data has 7 examples, labels 3; allowed: 1 or more",
        ),
        (lambda: training.draw(1, DATA, LABELS, flow.straight, Config(label_dropout=1.5)), ValueError, "label_dropout = 1.5; allowed"),
        (lambda: training.draw(1, DATA, None, flow.straight, Config(seed=-1)), ValueError, "seed = -1; allowed"),
        (lambda: training.as_model(network(0), PATHS["cosine"])(DATA, 26), ValueError, "t = 26; allowed: 0..25"),
        (
            lambda: next(training.train(training.start(network(0)), DATA, None, flow.straight, Config(clip=0))),
            ValueError,
            "clip = 0; allowed",
        ),
    ],
)
def test_errors(call, error, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(error, match="^" + re.escape(message)):
        call()


@pytest.mark.parametrize("size", [1e200, 1e308])
def test_diverging_run_stops(size):
    """T1: a loss of NaN or infinity stops the run with an error that gives the step."""
    start = training.start(tree.map(lambda leaf: leaf * size, network(0)))
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=r"^loss = (nan|inf) in step 1; allowed: finite"):
        next(training.train(start, *problem(), flow.straight, Config(kind="velocity", steps=5, batch=4)))


def test_losses_are_finite_or_an_error():
    """T1: `check_loss` accepts finite numbers, and otherwise raises with step and rate."""
    config = Config("eps", 5, rate=0.25)
    training.check_loss(1e308, 3, config)
    for loss in (np.nan, np.inf, -np.inf):
        with pytest.raises(FloatingPointError, match=f"^loss = {loss} in step 3; allowed: finite. A smaller rate, 0.25 now, may help"):
            training.check_loss(loss, 3, config)
