"""The MLP: its value by its formula, its derivative by complex step over inputs and all parameters, its initialization."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import layers, mlp, rng, tree

from ..strategies import frozen, tree_gradient
from ..tolerances import COMPLEX_STEP, IDENTITY, SIGMAS, relative

EPS = np.finfo(np.float64).eps

seeds = st.integers(0, 10**6)


def network(seed, dtype=np.float64, **sizes):
    """Random parameters of a network, none of them zero, in read-only arrays."""
    leaves = tree.flatten(mlp.init(seed, dtype=dtype, **sizes))
    randomized = {path: rng.normal(seed, 1, leaf.shape, i, rng.START, dtype)[0] for i, (path, leaf) in enumerate(leaves.items())}
    return frozen(tree.unflatten(randomized))


def inputs(seed, batch, columns=2, dtype=np.float64):
    """Points (B, columns) and times (B,) in 0..1000."""
    return frozen(rng.normal(seed, batch, (columns,), 1, dtype=dtype)), frozen(1000 * rng.uniform(seed, batch)[:, 0])


@st.composite
def cases(draw):
    """(p, x, t, y): networks of 1 to 4 hidden layers, with and without classes, batches from 0 up."""
    seed, batch, columns, classes = draw(seeds), draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
    sizes = {"width": draw(st.integers(1, 4)), "depth": draw(st.integers(1, 4)), "features": draw(st.sampled_from([4, 6]))}
    p = network(seed, inputs=columns, outputs=draw(st.integers(1, 3)), classes=classes, **sizes)
    x, t = inputs(seed, batch, columns)
    y = rng.integers(seed, batch, classes + 1) if classes and draw(st.booleans()) else None
    return p, x, float(t[0]) if batch and draw(st.booleans()) else t, y


def mlp_by_formula(p, x, t, y):
    """The MLP's equations, one example at a time, sharing no code with refdiff; and the size of the terms of the last sum."""
    rows, sizes, depth = [], [], sum(name != "label" for name in p) - 1
    half = (len(p["layer0"]["w"]) - x.shape[1]) // 2
    w, b = p[f"layer{depth}"]["w"], p[f"layer{depth}"]["b"]
    for i in range(len(x)):
        angles = (t if np.ndim(t) == 0 else t[i]) / 10000.0 ** (np.arange(half) / (half - 1))
        context = np.concatenate([np.sin(angles), np.cos(angles)])
        if "label" in p:
            context = context + p["label"]["table"][-1 if y is None else y[i]]
        h = np.concatenate([x[i], context])
        for k in range(depth):
            z = h @ p[f"layer{k}"]["w"] + p[f"layer{k}"]["b"]
            h = z / (1 + np.exp(-z))
        rows.append(h @ w + b)
        sizes.append(np.abs(h) @ np.abs(w) + np.abs(b))
    return np.reshape(rows, (len(x), len(b))), np.reshape(sizes, (len(x), len(b)))


def fixed(depth, batch, label):
    """A case of given depth and batch."""
    x, t = inputs(depth, batch)
    y = np.arange(batch) % 3 if label else None
    return network(depth, width=3, depth=depth, features=4, classes=2 if label is not None else 0), x, t, y


@given(cases())
@example(fixed(3, 4, True))
@example(fixed(2, 1, False))
@example(fixed(1, 0, None))
def test_value(case):
    """N1: h0 = [x, features(t) + E_y], hidden layers of linear and SiLU, and a linear end; also example by example."""
    p, x, t, y = case
    out, _ = mlp.mlp(p, x, t, y)
    expected, size = mlp_by_formula(p, x, t, y)
    assert out.shape == expected.shape and (np.abs(out - expected) <= COMPLEX_STEP * size).all()
    for i in range(len(x)):
        alone, _ = mlp.mlp(p, x[i : i + 1], t if np.ndim(t) == 0 else t[i], None if y is None else y[i : i + 1])
        assert (np.abs(alone[0] - out[i]) <= COMPLEX_STEP * size[i]).all()


