"""Normalization layers: moments, invariance and formulas, derivatives by complex step, errors."""

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import layers, tree

from ..strategies import frozen
from ..tolerances import COMPLEX_STEP, IDENTITY, relative
from .test_layers import EPS, check_vjp, numbers, seeds

NORM_EPS = 1e-5  # the eps of the layer, added to the variance
inner_shapes = st.sampled_from([(), (1,), (4,), (2, 3), (1, 1), (2, 1, 2)])


@st.composite
def cases(draw):
    """(x, groups, seed): any number of dimensions, from no example up, 1 to C groups of 1 to 3 channels."""
    seed, groups = draw(seeds), draw(st.integers(1, 3))
    shape = (draw(st.integers(0, 3)), *draw(inner_shapes), groups * draw(st.integers(1, 3)))
    return frozen(draw(st.sampled_from([0.1, 1.0, 30.0])) * numbers(seed, shape)), groups, seed


def fixed(shape, groups, seed=0):
    """A case of that shape."""
    return numbers(seed, shape), groups, seed


def by_loops(x, groups):
    """(x - mean) / sqrt(variance + eps), one example and one group at a time."""
    y, d = np.empty(x.shape), x.shape[-1] // groups
    for i, g in np.ndindex(len(x), groups):
        group = x[i, ..., g * d : (g + 1) * d]
        y[i, ..., g * d : (g + 1) * d] = (group - np.mean(group)) / np.sqrt(np.var(group) + NORM_EPS)
    return y


def size(x):
    """Scale of the roundings of a normalized number: the largest x in standard deviations at their least, and 1."""
    return 1 + np.max(np.abs(x), initial=0) / NORM_EPS**0.5


examples = [fixed((0, 2, 2, 4), 2), fixed((2, 3, 2, 4), 1), fixed((2, 3, 2, 4), 4), fixed((1, 1, 1, 6), 2), fixed((3, 4), 4)]


def many(test):
    """Drawn cases and explicit examples."""
    for case in examples:
        test = example(case)(test)
    return given(cases())(test)


@many
def test_normalize_value(case):
    """N2: normalize by loops over groups; mean 0 and variance var / (var + eps); from groups = 1 to groups = C, and for an empty batch."""
    x, groups, _ = case
    y, _ = layers.normalize({}, x, groups)
    assert y.shape == x.shape and np.max(np.abs(y - by_loops(x, groups)), initial=0) <= IDENTITY * EPS * size(x)
    d = x.shape[-1] // groups
    for i, g in np.ndindex(len(x), groups):
        group, var = y[i, ..., g * d : (g + 1) * d], np.var(x[i, ..., g * d : (g + 1) * d])
        assert abs(group.mean()) <= IDENTITY * EPS * size(x)
        assert abs((group * group).mean() - var / (var + NORM_EPS)) <= IDENTITY * EPS * size(x)


@given(seeds, st.integers(1, 2), st.floats(0.5, 20), st.floats(-10, 10))
def test_normalize_is_invariant(seed, groups, a, b):
    """N2: x and a x + b have the same normalization, exactly when eps grows by a^2, else up to half of eps / variance;
    -a changes the sign.
    """
    x = numbers(seed, (2, 3, 3, 4))
    y = layers.normalize({}, x, groups)[0]
    for sign in (1, -1):
        other = frozen(sign * a * x + b)
        exact = layers.normalize({}, other, groups, eps=a * a * NORM_EPS)[0]
        assert relative(exact, sign * y) <= 1000 * IDENTITY * EPS  # 1000: |b| / a in standard deviations, doubled by the mean, squared by s
        variance = np.var(x.reshape(2, 9, groups, -1), axis=(1, 3)).min() * min(a * a, 1)
        assert relative(layers.normalize({}, other, groups)[0], sign * y) <= NORM_EPS / variance


