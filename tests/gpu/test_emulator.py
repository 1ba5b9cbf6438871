"""The interpreter: C's rules on numbers, what it refuses, and random expressions against a C++ compiler."""

import random
import re

import numpy as np
import pytest

from refdiff_gpu.emulator import emulate
from refdiff_gpu.emulator.launch_counter import LaunchCounter
from refdiff_gpu.emulator.parse import parse
from refdiff_gpu.kernels.kernel import Kernel
from refdiff_gpu.proof import host_compiler

from .test_host_compiler import identical


def run(body, *inputs, ins="int64 p, int64 q", out="int64"):
    """The value of `y` after the body."""
    return emulate.run_kernel("test", Kernel(ins, f"{out} y", body), inputs, {}, None, np.float32)[0]


P, Q = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("p / q", [3, -3, -3, 3]),
        ("p % q", [1, -1, 1, -1]),
        ("p - q - 1", [4, -10, 8, -6]),
        ("p + q * 2", [11, -3, 3, -11]),
        ("(p + q) * 2", [18, -10, 10, -18]),
        ("-p * q", [-14, 14, 14, -14]),
        ("p == 7 ? q : p", [2, -7, -2, -7]),
        ("p > 0 ? 1 : q > 0 ? 2 : 3", [1, 2, 1, 3]),
        ("p > 0 && q > 0 || p < 0 && q < 0 ? 1 : 0", [1, 0, 0, 1]),
        ("!(p > 0) ? 1 : 0", [0, 1, 0, 1]),
        ("p & 3 | 8 ^ q", [11, 11, -9, -9]),
        ("p << 2 >> 1", [14, -14, 14, -14]),
        ("p << q * q - 3", [14, -14, 14, -14]),
        ("i * 10 + p", [7, 3, 27, 23]),
        ("int64(uint32(p))", [7, 2**32 - 7, 7, 2**32 - 7]),
        ("int64(T(p) / T(2))", [3, -3, 3, -3]),
    ],
)
def test_expressions(expression, expected):
    """Precedence, division towards zero, conditionals, overflow and the thread number, as in C."""
    result = run(f"y = {expression};", P, Q) if "q" in expression else run(f"y = {expression};", P, ins="int64 p")
    np.testing.assert_array_equal(result, expected)


def test_loops():
    """Bounds can be arguments, sums start at their initial value, and inner variables are new in each iteration."""
    body = (
        "int64 sum = 0; for (int64 j = 1; j < q; ++j) { int64 twice = 2 * j; for (int64 k = 0; k < 2; ++k) { sum += twice * p; } } y = sum;"
    )
    np.testing.assert_array_equal(run(body, P, 4), 24 * P)


def test_single_precision_rounds_at_every_step():
    """1 + 2^-24 is 1, where double precision or a fused operation would keep the rest."""
    x = np.array([2.0**-12], np.float32)
    assert run("y = x * x + T(1) - T(1);", x, ins="T x", out="T") == 0
    assert run("y = T(0.1) + x - x;", x, ins="T x", out="T") == np.float32(np.float32(0.1) + x[0]) - x[0]
    assert run("y = T(float64(x) * float64(x) + float64(1) - float64(1));", x, ins="T x", out="T") == 2.0**-24


def test_words_wrap():
    """uint32 is a number modulo 2^32, and so is a product shifted down."""
    x = np.array([2**32 - 1], np.uint32)
    assert run("y = x + 2;", x, ins="uint32 x", out="uint32") == 1
    assert run("y = uint32(uint64(x) * uint64(x) >> 32);", x, ins="uint32 x", out="uint32") == 2**32 - 2


