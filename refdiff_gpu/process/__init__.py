"""The forward process on the device: `forward`, `predict` and `schedules`, with a kernel for each formula that is applied to arrays."""

from . import forward, predict, schedules

__all__ = ["forward", "predict", "schedules"]
