"""All kernels, by name. `python -m refdiff_gpu.table` lists them with their parameters."""

from __future__ import annotations

from .images import IMAGES
from .kernel import PREAMBLE, Kernel, Param, bind, is_array
from .layers import LAYERS
from .optim import OPTIM
from .rng import RNG
from .samplers import SAMPLERS

__all__ = ["KERNELS", "PREAMBLE", "Kernel", "Param", "bind", "is_array"]

KERNELS: dict[str, Kernel] = {**SAMPLERS, **LAYERS, **IMAGES, **OPTIM, **RNG}


if __name__ == "__main__":
    from .__main__ import table

    print(table())
