"""The kernels as C++: one loop, or one thread, around each body, for a compiler that checks them without a GPU."""

from __future__ import annotations

from ..kernels.kernel import PREAMBLE, Kernel, Param

PRECISIONS = {"float32": "float", "float64": "double"}
_HOST = "#include <cmath>\nusing std::sqrt; using std::exp; using std::expm1; using std::log; using std::log1p; using std::tanh; using std::sin; using std::cos;\n"


def host(kernels: dict[str, Kernel]) -> str:
    """All kernels in both precisions as functions name_float32(count, terms, inputs and their steps, outputs) of a shared library."""
    return _HOST + _both(
        kernels, 'extern "C" void {name}(int64 count, int64 terms, {arguments}) {{\nfor (int64 i = 0; i < count; ++i) {{\n{body}}}\n}}\n'
    )


def device(kernels: dict[str, Kernel], rolled: bool = False) -> str:
    """All kernels in both precisions as CUDA kernels, a thread for each output; rolled: with loops kept as loops, for counting."""
    frame = 'extern "C" __global__ void {name}(int64 count, int64 terms, {arguments}) {{\nint64 i = blockIdx.x * (int64) blockDim.x + threadIdx.x;\nif (i < count) {{\n{body}}}\n}}\n'
    text = _both(kernels, frame)
    return text.replace("for (", "\n#pragma unroll 1\nfor (") if rolled else text


def _both(kernels: dict[str, Kernel], frame: str) -> str:
    text = PREAMBLE
    for precision, ctype in PRECISIONS.items():
        functions = [
            frame.format(name=f"{name}_{precision}", arguments=_arguments(kernel), body=_sum(kernel) if kernel.after else _element(kernel))
            for name, kernel in kernels.items()
        ]
        text += f"namespace in_{precision} {{\ntypedef {ctype} T;\n{''.join(functions)}}}\n"
    return text


def _arguments(kernel: Kernel) -> str:
    """Raw inputs as they are; the others with the step from one thread's element to the next, 0 for a number that is the same for all."""
    inputs = [f"const {p.ctype}* {p.name}" if p.raw else f"const {p.ctype}* of_{p.name}, int64 step_{p.name}" for p in kernel.ins]
    return ", ".join(inputs + [f"{p.ctype}* to_{p.name}" for p in kernel.outs])


def _element(kernel: Kernel) -> str:
    loads = "".join(_load(param, "i") for param in kernel.ins if not param.raw)
    declared = "".join(f"{param.ctype} {param.name};\n" for param in kernel.outs)
    return f"{loads}{declared}{kernel.body}\n{_stores(kernel)}"


def _sum(kernel: Kernel) -> str:
    """Terms follow each other, sum by sum; what is done to the sum may need numbers, which are the same for all."""
    loads = "".join(_load(param, "(i * terms + k)") for param in kernel.ins)
    numbers = "".join(_load(param, "0") for param in kernel.ins)
    (out,) = kernel.outs
    loop = f"{out.ctype} a = 0;\nfor (int64 k = 0; k < terms; ++k) {{\n{loads}{kernel.body}\na += term;\n}}\n"
    return f"{loop}{numbers}{out.ctype} {out.name};\n{kernel.after};\n{_stores(kernel)}"


def _load(param: Param, place: str) -> str:
    return f"const {param.ctype} {param.name} = of_{param.name}[{place} * step_{param.name}];\n"


def _stores(kernel: Kernel) -> str:
    return "".join(f"to_{param.name}[i] = {param.name};\n" for param in kernel.outs)
