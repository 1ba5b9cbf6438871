"""What kernels take: arrays of one real precision."""

from __future__ import annotations

import numpy as np

from refdiff.arrays import Array


def real(*arrays: Array) -> bool:
    """Whether all arrays are float32, or all float64."""
    found = {array.dtype for array in arrays}
    return found == {np.dtype(np.float32)} or found == {np.dtype(np.float64)}
