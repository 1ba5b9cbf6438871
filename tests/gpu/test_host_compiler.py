"""Kernels compiled by g++ against the interpreter, and both against mpmath, on drawn shapes and special values."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff_gpu.emulator import emulate
from refdiff_gpu.emulator.interpreter import FUNCTIONS
from refdiff_gpu.emulator.parse import parse
from refdiff_gpu.kernels.kernel import Kernel
from refdiff_gpu.kernels.table import KERNELS
from refdiff_gpu.proof import host_compiler
from refdiff_gpu.proof.lint import walk

from ..strategies import DTYPES
from ..tolerances import IDENTITY, ulps

pytestmark = pytest.mark.skipif(host_compiler.compiler() is None, reason="g++ is missing")

CALLS = {name: Kernel("T x", "T y", f"y = {name}(x);") for name in FUNCTIONS}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-310, -1e-42, 1e-45, 1e38, -1e300]
dtypes = st.sampled_from(DTYPES)


@pytest.fixture(scope="module")
def library():
    """All kernels, and each function alone, compiled."""
    return host_compiler.build(KERNELS | CALLS)


def functions(kernel):
    """The functions that a kernel calls, without sqrt, which is exact."""
    return {node[1] for node in walk(parse(kernel.body)) if node[0] == "call"} & set(FUNCTIONS) - {"sqrt"}


EXACT = [name for name, kernel in KERNELS.items() if not functions(kernel) and not kernel.post_map]
TRANSCENDENTAL = [name for name, kernel in KERNELS.items() if functions(kernel) and not kernel.post_map]
SUMS = [name for name, kernel in KERNELS.items() if kernel.post_map]


def numbers(generator, shape, dtype, special):
    """Normal numbers, one in four of them special if `special`."""
    values = generator.normal(size=shape).astype(dtype)
    with np.errstate(over="ignore"):
        odd = np.array(SPECIAL).astype(dtype)[generator.integers(len(SPECIAL), size=shape)]
    return np.where(generator.random(shape) < special / 4, odd, values)


def elementwise(kernel, generator, shape, dtype, special):
    """Inputs for a kernel without a shape rule, some of them broadcast, some one number."""
    shapes = [shape, shape[:1] + (1,) * (len(shape) - 1), (), shape]
    patterns = [shapes[0], *(shapes[k] for k in generator.integers(4, size=len(kernel.in_params) - 1))]
    return tuple(numbers(generator, of, param.dtype(dtype), special) for of, param in zip(patterns, kernel.in_params, strict=True))


def shaped(name, generator, dtype, special):
    """Inputs and numbers for a kernel with a shape rule."""
    batch, height, width, channels, size = generator.integers(1, 4, size=5)

    def drawn(*shape):
        return numbers(generator, shape, dtype, special)

    image, table = drawn(batch, height, width, channels), drawn(batch, channels)
    stride, size = int(generator.integers(1, 3)), 2 * int(size) - 1
    rows, columns = -(-height // stride), -(-width // stride)
    words = generator.integers(2**32, size=(batch, 1), dtype=np.uint32)
    philox = (words,), {"step": 7, "blocks": int(width), "stream": 2**31, "key0": 2**32 - 5, "key1": 9}
    scale, dscale, dshift = drawn(1, 1, height, width), drawn(batch, 1, height, width), drawn(batch, 1, height, width)
    return {
        "norm_means": ((scale, dscale, dshift), {"count": 6}),
        "film_means": ((dshift, dscale, dshift), {"count": 6}),
        "softmax_stats": ((image,), {}),
        "softmax_dot": ((image, image[::-1]), {}),
        "embedding_back": ((generator.integers(3, size=batch), table), {"entries": 3}),
        "im2col": ((image,), {"size": size, "stride": stride}),
        "im2col_back": ((drawn(batch, rows, columns, size, size, channels),), {"height": height, "width": width, "stride": stride}),
        "im2col_up": ((image,), {"size": size}),
        "im2col_up_back": ((drawn(batch, 2 * height, 2 * width, size, size, channels),), {}),
        **{name: ((image.repeat(2, 1).repeat(2, 2),), {}) for name in ("up_back", "pool")},
        **{name: ((image,), {}) for name in ("up", "pool_back")},
        **dict.fromkeys(("philox", "uniform", "normal"), philox),
        "integers": (philox[0], philox[1] | {"high": 2**32 - 1}),
    }[name]


def both(library, name, kernel, inputs, numbers, dtype):
    """The outputs of the interpreter and of the compiled body."""
    return zip(
        emulate.run_kernel(name, kernel, inputs, numbers, None, dtype),
        host_compiler.run_kernel(library, name, kernel, inputs, numbers, dtype),
        strict=True,
    )


def identical(a, b):
    """Equal bit for bit, except for the bits of a NaN."""
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.all((a.view(bits) == b.view(bits)) | ((a != a) & (b != b))))


def arguments(name, generator, shape, dtype, special):
    kernel = KERNELS[name]
    return shaped(name, generator, dtype, special) if kernel.shape_rule else (elementwise(kernel, generator, shape, dtype, special), {})


shapes = st.sampled_from([(1,), (5,), (3, 4), (2, 3, 2), (0, 2)])


@settings(max_examples=20)
@given(st.integers(0, 10**6), shapes, dtypes)
def test_arithmetic_is_identical(library, seed, shape, dtype):
    """Kernels that only add, multiply, divide, compare and take roots give the same bits, for special numbers too."""
    for name in EXACT:
        given = arguments(name, np.random.default_rng(seed), shape, dtype, True)
        for ours, its in both(library, name, KERNELS[name], *given, dtype):
            assert identical(ours, its), name


@settings(max_examples=20)
@given(st.integers(0, 10**6), shapes, dtypes)
def test_transcendental_kernels(library, seed, shape, dtype):
    """The other kernels agree to the rounding errors of the functions that they call, and in the positions of NaN."""
    for name in TRANSCENDENTAL:
        for special in False, True:
            given = arguments(name, np.random.default_rng(seed), shape, dtype, special)
            given = tuple(np.abs(each) for each in given[0]), given[1]  # variances are not negative
            for ours, its in both(library, name, KERNELS[name], *given, dtype):
                assert ours.dtype == its.dtype and ours.shape == its.shape, name
                assert special or close(ours, its), name
                assert np.array_equal(np.isnan(ours), np.isnan(its)), name


def close(ours, its):
    size = np.maximum(1, np.abs(ours.astype(np.float64)))
    return bool(np.all(np.abs(ours.astype(np.float64) - its) <= 4 * IDENTITY * np.finfo(ours.dtype).eps * size))


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([(1,), (5,), (3, 4), (2, 3, 2), (0, 2), (2, 0)]), dtypes, st.booleans())
def test_sums(library, seed, shape, dtype, keepdims):
    """Sums over any axes agree up to rounding errors of their order."""
    generator = np.random.default_rng(seed)
    axis = tuple(np.flatnonzero(generator.random(len(shape)) < 0.5))
    for name in SUMS:
        kernel = KERNELS[name]
        given = zip(kernel.in_params, elementwise(kernel, generator, shape, dtype, 0), strict=True)
        inputs = tuple(1.5 if param.name in ("count", "eps", "batch") else 1 + np.abs(each) for param, each in given)
        for ours, its in both(library, name, kernel, inputs, {"axis": axis, "keepdims": keepdims}, dtype):
            assert ours.dtype == its.dtype and ours.shape == its.shape, name
            assert close(ours, its), name


@settings(max_examples=20)
@given(st.sampled_from(sorted(CALLS)), st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=4), dtypes)
def test_functions(library, name, values, dtype):
    """Each function a body may call is within 4 ulp of the exact value, interpreted and compiled."""
    x = np.abs(np.array(values, dtype)) if name in ("sqrt", "log", "log1p") else np.array(values, dtype)
    exact = getattr(mpmath, name)
    if name == "log":
        x = x + dtype(0.25)
    expected = np.array([float(exact(mpmath.mpf(float(each)))) for each in x]).astype(dtype)
    for (answer,) in emulate.run_kernel(name, CALLS[name], (x,), {}), host_compiler.run_kernel(library, name, CALLS[name], (x,), {}):
        assert answer.dtype == dtype and ulps(answer, expected) <= 4


def test_compiler_errors():
    """A body that the compiler refuses is an error with the compiler's message."""
    with pytest.raises(RuntimeError, match="unknown"):
        host_compiler.build({"wrong": Kernel("T x", "T y", "y = x * unknown;")})
