"""Layers of images: values by plain loops over pixels, derivatives by complex step over inputs and parameters, errors."""

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import signal

from refdiff import convolution, layers, tree

from ..strategies import frozen
from ..tolerances import IDENTITY
from .test_layers import EPS, check_vjp, numbers, seeds

shapes = st.tuples(st.integers(0, 2), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
kernels, strides = st.sampled_from([1, 3, 5]), st.sampled_from([1, 2])


def case(seed, k, fan_out, shape):
    """Parameters of a convolution and an image."""
    p = {"w": numbers(seed, (k, k, shape[3], fan_out), 1), "b": numbers(seed, (fan_out,), 2)}
    return p, numbers(seed, shape, 3)


def by_loops(p, x, stride):
    """The convolution by loops: every output pixel and channel separately."""
    w, (batch, height, width, _) = p["w"], x.shape
    k, r = len(w), len(w) // 2
    y = np.zeros((batch, (height + stride - 1) // stride, (width + stride - 1) // stride, w.shape[3]))
    for n, i, j, o in np.ndindex(y.shape):
        y[n, i, j, o] = p["b"][o]
        for a in range(k):
            for c in range(k):
                row, column = stride * i + a - r, stride * j + c - r
                if 0 <= row < height and 0 <= column < width:
                    y[n, i, j, o] += sum(x[n, row, column, m] * w[a, c, m, o] for m in range(x.shape[3]))
    return y


def close(actual, expected, size):
    """Whether two arrays are equal up to the roundings of a sum whose terms have that size."""
    return actual.shape == expected.shape and bool((np.abs(actual - expected) <= IDENTITY * EPS * size).all())


def edges(test):
    """Explicit examples: an empty batch, odd and even sizes, a kernel larger than the image, one pixel."""
    for seed, k, fan_out, stride, shape in (
        (0, 3, 2, 1, (0, 4, 3, 2)),
        (1, 3, 2, 2, (1, 5, 4, 3)),
        (2, 5, 1, 2, (2, 4, 7, 1)),
        (3, 1, 3, 2, (1, 1, 1, 2)),
        (4, 5, 2, 1, (1, 1, 2, 1)),
    ):
        test = example(seed, k, fan_out, stride, shape)(test)
    return test


@given(seeds, kernels, st.integers(1, 3), strides, shapes)
@edges
def test_conv_value(seed, k, fan_out, stride, shape):
    """N2: convolution by loops over neighbours, zero outside the image, for all sizes; y has size ceil(H / s) x ceil(W / s)."""
    p, x = case(seed, k, fan_out, shape)
    y, _ = layers.conv(p, x, stride)
    assert y.shape == (shape[0], int(np.ceil(shape[1] / stride)), int(np.ceil(shape[2] / stride)), fan_out)
    assert close(y, by_loops(p, x, stride), by_loops(tree.map(np.abs, p), np.abs(x), stride))


@given(seeds, shapes.filter(lambda shape: shape[0] > 0))
def test_conv_is_a_correlation(seed, shape):
    """N2: for k = 3 it is scipy's correlation of every pair of channels; stride 2 selects every other pixel of stride 1."""
    p, x = case(seed, 3, 2, shape)
    y, _ = layers.conv(p, x)
    for n, o in np.ndindex(shape[0], 2):
        terms = [signal.correlate(x[n, :, :, m], p["w"][:, :, m, o], method="direct")[1:-1, 1:-1] for m in range(shape[3])]
        size = sum(signal.correlate(np.abs(x[n, :, :, m]), np.abs(p["w"][:, :, m, o]))[1:-1, 1:-1] for m in range(shape[3]))
        assert close(y[n, :, :, o], sum(terms) + p["b"][o], size + np.abs(p["b"][o]))
    assert close(layers.conv(p, x, 2)[0], y[:, ::2, ::2], by_loops(tree.map(np.abs, p), np.abs(x), 2))


@given(seeds, kernels, st.integers(1, 2), strides, st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(1, 5), st.integers(1, 2)))
@edges
def test_conv_derivative(seed, k, fan_out, stride, shape):
    """N2: dW, db and dx by complex step, for all sizes."""
    p, x = case(seed, k, fan_out, shape)
    y, vjp = layers.conv(p, x, stride)
    dy = numbers(seed, y.shape, 4)
    dp, dx = vjp(dy)
    check_vjp(lambda a: layers.conv(a["p"], a["x"], stride)[0], {"p": p, "x": x}, dy, {"p": dp, "x": dx})


def test_conv_derivative_of_complex_numbers():
    """N2: the backward pass is linear in dy and in the weights, complex ones included, so a complex step can differentiate it again."""
    p, x = case(0, 3, 2, (1, 4, 3, 2))
    y, vjp = layers.conv(p, x)
    dy = numbers(0, y.shape, 4)
    np.testing.assert_array_equal(vjp(1j * dy)[1], 1j * vjp(dy)[1])
    np.testing.assert_array_equal(layers.conv(p | {"w": 1j * p["w"]}, x)[1](dy)[1], 1j * vjp(dy)[1])


@given(seeds, shapes)
@example(0, (0, 3, 2, 1))
@example(1, (2, 3, 5, 2))
def test_up(seed, shape):
    """N2: y_ij = x_[i/2][j/2] by loops, its derivative; `pool` inverts `up` exactly."""
    x = numbers(seed, shape)
    y, vjp = layers.up({}, x)
    assert y.shape == (shape[0], 2 * shape[1], 2 * shape[2], shape[3])
    assert all((y[:, i, j] == x[:, i // 2, j // 2]).all() for i, j in np.ndindex(y.shape[1:3]))
    np.testing.assert_array_equal(layers.pool({}, y)[0], x)
    dy = numbers(seed, y.shape, 1)
    dp, dx = vjp(dy)
    assert dp == {}
    check_vjp(lambda a: layers.up({}, a)[0], x, dy, dx)


@given(seeds, shapes)
@example(0, (0, 1, 2, 1))
@example(1, (2, 2, 3, 2))
def test_pool(seed, halves):
    """N2: y_ij is the mean of four pixels by loops, and its derivative."""
    x = numbers(seed, (halves[0], 2 * halves[1], 2 * halves[2], halves[3]))
    y, vjp = layers.pool({}, x)
    assert y.shape == halves
    for i, j in np.ndindex(halves[1:3]):
        four = np.array([x[:, 2 * i + a, 2 * j + c] for a in (0, 1) for c in (0, 1)])
        assert close(y[:, i, j], four.sum(axis=0) / 4, np.abs(four).sum(axis=0))
    dy = numbers(seed, halves, 1)
    dp, dx = vjp(dy)
    assert dp == {}
    check_vjp(lambda a: layers.pool({}, a)[0], x, dy, dx)


@given(seeds, st.integers(1, 2), st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)))
@example(0, 2, (0, 1, 2, 1))
@example(1, 2, (2, 3, 2, 2))
def test_conv_up(seed, fan_out, shape):
    """N2: `conv_up` is the convolution of the upsampled image, with derivatives in image and parameters."""
    p, x = case(seed, 3, fan_out, shape)
    y, vjp = layers.conv_up(p, x)
    larger = layers.up({}, x)[0]
    assert close(y, layers.conv(p, larger)[0], by_loops(tree.map(np.abs, p), np.abs(larger), 1))
    dy = numbers(seed, y.shape, 4)
    dp, dx = vjp(dy)
    check_vjp(lambda a: layers.conv_up(a["p"], a["x"])[0], {"p": p, "x": x}, dy, {"p": dp, "x": dx})


def test_adjoint():
    """N2: <dy, conv(x)> = <dx, x> for a convolution without bias, and likewise for up and pool: vjp is the transposed map."""
    for stride in (1, 2):
        p, x = case(5, 3, 4, (2, 7, 6, 3))
        p = p | {"b": np.zeros(4)}
        for layer in (lambda x, p=p, s=stride: layers.conv(p, x, s), lambda x: layers.up({}, x), lambda x: layers.pool({}, x[:, :6])):
            y, vjp = layer(x)
            dy = numbers(6, y.shape)
            dx = vjp(dy)[1]
            assert abs((dy * y).sum() - (dx * x[:, : dx.shape[1]]).sum()) <= IDENTITY * EPS * np.abs(dy).sum() * np.abs(y).max()


def test_float32_is_preserved():
    """N2: float32 input gives float32 values and gradients."""
    p, x = case(0, 3, 2, (2, 4, 4, 3))
    p, x = frozen(tree.map(lambda leaf: leaf.astype(np.float32), {"p": p, "x": x})).values()
    calls = [layers.conv(p, x), layers.conv(p, x, 2), layers.up({}, x), layers.pool({}, x), layers.conv_up(p, x)]
    for y, vjp in calls:
        dp, dx = vjp(y)
        assert {leaf.dtype for leaf in tree.flatten({"y": y, "p": dp, "x": dx}).values()} == {np.dtype(np.float32)}


def p_of(*shape):
    """Parameters with a kernel of that shape."""
    return {"w": np.ones(shape), "b": np.ones(shape[-1])}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: layers.conv(p_of(2, 2, 1, 1), np.ones((1, 3, 3, 1))), "w has shape (2, 2, 1, 1); allowed: (k, k, in, out) with k odd"),
        (lambda: layers.conv(p_of(3, 1, 1, 1), np.ones((1, 3, 3, 1))), "w has shape (3, 1, 1, 1); allowed: (k, k, in, out) with k odd"),
        (lambda: layers.conv(p_of(3, 3, 1), np.ones((1, 3, 3, 1))), "w has shape (3, 3, 1); allowed: (k, k, in, out) with k odd"),
        (lambda: layers.conv(p_of(3, 3, 2, 1), np.ones((1, 3, 3, 1))), "x has shape (1, 3, 3, 1); allowed: (B, H, W, 2)"),
        (lambda: layers.conv(p_of(3, 3, 2, 1), np.ones((3, 3, 2))), "x has shape (3, 3, 2); allowed: (B, H, W, 2)"),
        (lambda: layers.conv(p_of(3, 3, 1, 1), np.ones((1, 3, 3, 1)), 3), "stride = 3; allowed: 1, 2"),
        (lambda: layers.conv(p_of(3, 3, 1, 1), np.ones((1, 3, 3, 1)), 0), "stride = 0; allowed: 1, 2"),
        (lambda: layers.up({}, np.ones((3, 3, 2))), "x has shape (3, 3, 2); allowed: (B, H, W, C)"),
        (lambda: layers.conv_up(p_of(3, 3, 2, 1), np.ones((3, 3, 2))), "x has shape (3, 3, 2); allowed: (B, H, W, 2)"),
        (lambda: layers.pool({}, np.ones((4, 4))), "x has shape (4, 4); allowed: (B, H, W, C)"),
        (lambda: layers.pool({}, np.ones((1, 3, 4, 1))), "x has shape (1, 3, 4, 1); allowed: (B, H, W, C) with H and W even"),
        (lambda: layers.pool({}, np.ones((1, 4, 3, 1))), "x has shape (1, 4, 3, 1); allowed: (B, H, W, C) with H and W even"),
    ],
)
def test_errors(call, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        call()


@given(seeds, st.integers(0, 2), st.integers(0, 2), strides, st.integers(1, 4), st.integers(1, 4))
def test_neighbours_at(seed, a, c, stride, height, width):
    """N2: output pixel (i, j) depends on pixel (stride i + a, stride j + c) of the padded image, which is not copied; stride 1 by default."""
    image = np.array(numbers(seed, (2, stride * height + 2, stride * width + 2, 3)))
    seen = convolution.neighbours_at(image, a, c, height, width, stride)
    assert seen.shape == (2, height, width, 3) and np.shares_memory(seen, image)
    for i, j in np.ndindex(height, width):
        np.testing.assert_array_equal(seen[:, i, j], image[:, stride * i + a, stride * j + c])
    default, one = (convolution.neighbours_at(image, a, c, height, width, *stride) for stride in ((), (1,)))
    np.testing.assert_array_equal(default, one)