def test_a_conditional_loads_only_in_the_chosen_branch():
    """Threads at the edge do not load from beyond it; without the conditional, they raise."""
    x = np.array([1.0, 2.0, 4.0], np.float32)
    kernel = Kernel("raw T x", "T y", "y = i > 0 && i < 3 ? x[i - 1] + x[i] : i == 3 ? x[2] : T(0);", lambda x: ((5,), {}))
    with LaunchCounter() as counter:
        (y,) = emulate.run_kernel("test", kernel, (x,), {})
    np.testing.assert_array_equal(y, [0, 3, 6, 4, 0])
    assert counter.launches[0].loads == 5 and counter.launches[0].flops == 5
    nested = Kernel("raw T x", "T y", "y = i < 3 ? (i == 1 ? x[0] : x[i]) : T(9);", lambda x: ((5,), {}))
    np.testing.assert_array_equal(emulate.run_kernel("test", nested, (x,), {})[0], [1, 1, 4, 9, 9])
    for index in "i - 1", "i":
        with pytest.raises(IndexError, match=re.escape("allowed: 0..2")):
            emulate.run_kernel("test", Kernel("raw T x", "T y", f"y = x[{index}];", lambda x: ((4,), {})), (x,), {})


@pytest.mark.parametrize(
    "body, message",
    [
        ("y = x + 0.5;", "bare literal 0.5"),
        ("y = x + 1;", "a bare integer + a floating-point number"),
        ("y = x + float64(1);", "float32 + float64; allowed: one type"),
        ("y = x + T(k) * k;", "float32 * int64"),
        ("y = k;", "y of type float32 is given int64"),
        ("y = float64(x);", "y of type float32 is given float64"),
        ("y = exp(k);", "exp of int64"),
        ("y = k > 0 ? x : float64(x);", "float32 : float64"),
        ("y = x + T(1 + 2);", "1 + 2; allowed: the result"),
    ],
)
def test_refusals(body, message):
    """What C would convert implicitly raises here."""
    with pytest.raises(TypeError, match=re.escape(message)):
        run(body, np.ones(3, np.float32), np.arange(3), ins="T x, int64 k", out="T")


@pytest.mark.parametrize(
    "body", ["y = x", "y = ;", "y = x $ x;", "if (x) y = x;", "for (int64 j = 0; j < 3; --j) { }", "y = (x;", "y = x[1;", "y == x;"]
)
def test_syntax(body):
    """A body outside the grammar raises."""
    with pytest.raises(SyntaxError):
        parse(body)


def expression(draw, depth, floating):
    """A random expression of C in the grammar, of int64 or of T."""
    if depth == 0:
        return draw.choice(["x", "z", "T(0.5)", "T(k)"] if floating else ["k", "m", "i", f"int64({draw.randrange(1, 9)})"])
    a, b = (expression(draw, draw.randrange(depth), floating) for _ in "ab")
    if draw.random() < 0.2:
        c, d = (expression(draw, draw.randrange(depth), False) for _ in "cd")
        return f"(({c}) {draw.choice(['<', '<=', '==', '!=', '>', '>='])} ({d}) ? {a} : {b})"
    if draw.random() < 0.2:
        return f"({a} {draw.choice('+-')} {b})"
    if draw.random() < 0.1:
        return f"-({a})"
    return f"{a} {draw.choice('+-*/' if floating else '+-*&|^')} {b}"


@pytest.mark.skipif(host_compiler.compiler() is None, reason="g++ is missing")
def test_random_expressions():
    """Thirty expressions drawn from the grammar give the same bits as a compiler's."""
    draw = random.Random(4)
    kernels = {}
    for k in range(30):
        floating = k % 2 == 0
        body = f"y = {expression(draw, 4, floating)} + ({'T(0) * (x + z) + T(k + m)' if floating else 'k - m + int64(x + z)'});"
        kernels[f"e{k}"] = Kernel("T x, T z, int64 k, int64 m", f"{'T' if floating else 'int64'} y", body)
    library, generator = host_compiler.build(kernels), np.random.default_rng(0)
    for dtype in np.float32, np.float64:
        x, z = generator.normal(size=(2, 50)).astype(dtype)
        k, m = generator.integers(-9, 9, size=(2, 50))
        for name, kernel in kernels.items():
            (ours,), (its,) = (
                emulate.run_kernel(name, kernel, (x, z, k, m), {}),
                host_compiler.run_kernel(library, name, kernel, (x, z, k, m), {}),
            )
            assert identical(ours, its), kernel.body
