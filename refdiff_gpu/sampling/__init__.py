"""Sampling on the device: `samplers` and `ode` with one kernel for each step, `guidance`, and `oracles`."""

from refdiff.sampling import mixture

from . import guidance, ode, oracles, samplers

__all__ = ["guidance", "mixture", "ode", "oracles", "samplers"]
