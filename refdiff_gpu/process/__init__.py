"""The forward process on the device: `forward`, `predict` and `schedules` with kernels.

The other modules are those of `refdiff`.
"""

from refdiff.process import gaussian, grids, reverse, sde, tables

from . import forward, predict, schedules

__all__ = ["forward", "gaussian", "grids", "predict", "reverse", "schedules", "sde", "tables"]
