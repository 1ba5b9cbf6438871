"""Launch a kernel by its name on the device in use: a GPU through CuPy, or the emulator."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..emulator import emulate, guard
from ..kernels.kernel import PREAMBLE, Kernel, bind, is_array
from ..kernels.table import KERNELS
from .driver import emulating, require_cupy

OPTIONS = ("-fmad=false",)  # a product and a sum round twice, as in NumPy


def launch(name: str, *inputs: Any, out: Any = None, dtype: Any = None, **numbers: Any) -> Any:
    """The outputs of a kernel for device arrays in order and numbers by name: an array, or a tuple of arrays.

    `out` is an array or a tuple of arrays to write into, which may be inputs. `dtype` is the precision if no input has
    one. Reductions also take `axis` and `keepdims`. Raises `device.NoDevice` if there is no device.
    """
    outs = None if out is None else list(out) if isinstance(out, tuple | list) else [out]
    launch_on = _launch_emulated if emulating() else _launch_cupy
    results = launch_on(name, inputs, outs, dtype, numbers)
    return results[0] if len(results) == 1 else tuple(results)


def _launch_emulated(name: str, inputs: tuple[Any, ...], outs: Any, dtype: Any, numbers: dict[str, Any]) -> list[Any]:
    inputs = tuple(guard.unwrap(each) if is_array(each) else each for each in inputs)
    numbers = {key: guard.unwrap(each) if is_array(each) else each for key, each in numbers.items()}
    results = emulate.run_kernel(name, KERNELS[name], inputs, numbers, outs and [guard.unwrap(each) for each in outs], dtype)
    return outs or [guard.wrap(each) for each in results]


def _launch_cupy(name: str, inputs: tuple[Any, ...], outs: Any, dtype: Any, numbers: dict[str, Any]) -> list[Any]:
    kernel, cupy = KERNELS[name], require_cupy()
    bound = bind(kernel, inputs, dict(numbers), dtype)
    outs = outs or [cupy.empty(bound.shape, dtype) for dtype in bound.dtypes]
    if kernel.post_map:
        _compiled(name)(*bound.arguments, out=outs[0], axis=bound.axis, keepdims=bound.keepdims)
    elif outs[0].size:
        _compiled(name)(*bound.arguments, *outs)
    return outs


@cache
def _compiled(name: str) -> Any:
    """The kernel as a kernel of CuPy, which compiles it once for each precision."""
    return cupy_kernel(name, KERNELS[name])


def cupy_kernel(name: str, kernel: Kernel) -> Any:
    """A kernel as CuPy's ElementwiseKernel or ReductionKernel; creating one needs no GPU."""
    import cupy

    common = {"name": f"refdiff_{name}", "preamble": PREAMBLE, "options": OPTIONS}
    if not kernel.post_map:
        return cupy.ElementwiseKernel(kernel.inputs, kernel.outputs, kernel.body, **common)
    (out,) = kernel.out_params
    term = f"[&]() {{ {kernel.body} return term; }}()"
    return cupy.ReductionKernel(kernel.inputs, kernel.outputs, term, "a + b", kernel.post_map, "0", reduce_type=out.ctype, **common)
