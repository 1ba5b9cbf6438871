"""The forward process: noise schedules, q(x_t | x_0), the posterior, reverse kernels, and what a network may predict."""

from . import forward, gaussian, grids, predict, reverse, schedules, tables

__all__ = ["forward", "gaussian", "grids", "predict", "reverse", "schedules", "tables"]
