"""refdiff: the executable specification of diffusion and flow-matching models.

The contract:
- an equation is a plain function of arrays: no hidden state, no random numbers, no printing;
- time is an integer 0..T, 0 is clean data, and every step takes a pair (t, s) with s < t;
- data is (B, ...), time () or (B,), and dtype in is dtype out;
- a wrong argument is an error that names it, its value and what is allowed;
- every docstring gives the equation and its source.
"""

from . import (
    elbo,
    flow,
    forward,
    gaussian,
    guidance,
    latent,
    layers,
    mlp,
    optim,
    oracles,
    predict,
    reverse,
    rng,
    samplers,
    schedules,
    training,
    tree,
)
from .forward import posterior, q_sample
from .samplers import ddim_step, ddpm_step, sample
from .schedules import Schedule

__version__ = "0.1.0"

__all__ = [
    "Schedule",
    "ddim_step",
    "ddpm_step",
    "elbo",
    "flow",
    "forward",
    "gaussian",
    "guidance",
    "latent",
    "layers",
    "mlp",
    "optim",
    "oracles",
    "posterior",
    "predict",
    "q_sample",
    "reverse",
    "rng",
    "sample",
    "samplers",
    "schedules",
    "training",
    "tree",
]
