"""Every layer: its value by the formula, its derivative by complex step over inputs and all parameters, its errors."""

import re

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import layers, rng, tree

from ..strategies import frozen, tree_gradient
from ..tolerances import COMPLEX_STEP, IDENTITY, TIME_FEATURES

EPS = np.finfo(np.float64).eps
batches = st.integers(0, 4)
widths = st.integers(1, 5)
seeds = st.integers(0, 10**6)


def numbers(seed, shape, step=0, dtype=np.float64):
    """Normal random numbers in a read-only array."""
    return frozen(rng.normal(seed, 1, shape, step, dtype=dtype)[0])


def check_vjp(f, arguments, weights, dtree, bounded=False):
    """Assert that dtree is the gradient of sum(weights * f(arguments)) in every number of the arguments, by complex step.

    Errors are relative to the largest number of the gradient; for a layer with bounded slope, which may vanish and lose its
    digits, to the largest weight.
    """
    expected = tree.pack(tree_gradient(lambda shifted: (weights * f(shifted)).sum(), arguments))[0]
    scale = np.max(np.abs(weights if bounded else expected), initial=0)
    assert tree.map(np.shape, dtree) == tree.map(np.shape, arguments)
    assert np.max(np.abs(tree.pack(dtree)[0] - expected), initial=0) <= COMPLEX_STEP * scale


@given(seeds, batches, widths, widths)
@example(0, 0, 2, 3)
@example(0, 1, 1, 1)
@example(1, 3, 4, 2)
def test_linear(seed, batch, fan_in, fan_out):
    """N1, N2: y = x W + b entry by entry, and its derivative in x, W and b."""
    arguments = {"p": {"w": numbers(seed, (fan_in, fan_out), 1), "b": numbers(seed, (fan_out,), 2)}, "x": numbers(seed, (batch, fan_in), 3)}
    p, x, dy = arguments["p"], arguments["x"], numbers(seed, (batch, fan_out), 4)
    y, vjp = layers.linear(p, x)
    exact = [[sum(x[i, k] * p["w"][k, j] for k in range(fan_in)) + p["b"][j] for j in range(fan_out)] for i in range(batch)]
    assert (
        y.shape == dy.shape
        and (np.abs(y - np.reshape(exact, y.shape)) <= IDENTITY * EPS * (np.abs(x) @ np.abs(p["w"]) + np.abs(p["b"]))).all()
    )
    dp, dx = vjp(dy)
    check_vjp(lambda a: layers.linear(a["p"], a["x"])[0], arguments, dy, {"p": dp, "x": dx})


@given(seeds, st.sampled_from([(0, 3), (1, 1), (4,), (2, 3), (2, 3, 2)]), st.floats(0.01, 300))
@example(1, (3, 2), 1.0)
def test_silu(seed, shape, scale):
    """N1, N2: y = x / (1 + e^-x) in 50 digits, and its derivative, for ordinary and large numbers."""
    x, dy = frozen(scale * numbers(seed, shape)), numbers(seed, shape, 1)
    y, vjp = layers.silu({}, x)
    dp, dx = vjp(dy)
    assert dp == {} and y.shape == dx.shape == shape
    for i in np.ndindex(shape):
        with mpmath.workdps(50):
            assert abs(y[i] - mpmath.mpf(x[i]) / (1 + mpmath.exp(-x[i]))) <= IDENTITY * EPS * abs(x[i])
    check_vjp(lambda a: layers.silu({}, a)[0], x, dy, dx, bounded=True)


