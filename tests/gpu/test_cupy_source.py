"""The CUDA source that CuPy generates for the kernels, compiled by NVRTC without a GPU."""

import inspect
import re
import warnings

import numpy as np
import pytest

from refdiff_gpu.device.launch import OPTIONS
from refdiff_gpu.emulator.parse import parse
from refdiff_gpu.kernels.table import KERNELS
from refdiff_gpu.proof import cupy_source, nvrtc
from refdiff_gpu.proof.lint import walk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CuPy warns about a missing driver
    missing = cupy_source.missing()
pytestmark = [
    pytest.mark.skipif(nvrtc.library_path() is None, reason="NVRTC is missing: pip install nvidia-cuda-nvrtc"),
    pytest.mark.skipif(bool(missing), reason=f"CuPy or CUDA's headers are missing: pip install {missing}"),
    pytest.mark.filterwarnings("ignore"),
]


FEW = "norm_silu", "std", "squared_norm", "normal", "im2col_back", "adam"


@pytest.mark.parametrize("T, names", [(np.float32, KERNELS), (np.float64, FEW)])
def test_cupys_source_compiles(T, names):
    """CuPy accepts every kernel's parameters, and its source compiles.

    A kernel loads each input once and stores each output once. In float64 a few kernels are enough, since the sources
    differ only by a type.
    """
    code = nvrtc.compile_source(cupy_source.source({name: KERNELS[name] for name in names}, T), options())
    found = {name: (loads, stores) for name, loads, stores in nvrtc.accesses(code.ptx)}
    assert code.cubin[:4] == b"\x7fELF"
    assert found == {f"refdiff_{name}_{T.__name__}": expected(KERNELS[name]) for name in names}


def options():
    return ["-arch=sm_90", *cupy_source.options(), nvrtc.COUNTING]


def expected(kernel):
    """Loads and stores of a thread; sizes, and the parameters of a `post_map`, are arguments of the launch."""
    shared = {node[1] for node in walk(parse(f"{kernel.post_map};")) if node[0] == "name"} if kernel.post_map else set()
    elements = [param for param in kernel.in_params if not param.raw and not cupy_source.is_size(param) and param.name not in shared]
    return len(elements) + sum(node[0] == "load" for node in walk(parse(kernel.body))), len(kernel.out_params)


def test_cupys_options():
    """CuPy adds one option that changes numbers: float32 results below 1.2e-38 become 0 on a GPU."""
    from cupy.cuda import compiler

    added = re.findall(r"options \+= \('(-f[\w=]+)',\)", inspect.getsource(compiler._compile_with_cache_cuda))
    assert added == ["-ftz=true"] and cupy_source.options()[-1] == "-ftz=true" and OPTIONS == ("-fmad=false",)
