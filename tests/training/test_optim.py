"""Optimizers against their recursions in 50 digits."""

import re

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import optim, rng, tree

from ..strategies import frozen
from ..tolerances import IDENTITY, adam_roundings, relative, ulps

EPS = np.finfo(np.float64).eps


def params_and_grads(seed, steps=5):
    """A small tree, and gradients for some steps, of sizes from 1e-3 to 1e3."""
    shapes = {"a": {"w": np.empty((2, 3)), "b": np.empty(3)}, "c": np.empty(())}
    count = iter(range(10**6))
    params = tree.map(lambda leaf: rng.normal(seed, 1, leaf.shape, next(count))[0], shapes)
    scale = [10.0 ** (3 * np.sin(step)) for step in range(steps)]
    return params, [tree.map(lambda leaf, s=s: s * rng.normal(seed, 1, leaf.shape, next(count))[0], shapes) for s in scale]


def exact_adam(theta, grads, rate, beta1, beta2, eps, decay):
    """Adam and AdamW on one number, by the papers, and the error of float64; decay multiplies theta as it was before the step."""
    rate, beta1, beta2, eps, decay = (mpmath.mpf(value) for value in (rate, beta1, beta2, eps, decay))
    theta, m, v, largest, slack = mpmath.mpf(float(theta)), mpmath.mpf(0), mpmath.mpf(0), 0, 0
    for k, g in enumerate(grads, 1):
        g = mpmath.mpf(float(g))
        largest = max(largest, abs(g))
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        divisor = mpmath.sqrt(v / (1 - beta2**k)) + eps
        slack += EPS / 2 * (3 * abs(theta) + rate * (largest / divisor * adam_roundings(beta1, beta2) + 4 * decay * abs(theta)))
        theta -= rate * (m / (1 - beta1**k) / divisor + decay * theta)
    return theta, m, v, slack


@given(st.integers(0, 10**6), st.floats(1e-4, 1), st.floats(0, 0.99), st.floats(0, 0.9999), st.floats(1e-10, 1e-1), st.floats(0, 0.5))
def test_adam_is_the_recursion(seed, rate, beta1, beta2, eps, decay):
    """T1: five steps of Adam and AdamW equal the papers' recursion in 50 digits, for any constants; arguments are not modified."""
    check_adam(seed, {"rate": rate, "beta1": beta1, "beta2": beta2, "eps": eps, "decay": decay})


@pytest.mark.parametrize("settings", [{}, {"decay": 0.25}, {"rate": 0.3, "beta1": 0.7, "beta2": 0.95, "eps": 0.05, "decay": 0.1}])
def test_adam_with_plain_numbers(settings):
    """T1: the defaults are rate 1e-3, beta1 0.9, beta2 0.999, eps 1e-8, no decay."""
    check_adam(1, settings)


