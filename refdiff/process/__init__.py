r"""Forward and reverse process: noise schedules, $q(x_t | x_0)$, the posterior, reverse steps, and what a network may predict."""

from . import forward, gaussian, grids, predict, reverse, schedules, sde, tables

__all__ = ["forward", "gaussian", "grids", "predict", "reverse", "schedules", "sde", "tables"]
