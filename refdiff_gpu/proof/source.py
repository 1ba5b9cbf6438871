"""The kernels as complete C++ and CUDA source, for compilers that check them without a GPU."""

from __future__ import annotations

from ..kernels.kernel import PREAMBLE, Kernel, Param

PRECISIONS = {"float32": "float", "float64": "double"}
_HOST_PREAMBLE = "#include <cmath>\nusing std::sqrt; using std::exp; using std::expm1; using std::log; using std::log1p; using std::tanh; using std::sin; using std::cos;\n"


def host_source(kernels: dict[str, Kernel]) -> str:
    """All kernels in both precisions as C++ functions name_float32(count, terms, inputs with strides, outputs)."""
    return _HOST_PREAMBLE + _both_precisions(
        kernels, 'extern "C" void {name}(int64 count, int64 terms, {arguments}) {{\nfor (int64 i = 0; i < count; ++i) {{\n{body}}}\n}}\n'
    )


def cuda_source(kernels: dict[str, Kernel], rolled: bool = False) -> str:
    """All kernels in both precisions as CUDA kernels, one thread per output; `rolled` keeps loops, to count loads."""
    frame = 'extern "C" __global__ void {name}(int64 count, int64 terms, {arguments}) {{\nint64 i = blockIdx.x * (int64) blockDim.x + threadIdx.x;\nif (i < count) {{\n{body}}}\n}}\n'
    text = _both_precisions(kernels, frame)
    return text.replace("for (", "\n#pragma unroll 1\nfor (") if rolled else text


def _both_precisions(kernels: dict[str, Kernel], frame: str) -> str:
    text = PREAMBLE
    for precision, ctype in PRECISIONS.items():
        functions = [
            frame.format(name=f"{name}_{precision}", arguments=_arguments(kernel), body=_body(kernel)) for name, kernel in kernels.items()
        ]
        text += f"namespace in_{precision} {{\ntypedef {ctype} T;\n{''.join(functions)}}}\n"
    return text


def _arguments(kernel: Kernel) -> str:
    """Raw inputs as pointers; the others with the stride from thread to thread, 0 for a number that all share."""
    inputs = [f"const {p.ctype}* {p.name}" if p.raw else f"const {p.ctype}* in_{p.name}, int64 stride_{p.name}" for p in kernel.in_params]
    return ", ".join(inputs + [f"{p.ctype}* out_{p.name}" for p in kernel.out_params])


def _body(kernel: Kernel) -> str:
    return _reduction(kernel) if kernel.post_map else _elementwise(kernel)


def _elementwise(kernel: Kernel) -> str:
    loads = "".join(_load(param, "i") for param in kernel.in_params if not param.raw)
    declared = "".join(f"{param.ctype} {param.name};\n" for param in kernel.out_params)
    return f"{loads}{declared}{kernel.body}\n{_stores(kernel)}"


def _reduction(kernel: Kernel) -> str:
    """The terms of each sum are contiguous; `post_map` may need numbers, which all threads share."""
    loads = "".join(_load(param, "(i * terms + k)") for param in kernel.in_params)
    numbers = "".join(_load(param, "0") for param in kernel.in_params)
    (out,) = kernel.out_params
    loop = f"{out.ctype} a = 0;\nfor (int64 k = 0; k < terms; ++k) {{\n{loads}{kernel.body}\na += term;\n}}\n"
    return f"{loop}{numbers}{out.ctype} {out.name};\n{kernel.post_map};\n{_stores(kernel)}"


def _load(param: Param, index: str) -> str:
    return f"const {param.ctype} {param.name} = in_{param.name}[{index} * stride_{param.name}];\n"


def _stores(kernel: Kernel) -> str:
    return "".join(f"out_{param.name}[i] = {param.name};\n" for param in kernel.out_params)
