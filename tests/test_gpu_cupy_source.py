"""CuPy's own sources of the kernels, which it makes without a GPU, under NVIDIA's compiler: what a real GPU would be given."""

import inspect
import re
from importlib.util import find_spec

import numpy as np
import pytest

from refdiff_gpu import cupy_source, nvrtc
from refdiff_gpu.kernels import KERNELS
from refdiff_gpu.launch import OPTIONS
from refdiff_gpu.lint import walk
from refdiff_gpu.parse import parse

pytestmark = [
    pytest.mark.skipif(nvrtc.library_path() is None, reason="NVRTC is missing: pip install nvidia-cuda-nvrtc"),
    pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is missing: pip install cupy-cuda13x"),
    pytest.mark.filterwarnings("ignore"),  # CuPy's, about the driver that is not there
]


@pytest.mark.parametrize("T", [np.float32, pytest.param(np.float64, marks=pytest.mark.long)])
def test_cupys_source_compiles(T):
    """CuPy accepts every kernel's parameters, and what it makes of it compiles; it loads each input once and stores each output once."""
    code = nvrtc.compiled_text(cupy_source.source(KERNELS, T), ["-arch=sm_90", *cupy_source.options(), nvrtc.COUNTING])
    found = {name: (loads, stores) for name, loads, stores in nvrtc.accesses(code.ptx)}
    assert code.cubin[:4] == b"\x7fELF"
    assert found == {f"refdiff_{name}_{T.__name__}": expected(kernel) for name, kernel in KERNELS.items()}


def expected(kernel):
    """Loads and stores of a thread: sizes, and what ends a sum, are arguments of the launch."""
    told = {node[1] for node in walk(parse(f"{kernel.after};")) if node[0] == "name"} if kernel.after else set()
    elements = [param for param in kernel.ins if not param.raw and not cupy_source.whole(param) and param.name not in told]
    return len(elements) + sum(node[0] == "load" for node in walk(parse(kernel.body))), len(kernel.outs)


def test_cupys_options():
    """CuPy adds one option to ours that changes numbers: float32 results below 1.2e-38 become 0 on a GPU, as they do in all of CuPy."""
    from cupy.cuda import compiler

    added = re.findall(r"options \+= \('(-f[\w=]+)',\)", inspect.getsource(compiler._compile_with_cache_cuda))
    assert added == ["-ftz=true"] and cupy_source.options()[-1] == "-ftz=true" and OPTIONS == ("-fmad=false",)
