"""Kernels of layers, optimizer, random numbers and images in the interpreter, against the reference implementation."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refdiff import attention, convolution, layers, normalize, optim, rng, training
from refdiff_gpu.kernels.table import KERNELS

from ..strategies import DTYPES
from ..tolerances import IDENTITY, in_eps, roundings
from .test_samplers import gpu, same

seeds, dtypes = st.integers(0, 10**6), st.sampled_from(DTYPES)
small = settings(max_examples=20)


def drawn(seed, shape, dtype, step=0):
    return rng.normal(seed, 1, shape, step, dtype=dtype)[0]


@small
@given(seeds, dtypes, st.floats(0.01, 300), st.sampled_from([(0, 3), (4,), (2, 3, 2)]))
def test_silu(seed, dtype, scale, shape):
    """N2: value and derivative, alone and after a bias."""
    z, dy, b = (scale * drawn(seed, of, dtype, k) for k, of in enumerate((shape, shape, shape[-1:])))
    (y, vjp), (shifted, shifted_vjp) = layers.silu({}, z), layers.silu({}, z + b)
    assert same(gpu("silu", z), y) and same(gpu("silu_back", z, dy), vjp(dy)[1])
    assert same(gpu("bias", z, b), z + b)
    assert same(gpu("bias_silu", z, b), shifted) and same(gpu("bias_silu_back", z, b, dy), shifted_vjp(dy)[1])
    assert roundings(gpu("sum", dy, axis=0), dy.sum(axis=0), np.abs(dy).sum(axis=0)) <= IDENTITY


def normalized(name, h, scale, shift, groups, dy):
    """Group normalization by the kernels that the package launches: its value, and dh, dscale, dshift."""
    batch, channels = len(h), h.shape[-1]
    shape = (batch, -1, groups, channels // groups)
    h, dy, count = h.reshape(shape), dy.reshape(shape), h.size // (batch * groups)
    scale, shift = (each.reshape(len(each) if each.ndim > 1 else 1, 1, *shape[2:]) for each in (scale, shift))
    mean = gpu("mean", h, count=count, axis=(1, 3), keepdims=True)
    s = gpu("std", h, mean, count=count, eps=1e-5, axis=(1, 3), keepdims=True)
    y = gpu(name, h, mean, s, scale, shift)
    inputs = (h, mean, s, scale, shift, dy) if name.endswith("silu") else (h, mean, s, dy)
    dscale = gpu(f"{name}_dscale".replace("film_d", "norm_d"), *inputs, axis=1, keepdims=True)
    dshift = gpu(f"{name}_dshift", *inputs, axis=1, keepdims=True) if name.endswith("silu") else gpu("sum", dy, axis=1, keepdims=True)
    means = gpu(f"{name[:4]}_means", scale, dscale, dshift, count=count)
    more = (scale, shift, dy) if name.endswith("silu") else (scale, dy)
    return y, gpu(f"{name}_back", h, mean, s, *more, *means), dscale.reshape(batch, -1), dshift.reshape(batch, -1)


@small
@given(seeds, dtypes, st.integers(1, 3), st.sampled_from([(1, 2), (2, 3), (4, 1)]), st.sampled_from([(3,), (2, 2), ()]), st.booleans())
@example(0, np.float32, 2, (2, 3), (3, 3), True)
def test_norms(seed, dtype, batch, sizes, spatial, fused):
    """N2, N3: normalization with learned or conditional scale and shift, with and without SiLU, and all derivatives."""
    groups, channels = sizes[0], sizes[0] * sizes[1]
    x, dy = (drawn(seed, (batch, *spatial, channels), dtype, k) for k in (0, 1))
    p = {"scale": drawn(seed, (channels,), dtype, 2), "shift": drawn(seed, (channels,), dtype, 3)}
    scale_shift = drawn(seed, (batch, channels), dtype, 4), drawn(seed, (batch, channels), dtype, 5)
    y, vjp = normalize.group_norm(p, x, groups)
    dy_norm, z = after_silu(y, dy, fused)
    dp, dx = vjp(dy_norm)
    ours = normalized("norm" + "_silu" * fused, x, p["scale"], p["shift"], groups, dy)
    agree(ours[0], z), agree(ours[1], dx), agree(ours[2].sum(axis=0), dp["scale"]), agree(ours[3].sum(axis=0), dp["shift"])
    normal, normal_vjp = normalize.normalize({}, x, groups)
    y, vjp = normalize.film({}, normal, *scale_shift)
    dy_film, z = after_silu(y, dy, fused)
    _, dnormal, dscale, dshift = vjp(dy_film)
    ours = normalized("film" + "_silu" * fused, x, *scale_shift, groups, dy)
    agree(ours[0], z), agree(ours[1], normal_vjp(dnormal)[1]), agree(ours[2], dscale), agree(ours[3], dshift)


def after_silu(y, dy, fused):
    """The incoming derivative of the normalization, and the output, with or without a SiLU after it."""
    z, vjp = layers.silu({}, y)
    return (vjp(dy)[1], z) if fused else (dy, y)


def agree(ours, theirs):
    """Equal up to the order of sums of at most a hundred numbers of order 1, relative to the largest number or 1."""
    assert ours.dtype == theirs.dtype and ours.size == theirs.size
    assert roundings(ours.reshape(theirs.shape), theirs, np.ones(1, theirs.dtype)) <= 4 * IDENTITY * np.sqrt(1 + theirs.size)


@small
@given(seeds, dtypes, st.sampled_from([(1, 1), (3, 4), (2, 2, 7)]), st.sampled_from([0.1, 1.0, 30.0]))
def test_softmax(seed, dtype, shape, scale):
    """N2: value and derivative, up to the order of the sums."""
    z, dy = (scale * drawn(seed, shape, dtype, k) for k in (0, 1))
    y, vjp = attention.softmax({}, z)
    top, total = gpu("softmax_stats", z)
    assert same(top, z.max(axis=-1, keepdims=True))
    ours = gpu("softmax", z, top, total)
    assert in_eps(ours, y) <= IDENTITY
    dz = gpu("softmax_back", ours, dy, gpu("softmax_dot", ours, dy))
    assert in_eps(dz, vjp(dy)[1], y * np.abs(dy), y * (y * np.abs(dy)).sum(axis=-1, keepdims=True)) <= IDENTITY


@small
@given(seeds, dtypes, st.integers(0, 5), st.integers(1, 4), st.integers(1, 3))
def test_embedding_back(seed, dtype, batch, entries, width):
    """N1: each row of the table sums the gradients of the examples that used it."""
    labels, dy = rng.integers(seed, batch, entries), drawn(seed, (batch, width), dtype)
    _, vjp = layers.embedding({"table": np.zeros((entries, width), dtype)}, labels)
    ours, theirs = gpu("embedding_back", labels, dy, entries=entries), vjp(dy)["table"]
    assert ours.dtype == dtype and roundings(ours, theirs, np.abs(dy).sum(axis=0) if batch else dy) <= IDENTITY


@small
@given(seeds, dtypes)
def test_squares(seed, dtype):
    """T1: the loss of every example, and its derivative with respect to the prediction."""
    p, target = (drawn(seed, (3, 2, 2), dtype, k) for k in (0, 1))
    assert in_eps(gpu("squared_error", p, target, axis=(1, 2)), ((p - target) ** 2).sum(axis=(1, 2))) <= IDENTITY
    assert same(gpu("squared_error_back", p, target), 2 * (p - target))


@small
@given(seeds, dtypes, st.sampled_from([0.0, 0.01]), st.sampled_from([0.5, 1e3]), st.integers(1, 40))
def test_adam(seed, dtype, decay, clip, step):
    """T1: one kernel over flat buffers, in place, is `training.update` bit for bit, with clipping and EMA."""
    theta, average, m, v, g = (drawn(seed, (7,), dtype, k) for k in range(5))
    config = training.Config(batch=3, decay=decay, clip=clip)
    state = training.State(step - 1, {"w": theta}, {"w": average}, {"m": {"w": m}, "v": {"w": v * v}})
    theirs = training.update(state, {"w": g}, config)
    squares = gpu("squared_norm", g, batch=3, axis=None)
    assert in_eps(squares, optim.global_norm({"w": g / 3}) ** 2) <= IDENTITY
    factor = gpu("clip_factor", squares, limit=clip)
    _, norm = optim.clip({"w": g / 3}, clip)
    factor = dtype(clip / norm if norm > clip else 1.0) if abs(factor - min(1, clip / norm)) <= 1e-14 else None
    ours = [theta.copy(), average.copy(), m.copy(), v * v]
    numbers = {"beta1": 0.9, "one_minus_beta1": 1 - 0.9, "beta2": 0.999, "one_minus_beta2": 1 - 0.999}
    numbers |= {"bias_correction1": optim.debias(0.9, step), "bias_correction2": optim.debias(0.999, step)}
    numbers |= {"eps": 1e-8, "rate": training.rate(step, config)}
    numbers |= {"weight_decay": decay, "ema_decay": config.ema, "one_minus_ema_decay": 1 - config.ema}
    gpu("adam", *ours, g, batch=3, factor=factor, out=ours, **numbers)
    for mine, its in zip(ours, (theirs.params, theirs.ema, theirs.moments["m"], theirs.moments["v"]), strict=True):
        assert same(mine, its["w"])
    assert same(gpu("ema", average, theta, decay=0.99, one_minus_decay=1 - 0.99), optim.ema({"w": average}, {"w": theta}, 0.99)["w"])


@small
@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=3), st.integers(0, 9), st.integers(0, 2**32 - 1), dtypes)
def test_generator(seed, samples, elements, step, dtype):
    """R: the random words are those of `refdiff.rng`, and so are uniforms, integers and, in the interpreter, normals."""
    samples, blocks = np.array(samples, np.int64), -(-elements // 4)
    column = samples.astype(np.uint32)[:, None]
    numbers = {"blocks": blocks, "stream": rng.NOISE, "key0": seed & 0xFFFFFFFF, "key1": seed >> 32}
    words = interleaved("philox", np.uint64, column, step, **numbers)[:, :elements]
    assert same(words, rng.bits(seed, samples, elements, step))
    assert same(
        interleaved("uniform", np.float64, column, step, **numbers)[:, :elements], rng.uniform(seed, samples, elements, step, rng.NOISE)
    )
    assert same(
        interleaved("normal", dtype, column, step, **numbers)[:, :elements], rng.normal(seed, samples, (elements,), step, dtype=dtype)
    )
    ours = gpu("integers", column, step, **numbers | {"blocks": 1, "high": 2**32})
    assert same(ours[:, 0], rng.integers(seed, samples, 2**32, step, rng.NOISE))


def interleaved(name, dtype, column, step, blocks, **numbers):
    """The four output arrays of a random number kernel, interleaved."""
    y = np.empty((len(column), 4 * blocks), dtype)
    gpu(name, column, step, blocks=blocks, out=[y[:, k::4] for k in range(4)], dtype=dtype, **numbers)
    return y


@small
@given(seeds, dtypes, st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2]))
@example(0, np.float64, 4, 5, 3, 2)
def test_im2col(seed, dtype, height, width, size, stride):
    """N2: a convolution and its derivatives by im2col and matrix products; the same after upsampling."""
    x = drawn(seed, (2, height, width, 2), dtype)
    p = {"w": drawn(seed, (size, size, 2, 3), dtype, 1), "b": np.zeros(3, dtype)}
    flat = p["w"].reshape(-1, 3)
    cases = [
        (
            "im2col",
            convolution.conv,
            {"size": size, "stride": stride},
            {"stride": stride},
            {"height": height, "width": width, "stride": stride},
        )
    ]
    cases += [("im2col_up", convolution.conv_up, {"size": size}, {}, {})]
    for name, layer, numbers, options, back in cases:
        y, vjp = layer(p, x, **options)
        dy = drawn(seed, y.shape, dtype, 2)
        dp, dx = vjp(dy)
        columns = gpu(name, x, **numbers)
        rows = columns.reshape(-1, flat.shape[0])
        agree((rows @ flat).reshape(y.shape), y), agree((rows.T @ dy.reshape(-1, 3)).reshape(p["w"].shape), dp["w"])
        dcolumns = (dy.reshape(-1, 3) @ flat.T).reshape(columns.shape)
        agree(gpu(f"{name}_back", dcolumns, **back), dx)


@small
@given(seeds, dtypes, st.integers(1, 3), st.integers(1, 3))
def test_up_and_pool(seed, dtype, height, width):
    """N2: nearest upsampling and average pooling, and their derivatives."""
    x, larger = drawn(seed, (2, height, width, 3), dtype), drawn(seed, (2, 2 * height, 2 * width, 3), dtype)
    (up, up_vjp), (pooled, pool_vjp) = layers.up({}, x), layers.pool({}, larger)
    assert same(gpu("up", x), up) and same(gpu("pool_back", x), pool_vjp(x)[1])
    assert roundings(gpu("up_back", larger), up_vjp(larger)[1], np.ones(1, dtype)) <= IDENTITY
    assert roundings(gpu("pool", larger), pooled, np.ones(1, dtype)) <= IDENTITY


@pytest.mark.parametrize(
    "name, inputs, numbers, error, message",
    [
        ("silu", (np.ones(2), np.ones(2)), {}, TypeError, "2 inputs, numbers none; allowed: T x"),
        ("silu_back", (np.ones(2),), {}, TypeError, "1 inputs, numbers none; allowed: T x, T dy"),
        ("silu", (np.ones(2),), {"y": 1}, TypeError, "1 inputs, numbers y; allowed: T x"),
        (
            "silu_back",
            (np.ones(2), np.ones(2, np.float32)),
            {},
            TypeError,
            "precisions: x float64, dy float32; allowed: all float32 or all float64",
        ),
        ("silu", (np.ones(2, complex),), {}, TypeError, "precisions: x complex128"),
        ("bias", (np.ones(2), np.ones(3)), {}, ValueError, "shape mismatch"),
        ("embedding_back", (np.ones(2, np.int32), np.ones((2, 3))), {"entries": 2}, TypeError, "labels has dtype int32; allowed: int64"),
        ("softmax_stats", (np.ones((2, 3)),), {"width": 2}, TypeError, "width"),
    ],
)
def test_errors(name, inputs, numbers, error, message):
    """A call with wrong arguments names the argument, and what is allowed."""
    with pytest.raises(error, match=message.replace("(", r"\(")):
        gpu(name, *inputs, **numbers)


@pytest.mark.parametrize(
    "name, shape, numbers",
    [
        ("im2col", (2**10, 64, 64, 64), {"size": 3}),
        ("im2col_up", (2**8, 64, 64, 64), {"size": 3}),
        ("im2col_back", (2**10, 64, 64, 3, 3, 64), {"height": 64, "width": 64}),
        ("im2col_up_back", (2**10, 64, 64, 3, 3, 64), {}),
        ("up", (2**11, 64, 64, 64), {}),
        ("pool", (2**13, 64, 64, 64), {}),
    ],
)
def test_images_are_indexed_in_32_bits(name, shape, numbers):
    """An image that is too large raises an error before an index overflows."""
    rule = KERNELS[name].shape_rule
    with pytest.raises(ValueError, match="numbers; allowed: fewer than 2"):
        rule(SimpleNamespace(shape=shape), **numbers)
    assert rule(SimpleNamespace(shape=(1, *shape[1:])), **numbers)[0][0] == 1
