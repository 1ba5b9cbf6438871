"""Sampling on the device: `samplers` and `ode` with one kernel for each step, `guidance`, and `oracles`."""

from . import guidance, ode, oracles, samplers

__all__ = ["guidance", "ode", "oracles", "samplers"]
