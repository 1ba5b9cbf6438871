"""The forward process on the device: `forward`, `predict` and `schedules` with kernels, `brownian` with numbers made there.

The other modules are those of `refdiff`.
"""

from refdiff.process import gaussian, grids, reverse, sde, tables

from . import brownian, forward, predict, schedules

__all__ = ["brownian", "forward", "gaussian", "grids", "predict", "reverse", "schedules", "sde", "tables"]
