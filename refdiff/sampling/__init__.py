"""Sampling: DDPM, DDIM and ODE solvers, guidance, and oracles, models whose answer is known exactly, to test samplers with."""

from . import generation, guidance, langevin, likelihood, maps, mixture, ode, oracles, orders, samplers

__all__ = ["generation", "guidance", "langevin", "likelihood", "maps", "mixture", "ode", "oracles", "orders", "samplers"]
