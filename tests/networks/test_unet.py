"""The U-Net: values by recursion, derivatives by complex step, float32, its layers, errors."""

import re
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import layers, rng, tree, unet, unet_init

from ..strategies import frozen, tree_gradient
from ..tolerances import UNET, relative
from .test_layers import numbers
from .test_residual import GROUPS, HEADS, attention_by_formula, block_by_formula, embedding_by_formula, modes, value

seeds = st.integers(0, 3)  # few examples: each builds a network, and shapes matter more


@cache
def network(seed, dtype=np.float64, **choice):
    """Random parameters of a small network, none of them zero, in read-only arrays."""
    p = unet.init(seed, **{"base": 4, "embedding": 3, "dtype": dtype} | choice)
    return frozen(tree.map(lambda leaf, noise: leaf + np.asarray(0.3, dtype) * noise, p, normals(p, seed, dtype)))


def normals(like, seed, dtype=np.float64):
    """A tree of normal random numbers, shaped like another."""
    return tree.views(numbers(seed, (tree.size(like),), 99, dtype), like)


def apply(p, x, t, y, L=layers):
    return unet.unet(p, x, t, y, L, heads=HEADS, groups=GROUPS)


def case(seed, batch=2, size=(1, 1), times="each", labels="given", dtype=np.float64, **choice):
    """(p, x, t, y); size is in units of the smallest image that the levels allow."""
    p, unit = network(seed, dtype, **choice), 2 ** (len(choice.get("multipliers", (1, 2, 2))) - 1)
    x = numbers(seed, (batch, unit * size[0], unit * size[1], choice.get("channels", 1)), 1, dtype)
    y = frozen(np.arange(batch) % (choice["classes"] + 1)) if choice.get("classes") and labels == "given" else None
    return p, x, 321.5 if times == "one" else frozen(1000 * rng.uniform(seed, batch)[:, 0]), y


@st.composite
def cases(draw):
    """Networks of 1 to 3 levels, with either kind of conditioning, attention at any level, with labels, without labels
    or without a table; batches from 0 up.
    """
    multipliers = draw(st.sampled_from([(1,), (1, 2), (2, 1), (1, 2, 2)]))
    attention = tuple(sorted(draw(st.sets(st.integers(0, len(multipliers) - 1)))))
    shape = {"batch": draw(st.integers(0, 2)), "size": draw(st.sampled_from([(1, 2), (2, 2), (3, 1)]))}
    conditioning = {"times": draw(st.sampled_from(["one", "each"])), "labels": draw(st.sampled_from(["given", "none"]))}
    choice = {"blocks": draw(st.integers(1, 2)), "channels": draw(st.sampled_from([1, 3])), "classes": draw(st.sampled_from([0, 2]))}
    return case(draw(seeds), **shape, **conditioning, **choice, multipliers=multipliers, attention=attention, mode=draw(modes))


CASES = [
    case(0, size=(2, 2), multipliers=(1,), attention=(0,), classes=2, mode="add"),
    case(1, size=(2, 4), multipliers=(1, 2), blocks=2, channels=3, attention=(0,), times="one"),
    case(2, size=(2, 1), multipliers=(1, 2, 2), attention=(1, 2), classes=2),
    case(3, size=(1, 2), multipliers=(1, 2, 2), classes=3, labels="none", mode="add", channels=3),
    case(4, batch=0, size=(1, 1), multipliers=(1, 2), attention=(0, 1), classes=1),
]


def unet_by_recursion(p, x, t, y):
    """The U-Net as a recursion: a level encodes, calls the level below, and decodes with its skip connections."""
    emb, levels = embedding_by_formula(p, len(x), t, y), sum(name.startswith("downsample") for name in p) + 1
    blocks = sum(re.fullmatch(r"down0_block\d", name) is not None for name in p)

    def step(name, h):
        h = block_by_formula(p[name], h, emb)
        attention = name.replace("block", "attention")
        return attention_by_formula(p[attention], h) if attention in p else h

    def level(i, h):
        kept = [h]
        for j in range(blocks):
            kept.append(h := step(f"down{i}_block{j}", h))
        if i + 1 < levels:
            h = value(layers.conv_up, p[f"upsample{i + 1}"], level(i + 1, value(layers.conv, p[f"downsample{i}"], h, 2)))
        else:
            h = step("mid_block1", step("mid_block0", h))
        for j in range(blocks + 1):
            h = step(f"up{i}_block{j}", np.concatenate([h, kept.pop()], axis=-1))
        return h

    h = level(0, value(layers.conv, p["conv_in"], x))
    return value(layers.conv, p["conv_out"], value(layers.silu, {}, value(layers.group_norm, p["norm_out"], h, GROUPS)))