def test_normalize_by_hand():
    """N2: two numbers 1 apart become -1 and 1, times 1 / sqrt(1 + 4 eps); groups are adjacent channels; constants become 0."""
    x = np.array([[[1.0, 2.0, 7.0, 7.0]]])
    np.testing.assert_allclose(layers.normalize({}, x, 2, eps=0.75)[0], [[[-0.5, 0.5, 0, 0]]], rtol=IDENTITY * EPS)
    np.testing.assert_array_equal(layers.normalize({}, x, 4)[0], np.zeros((1, 1, 4)))


@many
def test_normalize_derivative(case):
    """N2: derivative in x by complex step. Where all slopes vanish, errors count relative to dy / s."""
    x, groups, seed = case
    dy = numbers(seed, x.shape, 1)
    dp, dx = layers.normalize({}, x, groups)[1](dy)
    assert dp == {}
    s = np.sqrt(NORM_EPS)
    check_vjp(lambda a: s * layers.normalize({}, a, groups)[0], x, dy, s * dx, bounded=True)
    if x.ndim > 2 and x.shape[1] > 1:
        check_vjp(lambda a: layers.normalize({}, a, groups)[0], x, dy, dx)


@given(seeds, st.integers(0, 3), inner_shapes, st.integers(1, 3))
@example(0, 0, (2, 2), 2)
@example(1, 2, (2, 3), 3)
def test_film(seed, batch, middle, channels):
    """N3: y = (1 + scale) x + shift entry by entry, and its derivative in x, scale and shift."""
    shape = (batch, *middle, channels)
    a = {"x": numbers(seed, shape), "scale": numbers(seed, (batch, channels), 1), "shift": numbers(seed, (batch, channels), 2)}
    y, vjp = layers.film({}, **a)
    assert y.shape == shape
    for i in np.ndindex(shape):
        assert y[i] == (1 + a["scale"][i[0], i[-1]]) * a["x"][i] + a["shift"][i[0], i[-1]]
    dy = numbers(seed, shape, 3)
    dp, *derivatives = vjp(dy)
    assert dp == {}
    check_vjp(lambda a: layers.film({}, **a)[0], a, dy, dict(zip(a, derivatives, strict=True)))


@many
def test_group_norm(case):
    """N2: scale and shift of each channel after `normalize`, and the derivative in x, scale and shift."""
    x, groups, seed = case
    p = {"scale": numbers(seed, x.shape[-1:], 1), "shift": numbers(seed, x.shape[-1:], 2)}
    y, vjp = layers.group_norm(p, x, groups)
    normal = by_loops(x, groups)
    for c in range(x.shape[-1]):
        error = np.abs(y[..., c] - (normal[..., c] * p["scale"][c] + p["shift"][c]))
        assert np.max(error, initial=0) <= IDENTITY * EPS * size(x) * (1 + abs(p["scale"][c]) + abs(p["shift"][c]))
    dy, s = numbers(seed, x.shape, 3), np.sqrt(NORM_EPS)
    dp, dx = vjp(s * dy)
    check_vjp(lambda a: s * layers.group_norm(a["p"], a["x"], groups)[0], {"p": p, "x": x}, dy, {"p": dp, "x": dx}, bounded=True)


@given(cases(), st.integers(1, 3))
@example(examples[0], 2)
@example(examples[1], 3)
@example(examples[2], 1)
def test_adaptive_group_norm(case, width):
    """N3: `film` of `normalize`; scale is the first half of emb W + b, shift the second; derivative in x, emb, W and b."""
    x, groups, seed = case
    channels = x.shape[-1]
    p = {"w": numbers(seed, (width, 2 * channels), 1), "b": numbers(seed, (2 * channels,), 2)}
    emb, dy = numbers(seed, (len(x), width), 3), numbers(seed, x.shape, 4)
    y, vjp = layers.adaptive_group_norm(p, x, emb, groups)
    scale, shift = (np.zeros((len(x), channels)) for _ in range(2))
    for i, c in np.ndindex(scale.shape):
        scale[i, c] = sum(emb[i, e] * p["w"][e, c] for e in range(width)) + p["b"][c]
        shift[i, c] = sum(emb[i, e] * p["w"][e, channels + c] for e in range(width)) + p["b"][channels + c]
    expected = layers.film({}, layers.normalize({}, x, groups)[0], scale, shift)[0]
    assert y.shape == x.shape and relative(y, expected) <= COMPLEX_STEP
    s = np.sqrt(NORM_EPS)
    dp, dx, demb = vjp(s * dy)
    arguments, dtree = {"p": p, "x": x, "emb": emb}, {"p": dp, "x": dx, "emb": demb}
    check_vjp(lambda a: s * layers.adaptive_group_norm(a["p"], a["x"], a["emb"], groups)[0], arguments, dy, dtree, bounded=True)


