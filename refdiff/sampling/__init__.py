"""Sampling: DDPM, DDIM and ODE solvers, guidance, and oracles, models whose answer is known exactly, to test samplers with."""

from . import fokker_planck, generation, guidance, langevin, likelihood, maps, mixture, ode, oracles, orders, picard, samplers

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
