"""Run kernels on NumPy arrays with the rounding of a GPU, refuse implicit conversions, and count the cost.

The thread number is an array, so that a body runs once for all threads. float32 stays float32 after each operation, and
uint32 wraps. Mixed dtypes, and reads beyond the end of an array, raise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.kernel import BoundCall, Kernel, bind
from .interpreter import Interpreter
from .launch_counter import Launch, record
from .parse import parse


def run_kernel(
    name: str, kernel: Kernel, inputs: tuple[Any, ...], numbers: dict[str, Any], outs: Any = None, dtype: Any = None
) -> list[Any]:
    """Run a kernel on NumPy arrays: match the arguments, allocate the outputs unless given, interpret the body."""
    bound = bind(kernel, inputs, dict(numbers), dtype)
    outs = outs or [np.empty(bound.shape, dtype) for dtype in bound.dtypes]
    if [out.shape for out in outs] != [bound.shape] * len(kernel.out_params):
        raise ValueError(f"out has shapes {[out.shape for out in outs]}; allowed: {len(kernel.out_params)} of {bound.shape}")
    record((_reduction if kernel.post_map else _elementwise)(name, kernel, bound, outs))
    return outs


def _elementwise(name: str, kernel: Kernel, bound: BoundCall, outs: list[Any]) -> Launch:
    """Interpret a body for all its threads, one for each element of the outputs."""
    threads = Interpreter(outs[0].shape, bound.T)
    read = threads.bind_arguments(kernel, bound.arguments)
    threads.run(kernel.body, kernel.out_params, outs)
    written = sum(out.nbytes for out in outs)
    return Launch(name, outs[0].size, read + threads.bytes, written, threads.loads, threads.flops * outs[0].size)


def _reduction(name: str, kernel: Kernel, bound: BoundCall, outs: list[Any]) -> Launch:
    """Interpret the body for all elements, sum its terms, and compute the outputs from the sums."""
    shape = np.broadcast_shapes(*(np.shape(value) for value in bound.arguments))
    terms, sums = Interpreter(shape, bound.T), Interpreter(outs[0].shape, bound.T)
    read = terms.bind_arguments(kernel, bound.arguments)
    sums.bind_arguments(kernel, [value if np.ndim(value) == 0 else 0 for value in bound.arguments])
    with np.errstate(all="ignore"):
        terms.execute(parse(kernel.body))
        term = np.broadcast_to(terms.values["term"], shape)
        sums.values["a"] = np.asarray(term.sum(axis=bound.axis, keepdims=bound.keepdims, dtype=term.dtype))
    sums.run(f"{kernel.post_map};", kernel.out_params, outs)
    flops = terms.flops * term.size + term.size + sums.flops * outs[0].size
    return Launch(name, term.size, read, sum(out.nbytes for out in outs), 0, flops)
