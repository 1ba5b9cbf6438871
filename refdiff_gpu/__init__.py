"""refdiff on a GPU: the same specification on CuPy's arrays, with kernels where fusing pays. `import refdiff_gpu as rd`.

Everything has the name, the arguments, the errors and the documentation that it has in `refdiff`. What is added: `to_device` and
`to_host` move arrays, `available` and `missing` tell whether there is a device, and `unchecked` leaves out the checks that would
wait for it. Without a device the import works, and the first use raises `NoDevice`: nothing falls back to the CPU.
"""

from refdiff import __version__, data, elbo, gaussian, io, latent, reverse, tree

from . import classifier, flow, forward, guidance, layers, metrics, mlp, optim, oracles, predict, rng, samplers, schedules, training, unet
from .device import NoDevice, available, missing, place, to_device, to_host, unchecked
from .forward import posterior, q_sample
from .samplers import ddim_step, ddpm_step, sample
from .schedules import Schedule

__all__ = [
    "NoDevice",
    "Schedule",
    "__version__",
    "available",
    "classifier",
    "data",
    "ddim_step",
    "ddpm_step",
    "elbo",
    "flow",
    "forward",
    "gaussian",
    "guidance",
    "io",
    "latent",
    "layers",
    "metrics",
    "missing",
    "mlp",
    "optim",
    "oracles",
    "place",
    "posterior",
    "predict",
    "q_sample",
    "reverse",
    "rng",
    "sample",
    "samplers",
    "schedules",
    "to_device",
    "to_host",
    "training",
    "tree",
    "unchecked",
    "unet",
]
