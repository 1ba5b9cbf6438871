"""Training objectives on the device."""

from . import flow

__all__ = ["flow"]
