"""Fast image layers against the tests of the reference layers, and against the reference at the sizes of a real network."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import fast, layers, rng, training, tree, unet
from refdiff.fast import convolution, norm, winograd, winograd_up

from ..networks import test_convolution, test_normalize
from ..networks.test_layers import EPS, seeds
from ..strategies import frozen
from ..tolerances import COMPLEX_STEP, WINOGRAD, relative


def close(actual, expected, size):
    """Whether two arrays are equal up to the roundings of a tile, which are those of its largest sum."""
    size = np.max(np.abs(size), initial=0)
    return actual.shape == expected.shape and bool((np.abs(actual - expected) <= WINOGRAD * EPS * size).all())


@pytest.fixture(scope="module", autouse=True, params=[0, convolution.FEW])
def _layers_are_fast(request):
    """Run the imported tests of the reference layers on the fast layers; with FEW = 0 every 3 x 3 convolution uses Winograd's algorithm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_convolution, "layers", fast)
        patch.setattr(test_normalize, "layers", fast)
        patch.setattr(convolution, "FEW", request.param)
        patch.setattr(test_convolution, "close", close)
        patch.setattr(norm, "CACHED", 2 if request.param == 0 else norm.CACHED)
        patch.setattr(winograd, "CACHED", 2 if request.param == 0 else winograd.CACHED)  # an image at a time, or all at once
        yield


test_conv_value, test_conv_derivative = test_convolution.test_conv_value, test_convolution.test_conv_derivative
test_conv_is_a_correlation, test_conv_up = test_convolution.test_conv_is_a_correlation, test_convolution.test_conv_up
test_conv_errors, test_conv_float32 = test_convolution.test_errors, test_convolution.test_float32_is_preserved
test_group_norm, test_adaptive_group_norm = test_normalize.test_group_norm, test_normalize.test_adaptive_group_norm
test_normalization_then_silu = test_normalize.test_normalization_then_silu
test_norm_errors, test_norm_float32 = test_normalize.test_errors, test_normalize.test_float32_is_preserved


def drawn(seed, shape, dtype):
    return frozen(rng.normal(seed, 1, shape, dtype=dtype)[0])


@given(seeds, st.integers(1, 3), st.integers(1, 13), st.integers(1, 13), st.sampled_from([1, 5, 8]), st.sampled_from([1, 6, 16]))
@example(0, 2, 7, 7, 8, 16)
@example(1, 1, 4, 8, 5, 6)
def test_convolutions_in_float32(seed, batch, height, width, fan_in, fan_out):
    """N2: in float32 every algorithm of convolution, conv3 included, is within its rounding of the reference in float64, value and derivatives.

    The reference, applied to absolute values, gives the sizes of the sums.
    """
    p = {"w": drawn(seed, (3, 3, fan_in, fan_out), np.float32), "b": drawn(seed + 1, (fan_out,), np.float32)}
    x, dy = drawn(seed + 2, (batch, height, width, fan_in), np.float32), drawn(seed + 3, (batch, height, width, fan_out), np.float32)
    wide = {key: leaf.astype(np.float64) for key, leaf in p.items()}
    exact, exact_vjp = layers.conv(wide, x.astype(np.float64))
    y, vjp = fast.conv(p, x)
    size, size_vjp = layers.conv(tree.map(np.abs, wide), np.abs(x.astype(np.float64)))
    derivatives = vjp(dy), exact_vjp(dy.astype(np.float64)), size_vjp(np.abs(dy.astype(np.float64)))
    results = [{"y": y, "dp": dp, "dx": dx} for y, (dp, dx) in zip((y, exact, size), derivatives, strict=True)]
    for ours, theirs, sizes in zip(*(tree.flatten(result).values() for result in results), strict=True):
        assert ours.dtype == np.float32 and ours.shape == theirs.shape
        assert np.max(np.abs(ours - theirs)) <= WINOGRAD * np.finfo(np.float32).eps * np.max(sizes)