def test_silu_saturates():
    """N2: far from 0, where the sigmoid is 0 or 1 to the last digit, SiLU is 0 or x with slope 0 or 1; nothing overflows."""
    x = np.array([-1e300, -1e4, -800.0, 0.0, 800.0, 1e4, 1e300])
    y, vjp = layers.silu({}, x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(vjp(np.ones(7))[1], [0, 0, 0, 0.5, 1, 1, 1])


@given(seeds, batches, st.integers(1, 4), widths)
@example(3, 4, 3, 2)
def test_embedding(seed, batch, entries, width):
    """N1, G3: the embedding of y_i is row y_i of the table; its gradient is summed over all examples that used the row."""
    labels = frozen(rng.integers(seed, batch, entries))
    arguments, dy = {"table": numbers(seed, (entries, width))}, numbers(seed, (batch, width), 1)
    y, vjp = layers.embedding(arguments, labels)
    assert y.shape == (batch, width) and all((y[i] == arguments["table"][labels[i]]).all() for i in range(batch))
    check_vjp(lambda a: layers.embedding(a, labels)[0], arguments, dy, vjp(dy))


@given(st.lists(st.floats(0, 1000), max_size=4), st.integers(2, 17))
@example([0.0, 1.0, 500.5, 1000.0], 2)
@example([37.0, 999.0], 16)
def test_time_features(times, half):
    """N1: all sines, then all cosines, at frequencies from 1 down to 1/10000, in 50 digits; float32 is the same, rounded."""
    result = layers.time_features(np.array(times), 2 * half)
    assert result.shape == (len(times), 2 * half) and result.dtype == np.float64
    for i, t in enumerate(times):
        for k in range(half):
            with mpmath.workdps(50):
                angle = t * mpmath.mpf(10000) ** (-mpmath.mpf(k) / (half - 1))
                sine, cosine = mpmath.sin(angle), mpmath.cos(angle)
            assert abs(result[i, k] - sine) <= TIME_FEATURES * EPS * (1 + angle)
            assert abs(result[i, half + k] - cosine) <= TIME_FEATURES * EPS * (1 + angle)
    np.testing.assert_array_equal(layers.time_features(np.array(times), 2 * half, np.float32), result.astype(np.float32))


def test_time_features_of_integers_are_the_same():
    """N1: times may be integers, and integers with float32 features lose no precision."""
    single = np.array([999.7, 0.1], np.float32)
    np.testing.assert_array_equal(layers.time_features(single, 6), layers.time_features(single.astype(np.float64), 6))
    np.testing.assert_array_equal(layers.time_features(np.array([1, 7]), 6), layers.time_features(np.array([1.0, 7.0]), 6))


@given(seeds, batches, st.integers(1, 5), st.sampled_from([0.1, 1.0, 30.0, 1e4]))
@example(2, 3, 4, 1.0)
@example(2, 3, 4, 1e4)
def test_cross_entropy(seed, batch, classes, scale):
    """G2: log sum exp(z) - z_y in 50 digits, and its derivative, for logits of any size."""
    labels, logits, dloss = rng.integers(seed, batch, classes), frozen(scale * numbers(seed, (batch, classes))), numbers(seed, (batch,), 1)
    loss, vjp = layers.cross_entropy(logits, frozen(labels))
    assert loss.shape == (batch,)
    for i, y in enumerate(labels):
        with mpmath.workdps(50):
            exact = mpmath.log(sum(mpmath.exp(z) for z in logits[i])) - mpmath.mpf(logits[i, y])
        assert abs(loss[i] - exact) <= IDENTITY * EPS * (1 + np.abs(logits[i]).max())
    check_vjp(lambda z: layers.cross_entropy(z, labels)[0], logits, dloss, vjp(dloss), bounded=True)


def test_cross_entropy_by_hand():
    """G2: cross-entropy of equal logits is log K; of one dominant logit it is 0 if right, and the difference of the logits if wrong."""
    loss, vjp = layers.cross_entropy(np.array([[0.0, 0.0], [1e300, 0.0], [1e300, 0.0]]), np.array([1, 0, 1]))
    np.testing.assert_array_equal(loss, [np.log(2), 0, 1e300])
    np.testing.assert_array_equal(vjp(np.array([2.0, 1.0, 1.0])), [[1, -1], [0, 0], [1, -1]])


def test_float32_is_preserved():
    """N2: every layer preserves float32, forward and backward."""
    p = tree.map(lambda leaf: leaf.astype(np.float32), {"w": numbers(0, (3, 2)), "b": numbers(0, (2,)), "table": numbers(0, (4, 2))})
    x, labels = numbers(1, (5, 3), dtype=np.float32), rng.integers(0, 5, 3)
    (y, linear_vjp), (gated, silu_vjp) = layers.linear(p, x), layers.silu({}, x)
    (row, embedding_vjp), (loss, loss_vjp) = layers.embedding(p, labels), layers.cross_entropy(x, labels)
    outputs = {"a": y, "b": gated, "c": row, "d": loss, "e": layers.time_features(x[:, 0], 4, np.float32)}
    gradients = {"a": linear_vjp(y)[0], "b": linear_vjp(y)[1], "c": silu_vjp(gated)[1], "d": embedding_vjp(row), "e": loss_vjp(loss)}
    assert {leaf.dtype for leaf in tree.flatten({"y": outputs, "d": gradients}).values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: layers.embedding({"table": np.ones((3, 2))}, np.array([3])), ValueError, "y = array([3]); allowed: 0..2"),
        (lambda: layers.embedding({"table": np.ones((3, 2))}, np.array([-1])), ValueError, "y = array([-1]); allowed: 0..2"),
        (lambda: layers.embedding({"table": np.ones((3, 2))}, np.array([1.0])), TypeError, "y = array([1.]); allowed: an integer"),
        (lambda: layers.time_features(np.ones(2), 5), ValueError, "features = 5; allowed: even, 4 or more"),
        (lambda: layers.time_features(np.ones(2), 2), ValueError, "features = 2; allowed: even, 4 or more"),
        (lambda: layers.cross_entropy(np.ones((2, 3)), np.array([0, 3])), ValueError, "labels = array([0, 3]); allowed: 0..2"),
        (
            lambda: layers.cross_entropy(np.ones((2, 3)), np.array([0])),
            ValueError,
            "labels has shape (1,); allowed: (2,), one for each row of logits",
        ),
        (lambda: layers.cross_entropy(np.ones((2, 3)), 1), ValueError, "labels has shape (); allowed: (2,)"),
    ],
)
def test_errors(call, error, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(error, match="^" + re.escape(message)):
        call()
