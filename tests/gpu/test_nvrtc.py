"""The lint, and NVRTC: every kernel compiles for every architecture; its loads and stores are counted."""

import pytest

from refdiff_gpu.emulator.parse import parse
from refdiff_gpu.kernels.__main__ import table
from refdiff_gpu.kernels.kernel import Kernel
from refdiff_gpu.kernels.table import KERNELS
from refdiff_gpu.proof import nvrtc
from refdiff_gpu.proof.lint import lint, walk

needs_nvrtc = pytest.mark.skipif(nvrtc.library_path() is None, reason="NVRTC is missing: pip install nvidia-cuda-nvrtc")


@pytest.mark.parametrize("name", KERNELS)
def test_lint(name):
    """No kernel has a bare literal, an unknown function, an unused parameter, or an output not written exactly once."""
    assert lint(KERNELS[name]) == []


@pytest.mark.parametrize(
    "inputs, outputs, body, violation",
    [
        ("T x", "T y", "y = 0.5 * x;", "0.5 is a bare literal"),
        ("T x", "T y", "y = T(0.5 + x);", "0.5 is a bare literal"),
        ("T x", "T y", "y = __expf(x);", "__expf is not one of the functions"),
        ("T x, T z", "T y", "y = x;", "z is never read"),
        ("T x", "T y", "T z = x; y = x;", "z is declared, never read"),
        ("T x", "T y, T z", "y = x;", "z is written 0 times, 0 of them outside loops"),
        ("T x", "T y", "y = x; y = x;", "y is written 2 times, 2 of them outside loops"),
        ("T x", "T y", "for (int64 j = 0; j < 3; ++j) { y = x; }", "y is written 1 times, 0 of them outside loops"),
        ("T x, T z", "T y, T u", "y = x; u = z;", "z is read after y is written, which may be the same memory"),
        ("T x", "T y", "y = x; y += x;", "y is an output, and read"),
        ("T x", "T y", "x = x + x; y = x;", "x is an input, and written"),
        ("T x", "T x", "x = x;", "two parameters are named x"),
        ("T i", "T y", "y = i;", "i is a reserved name"),
        ("half x", "T y", "y = x;", "half x is of no known type"),
        ("raw T x", "T y", "y = x;", "x is raw"),
        ("T x", "T y", "y = x[i];", "x is not raw"),
        ("T x", "T y", "y = x * z;", "z is not declared"),
        ("T x", "T y", "T z = x; T z = x; y = z;", "z is declared twice"),
    ],
)
def test_lint_finds_violations(inputs, outputs, body, violation):
    """Each rule finds a body that breaks it."""
    assert violation in lint(Kernel(inputs, outputs, body))


@pytest.mark.parametrize(
    "inputs, outputs, body, post_map, violation",
    [
        ("T e", "T y", "T term = e;", "y = a", "e is part of another word, which CuPy would change"),
        ("T x", "T s", "T term = x;", "s = sqrt(a)", "s is part of another word, which CuPy would change"),
        ("T x", "T y, T z", "T term = x;", "y = a", "a sum has more than one output"),
        ("T x", "T a", "T term = x;", "a = a", "a is a reserved name"),
    ],
)
def test_lint_finds_violations_in_reductions(inputs, outputs, body, post_map, violation):
    """Each rule about reductions finds a body that breaks it."""
    assert violation in lint(Kernel(inputs, outputs, body, post_map=post_map))


def test_table():
    """Every kernel is listed with its parameters."""
    assert table().count("\n") == len(KERNELS) - 1 and "silu_back(T x, T dy) -> T dx" in table()


@needs_nvrtc
@pytest.mark.long
@pytest.mark.parametrize("architecture", [each for each in nvrtc.ARCHITECTURES if each != "sm_90"])
def test_compiles(architecture):
    """Every kernel becomes machine code, in both precisions."""
    code = nvrtc.compile_kernels(KERNELS, architecture, quick=True)
    assert code.cubin[:4] == b"\x7fELF" and f".target {architecture}" in code.ptx
    assert {name for name, _, _ in nvrtc.accesses(code.ptx)} == {f"{name}_{T}" for name in KERNELS for T in ("float32", "float64")}


@needs_nvrtc
def test_accesses():
    """In the optimized assembly, each kernel loads each input as often as its body names it, and stores each output once.

    The compiler fuses nothing: no product and sum in one rounding, no approximate function, no number flushed to zero.
    """
    code = nvrtc.compile_kernels(KERNELS, "sm_90")
    found = {name: (loads, stores) for name, loads, stores in nvrtc.accesses(code.ptx)}
    assert code.cubin[:4] == b"\x7fELF" and len(found) == 2 * len(KERNELS)
    for name, kernel in KERNELS.items():
        raw = sum(node[0] == "load" for node in walk(parse(kernel.body)))
        expected = sum(not param.raw for param in kernel.in_params) + raw, len(kernel.out_params)
        assert found[f"{name}_float32"] == found[f"{name}_float64"] == expected, name


@needs_nvrtc
def test_the_compiler_keeps_the_arithmetic():
    """The assembly has the arithmetic of the body: no fused product and sum, nothing approximate or flushed to zero."""
    plain = {name: KERNELS[name] for name in ("guided_ddim_any_noise", "to_eps_score", "heun_last", "adam", "up_back")}
    ptx = nvrtc.compile_kernels(plain, "sm_90").ptx
    assert "div.rn.f32" in ptx and "sqrt.rn.f32" in ptx
    assert not any(word in ptx for word in ("fma.", ".approx", ".ftz"))


@needs_nvrtc
def test_refused_bodies_are_reported():
    """A body that the compiler refuses is an error with the compiler's message."""
    with pytest.raises(RuntimeError, match="undefined"):
        nvrtc.compile_kernels({"wrong": Kernel("T x", "T y", "y = x * unknown;")}, "sm_90")
