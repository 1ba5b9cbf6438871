"""refdiff on a GPU: the same specification on CuPy's arrays, with kernels where fusing pays. `import refdiff_gpu as rd`.

Everything has the name, the arguments, the errors and the documentation that it has in `refdiff`. What is added: `to_device` and
`to_host` move arrays, `available` and `missing` tell whether there is a device, and `unchecked` leaves out the checks that would
wait for it. Without a device the import works, and the first use raises `NoDevice`: nothing falls back to the CPU.
"""

from refdiff import __version__, tree
from refdiff.objectives import elbo, latent
from refdiff.process import gaussian, reverse
from refdiff.training import checkpoint
from refdiff.training import checkpoint as io

from . import data, rng, training
from .data import metrics
from .device import NoDevice, available, missing, place, to_device, to_host, unchecked
from .networks import classifier, layers, mlp, unet
from .objectives import flow
from .process import forward, predict, schedules
from .process.forward import posterior, q_sample
from .process.schedules import Schedule
from .sampling import guidance, oracles, samplers
from .sampling.samplers import ddim_step, ddpm_step, sample
from .training import optim

__all__ = [
    "NoDevice",
    "Schedule",
    "__version__",
    "available",
    "checkpoint",
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
