"""The CUDA source that CuPy generates for the kernels, obtained without a GPU for NVRTC to compile."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..device.launch import OPTIONS, cupy_kernel
from ..emulator.parse import parse
from ..kernels.kernel import Kernel, Param
from .lint import walk

ARRAY, INDEXER, SCALAR = 1, 2, 3  # CuPy's codes for kinds of arguments


def source(kernels: dict[str, Kernel], T: Any) -> str:
    """All kernels for contiguous arrays, T being float32 or float64.

    Parameters of a `post_map` are numbers shared by all threads.
    """
    return _headers() + "".join(_in_namespace(name, kernel, np.dtype(T).type) for name, kernel in kernels.items())


def _in_namespace(name: str, kernel: Kernel, T: Any) -> str:
    """One kernel in a namespace of its own, with its macros undefined at the end."""
    text = (_reduction_code if kernel.post_map else _elementwise_code)(name, kernel, T)
    text = text.replace("for (int64", "\n#pragma unroll 1\nfor (int64")  # so that loads can be counted
    return f"namespace of_{name} {{\n{text}\n}}\n#undef REDUCE\n#undef POST_MAP\n#undef _REDUCE\n"


def _headers() -> str:
    """The headers that CuPy includes in every source."""
    from cupy._core import core

    return "".join(f"#include <{each}>\n" for each in core._cupy_header_list)


def missing() -> str | None:
    """The wheel that must be installed before CuPy's sources can be compiled; None if nothing is missing."""
    if find_spec("cupy") is None:
        return "cupy-cuda13x"
    return None if any((folder / "cuda_fp16.h").exists() for folder in _include_folders()) else "nvidia-cuda-runtime"


def options() -> list[str]:
    """The compiler options of CuPy; the last, -ftz=true, CuPy always adds."""
    from cupy._core import core

    return [*(f"-I{folder}" for folder in _include_folders()), *core._get_cccl_include_options(), *OPTIONS, "-std=c++17", "-ftz=true"]


def _include_folders() -> list[Path]:
    """The folders of headers: those of CuPy, and CUDA's from CuPy or from a wheel."""
    from cupy._core import core

    folder = Path(core._get_header_dir_path())
    return [folder, *sorted((folder / "cupy" / "_cuda").glob("cuda-*"))[-1:], *_toolkit()]


def _toolkit() -> list[Path]:
    """The folders of headers of the wheel nvidia-cuda-runtime."""
    spec = find_spec("nvidia")
    return [path for folder in (spec.submodule_search_locations or () if spec else ()) for path in Path(folder).glob("cu*/include")]


def _elementwise_code(name: str, kernel: Kernel, T: Any) -> str:
    from cupy._core import _kernel

    compiled = cupy_kernel(name, kernel)
    infos = [_number(param, T) if is_size(param) else _array(param, T) for param in kernel.in_params]
    infos += [_array(param, T) for param in kernel.out_params] + [_indexer()]
    types = _kernel._TypeMap((("T", T),))
    return _kernel._get_elementwise_kernel_code(
        tuple(infos), types, compiled.params, compiled.operation, f"{compiled.name}_{T.__name__}", compiled.preamble
    )


def _reduction_code(name: str, kernel: Kernel, T: Any) -> str:
    from cupy._core import _kernel, _reduction

    compiled = cupy_kernel(name, kernel)
    numbers = {node[1] for node in walk(parse(f"{kernel.post_map};")) if node[0] == "name"}
    infos = [_number(param, T) if param.name in numbers else _array(param, T) for param in kernel.in_params]
    infos += [_array(param, T) for param in kernel.out_params]
    infos += [_indexer(), _indexer(), _number(Param("int32", "_block_stride", False), T)]
    types = _kernel._TypeMap((("T", T), ("IndexT", np.uint32)))
    texts = compiled.reduce_type, compiled.identity, compiled.map_expr, compiled.reduce_expr, compiled.post_map_expr, compiled.preamble
    named = f"{compiled.name}_{T.__name__}"
    return _reduction._ReductionKernel_get_cached_function_code(
        compiled.nin, compiled.nout, compiled._params, tuple(infos), types, named, 512, *texts, compiled.options
    )


def is_size(param: Param) -> bool:
    """Whether a parameter is a size, which is a number and never an array."""
    return param.ctype in ("int32", "int64") and not param.raw


def _array(param: Param, T: Any) -> Any:
    import cupy
    from cupy._core import _kernel

    return _kernel._ArgInfo(ARRAY, cupy.ndarray, param.dtype(T).type, 1, True, True)


def _number(param: Param, T: Any) -> Any:
    from cupy._core import _kernel
    from cupy._core._scalar import CScalar

    return _kernel._ArgInfo(SCALAR, CScalar, param.dtype(T).type, 0, True, True)


def _indexer() -> Any:
    from cupy._core import _carray, _kernel

    return _kernel._ArgInfo(INDEXER, _carray.CIndexer, None, 1, True, True)