@given(cases(), st.integers(1, 2))
@example(examples[0], 1)
@example(examples[1], 2)
@example(examples[2], 1)
def test_normalization_then_silu(case, width):
    """N2, N3: silu of group normalization and of adaptive group normalization, and its derivative in all arguments."""
    x, groups, seed = case
    channels = x.shape[-1]
    learned = {"scale": numbers(seed, (channels,), 1), "shift": numbers(seed, (channels,), 2)}
    modulated = {"w": numbers(seed, (width, 2 * channels), 1), "b": numbers(seed, (2 * channels,), 2)}
    emb, dy, s = numbers(seed, (len(x), width), 3), numbers(seed, x.shape, 4), np.sqrt(NORM_EPS)
    for name, arguments in ("group_norm", {"p": learned, "x": x}), ("adaptive_group_norm", {"p": modulated, "x": x, "emb": emb}):
        layer, z = getattr(layers, name + "_silu"), getattr(layers, name)(**arguments, groups=groups)[0]
        y, vjp = layer(**arguments, groups=groups)
        assert y.shape == x.shape and relative(y, z / (1 + np.exp(-z))) <= COMPLEX_STEP
        derivatives = dict(zip(arguments, vjp(s * dy), strict=True))
        check_vjp(lambda a, layer=layer: s * layer(**a, groups=groups)[0], arguments, dy, derivatives, bounded=True)


def test_float32_is_preserved():
    """N2, N3: float32 input gives float32 values and gradients."""
    one = {"x": (2, 3, 3, 4), "scale": (4,), "shift": (4,), "w": (3, 8), "b": (8,), "emb": (2, 3), "modulated": (2, 4)}
    n = {name: numbers(0, shape, i, np.float32) for i, (name, shape) in enumerate(one.items())}
    x, learned, modulated = n["x"], {"scale": n["scale"], "shift": n["shift"]}, {"w": n["w"], "b": n["b"]}
    calls = [layers.normalize({}, x, 2), layers.film({}, x, n["modulated"], n["modulated"]), layers.group_norm(learned, x, 2)]
    calls += [layers.adaptive_group_norm(modulated, x, n["emb"], 2), layers.group_norm_silu(learned, x, 2)]
    for y, vjp in [*calls, layers.adaptive_group_norm_silu(modulated, x, n["emb"], 2)]:
        dp, *derivatives = vjp(y)
        leaves = [y, *tree.flatten(dp).values(), *derivatives]
        assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}


X, TOLD = np.ones((2, 3, 4)), np.ones((2, 4))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: layers.normalize({}, X, 3), "groups = 3; allowed: a divisor of the 4 channels of x"),
        (lambda: layers.normalize({}, X, 0), "groups = 0; allowed: a divisor of the 4 channels of x"),
        (lambda: layers.normalize({}, X, -2), "groups = -2; allowed: a divisor of the 4 channels of x"),
        (lambda: layers.group_norm({}, X, 8), "groups = 8; allowed: a divisor of the 4 channels of x"),
        (lambda: layers.group_norm({}, X, 0), "groups = 0; allowed: a divisor of the 4 channels of x"),
        (lambda: layers.film({}, X, TOLD[:1], TOLD), "scale and shift have shapes (1, 4) and (2, 4); allowed: (2, 4)"),
        (lambda: layers.film({}, X, TOLD, TOLD[0]), "scale and shift have shapes (2, 4) and (4,); allowed: (2, 4)"),
    ],
)
def test_errors(call, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        call()
