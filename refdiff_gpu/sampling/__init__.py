"""Sampling on the device: `samplers` and `ode` with one kernel for each step, `generation`, `guidance`, and `oracles`."""

from refdiff.sampling import mixture

from . import generation, guidance, ode, oracles, samplers

__all__ = ["generation", "guidance", "mixture", "ode", "oracles", "samplers"]
