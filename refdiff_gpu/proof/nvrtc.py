"""Compile the kernels for real GPUs with NVRTC, NVIDIA's compiler library, which needs neither a driver nor a GPU.

`python -m refdiff_gpu.proof.nvrtc` compiles all kernels for every architecture, and prints their numbers of loads and
stores.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ..kernels.kernel import Kernel
from ..kernels.table import KERNELS
from . import source

ARCHITECTURES = ("sm_75", "sm_90", "sm_100")  # Turing, Hopper, Blackwell
OPTIONS = ("-fmad=false",)  # a product and a sum round twice, as in NumPy
QUICK = "--Ofast-compile=max"  # checks a body as strictly, and optimizes less
COUNTING = "--Ofast-compile=min"  # optimizes so far that loads and stores are final


def library_path() -> Path | None:
    """The path of the compiler library in the wheel nvidia-cuda-nvrtc, or None."""
    spec = find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = sorted(path for folder in folders for path in Path(folder).glob("*/lib/libnvrtc.so.*") if "alt" not in path.name)
    return found[-1] if found else None


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    path = library_path()
    if path is None:
        raise RuntimeError("NVRTC is missing; allowed: pip install nvidia-cuda-nvrtc")
    return ctypes.CDLL(str(path))


@dataclass(frozen=True)
class Code:
    """The output of the compiler: machine code (cubin), and the assembly (PTX) from which it was generated."""

    cubin: bytes
    ptx: str


def compile_kernels(kernels: dict[str, Kernel], architecture: str, quick: bool = False) -> Code:
    """Compile all kernels, in both precisions, for an architecture such as sm_90; loops are kept, to count accesses."""
    return compile_source(source.cuda_source(kernels, rolled=True), [f"-arch={architecture}", *OPTIONS, QUICK if quick else COUNTING])


def accesses(ptx: str) -> Iterator[tuple[str, int, int]]:
    """(name_precision, loads from memory, stores to memory) of every kernel, counted in the assembly.

    Loads of constants, such as the tables of sine and cosine, are not counted.
    """
    for name, body in re.findall(r"\.entry (\w+)\(.*?\n\{(.*?)\n\}", ptx, re.DOTALL):
        yield name, len(re.findall(r"\bld\.global(?!\.nc)", body)), len(re.findall(r"\bst\.global", body))


def compile_source(text: str, options: list[str]) -> Code:
    """Compile a source; raises RuntimeError with the output of the compiler."""
    lib, program = library(), ctypes.c_void_p()
    _check(lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None), program)
    try:
        arguments = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        _check(lib.nvrtcCompileProgram(program, len(options), arguments), program)
        return Code(_read(program, "CUBIN"), _read(program, "PTX").decode())
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def _check(status: int, program: ctypes.c_void_p) -> None:
    if status:
        raise RuntimeError(f"NVRTC refuses a body, status {status}:\n{_read(program, 'ProgramLog').decode() if program else ''}")


def _read(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library(), f"nvrtcGet{what}")(program, buffer)
    return buffer.raw if what == "CUBIN" else buffer.value


def report() -> Iterator[str]:
    """The lines of the report."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    yield f"NVRTC {major.value}.{minor.value}, {len(KERNELS)} kernels in float32 and float64"
    for architecture in ARCHITECTURES:
        code = compile_kernels(KERNELS, architecture)
        yield f"{architecture}: cubin of {len(code.cubin):,} bytes"
    for name, loads, stores in accesses(code.ptx):
        yield f"{name}: {loads} loads, {stores} stores"


if __name__ == "__main__":
    for line in report():
        print(line)
