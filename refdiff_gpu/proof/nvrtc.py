"""The kernels compiled for real GPUs by NVIDIA's compiler library, which needs neither a driver nor a GPU.

`python -m refdiff_gpu.nvrtc` compiles all kernels for every architecture, and prints what each reads and writes.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ..kernels.table import KERNELS, Kernel
from . import source

ARCHITECTURES = ("sm_75", "sm_90", "sm_100")  # Turing, Hopper, Blackwell
OPTIONS = ("-fmad=false",)  # a product and a sum round twice, as in NumPy
QUICK = "--Ofast-compile=max"  # checks a body as strictly, but optimizes less
COUNTING = "--Ofast-compile=min"  # optimizes just as far as loads and stores are concerned


def library_path() -> Path | None:
    """The compiler library that the wheel nvidia-cuda-nvrtc brings, or None."""
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
    """What comes out of the compiler: machine code, and the assembly it was made from."""

    cubin: bytes
    ptx: str


def compiled(kernels: dict[str, Kernel], architecture: str, quick: bool = False) -> Code:
    """All kernels, in both precisions, for an architecture such as sm_90; loops are kept as loops, so that accesses can be counted."""
    return compiled_text(source.device(kernels, rolled=True), [f"-arch={architecture}", *OPTIONS, QUICK if quick else COUNTING])


def accesses(ptx: str) -> Iterator[tuple[str, int, int]]:
    """(name_precision, loads from memory, stores to memory) of every kernel, as they stand in the assembly.

    Loads of constants, as the tables of sine and cosine, are no loads of inputs and not counted.
    """
    for name, body in re.findall(r"\.entry (\w+)\(.*?\n\{(.*?)\n\}", ptx, re.DOTALL):
        yield name, len(re.findall(r"\bld\.global(?!\.nc)", body)), len(re.findall(r"\bst\.global", body))


def compiled_text(text: str, options: list[str]) -> Code:
    """What the compiler makes of a source; raises RuntimeError with its words."""
    lib, program = library(), ctypes.c_void_p()
    _check(lib.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None), program)
    try:
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        _check(lib.nvrtcCompileProgram(program, len(options), words), program)
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
    """The lines of what was compiled."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    yield f"NVRTC {major.value}.{minor.value}, {len(KERNELS)} kernels in float32 and float64"
    for architecture in ARCHITECTURES:
        code = compiled(KERNELS, architecture)
        yield f"{architecture}: cubin of {len(code.cubin):,} bytes"
    for name, loads, stores in accesses(code.ptx):
        yield f"{name}: {loads} loads, {stores} stores"


if __name__ == "__main__":
    for line in report():
        print(line)
