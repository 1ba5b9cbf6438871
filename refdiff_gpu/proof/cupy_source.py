"""The sources that CuPy itself makes of the kernels, asked for without a GPU, so that NVIDIA's compiler can be shown just what a GPU would run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..device.launch import OPTIONS, made
from ..emulator.parse import parse
from ..kernels.kernel import Kernel, Param
from .lint import walk

ARRAY, INDEXER, SCALAR = 1, 2, 3  # CuPy's kinds of arguments


def source(kernels: dict[str, Kernel], T: Any) -> str:
    """All kernels for contiguous arrays, T being float32 or float64; what the end of a sum names is a number for all."""
    return _headers() + "".join(_apart(name, kernel, np.dtype(T).type) for name, kernel in kernels.items())


def _apart(name: str, kernel: Kernel, T: Any) -> str:
    """One kernel, whose types and macros leave the next one's alone."""
    text = (_of_sum if kernel.after else _of_elements)(name, kernel, T)
    text = text.replace("for (int64", "\n#pragma unroll 1\nfor (int64")  # so that loads can be counted
    return f"namespace of_{name} {{\n{text}\n}}\n#undef REDUCE\n#undef POST_MAP\n#undef _REDUCE\n"


def _headers() -> str:
    """What CuPy puts before every source."""
    from cupy._core import core

    return "".join(f"#include <{each}>\n" for each in core._cupy_header_list)


def missing() -> str | None:
    """What is to be installed before CuPy's sources can be compiled; None if nothing is."""
    if find_spec("cupy") is None:
        return "cupy-cuda13x"
    return None if any((folder / "cuda_fp16.h").exists() for folder in _folders()) else "nvidia-cuda-runtime"


def options() -> list[str]:
    """What CuPy compiles with; -ftz=true is its own, and last."""
    from cupy._core import core

    return [*(f"-I{folder}" for folder in _folders()), *core._get_cccl_include_options(), *OPTIONS, "-std=c++17", "-ftz=true"]


def _folders() -> list[Path]:
    """Where headers are: CuPy's own, and CUDA's that come with it or with a wheel."""
    from cupy._core import core

    folder = Path(core._get_header_dir_path())
    return [folder, *sorted((folder / "cupy" / "_cuda").glob("cuda-*"))[-1:], *_toolkit()]


def _toolkit() -> list[Path]:
    """Those of the wheel nvidia-cuda-runtime."""
    spec = find_spec("nvidia")
    return [path for place in (spec.submodule_search_locations or () if spec else ()) for path in Path(place).glob("cu*/include")]


def _of_elements(name: str, kernel: Kernel, T: Any) -> str:
    from cupy._core import _kernel

    made_of = made(name, kernel)
    infos = [_number(param, T) if whole(param) else _array(param, T) for param in kernel.ins]
    infos += [_array(param, T) for param in kernel.outs] + [_indexer()]
    types = _kernel._TypeMap((("T", T),))
    return _kernel._get_elementwise_kernel_code(
        tuple(infos), types, made_of.params, made_of.operation, f"{made_of.name}_{T.__name__}", made_of.preamble
    )


def _of_sum(name: str, kernel: Kernel, T: Any) -> str:
    from cupy._core import _kernel, _reduction

    made_of = made(name, kernel)
    numbers = {node[1] for node in walk(parse(f"{kernel.after};")) if node[0] == "name"}
    infos = [_number(param, T) if param.name in numbers else _array(param, T) for param in kernel.ins]
    infos += [_array(param, T) for param in kernel.outs] + [_indexer(), _indexer(), _number(Param("int32", "_block_stride", False), T)]
    types = _kernel._TypeMap((("T", T), ("IndexT", np.uint32)))
    texts = made_of.reduce_type, made_of.identity, made_of.map_expr, made_of.reduce_expr, made_of.post_map_expr, made_of.preamble
    named = f"{made_of.name}_{T.__name__}"
    return _reduction._ReductionKernel_get_cached_function_code(
        made_of.nin, made_of.nout, made_of._params, tuple(infos), types, named, 512, *texts, made_of.options
    )


def whole(param: Param) -> bool:
    """Sizes are always numbers."""
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
