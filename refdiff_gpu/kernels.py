"""All kernels, by name. `python -m refdiff_gpu.kernels` lists them with their parameters."""

from __future__ import annotations

from .kernel import PREAMBLE, Kernel, Param, bind, is_array
from .kernels_layers import LAYERS
from .kernels_samplers import SAMPLERS

__all__ = ["KERNELS", "PREAMBLE", "Kernel", "Param", "bind", "is_array", "table"]

KERNELS: dict[str, Kernel] = {**SAMPLERS, **LAYERS}


def table() -> str:
    """One line for each kernel: name(inputs) -> outputs."""
    return "\n".join(f"{name}({kernel.inputs}) -> {kernel.outputs}" for name, kernel in KERNELS.items())


if __name__ == "__main__":
    print(table())
