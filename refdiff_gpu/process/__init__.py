"""The forward process on the device."""

from . import forward, predict, schedules

__all__ = ["forward", "predict", "schedules"]