@given(cases())
@example(fixed(1, 2, True))
@example(fixed(2, 3, False))
@example(fixed(3, 1, None))
@example(fixed(4, 0, True))
def test_derivative(case):
    """N1: the vjp equals the complex step in x and in every parameter, with labels, without labels, and without a label table."""
    p, x, t, y = case
    out, vjp = mlp.mlp(p, x, t, y)
    dout = frozen(rng.normal(5, len(x), out.shape[1:], 2))
    dp, dx = vjp(dout)
    whole = {"p": p, "x": x}
    expected = tree_gradient(lambda shifted: (dout * mlp.mlp(shifted["p"], shifted["x"], t, y)[0]).sum(), whole)
    assert tree.map(np.shape, {"p": dp, "x": dx}) == tree.map(np.shape, whole)
    assert relative(tree.pack({"p": dp, "x": dx})[0], tree.pack(expected)[0]) <= COMPLEX_STEP


def test_no_label_is_the_last_entry():
    """N1, G3: y = None is the table entry after the classes, bit for bit, in value and gradient; other entries differ."""
    p, (x, t) = network(0, classes=3, width=8), inputs(0, 5)
    (none, none_vjp), (last, last_vjp) = mlp.mlp(p, x, t), mlp.mlp(p, x, t, np.full(5, 3))
    np.testing.assert_array_equal(none, last)
    np.testing.assert_array_equal(tree.pack(none_vjp(x)[0])[0], tree.pack(last_vjp(x)[0])[0])
    for label in range(3):
        assert np.abs(mlp.mlp(p, x, t, np.full(5, label))[0] - none).min() > 0


def test_float32_is_preserved():
    """N1: float32 parameters and points give float32, forward and backward, whatever the precision of t."""
    p, (x, t) = network(0, np.float32, classes=2, width=8), inputs(0, 5, dtype=np.float32)
    for time in t, t.astype(np.float32), 3, 0.5, np.float64(7):
        out, vjp = mlp.mlp(p, x, time, np.zeros(5, int))
        dp, dx = vjp(out)
        assert {leaf.dtype for leaf in tree.flatten({"a": out, "b": dp, "c": dx}).values()} == {np.dtype(np.float32)}


def test_defaults():
    """N1: defaults: 2 inputs and outputs, three hidden layers of 128, 32 time features, no label table, float32."""
    shapes = tree.map(np.shape, mlp.init(0))
    assert shapes == {
        "layer0": {"w": (34, 128), "b": (128,)},
        "layer1": {"w": (128, 128), "b": (128,)},
        "layer2": {"w": (128, 128), "b": (128,)},
        "layer3": {"w": (128, 2), "b": (2,)},
    }
    assert {leaf.dtype for leaf in tree.flatten(mlp.init(0, classes=1)).values()} == {np.dtype(np.float32)}
    assert mlp.init(0, classes=4, features=6)["label"]["table"].shape == (5, 6)
    assert mlp.init(0, inputs=3, depth=1)["layer1"]["w"].shape == (128, 3) and mlp.init(0, outputs=7, depth=1)["layer1"]["b"].shape == (7,)


def test_start():
    """N1: initial weights N(0, 1 / fan-in), labels N(0, 1), biases 0, last layer 0, so the network outputs 0; no random number repeats."""
    p = mlp.init(3, width=64, features=64, classes=199, dtype=np.float64)
    hidden = [p[f"layer{i}"]["w"] * np.sqrt(len(p[f"layer{i}"]["w"])) for i in range(3)] + [p["label"]["table"]]
    for w in hidden:
        assert abs(w.mean()) < SIGMAS / np.sqrt(w.size) and abs((w * w).mean() - 1) < SIGMAS * np.sqrt(2 / w.size)
        assert abs((w[1:] * w[:-1]).mean()) < SIGMAS / np.sqrt(w.size) and abs((w[:, 1:] * w[:, :-1]).mean()) < SIGMAS / np.sqrt(w.size)
    drawn = np.concatenate([w.ravel() for w in hidden] + [mlp.init(4, dtype=np.float64)["layer0"]["w"].ravel() * np.sqrt(34)])
    assert len(np.unique(np.round(drawn, 12))) == len(drawn)
    for step, w in zip((0, 1, 2, 4), hidden, strict=True):
        np.testing.assert_allclose(w, rng.normal(3, len(w), w.shape[1:], step, rng.INIT), rtol=IDENTITY * EPS)
    assert all((p[f"layer{i}"]["b"] == 0).all() for i in range(4)) and (p["layer3"]["w"] == 0).all()
    x, t = inputs(1, 5)
    np.testing.assert_array_equal(mlp.mlp(p, x, t)[0], np.zeros((5, 2)))
    np.testing.assert_array_equal(mlp.init(3, width=64, features=64)["layer1"]["w"], p["layer1"]["w"].astype(np.float32))


