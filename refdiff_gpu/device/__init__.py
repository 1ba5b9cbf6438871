"""The device: `driver` finds it, `arrays`, `tables` and `transfer` keep arrays on it, `launch` calls kernels by name.

`wrappers` turns functions of the host into functions that return device arrays, or that accept them.
"""

from .arrays import unchecked
from .driver import NoDevice, available, missing, place
from .transfer import to_device, to_host

__all__ = ["NoDevice", "available", "missing", "place", "to_device", "to_host", "unchecked"]
