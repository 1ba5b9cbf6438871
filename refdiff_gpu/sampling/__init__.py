"""Sampling on the device: `samplers` and `ode` with a kernel for each step, `guidance` inside it, and `oracles`."""

from . import guidance, ode, oracles, samplers

__all__ = ["guidance", "ode", "oracles", "samplers"]