@given(cases())
@example(CASES[0])
@example(CASES[1])
@example(CASES[2])
@example(CASES[3])
@example(CASES[4])
def test_value(case):
    """N5: the network by recursion over its levels; examples of a batch do not influence each other."""
    p, x, t, y = case
    out, _ = apply(p, x, t, y)
    assert out.shape == x.shape and relative(out, unet_by_recursion(p, x, t, y)) <= UNET
    for i in range(len(x)):
        alone = apply(p, x[i : i + 1], t if np.ndim(t) == 0 else t[i : i + 1], None if y is None else y[i : i + 1])[0]
        assert relative(alone, out[i : i + 1]) <= UNET


def gradient(case):
    """(arguments, f, gradient) of f = sum(weights * network)."""
    p, x, t, y = case
    out, vjp = apply(p, x, t, y)
    dout = numbers(0, out.shape, 5)
    dp, dx = vjp(dout)
    return {"p": p, "x": x}, lambda a: (dout * apply(a["p"], a["x"], t, y)[0]).sum(), {"p": dp, "x": dx}


def check_direction(f, arguments, dtree, direction):
    """Assert that the derivative of f along a direction is that of its gradient, relative to the size of the gradient."""
    assert tree.map(np.shape, dtree) == tree.map(np.shape, arguments)
    slope = f(tree.map(lambda leaf, d: leaf + 1e-30j * d, arguments, direction)).imag / 1e-30
    flat, moves = tree.pack(dtree)[0], tree.pack(direction)[0]
    assert abs(slope - flat @ moves) <= UNET * np.linalg.norm(flat)


@given(cases(), st.integers(0, 10**6))
@example(CASES[4], 0)
def test_derivative_along_directions(case, seed):
    """N5: the gradient is nested like p, and equals the complex step along directions in x and all parameters."""
    arguments, f, dtree = gradient(case)
    check_direction(f, arguments, dtree, normals(arguments, seed))


@pytest.mark.parametrize("case", [CASES[0], *(pytest.param(case, marks=pytest.mark.long) for case in CASES[1:4])])
def test_derivative_array_by_array(case):
    """N5: the gradient equals the complex step along a direction in each parameter array alone, and in x; no gradient is zero."""
    arguments, f, dtree = gradient(case)
    moves = tree.flatten(normals(arguments, 1))
    for moved in moves:
        check_direction(f, arguments, dtree, tree.unflatten({path: leaf * (path == moved) for path, leaf in moves.items()}))
    assert all(np.abs(leaf).max() > 0 for leaf in tree.flatten(dtree).values())


def test_whole_derivative_of_a_tiny_network(monkeypatch):
    """N5: every entry of the gradient and of dx by complex step: 2 channels, conditioned on 4 features of time."""
    monkeypatch.setattr(unet_init, "_check", lambda *arguments: None)
    p = network(7, base=2, multipliers=(1,), classes=1, embedding=1)
    p = p | {"time1": {"w": numbers(7, (4, 1), 1), "b": numbers(7, (1,), 2)}}
    arguments, f, dtree = gradient((p, numbers(7, (1, 2, 2, 1), 3), 5.5, None))
    assert relative(tree.pack(dtree)[0], tree.pack(tree_gradient(f, arguments))[0]) <= UNET


def test_no_label_is_the_last_entry():
    """N5, G3: y = None is the table entry after the classes, bit for bit, in value and gradient; other entries differ."""
    p, x, t, _ = case(0, multipliers=(1,), classes=2, size=(2, 2))
    (none, none_vjp), (last, last_vjp) = apply(p, x, t, None), apply(p, x, t, np.array([2, 2]))
    np.testing.assert_array_equal(none, last)
    np.testing.assert_array_equal(tree.pack(none_vjp(x)[0])[0], tree.pack(last_vjp(x)[0])[0])
    assert np.abs(apply(p, x, t, np.array([0, 1]))[0] - none).min() > 0