def test_layers_are_an_argument():
    """N1: the network uses the layers of its argument L, all of them, and no others."""
    used = []

    def recorded(name):
        return lambda *arguments: (used.append(name), getattr(layers, name)(*arguments))[1]

    ops = SimpleNamespace(**{name: recorded(name) for name in ("linear", "silu", "embedding", "time_features")})
    p, (x, t) = network(0, classes=1, depth=2), inputs(0, 3)
    np.testing.assert_array_equal(mlp.mlp(p, x, t, None, ops)[0], mlp.mlp(p, x, t)[0])
    assert sorted(used) == ["embedding", "linear", "linear", "linear", "silu", "silu", "time_features"]


X = np.ones((3, 2))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mlp.init(0, depth=0), "depth = 0, width = 128; allowed: 1 or more"),
        (lambda: mlp.init(0, width=0), "depth = 3, width = 0; allowed: 1 or more"),
        (lambda: mlp.init(0, inputs=0), "inputs = 0, classes = 0; allowed: inputs 1 or more, classes 0 or more"),
        (lambda: mlp.init(0, classes=-1), "inputs = 2, classes = -1; allowed: inputs 1 or more, classes 0 or more"),
        (lambda: mlp.init(0, features=5), "features = 5; allowed: even, 4 or more"),
        (lambda: mlp.init(0, features=2), "features = 2; allowed: even, 4 or more"),
        (lambda: mlp.init(-1), "seed = -1; allowed: 0..2^64 - 1"),
        (lambda: mlp.mlp(network(0), X, 1, np.zeros(3, int)), "y is given, but the network has no label table; allowed: None"),
        (lambda: mlp.mlp(network(0, classes=2), X, 1, np.array([0, 1, 3])), "y = array([0, 1, 3]); allowed: 0..2"),
        (lambda: mlp.mlp(network(0, classes=2), X, 1, np.array([1])), "y has shape (1,); allowed: (3,)"),
        (lambda: mlp.mlp(network(0), X, np.ones(2)), "t has shape (2,); allowed: () or (3,)"),
        (lambda: mlp.mlp(network(0), X, np.ones(1)), "t has shape (1,); allowed: () or (3,)"),
    ],
)
def test_errors(call, message):
    """Errors name the argument, its value, and what is allowed."""
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        call()


def test_embed_conditions():
    """N1: conditioning: features of one time for all or for each example, plus the label's row or the last row; and the
    row's derivative.
    """
    p = network(3, classes=2)
    table, t = p["label"]["table"], np.array([0.0, 20.0, 999.5])
    time, row, vjp = mlp.embed_conditions(p, 3, 6, t, np.array([1, 0, 1]), np.float64, layers)
    np.testing.assert_array_equal(time, layers.time_features(t, 6, np.float64))
    np.testing.assert_array_equal(row, table[[1, 0, 1]])
    np.testing.assert_array_equal(vjp(np.ones_like(row))["table"], np.outer([1, 2, 0], np.ones(table.shape[1])))
    time, row, _ = mlp.embed_conditions(p, 3, 6, 20.0, None, np.float32, layers)
    assert time.dtype == np.float32 and np.all(time == time[0]) and np.all(row == table[2])
    assert mlp.embed_conditions({"layer0": p["layer0"]}, 3, 6, t, None, np.float64, layers)[1:] == (None, None)
