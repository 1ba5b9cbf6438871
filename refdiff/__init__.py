"""refdiff: the executable specification of diffusion and flow-matching models.

The contract:
- an equation is a plain function of arrays: no hidden state, no random numbers, no printing;
- time is an integer 0..T, where 0 is clean data, and every step takes a pair of times (t, s) with s < t;
- data has the shape (B, ...), time the shape () or (B,), and the result has the dtype of the data;
- a wrong argument raises an error that names the argument, its value and what is allowed;
- every docstring gives the equation and the source of the equation.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import rng, solvers, training, tree
from .networks import attention, classifier, convolution, layers, mlp, normalize, residual, unet, unet_init
from .objectives import bridge, elbo, flow, flow_times, latent, learned_schedule, score_matching, transport, vdm
from .process import brownian, forward, gaussian, grids, predict, reverse, schedules, sde, tables
from .process.forward import posterior, q_sample
from .process.schedules import Schedule
from .sampling import fokker_planck, generation, guidance, langevin, likelihood, maps, mixture, ode, oracles, orders, picard, samplers
from .sampling.generation import generate
from .sampling.samplers import ddim_step, ddpm_step, sample
from .solvers import edm, edm_training
from .training import optim, parallel

if TYPE_CHECKING:
    from . import conformance, data, demo, equations, fast, plots
    from .data import fashion, feature_metrics, images, metrics, mnist
    from .training import checkpoint

__version__ = "0.2.0"

__all__ = [
    "Schedule",
    "bridge",
    "brownian",
    "ddim_step",
    "ddpm_step",
    "edm",
    "edm_training",
    "elbo",
    "fashion",
    "flow",
    "flow_times",
    "fokker_planck",
    "forward",
    "gaussian",
    "generate",
    "guidance",
    "images",
    "langevin",
    "latent",
    "layers",
    "learned_schedule",
    "likelihood",
    "maps",
    "mlp",
    "optim",
    "oracles",
    "orders",
    "picard",
    "posterior",
    "predict",
    "q_sample",
    "reverse",
    "rng",
    "sample",
    "samplers",
    "schedules",
    "score_matching",
    "sde",
    "solvers",
    "training",
    "transport",
    "tree",
    "vdm",
]

_LAZY = {  # modules that are loaded when first used
    "checkpoint": "training.checkpoint",
    "conformance": "conformance",
    "data": "data",
    "demo": "demo",
    "equations": "equations",
    "fast": "fast",
    "io": "training.checkpoint",
    "feature_metrics": "data.feature_metrics",
    "metrics": "data.metrics",
    "fashion": "data.fashion",
    "images": "data.images",
    "mnist": "data.mnist",
    "plots": "plots",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{_LAZY[name]}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
