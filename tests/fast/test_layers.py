"""The fast layers against the reference layers."""

import inspect

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import fast, layers, mlp, training, tree
from refdiff.training import Batch

from ..networks import test_layers
from ..networks.test_layers import numbers
from ..strategies import tree_gradient
from ..tolerances import COMPLEX_STEP, IDENTITY, SILU, SILU_SLOPE, TIME_FEATURES_32, float32_gradient, relative
from ..training.small_runs import drawn, network

seeds = st.integers(0, 10**6)
dtypes = st.sampled_from([np.float32, np.float64])


# The op set


@pytest.mark.parametrize("name", [name for name, item in vars(layers).items() if getattr(item, "__module__", "") == layers.__name__])
def test_same_names_and_signatures(name):
    """N2: every public function of the reference layers is in `fast`, with the same arguments and defaults."""
    if not name.startswith("_"):
        assert inspect.signature(getattr(fast, name)) == inspect.signature(getattr(layers, name))


@pytest.fixture(scope="module", autouse=True)
def _layers_are_fast():
    """Run the imported tests of `test_layers` on the fast layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_layers, "layers", fast)
        yield


test_linear, test_silu, test_silu_saturates = test_layers.test_linear, test_layers.test_silu, test_layers.test_silu_saturates
test_embedding, test_cross_entropy = test_layers.test_embedding, test_layers.test_cross_entropy
test_cross_entropy_by_hand, test_float32_is_preserved = test_layers.test_cross_entropy_by_hand, test_layers.test_float32_is_preserved
test_errors = test_layers.test_errors
test_time_features_of_integers_are_the_same = test_layers.test_time_features_of_integers_are_the_same


@given(seeds, st.integers(0, 5), st.integers(1, 9), st.integers(1, 9), dtypes)
@example(1, 3, 4, 2, np.float32)
def test_linear_equals_reference(seed, batch, fan_in, fan_out, dtype):
    """N2: value and derivative equal the reference, with sums over the batch in another order."""
    p = {"w": numbers(seed, (fan_in, fan_out), 1, dtype), "b": numbers(seed, (fan_out,), 2, dtype)}
    x, dy = numbers(seed, (batch, fan_in), 3, dtype), numbers(seed, (batch, fan_out), 4, dtype)
    (y, vjp), (reference_y, reference_vjp) = fast.linear(p, x), layers.linear(p, x)
    (dp, dx), (reference_dp, reference_dx) = vjp(dy), reference_vjp(dy)
    for ours, expected, terms in (
        (y, reference_y, x),
        (dp["w"], reference_dp["w"], x),
        (dp["b"], reference_dp["b"], dy),
        (dx, reference_dx, dy),
    ):
        assert ours.dtype == expected.dtype == dtype and ours.shape == expected.shape
        scale = max(np.abs(array).max(initial=0) for array in (ours, terms))
        assert np.abs(ours - expected).max(initial=0) <= IDENTITY * np.finfo(dtype).eps * scale


@given(seeds, st.sampled_from([(), (0, 3), (5,), (3, 7)]), st.floats(0.01, 30), dtypes)
@example(0, (3, 2), 1.0, np.float32)
def test_silu_equals_reference(seed, shape, scale, dtype):
    """N2: value and slope equal the reference to the roundings of two formulas; those of the faster one count relative to x."""
    x, dy = np.asarray(numbers(seed, shape, 1, dtype) * dtype(scale)), numbers(seed, shape, 2, dtype)
    (y, vjp), (reference_y, reference_vjp) = fast.silu({}, x), layers.silu({}, x)
    assert (np.abs(y - reference_y) <= SILU * np.finfo(dtype).eps * np.abs(x)).all()
    error = np.abs(vjp(dy)[1] - reference_vjp(dy)[1])
    assert (error <= SILU_SLOPE * np.finfo(dtype).eps * (1 + np.abs(x)) * np.abs(dy)).all()
    assert y.dtype == vjp(dy)[1].dtype == dtype


@given(st.lists(st.floats(0, 1000), max_size=6), st.integers(2, 16))
@example([0.0, 1.0, 499.5, 1000.0], 16)
@example([], 2)
def test_time_features_equal_reference(times, half):
    """N1: float64 features equal the reference bit for bit; float32 features to the rounding of an angle within half a turn."""
    exact = layers.time_features(np.array(times), 2 * half)
    np.testing.assert_array_equal(fast.time_features(np.array(times), 2 * half), exact)
    single = fast.time_features(np.array(times), 2 * half, np.float32)
    assert single.dtype == np.float32 and single.shape == exact.shape
    assert np.abs(single - exact).max(initial=0) <= TIME_FEATURES_32 * np.finfo(np.float32).eps


@pytest.mark.parametrize("wide", ["x", "w", "b", "dy"])
@pytest.mark.parametrize("types", [(np.float32, np.float64), (np.float32, np.complex64), (np.float64, np.complex128)])
def test_mixed_precision_widens_as_in_reference(wide, types):
    """N2: where one argument has a wider type, above all complex, so has every result that depends on it, and no other."""
    narrow, wider = types
    args = {"x": (3, 2), "w": (2, 4), "b": (4,), "dy": (3, 4)}
    x, w, b, dy = (numbers(0, shape, i, narrow).astype(wider if name == wide else narrow) for i, (name, shape) in enumerate(args.items()))
    found = []
    for L in (fast, layers):
        y, linear_vjp = L.linear({"w": w, "b": b}, x)
        dp, dx = linear_vjp(dy)
        s, silu_vjp = L.silu({}, b if wide == "b" else w)
        found.append([y, dp["w"], dp["b"], dx, s, silu_vjp(np.ones_like(s, dtype=wider if wide == "dy" else narrow))[1]])
    for ours, expected in zip(*found, strict=True):
        assert ours.dtype == expected.dtype and relative(ours, expected) <= IDENTITY * np.finfo(narrow).eps


@given(seeds, st.integers(1, 3), st.integers(0, 3), st.booleans())
@example(0, 3, 4, True)
def test_whole_network_by_complex_step(seed, depth, batch, labelled):
    """N1, N2: the derivative of the MLP with fast layers, in all parameters and in x, by complex step, and against the reference."""
    p, one = network(seed, depth=depth, width=4), drawn(batch)
    y = one.y if labelled else None
    out, vjp = mlp.mlp(p, one.x, one.clock, y, fast)
    weights = numbers(seed, out.shape, 5)
    dp, dx = vjp(weights)
    exact = tree_gradient(lambda a: (weights * mlp.mlp(a["p"], a["x"], one.clock, y, fast)[0]).sum(), {"p": p, "x": one.x})
    assert relative(tree.pack({"p": dp, "x": dx})[0], tree.pack(exact)[0]) <= COMPLEX_STEP
    reference_out, reference_vjp = mlp.mlp(p, one.x, one.clock, y)
    reference_dp, reference_dx = reference_vjp(weights)
    assert relative(out, reference_out) <= COMPLEX_STEP
    assert relative(tree.pack({"p": dp, "x": dx})[0], tree.pack({"p": reference_dp, "x": reference_dx})[0]) <= COMPLEX_STEP


@pytest.mark.parametrize("workers", [1, 2])
def test_float32_gradient(workers):
    """N1, N2: at the demo's size, the reference and the fast layers in float32 are within float32 accuracy of float64."""
    p, batch = network(3, np.float32, width=64, features=32), drawn(128, np.float32)
    wide = Batch(*(a.astype(np.float64) if a.dtype == np.float32 else a for a in batch))
    _, exact = training.value_and_grad(mlp.mlp, tree.map(lambda leaf: leaf.astype(np.float64), p), wide)
    for L in (layers, fast):
        _, grads = training.value_and_grad(mlp.mlp, p, batch, L, workers)
        assert {leaf.dtype for leaf in tree.flatten(grads).values()} == {np.dtype(np.float32)}
        errors = tree.map(lambda g, e: relative(g, e), grads, exact)
        assert max(tree.flatten(errors).values()) <= float32_gradient(64, 128) * np.finfo(np.float32).eps


def test_vjp_can_be_called_again():
    """N2: a vjp gives the same result when called twice, with other layers and vjps in between, and modifies neither dy nor y."""
    x, p = numbers(0, (5, 3)), {"w": numbers(0, (3, 3), 1), "b": numbers(0, (3,), 2)}
    for layer in (fast.linear, fast.silu):
        y, vjp = layer(p, x)
        kept, dy = y.copy(), numbers(0, y.shape, 3)
        first = tree.pack(dict(zip("ab", vjp(dy), strict=True)))[0]
        layer(p, y)[1](numbers(0, y.shape, 4))
        np.testing.assert_array_equal(tree.pack(dict(zip("ab", vjp(dy), strict=True)))[0], first)
        np.testing.assert_array_equal(y, kept)
