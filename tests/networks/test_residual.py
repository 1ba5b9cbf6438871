"""Blocks of the U-Net: values by their formulas, derivatives by complex step over inputs and all parameters."""

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import layers, residual, tree

from ..strategies import frozen
from ..tolerances import COMPLEX_STEP, relative
from .test_layers import check_vjp, numbers, seeds

modes = st.sampled_from(["adaptive", "add"])
GROUPS, HEADS = 2, 2


def drawn(seed, shapes, dtype=np.float64):
    """A tree of normal random numbers in read-only arrays of these shapes."""
    template = tree.unflatten({path: np.empty(shape) for path, shape in shapes.items()})
    return frozen(tree.views(numbers(seed, (tree.size(template),), 77, dtype), template))


def linear(name, fan_in, fan_out):
    return {f"{name}/w": (fan_in, fan_out), f"{name}/b": (fan_out,)}


def conv(name, k, fan_in, fan_out):
    return {f"{name}/w": (k, k, fan_in, fan_out), f"{name}/b": (fan_out,)}


def norm(name, width):
    return {f"{name}/scale": (width,), f"{name}/shift": (width,)}


def block_case(seed, batch, size, fan_in, fan_out, mode, short, embedding=2, dtype=np.float64):
    """(p, x, emb) of a residual block."""
    shapes = norm("norm1", fan_in) | conv("conv1", 3, fan_in, fan_out) | conv("conv2", 3, fan_out, fan_out)
    shapes |= (
        linear("conditioning", embedding, 2 * fan_out)
        if mode == "adaptive"
        else linear("conditioning", embedding, fan_out) | norm("norm2", fan_out)
    )
    shapes |= conv("shortcut", 1, fan_in, fan_out) if short or fan_in != fan_out else {}
    return drawn(seed, shapes, dtype), numbers(seed, (batch, *size, fan_in), 1, dtype), numbers(seed, (batch, embedding), 2, dtype)


def value(layer, *arguments):
    return layer(*arguments)[0]


def block_by_formula(p, x, emb):
    """The residual block by its formula, from values of layers."""
    h = value(layers.conv, p["conv1"], value(layers.silu, {}, value(layers.group_norm, p["norm1"], x, GROUPS)))
    modulation = (emb @ p["conditioning"]["w"] + p["conditioning"]["b"])[:, None, None]
    if "norm2" in p:
        h = value(layers.group_norm, p["norm2"], h + modulation, GROUPS)
    else:
        scale, shift = np.split(modulation, 2, axis=-1)
        h = value(layers.normalize, {}, h, GROUPS) * (1 + scale) + shift
    h = value(layers.conv, p["conv2"], value(layers.silu, {}, h))
    return h + (np.tensordot(x, p["shortcut"]["w"][0, 0], 1) + p["shortcut"]["b"] if "shortcut" in p else x)


def attention_by_formula(p, x):
    """Attention among the pixels, row by row, added to x."""
    pixels = value(layers.group_norm, p["norm"], x, GROUPS).reshape(len(x), x.shape[1] * x.shape[2], x.shape[3])
    return x + value(layers.self_attention, p["attention"], pixels, HEADS).reshape(x.shape)


def embedding_by_formula(p, batch, t, y):
    """silu(two layers of the time's features + the label's row), one example at a time."""
    rows, half = [], len(p["time1"]["w"]) // 2
    for i in range(batch):
        angles = (t if np.ndim(t) == 0 else t[i]) / 10000.0 ** (np.arange(half) / (half - 1))
        z = np.concatenate([np.sin(angles), np.cos(angles)]) @ p["time1"]["w"] + p["time1"]["b"]
        z = z / (1 + np.exp(-z)) @ p["time2"]["w"] + p["time2"]["b"]
        z = z + (p["label"]["table"][-1 if y is None else y[i]] if "label" in p else 0)
        rows.append(z / (1 + np.exp(-z)))
    return np.reshape(rows, (batch, p["time2"]["w"].shape[1]))


@given(seeds, st.integers(0, 2), st.sampled_from([(2, 1), (2, 2), (3, 2)]), st.sampled_from([2, 4]), st.sampled_from([2, 4]), modes)
@example(0, 0, (2, 2), 2, 4, "add")
@example(1, 2, (2, 3), 4, 4, "adaptive")
@example(2, 2, (2, 3), 2, 4, "adaptive")
@example(3, 2, (2, 3), 2, 2, "add")
@example(4, 2, (2, 3), 4, 2, "add")
def test_block_value(seed, batch, size, fan_in, fan_out, mode):
    """N3: normalize, silu, convolve, twice, conditioned in between, plus x or a 1 x 1 convolution of x."""
    for short in {False, fan_in == fan_out}:
        p, x, emb = block_case(seed, batch, size, fan_in, fan_out, mode, short)
        y, _ = residual.block(p, x, emb, layers, GROUPS)
        assert y.shape == (batch, *size, fan_out) and relative(y, block_by_formula(p, x, emb)) <= COMPLEX_STEP


