"""All kernels by name. `python -m refdiff_gpu.kernels` lists them with their parameters."""

from __future__ import annotations

from .images import IMAGES
from .kernel import Kernel
from .layers import LAYERS
from .optim import OPTIM
from .rng import RNG
from .samplers import SAMPLERS

KERNELS: dict[str, Kernel] = {**SAMPLERS, **LAYERS, **IMAGES, **OPTIM, **RNG}