@pytest.mark.parametrize("fan_in, fan_out", [(1, 1), (3, 8), (8, 3)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 7), (5, 4, 9)])
def test_upsampling_convolution_equals_reference(monkeypatch, shape, fan_in, fan_out):
    """N2: `conv_up` without an upsampled image equals the reference in value and derivatives, for all images at once or one by one."""
    p = {"w": drawn(0, (3, 3, fan_in, fan_out), np.float64), "b": drawn(1, (fan_out,), np.float64)}
    x, dy = drawn(2, (*shape, fan_in), np.float64), drawn(3, (shape[0], 2 * shape[1], 2 * shape[2], fan_out), np.float64)
    exact, exact_vjp = layers.conv_up(p, x)
    exact_dp, exact_dx = exact_vjp(dy)
    for cached in (1, 2**16):
        monkeypatch.setattr(winograd_up, "CACHED", cached)
        y, vjp = winograd_up.conv_up3(p, x)
        dp, dx = vjp(dy)
        for ours, theirs in (y, exact), (dx, exact_dx), (dp["w"], exact_dp["w"]), (dp["b"], exact_dp["b"]):
            assert ours.shape == theirs.shape and relative(ours, theirs) <= COMPLEX_STEP


@pytest.mark.parametrize("mode", ["adaptive", "add"])
def test_unet_equals_reference(mode):
    """N5: the U-Net with fast layers has the reference's value and derivatives, on one worker and on several."""
    p = unet.init(0, base=8, multipliers=(1, 2), embedding=12, classes=2, mode=mode, dtype=np.float64)
    p = tree.map(lambda leaf: frozen(leaf + drawn(leaf.size, leaf.shape, np.float64) / 5), p)
    x, target = (frozen(rng.normal(seed, 5, (14, 14, 1))) for seed in (1, 2))
    batch = training.Batch(x, np.linspace(1, 1000, 5), np.array([0, 1, 2, 0, 1]), target)
    loss, grads = training.value_and_grad(unet.unet, p, batch)
    for workers in (1, 2, 3):
        its_loss, its_grads = fast.value_and_grad(unet.unet, p, batch, fast, workers)
        assert abs(its_loss - loss) <= COMPLEX_STEP * loss
        assert relative(tree.pack(its_grads)[0], tree.pack(grads)[0]) <= COMPLEX_STEP


@pytest.mark.parametrize("wide", [1, 12, 2**11])
def test_normalizations_for_any_row_of_pixels(monkeypatch, wide):
    """N2, N3: with any number of pixels in a row, one image at a time or all, normalizations equal the reference, values
    and derivatives.
    """
    monkeypatch.setattr(norm, "WIDE", wide)
    norm._pixels_per_row.cache_clear()
    x, dy, emb = drawn(0, (3, 4, 3, 4), np.float64), drawn(1, (3, 4, 3, 4), np.float64), drawn(2, (3, 2), np.float64)
    learned, modulated = (
        {"scale": drawn(3, (4,), np.float64), "shift": drawn(4, (4,), np.float64)},
        {"w": drawn(5, (2, 8), np.float64), "b": emb[0, :1] + np.ones(8)},
    )
    for name in "group_norm", "group_norm_silu", "adaptive_group_norm", "adaptive_group_norm_silu":
        arguments = (modulated, x, emb, 2) if "adaptive" in name else (learned, x, 2)
        (y, vjp), (exact, exact_vjp) = (getattr(L, name)(*arguments) for L in (fast, layers))
        (dp, *rest), (exact_dp, *exact_rest) = vjp(dy), exact_vjp(dy)
        for ours, theirs in zip([y, *dp.values(), *rest], [exact, *exact_dp.values(), *exact_rest], strict=True):
            assert relative(ours, theirs) <= COMPLEX_STEP
    norm._pixels_per_row.cache_clear()


def test_products_and_sums_by_blas():
    """N2: `winograd.multiply` is a batched matrix product in a reused workspace; `winograd.sum_rows` sums all axes but the last."""
    a, b = drawn(1, (3, 4, 5), np.float64), drawn(2, (3, 5, 2), np.float64)
    product = winograd.multiply("role", a, b)
    np.testing.assert_allclose(product, np.einsum("kij,kjl->kil", a, b), rtol=0, atol=1e-14)
    assert np.shares_memory(product, winograd.multiply("role", b.swapaxes(1, 2), a.swapaxes(1, 2)))
    np.testing.assert_allclose(winograd.sum_rows(a), a.sum(axis=(0, 1)), rtol=0, atol=1e-14)
