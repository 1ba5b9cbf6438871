"""Softmax and attention: values in 50 digits and by loops, permutations, derivatives by complex step, errors."""

import re

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import layers, tree

from ..strategies import frozen
from ..tolerances import COMPLEX_STEP, IDENTITY, relative
from .test_layers import EPS, check_vjp, numbers, seeds

small = st.integers(1, 3)


@st.composite
def cases(draw):
    """(p, x, context, heads, seed): 1 to 3 heads of 1 to 3 channels, from no example up, and other widths of x and context."""
    return case(draw(seeds), draw(st.integers(0, 2)), draw(small), draw(small), draw(small), draw(small), draw(small), draw(small))


def case(seed, batch, heads, d, positions, context_positions, width, context_width):
    """Random parameters and inputs of those sizes."""
    shapes = {"q": (width, heads * d), "k": (context_width, heads * d), "v": (context_width, heads * d), "out": (heads * d, width)}
    p = {
        name: {"w": numbers(seed, shape, 2 * i), "b": numbers(seed, shape[1:], 2 * i + 1)} for i, (name, shape) in enumerate(shapes.items())
    }
    return p, numbers(seed, (batch, positions, width), 8), numbers(seed, (batch, context_positions, context_width), 9), heads, seed


examples = [case(0, 0, 2, 2, 3, 2, 3, 2), case(1, 2, 2, 2, 3, 4, 3, 2), case(2, 1, 1, 3, 2, 1, 2, 2), case(3, 2, 3, 1, 1, 3, 2, 1)]


def by_loops(p, x, context, heads):
    """Attention by loops: one example, one head and one position at a time; head h has the channels h d to (h + 1) d - 1."""
    width = p["q"]["w"].shape[1]
    d = width // heads
    outputs = np.zeros((*x.shape[:2], width))
    for i, h, n in np.ndindex(len(x), heads, x.shape[1]):
        own = range(h * d, (h + 1) * d)
        scores = []
        for position in context[i]:
            q = [x[i, n] @ p["q"]["w"][:, c] + p["q"]["b"][c] for c in own]
            k = [position @ p["k"]["w"][:, c] + p["k"]["b"][c] for c in own]
            scores.append(np.exp(sum(a * b for a, b in zip(q, k, strict=True)) / np.sqrt(d)))
        for c in own:
            values = [position @ p["v"]["w"][:, c] + p["v"]["b"][c] for position in context[i]]
            outputs[i, n, c] = sum(s * v for s, v in zip(scores, values, strict=True)) / sum(scores)
    return np.array([[row @ p["out"]["w"] + p["out"]["b"] for row in rows] for rows in outputs]).reshape(x.shape)


@given(seeds, st.sampled_from([(0, 3), (1,), (4,), (2, 3), (2, 2, 3)]), st.sampled_from([0.1, 1.0, 30.0]))
@example(0, (0, 2), 1.0)
@example(1, (2, 3), 30.0)
def test_softmax(seed, shape, scale):
    """N4: softmax is e^z divided by its sum, in 50 digits; its entries are positive with sum 1; and the derivative."""
    z, dy = frozen(scale * numbers(seed, shape)), numbers(seed, shape, 1)
    y, vjp = layers.softmax({}, z)
    assert y.shape == shape and (y > 0).all()
    assert np.max(np.abs(y.sum(axis=-1) - 1), initial=0) <= IDENTITY * EPS
    for i in np.ndindex(shape):
        with mpmath.workdps(50):
            exact = mpmath.exp(z[i]) / sum(mpmath.exp(other) for other in z[i[:-1]])
        assert abs(y[i] - exact) <= IDENTITY * EPS * exact * (1 + np.abs(z).max())
    dp, dz = vjp(dy)
    assert dp == {}
    check_vjp(lambda a: layers.softmax({}, a)[0], z, dy, dz, bounded=True)


def test_softmax_of_huge_numbers():
    """N4: softmax is invariant to a constant added to all logits; huge logits neither overflow nor give NaN, forward and backward."""
    z = numbers(0, (3, 4))
    np.testing.assert_array_equal(layers.softmax({}, np.array([0.0, 1, 3]) + 2.0**40)[0], layers.softmax({}, np.array([0.0, 1, 3]))[0])
    np.testing.assert_allclose(layers.softmax({}, z + 100)[0], layers.softmax({}, z)[0], rtol=100 * IDENTITY * EPS)
    y, vjp = layers.softmax({}, np.array([[1e300, 0, -1e300], [-1e300, -1e300, -1e300], [1e300, 1e300, 0]]))
    np.testing.assert_allclose(y, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]], rtol=IDENTITY * EPS)
    np.testing.assert_allclose(vjp(np.array([[1.0, 2, 4]]))[1][2], [-0.25, 0.25, 0], rtol=IDENTITY * EPS)


@given(cases())
@example(examples[0])
@example(examples[1])
@example(examples[2])
@example(examples[3])
def test_cross_attention_value(case):
    """N4: cross-attention by loops over examples, heads and positions, with the channels of the heads in order."""
    p, x, context, heads, _ = case
    y, _ = layers.cross_attention(p, x, context, heads)
    assert y.shape == x.shape and relative(y, by_loops(p, x, context, heads)) <= COMPLEX_STEP


