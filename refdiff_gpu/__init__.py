"""refdiff on a GPU: the same specification on CuPy arrays, with fused kernels. Use it by `import refdiff_gpu as rd`.

Every name, argument, error and docstring is that of `refdiff`. In addition, `to_device` and `to_host` copy arrays,
`available` and `missing` report whether there is a device, and `unchecked` leaves out the checks that would wait for
it. Without a device the import works, and the first use raises `NoDevice`: nothing falls back to the CPU.

Packages and modules have the names of `refdiff`, and hand on what is not defined here. Four packages are new: `device`
(arrays, transfers, kernel launches), `kernels` (the kernels as data), `emulator` (a device emulated with NumPy), and
`proof` (checks without a GPU).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from refdiff import __version__, arrays, checks, solvers, tree
from refdiff.solvers import edm, edm_training

from . import rng, training
from .device import NoDevice, available, missing, place, to_device, to_host, unchecked
from .networks import attention, classifier, convolution, layers, mlp, normalize, residual, unet, unet_init
from .objectives import bridge, elbo, flow, flow_times, latent, learned_schedule, score_matching, transport, vdm
from .process import brownian, forward, gaussian, grids, predict, reverse, schedules, sde, tables
from .process.forward import posterior, q_sample
from .process.schedules import Schedule
from .sampling import fokker_planck, generation, guidance, langevin, likelihood, maps, mixture, ode, oracles, orders, picard, samplers
from .sampling.generation import generate
from .sampling.samplers import ddim_step, ddpm_step, sample
from .training import optim, parallel

if TYPE_CHECKING:
    from refdiff.data import fashion, images, mnist
    from refdiff.training import checkpoint
    from refdiff.training import checkpoint as io

    from . import data
    from .data import feature_metrics, metrics

__all__ = [
    "NoDevice",
    "Schedule",
    "__version__",
    "arrays",
    "attention",
    "available",
    "bridge",
    "brownian",
    "checkpoint",
    "checks",
    "classifier",
    "convolution",
    "data",
    "ddim_step",
    "ddpm_step",
    "edm",
    "edm_training",
    "elbo",
    "fashion",
    "feature_metrics",
    "flow",
    "flow_times",
    "fokker_planck",
    "forward",
    "gaussian",
    "generate",
    "generation",
    "grids",
    "guidance",
    "images",
    "io",
    "langevin",
    "latent",
    "layers",
    "learned_schedule",
    "likelihood",
    "maps",
    "metrics",
    "missing",
    "mixture",
    "mlp",
    "mnist",
    "normalize",
    "ode",
    "optim",
    "oracles",
    "orders",
    "parallel",
    "picard",
    "place",
    "posterior",
    "predict",
    "q_sample",
    "residual",
    "reverse",
    "rng",
    "sample",
    "samplers",
    "schedules",
    "score_matching",
    "sde",
    "solvers",
    "tables",
    "to_device",
    "to_host",
    "training",
    "transport",
    "tree",
    "unchecked",
    "unet",
    "unet_init",
    "vdm",
]

_LAZY = {  # modules that are loaded when first used
    "checkpoint": "refdiff.training.checkpoint",
    "data": "refdiff_gpu.data",
    "io": "refdiff.training.checkpoint",
    "feature_metrics": "refdiff_gpu.data.feature_metrics",
    "metrics": "refdiff_gpu.data.metrics",
    "fashion": "refdiff.data.fashion",
    "images": "refdiff.data.images",
    "mnist": "refdiff.data.mnist",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(_LAZY[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
