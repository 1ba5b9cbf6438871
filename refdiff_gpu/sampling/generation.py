"""`refdiff.generation` on the device: noise, steps and guidance are computed there."""

from __future__ import annotations

from functools import wraps
from inspect import BoundArguments, signature
from typing import Any

from refdiff.arrays import Array, Solver, Step
from refdiff.sampling import generation as reference
from refdiff.sampling.generation import FIRST, METHODS, Modules

from .. import rng
from ..device.transfer import to_device
from . import guidance, samplers

__all__ = ["FIRST", "METHODS", "Modules", "generate", "steps_of"]

DEVICE = Modules(rng, samplers, guidance, to_device)


@wraps(reference.generate)
def generate(*arguments: Any, **named: Any) -> Array:
    given = _complete(reference.generate, arguments, named)
    return reference._generate(DEVICE, *given.args, **given.kwargs)


@wraps(reference.steps_of)
def steps_of(*arguments: Any, **named: Any) -> tuple[Step | Solver, Array]:
    given = _complete(reference.steps_of, arguments, named)
    return reference._steps_of(DEVICE, *given.args, **given.kwargs)


def _complete(function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> BoundArguments:
    """The arguments of a call with the defaults filled in."""
    given = signature(function).bind(*arguments, **named)
    given.apply_defaults()
    return given
