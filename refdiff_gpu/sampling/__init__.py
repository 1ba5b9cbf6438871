"""Sampling on the device: `samplers` and `ode` with one kernel for each step, `generation`, `guidance`, `oracles`, and `maps`.

`fokker_planck`, `langevin`, `likelihood`, `orders` and `picard` are those of `refdiff`.
"""

from refdiff.sampling import fokker_planck, langevin, likelihood, mixture, orders, picard

from . import generation, guidance, maps, ode, oracles, samplers

__all__ = [
    "fokker_planck",
    "generation",
    "guidance",
    "langevin",
    "likelihood",
    "maps",
    "mixture",
    "ode",
    "oracles",
    "orders",
    "picard",
    "samplers",
]
