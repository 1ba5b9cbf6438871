"""The kernels compiled for the CPU by g++ and run there: the bodies as a real compiler reads them, against what the interpreter makes of them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..kernels.kernel import Bound, Kernel, bind
from . import source

FLAGS = ("-O2", "-ffp-contract=off", "-shared", "-fPIC")  # products and sums round apart, as with -fmad=false


def compiler() -> str | None:
    """Where the C++ compiler is, if there is one."""
    return shutil.which("g++")


def build(kernels: dict[str, Kernel]) -> ctypes.CDLL:
    """A library of all kernels, in both precisions."""
    with tempfile.TemporaryDirectory() as folder:
        text, library = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
        text.write_text(source.host(kernels))
        done = subprocess.run([str(compiler()), *FLAGS, str(text), "-o", str(library)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"g++ refuses a body:\n{done.stderr}")
        return ctypes.CDLL(str(library))


def call(library: ctypes.CDLL, name: str, kernel: Kernel, inputs: tuple[Any, ...], numbers: dict[str, Any], dtype: Any = None) -> list[Any]:
    """What `emulate.call` does, by the compiled kernel."""
    bound = bind(kernel, inputs, dict(numbers), dtype)
    outs = [np.empty(bound.shape, dtype) for dtype in bound.dtypes]
    count = prod(bound.shape)
    whole = _whole(kernel, bound)
    terms = prod(whole) // count if kernel.after and count else 1
    kept, arguments = [], []
    for param, value in zip(kernel.ins, bound.arguments, strict=True):
        array = np.asarray(value, param.dtype(bound.T))
        same = array.size == 1 and not param.raw
        kept.append(np.ascontiguousarray(array if same or param.raw else _laid(np.broadcast_to(array, whole), bound)))
        arguments += [kept[-1].ctypes.data_as(ctypes.c_void_p)] + [ctypes.c_longlong(0 if same else 1)] * (not param.raw)
    arguments += [out.ctypes.data_as(ctypes.c_void_p) for out in outs]
    library[f"{name}_{bound.T}"](ctypes.c_longlong(count), ctypes.c_longlong(terms), *arguments)
    return outs


def _whole(kernel: Kernel, bound: Bound) -> tuple[int, ...]:
    """The shape that inputs are broadcast to."""
    return np.broadcast_shapes(*(np.shape(value) for value in bound.arguments)) if kernel.after else bound.shape


def _laid(array: Any, bound: Bound) -> Any:
    """The axes to sum over last."""
    return np.moveaxis(array, bound.axis, range(-len(bound.axis), 0)) if bound.axis else array
