"""All kernels, by name. `python -m refdiff_gpu.kernels` lists them with their parameters."""

from __future__ import annotations

from .kernel import PREAMBLE, Kernel, Param, bind, is_array
from .kernels_images import IMAGES
from .kernels_layers import LAYERS
from .kernels_optim import OPTIM
from .kernels_rng import RNG
from .kernels_samplers import SAMPLERS

__all__ = ["KERNELS", "PREAMBLE", "Kernel", "Param", "bind", "is_array", "table"]

KERNELS: dict[str, Kernel] = {**SAMPLERS, **LAYERS, **IMAGES, **OPTIM, **RNG}


def table() -> str:
    """One line for each kernel: name(inputs) -> outputs; a sum's call also takes axis and keepdims."""
    return "\n".join(f"{name}({kernel.inputs}) -> {kernel.outputs}{', summed' * bool(kernel.after)}" for name, kernel in KERNELS.items())


if __name__ == "__main__":
    print(table())