@pytest.mark.parametrize("mode", ["adaptive", "add"])
def test_float32_is_preserved(mode):
    """N5: float32 parameters and images give float32, forward and backward, whatever the precision of t."""
    p, x, t, y = case(0, dtype=np.float32, multipliers=(1, 2), size=(2, 2), classes=2, attention=(0,), mode=mode)
    for time in t, t.astype(np.float32), 3, np.float64(7):
        out, vjp = apply(p, x, time, y)
        dp, dx = vjp(out)
        assert {leaf.dtype for leaf in tree.flatten({"a": out, "b": dp, "c": dx, "d": p}).values()} == {np.dtype(np.float32)}


def test_layers_are_an_argument():
    """N5: the network uses the layers of its argument L, and no others; 4 heads and 8 groups by default."""
    used = {}

    def recorded(name):
        return lambda *a, **k: (used.setdefault(name, []).append(a[2:]), getattr(layers, name)(*a, **k))[1]

    names = [
        "adaptive_group_norm_silu",
        "conv",
        "conv_up",
        "embedding",
        "group_norm",
        "group_norm_silu",
        "linear",
        "self_attention",
        "silu",
        "time_features",
    ]
    ops = SimpleNamespace(**{name: recorded(name) for name in names})
    for mode in "adaptive", "add":
        p, x, t, y = case(0, base=8, classes=1, multipliers=(1, 2), mode=mode)
        np.testing.assert_array_equal(unet.unet(p, x, t, y, ops)[0], unet.unet(p, x, t, y)[0])
        np.testing.assert_array_equal(unet.unet(p, x, t, y)[0], unet.unet(p, x, t, y, layers, 4, 8)[0])
    assert sorted(used) == names


@pytest.mark.parametrize(
    "shape, choice, message",
    [
        ((2, 7, 8, 1), {"multipliers": (1, 2)}, "x has shape (2, 7, 8, 1); allowed: (B, H, W, 1) with H and W positive multiples of 2"),
        ((2, 8, 7, 1), {"multipliers": (1, 2)}, "x has shape (2, 8, 7, 1); allowed: (B, H, W, 1) with H and W positive multiples of 2"),
        ((2, 8, 6, 1), {}, "x has shape (2, 8, 6, 1); allowed: (B, H, W, 1) with H and W positive multiples of 4"),
        ((8, 8, 1), {}, "x has shape (8, 8, 1); allowed: (B, H, W, 1) with H and W positive multiples of 4"),
        (
            (2, 7, 5, 1),
            {"multipliers": (1,), "channels": 3},
            "x has shape (2, 7, 5, 1); allowed: (B, H, W, 3) with H and W positive multiples of 1",
        ),
        ((2, 0, 8, 1), {}, "x has shape (2, 0, 8, 1); allowed: (B, H, W, 1) with H and W positive multiples of 4"),
    ],
)
def test_wrong_image(shape, choice, message):
    """Errors of images give their shape and what is allowed."""
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        apply(network(0, **choice), np.ones(shape), 1, None)


def test_other_errors():
    """Errors of heads, groups, times and labels come from the layer that takes them."""
    p, x, _, _ = case(0, multipliers=(1,), size=(2, 2))
    with pytest.raises(ValueError, match=r"^heads = 3; allowed: a divisor of the width, 4$"):
        unet.unet(p, x, 1.0, heads=3, groups=2)
    with pytest.raises(ValueError, match=r"^groups = 8; allowed: a divisor of the 4 channels of x$"):
        unet.unet(p, x, 1.0)
    with pytest.raises(ValueError, match=r"^t has shape \(3,\); allowed: \(\) or \(2,\)$"):
        apply(p, x, np.ones(3), None)
    with pytest.raises(ValueError, match=r"^y is given, but the network has no label table; allowed: None$"):
        apply(p, x, 1.0, np.array([0, 0]))