def check_adam(seed, settings):
    constants = {"rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.0} | settings
    params, grads = params_and_grads(seed)
    theta, state = frozen(params), optim.init(params)
    assert all((leaf == 0).all() for leaf in tree.flatten(state).values())
    for step, g in enumerate(grads, 1):
        theta, state = optim.adam(frozen(theta), frozen(g), frozen(state), step, **settings)
    flat = [tree.flatten(g) for g in grads]
    for path, start in tree.flatten(params).items():
        for i in np.ndindex(start.shape):
            with mpmath.workdps(50):
                exact, m, v, slack = exact_adam(start[i], [g[path][i] for g in flat], **constants)
            largest = max(abs(float(g[path][i])) for g in flat)
            assert abs(tree.flatten(theta)[path][i] - exact) <= slack
            assert abs(tree.flatten(state["m"])[path][i] - m) <= IDENTITY * EPS * largest
            assert abs(tree.flatten(state["v"])[path][i] - v) <= IDENTITY * EPS * largest**2


@given(st.integers(0, 10**6), st.floats(0, 0.9999))
def test_ema_is_the_weighted_mean(seed, decay):
    """T1: the debiased EMA is the mean of all parameters with weights decay^age; after one step, the parameters themselves."""
    _, history = params_and_grads(seed, 4)
    flat = [tree.pack(params)[0] for params in history]
    average = tree.map(np.zeros_like, history[0])
    for step, params in enumerate(history, 1):
        average = optim.ema(frozen(average), frozen(params), decay)
        result = tree.pack(optim.ema_debiased(frozen(average), step, decay))[0]
        weights = [mpmath.mpf(decay) ** (step - k) for k in range(1, step + 1)]
        exact = sum(weight * past for weight, past in zip(weights, flat, strict=False)) / sum(weights)
        slack = (IDENTITY + 1 / (1 - decay)) * EPS * np.max(np.abs(flat[:step]), axis=0)
        assert (np.abs(result - exact) <= slack).all()
        assert step > 1 or ulps(result, flat[0]) <= 2


def test_ema_defaults():
    """T1: `ema` and `ema_debiased` have a default decay of 0.999."""
    average, params = {"a": np.array([2.0, -3.0])}, {"a": np.array([5.0, 7.0])}
    np.testing.assert_array_equal(optim.ema(average, params)["a"], optim.ema(average, params, 0.999)["a"])
    np.testing.assert_array_equal(optim.ema_debiased(average, 3)["a"], optim.ema_debiased(average, 3, 0.999)["a"])
    assert relative(optim.ema(average, params, 0.75)["a"], [2.75, -0.5]) <= EPS


@given(st.integers(0, 10**6), st.floats(0.01, 10))
def test_clip_keeps_the_direction(seed, limit):
    """T1: a gradient above the limit is scaled to it, one below is unchanged bit for bit; the norm before is returned."""
    _, (grads, *_) = params_and_grads(seed)
    flat = tree.pack(grads)[0]
    clipped, norm = optim.clip(frozen(grads), limit)
    assert ulps(norm, np.linalg.norm(flat)) <= IDENTITY and norm == optim.global_norm(grads)
    if norm <= limit:
        np.testing.assert_array_equal(tree.pack(clipped)[0], flat)
    else:
        assert relative(tree.pack(clipped)[0], flat * (limit / norm)) <= IDENTITY * EPS
        assert ulps(optim.global_norm(clipped), limit) <= IDENTITY


def test_global_norm_is_in_float64():
    """T1: squares are summed in float64: none is lost beside a large one, also in float32."""
    grads = {"a": np.array([2.0**12] + 7 * [1.0], np.float32), "b": np.ones(2, np.float32)}
    assert optim.global_norm(grads) == (2.0**24 + 9) ** 0.5


def test_clip_by_hand():
    """T1: a gradient of norm 5, against limits of 10, 5 and 1, and none."""
    grads = {"a": np.array([3.0]), "b": {"c": np.array([[-4.0]])}}
    for limit, factor in (np.inf, 1.0), (10.0, 1.0), (5.0, 1.0), (1.0, 0.2):
        clipped, norm = optim.clip(grads, limit)
        assert norm == 5.0
        assert relative(tree.pack(clipped)[0], np.array([3.0, -4.0]) * factor) <= EPS


def test_learning_rate_ends_and_middle():
    """T1: a linear rise to the peak at warmup, half a cosine to the floor at total, and the floor after it."""
    rate = lambda step, warmup=10: optim.learning_rate(step, 3.0, warmup, 30, 0.5)  # noqa: E731
    assert [rate(step) for step in (1, 5, 10)] == [0.3, 1.5, 3.0]
    assert rate(30) == rate(31) == rate(10**6) == 0.5
    assert ulps(rate(20), 1.75) <= 2 and ulps(rate(15, 0), 1.75) <= 2
    assert rate(10) > rate(11) > rate(29) > rate(30)
    assert optim.learning_rate(30, 3.0, 10, 30) == 0.0


@given(st.integers(0, 50), st.integers(1, 100), st.integers(1, 200), st.floats(1e-5, 1), st.floats(0, 1))
def test_learning_rate_is_the_formula(warmup, rest, step, peak, floor):
    """T1: both pieces of the schedule, in 50 digits."""
    total = warmup + rest
    with mpmath.workdps(50):
        progress = min(mpmath.mpf(1), mpmath.mpf(step - warmup) / rest)
        cosine = floor + (mpmath.mpf(peak) - floor) * (1 + mpmath.cos(mpmath.pi * progress)) / 2
        exact = mpmath.mpf(peak) * step / warmup if step <= warmup else cosine
    assert abs(optim.learning_rate(step, peak, warmup, total, floor) - exact) <= IDENTITY * EPS * max(peak, floor)


@pytest.mark.parametrize("scalar", [float, np.float64])
def test_float32_is_preserved(scalar):
    """T1: every optimizer preserves float32 parameters, with Python's or NumPy's numbers as constants."""
    params = tree.map(lambda leaf: leaf.astype(np.float32), params_and_grads(0)[0])
    new, state = optim.adam(params, params, optim.init(params), 1, scalar(0.1), scalar(0.9), scalar(0.99), scalar(1e-8), scalar(0.1))
    average = optim.ema(params, params, scalar(0.9))
    for result in new, state, average, optim.ema_debiased(average, 1, scalar(0.9)), optim.clip(params, scalar(0.1))[0]:
        assert {leaf.dtype for leaf in tree.flatten(result).values()} == {np.dtype(np.float32)}
    assert isinstance(optim.global_norm(params), float)


A = {"a": np.ones(2)}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: optim.adam(A, A, optim.init(A), 0), "step = 0; allowed: 1.."),
        (lambda: optim.adam(A, A, optim.init(A), 1, beta1=1.0), "1 - beta1 = 0.0; allowed: finite, in (0, 1]"),
        (lambda: optim.adam(A, A, optim.init(A), 1, beta1=-0.5), "1 - beta1 = 1.5; allowed: finite, in (0, 1]"),
        (lambda: optim.adam(A, A, optim.init(A), 1, beta2=1.0), "1 - beta2 = 0.0; allowed: finite, in (0, 1]"),
        (lambda: optim.adam(A, A, optim.init(A), 1, beta2=-0.5), "1 - beta2 = 1.5; allowed: finite, in (0, 1]"),
        (lambda: optim.ema_debiased(A, 1, 1.0), "1 - decay = 0.0; allowed: finite, in (0, 1]"),
        (lambda: optim.ema_debiased(A, 1, -0.5), "1 - decay = 1.5; allowed: finite, in (0, 1]"),
        (lambda: optim.adam(A, {"b": A["a"]}, optim.init(A), 1), "grads has the arrays b; allowed: a, as params has"),
        (lambda: optim.ema(A, A, 1.5), "decay = 1.5; allowed: finite, in [0, 1]"),
        (lambda: optim.ema(A, A, -0.5), "decay = -0.5; allowed: finite, in [0, 1]"),
        (lambda: optim.ema_debiased(A, 0), "step = 0; allowed: 1.."),
        (lambda: optim.clip(A, 0.0), "limit = 0.0; allowed: above 0, inf for no limit"),
        (lambda: optim.clip(A, float("nan")), "limit = nan; allowed: finite"),
        (lambda: optim.learning_rate(0, 1.0, 0, 5), "step = 0; allowed: 1.."),
        (lambda: optim.learning_rate(1, 1.0, 5, 5), "warmup = 5; allowed: 0..total - 1 = 4"),
        (lambda: optim.learning_rate(1, 1.0, -1, 5), "warmup = -1; allowed: 0..total - 1 = 4"),
    ],
)
def test_errors(call, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        call()
