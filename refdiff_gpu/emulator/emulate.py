"""The kernels on NumPy: an interpreter of bodies that rounds as a GPU does, refuses what a GPU would do silently, and counts.

Every thread's number is an element of an array, so a body runs once for all of them. float32 stays float32 after each operation, and
uint32 wraps. Mixed types, and reading beyond an array's end, raise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.kernel import Bound, Kernel, bind
from .interpreter import Threads
from .launch_counter import Call, Ledger, note
from .parse import parse

__all__ = ["Call", "Ledger", "call"]


def call(name: str, kernel: Kernel, inputs: tuple[Any, ...], numbers: dict[str, Any], outs: Any = None, dtype: Any = None) -> list[Any]:
    """Run a kernel on NumPy arrays: match the arguments, make the outputs unless given, interpret the body."""
    bound = bind(kernel, inputs, dict(numbers), dtype)
    outs = outs or [np.empty(bound.shape, dtype) for dtype in bound.dtypes]
    if [out.shape for out in outs] != [bound.shape] * len(kernel.outs):
        raise ValueError(f"out has shapes {[out.shape for out in outs]}; allowed: {len(kernel.outs)} of {bound.shape}")
    note((_summed if kernel.after else _elements)(name, kernel, bound, outs))
    return outs


def _elements(name: str, kernel: Kernel, bound: Bound, outs: list[Any]) -> Call:
    """Interpret a body over all its threads, one for each element of the outputs."""
    threads = Threads(outs[0].shape, bound.T)
    read = threads.take(kernel, bound.arguments)
    threads.finish(kernel.body, kernel.outs, outs)
    written = sum(out.nbytes for out in outs)
    return Call(name, outs[0].size, read + threads.bytes, written, threads.loads, threads.flops * outs[0].size)


def _summed(name: str, kernel: Kernel, bound: Bound, outs: list[Any]) -> Call:
    """Interpret the body over all elements, sum its terms, and make the outputs of the sums."""
    whole = np.broadcast_shapes(*(np.shape(value) for value in bound.arguments))
    terms, sums = Threads(whole, bound.T), Threads(outs[0].shape, bound.T)
    read = terms.take(kernel, bound.arguments)
    sums.take(kernel, [value if np.ndim(value) == 0 else 0 for value in bound.arguments])
    with np.errstate(all="ignore"):
        terms.execute(parse(kernel.body))
        term = np.broadcast_to(terms.values["term"], whole)
        sums.values["a"] = np.asarray(term.sum(axis=bound.axis, keepdims=bound.keepdims, dtype=term.dtype))
    sums.finish(f"{kernel.after};", kernel.outs, outs)
    flops = terms.flops * term.size + term.size + sums.flops * outs[0].size
    return Call(name, term.size, read, sum(out.nbytes for out in outs), 0, flops)
