"""Kernels compiled for the CPU by g++ and run there, to compare the interpreter with a real compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..kernels.kernel import BoundCall, Kernel, bind
from . import source

FLAGS = ("-O2", "-ffp-contract=off", "-shared", "-fPIC")  # products and sums round separately, as with -fmad=false


def compiler() -> str | None:
    """The path of the C++ compiler, or None."""
    return shutil.which("g++")


def build(kernels: dict[str, Kernel]) -> ctypes.CDLL:
    """A shared library of all kernels in both precisions; raises RuntimeError with the compiler's output."""
    with tempfile.TemporaryDirectory() as folder:
        text, library = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
        text.write_text(source.host_source(kernels), encoding="utf-8")
        done = subprocess.run([str(compiler()), *FLAGS, str(text), "-o", str(library)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"g++ refuses a body:\n{done.stderr}")
        return ctypes.CDLL(str(library))


def run_kernel(
    library: ctypes.CDLL, name: str, kernel: Kernel, inputs: tuple[Any, ...], numbers: dict[str, Any], dtype: Any = None
) -> list[Any]:
    """The outputs of a compiled kernel, as `emulate.run_kernel` returns those of the interpreted kernel."""
    bound = bind(kernel, inputs, dict(numbers), dtype)
    outs = [np.empty(bound.shape, dtype) for dtype in bound.dtypes]
    count = prod(bound.shape)
    shape = _input_shape(kernel, bound)
    terms = prod(shape) // count if kernel.post_map and count else 1
    arrays, arguments = [], []  # the arrays must live until the call
    for param, value in zip(kernel.in_params, bound.arguments, strict=True):
        array = np.asarray(value, param.dtype(bound.T))
        shared = array.size == 1 and not param.raw
        arrays.append(np.ascontiguousarray(array if shared or param.raw else _summed_last(np.broadcast_to(array, shape), bound)))
        arguments += [arrays[-1].ctypes.data_as(ctypes.c_void_p)] + [ctypes.c_longlong(0 if shared else 1)] * (not param.raw)
    arguments += [out.ctypes.data_as(ctypes.c_void_p) for out in outs]
    library[f"{name}_{bound.T}"](ctypes.c_longlong(count), ctypes.c_longlong(terms), *arguments)
    return outs


def _input_shape(kernel: Kernel, bound: BoundCall) -> tuple[int, ...]:
    """The shape to which inputs are broadcast."""
    return np.broadcast_shapes(*(np.shape(value) for value in bound.arguments)) if kernel.post_map else bound.shape


def _summed_last(array: Any, bound: BoundCall) -> Any:
    """The array with the axes to sum over moved to the end."""
    return np.moveaxis(array, bound.axis, range(-len(bound.axis), 0)) if bound.axis else array
