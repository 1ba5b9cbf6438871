"""An independent second implementation of every operation: Python floats and loops, without refdiff."""

import inspect

from . import (
    attention,
    elbo,
    flow,
    forward,
    gaussian,
    guidance,
    images,
    latent,
    layers,
    metrics,
    optim,
    predict,
    samplers,
    schedules,
    solvers,
    training,
    unet,
)

AREAS = (
    schedules,
    forward,
    predict,
    gaussian,
    elbo,
    latent,
    samplers,
    solvers,
    flow,
    guidance,
    layers,
    images,
    attention,
    unet,
    optim,
    training,
    metrics,
)


def public(module):
    """Public functions defined in a module: its operations and helpers."""
    return {name: f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__ and name[0] != "_"}


class Adapter:
    """Every operation as a static method."""

    name = "straight"
    version = "1"


for module in AREAS:
    for name, function in public(module).items():
        assert not hasattr(Adapter, name), name
        setattr(Adapter, name, staticmethod(function))