@given(cases())
@example(examples[0])
@example(examples[1])
@example(examples[2])
@example(examples[3])
def test_cross_attention_derivative(case):
    """N4: derivatives in x, the context and the parameters of all four linear layers by complex step."""
    p, x, context, heads, seed = case
    dy = numbers(seed, x.shape, 10)
    dp, dx, dcontext = layers.cross_attention(p, x, context, heads)[1](dy)
    arguments, dtree = {"p": p, "x": x, "context": context}, {"p": dp, "x": dx, "context": dcontext}
    check_vjp(lambda a: layers.cross_attention(a["p"], a["x"], a["context"], heads)[0], arguments, dy, dtree)


@given(seeds, st.integers(0, 2), small, small, small, small)
@example(0, 0, 2, 2, 2, 3)
@example(1, 2, 2, 2, 3, 3)
def test_self_attention(seed, batch, heads, d, positions, width):
    """N4: self-attention is cross-attention with context x, bit for bit, and so is its derivative."""
    p, x, _, heads, _ = case(seed, batch, heads, d, positions, 1, width, width)
    y, vjp = layers.self_attention(p, x, heads)
    np.testing.assert_array_equal(y, layers.cross_attention(p, x, x, heads)[0])
    dy = numbers(seed, x.shape, 10)
    dp, dx = vjp(dy)
    check_vjp(lambda a: layers.self_attention(a["p"], a["x"], heads)[0], {"p": p, "x": x}, dy, {"p": dp, "x": dx})


@given(cases(), st.randoms(use_true_random=False))
@example(examples[1], None)
def test_order_of_positions(case, random):
    """N4: attention is invariant to a permutation of the context, and equivariant to one of the positions of x."""
    p, x, context, heads, _ = case
    y, _ = layers.cross_attention(p, x, context, heads)
    order, positions = list(range(context.shape[1]))[::-1], list(range(x.shape[1]))[::-1]
    for each in (order, positions) if random else ():
        random.shuffle(each)
    assert relative(layers.cross_attention(p, x, context[:, order], heads)[0], y) <= COMPLEX_STEP
    assert relative(layers.cross_attention(p, x[:, positions], context, heads)[0], y[:, positions]) <= COMPLEX_STEP


@given(seeds, small, small, small)
@example(0, 2, 2, 3)
def test_context_of_one_position(seed, heads, d, positions):
    """N4: a context of one position has weight 1: y is its value through the output layer, and dQ and dK are 0."""
    p, x, context, heads, _ = case(seed, 2, heads, d, positions, 1, 3, 2)
    p = p | {"out": {"w": np.eye(heads * d), "b": np.zeros(heads * d)}}
    y, vjp = layers.cross_attention(p, x, context, heads)
    v = context @ p["v"]["w"] + p["v"]["b"]
    np.testing.assert_array_equal(y, np.broadcast_to(v, y.shape))
    dp, dx, _ = vjp(numbers(seed, y.shape, 11))
    bound = COMPLEX_STEP * np.abs(tree.pack(dp["v"])[0]).max()
    assert max(np.abs(leaf).max() for leaf in [dx, *dp["q"].values(), *dp["k"].values()]) <= bound


def test_sharp_attention_is_a_lookup():
    """N4: with large, matching queries and keys each position gets the value of its own kind, head by head."""
    eye, zero = np.eye(4), np.zeros(4)
    p = {name: {"w": scale * eye, "b": zero} for name, scale in {"q": 100.0, "k": 100.0, "v": 1.0, "out": 1.0}.items()}
    x, context = np.array([[[1.0, 0, 0, 1], [0, 1.0, 1, 0]]]), np.array([[[1.0, 0, 1, 0], [0, 1.0, 0, 1]]])
    np.testing.assert_array_equal(layers.cross_attention(p, x, context, 2)[0], x)  # head 0 finds [1, 0], head 1 finds [0, 1], and so on
    assert np.abs(layers.cross_attention(p, x, context, 1)[0] - x).max() == 0.5  # one head is torn between both


def test_float32_is_preserved():
    """N4: float32 input gives float32 values and gradients."""
    p, x, context, heads, _ = case(0, 2, 2, 2, 3, 4, 3, 3)
    p, x, context = frozen(tree.map(lambda leaf: leaf.astype(np.float32), {"p": p, "x": x, "c": context})).values()
    for y, vjp in layers.softmax({}, x), layers.cross_attention(p, x, context, heads), layers.self_attention(p, x, heads):
        dp, *derivatives = vjp(y)
        assert {leaf.dtype for leaf in [y, *tree.flatten(dp).values(), *derivatives]} == {np.dtype(np.float32)}


@pytest.mark.parametrize("heads", [0, -1, 3, 8])
def test_errors(heads):
    """The error of a wrong number of heads gives its value and what is allowed."""
    p, x, context, _, _ = case(0, 1, 2, 2, 2, 2, 3, 3)
    message = "^" + re.escape(f"heads = {heads}; allowed: a divisor of the width, 4") + "$"
    with pytest.raises(ValueError, match=message):
        layers.cross_attention(p, x, context, heads)
    with pytest.raises(ValueError, match=message):
        layers.self_attention(p, x, heads)


def test_empty_context():
    """The error of an empty context gives its shape."""
    p, x, context, heads, _ = case(0, 1, 2, 2, 2, 2, 3, 3)
    with pytest.raises(ValueError, match=re.escape("context has shape (1, 0, 3); allowed: (B, M, D) with M 1 or more")):
        layers.cross_attention(p, x, context[:, :0], heads)
