"""All kernels, by name. `python -m refdiff_gpu.table` lists them with their parameters."""

from __future__ import annotations

from .kernel import PREAMBLE, Kernel, Param, bind, is_array
from .kernels_images import IMAGES
from .kernels_layers import LAYERS
from .kernels_optim import OPTIM
from .kernels_rng import RNG
from .kernels_samplers import SAMPLERS

__all__ = ["KERNELS", "PREAMBLE", "Kernel", "Param", "bind", "is_array"]

KERNELS: dict[str, Kernel] = {**SAMPLERS, **LAYERS, **IMAGES, **OPTIM, **RNG}


if __name__ == "__main__":
    from .table import table

    print(table())
