"""Fast training steps and whole runs against the reference implementation."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from refdiff import fast, flow, layers, mlp, parallel, rng, training, tree
from refdiff.fast import flat_state, processes
from refdiff.training import Config

from ..strategies import frozen
from ..tolerances import COMPLEX_STEP, ROUNDING_GROWTH, relative
from ..training.small_runs import drawn, losses_and_states, network, problem


def same(a, b):
    """Two states, equal bit for bit."""
    trees = [tree.flatten({"p": s.params, "a": s.ema, "m": s.moments}) for s in (a, b)]
    return a.step == b.step and all(trees[0][path].tobytes() == leaf.tobytes() for path, leaf in trees[1].items())


def growth(losses, wobbled):
    """Largest difference between two loss curves; for a start perturbed by one rounding, the scale of the tolerance."""
    return np.max(np.abs(np.subtract(losses, wobbled)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("L", [layers, fast])
def test_runs_agree_to_rounding(L, dtype):
    """T1: thirty steps on 1, 2 and 4 workers, with reference or fast layers, equal the reference on one worker up to rounding."""
    config = Config(kind="velocity", steps=30, batch=48, rate=5e-3, warmup=4, decay=0.02, clip=0.7)
    start = training.start(network(1, dtype, width=16, features=8))
    reference, reference_states = losses_and_states(config, start, dtype)
    wobble = tree.map(lambda a: a * (1 + np.finfo(dtype).eps * (-1) ** np.arange(a.size, dtype=dtype).reshape(a.shape)), start.params)
    wobbled, wobbled_states = losses_and_states(config, replace(start, params=wobble), dtype)
    for workers in (1, 2, 4):
        losses, states = losses_and_states(config, start, dtype, L=L, workers=workers)
        assert [state.step for state in states] == list(range(1, 31))
        assert growth(losses, reference) <= ROUNDING_GROWTH * growth(wobbled, reference)
        for part in ("params", "ema", "moments"):
            ours, expected, moved = (tree.pack(getattr(run[-1], part))[0] for run in (states, reference_states, wobbled_states))
            assert np.linalg.norm(ours - expected) <= ROUNDING_GROWTH * np.linalg.norm(moved - expected)
    assert growth(wobbled, reference) <= COMPLEX_STEP * max(reference) or dtype == np.float32


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("clip", [1e-3, 1e3])
@pytest.mark.parametrize(("block", "cores"), [(flat_state.BLOCK, 1), (flat_state.BLOCK, 3), (7, 1), (7, 3)])
def test_update_equals_reference(monkeypatch, decay, clip, block, cores):
    """T1: clipping, Adam with decay and EMA in place equal the reference, for any block size and number of threads."""
    monkeypatch.setattr(flat_state, "BLOCK", block)
    monkeypatch.setattr(parallel, "PASS", 1)
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    config, p = Config(steps=50, batch=4, rate=0.1, warmup=3, decay=decay, clip=clip, ema=0.7), network(0)
    reference, ours = training.start(p), fast.adopt(training.start(p))
    for step in range(1, 6):
        grads = frozen(tree.map(lambda leaf: rng.normal(step, 1, leaf.shape)[0], p))  # noqa: B023
        reference, ours = training.update(reference, grads, config), fast.update(ours, grads, config)
        assert ours.step == step
        for part in ("params", "ema", "moments"):
            assert relative(tree.pack(getattr(ours, part))[0], tree.pack(getattr(reference, part))[0]) <= COMPLEX_STEP


def test_update_of_another_state_is_the_reference():
    """T1: a state that is not adopted, or of two precisions, is updated by the reference bit for bit, and not modified."""
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
    """T1: a fast run resumed from any of its states gives the same losses and states bit for bit; the given state is not modified."""
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
    """T1: a whole step on several workers equals the reference, and without gradient clipping `value_and_grad` then
    `update` bit for bit.
    """
    monkeypatch.setattr(processes, "FORKS", forks and processes.FORKS)
    config, p = Config(steps=50, batch=7, rate=0.1, warmup=3, decay=0.3, clip=clip, ema=0.7), network(0)
    reference, ours, apart = training.start(p), fast.adopt(training.start(p)), fast.adopt(training.start(p))
    for target in range(4):
        one = drawn(7)._replace(target=drawn(7).target + target)
        reference, reference_loss = training.step(reference, one, config)
        ours, loss = fast.step(ours, one, config, mlp.mlp, fast, workers)
        apart = fast.update(apart, fast.value_and_grad(mlp.mlp, apart.params, one, fast, workers)[1], config)
        assert relative(loss, reference_loss) <= COMPLEX_STEP and ours.step == reference.step
        assert clip < np.inf or same(ours, apart)
        for part in ("params", "ema", "moments"):
            assert relative(tree.pack(getattr(ours, part))[0], tree.pack(getattr(reference, part))[0]) <= COMPLEX_STEP


def test_step_of_an_unlimited_gradient():
    """T1: an infinite gradient gives NaN where it is infinite, as in the reference; an infinite loss raises."""
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
        reference, ours = training.update(training.start(p), grads, config), fast.update(fast.adopt(training.start(p)), grads, config)
    np.testing.assert_array_equal(np.isnan(tree.pack(ours.params)[0]), np.isnan(tree.pack(reference.params)[0]))
    assert np.isnan(ours.params["layer0"]["w"][0, 0]) and np.isinf(grads["layer0"]["w"][0, 0])


@pytest.mark.parametrize("what", ["value_and_grad", "update", "all_reduce"])
def test_step_uses_what_it_is_given(what):
    """T1: another gradient, update or sum, given in the layers or as an argument, is used."""
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


def test_yielded_state_starts_another_run():
    """T1: a run from the live state of an unfinished run neither changes that state nor is changed by it."""
    config, data, labels = Config(kind="velocity", steps=6, batch=8), *problem()
    first = training.train(training.start(network(0)), data, labels, flow.straight, config, L=fast)
    live, _ = [next(first) for _ in range(3)][-1]
    before = tree.map(np.array, live.params)
    _, states = losses_and_states(config, live, L=fast)
    np.testing.assert_array_equal(tree.pack(live.params)[0], tree.pack(before)[0])
    assert [state.step for state in states] == [4, 5, 6]
    final = [state for state, _ in first][-1]
    assert same(final, states[-1])