@pytest.mark.parametrize("mode", ["adaptive", "add"])
@pytest.mark.parametrize("fan_in, fan_out, short", [(2, 2, False), (2, 2, True), (2, 4, True), (4, 2, True)])
@pytest.mark.parametrize("batch, size", [(0, (2, 2)), (1, (2, 3)), (2, (3, 1))])
def test_block_derivative(mode, fan_in, fan_out, short, batch, size):
    """N3: derivatives in all parameters, x and the embedding by complex step, for both kinds of conditioning, with and
    without a shortcut.
    """
    p, x, emb = block_case(fan_in + 10 * fan_out, batch, size, fan_in, fan_out, mode, short)
    y, vjp = residual.block(p, x, emb, layers, GROUPS)
    dy = numbers(0, y.shape, 3)
    dp, dx, demb = vjp(dy)
    arguments, dtree = {"p": p, "x": x, "emb": emb}, {"p": dp, "x": dx, "emb": demb}
    check_vjp(lambda a: residual.block(a["p"], a["x"], a["emb"], layers, GROUPS)[0], arguments, dy, dtree)


@given(seeds, st.integers(0, 2), st.sampled_from([(2, 1), (2, 2), (1, 3)]), st.sampled_from([2, 4]))
@example(0, 0, (2, 2), 2)
@example(1, 2, (2, 3), 4)
def test_attend(seed, batch, size, width):
    """N4: x plus the attention among its normalized pixels; derivatives in all parameters and x by complex step."""
    shapes = norm("norm", width)
    for name in "q", "k", "v", "out":
        shapes |= linear(f"attention/{name}", width, width)
    p, x = drawn(seed, shapes), numbers(seed, (batch, *size, width), 1)
    y, vjp = residual.attend(p, x, layers, HEADS, GROUPS)
    assert relative(y, attention_by_formula(p, x)) <= COMPLEX_STEP
    dy = numbers(seed, y.shape, 2)
    dp, dx = vjp(dy)
    check_vjp(lambda a: residual.attend(a["p"], a["x"], layers, HEADS, GROUPS)[0], {"p": p, "x": x}, dy, {"p": dp, "x": dx})


def embed_parameters(seed, features, width, entries):
    shapes = linear("time1", features, width) | linear("time2", width, width)
    return drawn(seed, shapes | ({"label/table": (entries, width)} if entries else {}))


@given(seeds, st.integers(0, 3), st.sampled_from([4, 6]), st.integers(1, 3), st.integers(0, 3), st.booleans(), st.booleans())
@example(0, 0, 4, 2, 2, True, False)
@example(1, 3, 4, 2, 3, True, True)
@example(2, 3, 6, 2, 3, False, False)
@example(3, 2, 6, 2, 0, False, True)
def test_embed(seed, batch, features, width, entries, labelled, one_time):
    """N5, N1: silu(e + E_y) by its formula, for one time or many, with labels, without labels or without a table;
    parameters by complex step.
    """
    p = embed_parameters(seed, features, width, entries)
    t = 123.25 if one_time else frozen(np.abs(100 * numbers(seed, (batch,), 1)))
    y = frozen(np.arange(batch) % entries) if entries and labelled else None
    emb, vjp = residual.embed(p, batch, t, y, np.float64, layers)
    assert emb.shape == (batch, width) and np.max(np.abs(emb - embedding_by_formula(p, batch, t, y)), initial=0) <= 10 * COMPLEX_STEP
    demb = numbers(seed, emb.shape, 2)
    check_vjp(lambda p: residual.embed(p, batch, t, y, np.float64, layers)[0], p, demb, vjp(demb))


def test_no_label_is_the_last_entry():
    """N5, G3: y = None is the last entry of the table, bit for bit, in value and gradient; other entries differ."""
    p = embed_parameters(0, 4, 3, 3)
    (none, none_vjp), (last, last_vjp) = (residual.embed(p, 2, 7.0, y, np.float64, layers) for y in (None, np.array([2, 2])))
    np.testing.assert_array_equal(none, last)
    np.testing.assert_array_equal(tree.pack(none_vjp(none))[0], tree.pack(last_vjp(none))[0])
    assert np.abs(residual.embed(p, 2, 7.0, np.array([0, 1]), np.float64, layers)[0] - none).min() > 0


def test_float32_is_preserved():
    """N3, N4, N5: float32 input gives float32 values and gradients."""
    for mode in "adaptive", "add":
        y, vjp = residual.block(*block_case(0, 2, (2, 3), 2, 4, mode, True, dtype=np.float32), layers, GROUPS)
        dp, dx, demb = vjp(y)
        assert {leaf.dtype for leaf in [y, dx, demb, *tree.flatten(dp).values()]} == {np.dtype(np.float32)}
    p = tree.map(lambda leaf: leaf.astype(np.float32), embed_parameters(0, 4, 3, 3))
    emb, emb_vjp = residual.embed(p, 2, np.ones(2), None, np.float32, layers)
    assert {leaf.dtype for leaf in [emb, *tree.flatten(emb_vjp(emb)).values()]} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    "entries, t, y, message",
    [
        (0, 1.0, np.zeros(3, int), "y is given, but the network has no label table; allowed: None"),
        (2, 1.0, np.array([0, 1, 2]), "y = array([0, 1, 2]); allowed: 0..1"),
        (2, 1.0, np.array([1]), "y has shape (1,); allowed: (3,)"),
        (2, 1.0, 1, "y has shape (); allowed: (3,)"),
        (0, np.ones(2), None, "t has shape (2,); allowed: () or (3,)"),
        (0, np.ones((3, 1)), None, "t has shape (3, 1); allowed: () or (3,)"),
    ],
)
def test_errors(entries, t, y, message):
    """Errors of times and labels give their value and what is allowed."""
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        residual.embed(embed_parameters(0, 4, 2, entries), 3, t, y, np.float64, layers)
