r"""Forward and reverse process: noise schedules, $q(x_t | x_0)$, the posterior, reverse steps, what a network may predict, and Brownian motion."""

from . import brownian, forward, gaussian, grids, predict, reverse, schedules, sde, tables

__all__ = ["brownian", "forward", "gaussian", "grids", "predict", "reverse", "schedules", "sde", "tables"]
