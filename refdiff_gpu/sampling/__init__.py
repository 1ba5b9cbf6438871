"""Sampling on the device: `samplers` and `ode` with one kernel for each step, `generation`, `guidance`, `oracles`, and `maps`.

`orders` is that of `refdiff`.
"""

from refdiff.sampling import mixture, orders

from . import generation, guidance, maps, ode, oracles, samplers

__all__ = ["generation", "guidance", "maps", "mixture", "ode", "oracles", "orders", "samplers"]
