"""Calling a kernel by its name, on the device there is: a GPU by CuPy, or NumPy where REFDIFF_GPU_EMULATE=1 asks for it."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..emulator import emulate, guard
from ..kernels.table import KERNELS, PREAMBLE, Kernel, bind, is_array
from .driver import emulating, library

OPTIONS = ("-fmad=false",)  # a product and a sum round twice, as in NumPy


def launch(name: str, *inputs: Any, out: Any = None, dtype: Any = None, **numbers: Any) -> Any:
    """What the kernel makes of its inputs, device arrays in order and numbers by name: an array, or a tuple of arrays.

    `out` is an array or a tuple of arrays to write into, which may be inputs; `dtype` the precision, where no input tells it. Sums also
    take `axis` and `keepdims`. Raises `device.NoDevice` where there is no device.
    """
    outs = None if out is None else list(out) if isinstance(out, tuple | list) else [out]
    device = _emulated if emulating() else _cupy
    results = device(name, inputs, outs, dtype, numbers)
    return results[0] if len(results) == 1 else tuple(results)


def _emulated(name: str, inputs: tuple[Any, ...], outs: Any, dtype: Any, numbers: dict[str, Any]) -> list[Any]:
    inner = tuple(guard.unwrap(each) if is_array(each) else each for each in inputs)
    numbers = {key: guard.unwrap(each) if is_array(each) else each for key, each in numbers.items()}
    results = emulate.call(name, KERNELS[name], inner, numbers, outs and [guard.unwrap(each) for each in outs], dtype)
    return outs or [guard.wrap(each) for each in results]


def _cupy(name: str, inputs: tuple[Any, ...], outs: Any, dtype: Any, numbers: dict[str, Any]) -> list[Any]:
    kernel, cupy = KERNELS[name], library()
    bound = bind(kernel, inputs, dict(numbers), dtype)
    outs = outs or [cupy.empty(bound.shape, dtype) for dtype in bound.dtypes]
    if kernel.after:
        compiled(name)(*bound.arguments, out=outs[0], axis=bound.axis, keepdims=bound.keepdims)
    elif outs[0].size:
        compiled(name)(*bound.arguments, *outs)
    return outs


@cache
def compiled(name: str) -> Any:
    """The kernel as CuPy's own, which compiles it once for each precision."""
    return made(name, KERNELS[name])


def made(name: str, kernel: Kernel) -> Any:
    """A kernel of CuPy's; to make one takes no GPU."""
    import cupy

    common = {"name": f"refdiff_{name}", "preamble": PREAMBLE, "options": OPTIONS}
    if not kernel.after:
        return cupy.ElementwiseKernel(kernel.inputs, kernel.outputs, kernel.body, **common)
    (out,) = kernel.outs
    term = f"[&]() {{ {kernel.body} return term; }}()"
    return cupy.ReductionKernel(kernel.inputs, kernel.outputs, term, "a + b", kernel.after, "0", reduce_type=out.ctype, **common)
