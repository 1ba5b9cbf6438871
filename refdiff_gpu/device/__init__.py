"""The device: whether there is one, moving arrays to it and back, and launching kernels on it."""

from .arrays import unchecked
from .driver import NoDevice, available, missing, place
from .transfer import to_device, to_host

__all__ = ["NoDevice", "available", "missing", "place", "to_device", "to_host", "unchecked"]
