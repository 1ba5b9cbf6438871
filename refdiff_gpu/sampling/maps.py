"""`refdiff.maps`: oracles and their maps are computed on the host, and their arrays are on the device."""

from __future__ import annotations

from refdiff.sampling import maps as reference
from refdiff.sampling.maps import Affine, affine_of

from ..device.wrappers import returns_device_arrays

__all__ = ["Affine", "affine_of", "condition", "flow_map", "log_cdf"]

condition = returns_device_arrays(reference.condition)
flow_map = returns_device_arrays(reference.flow_map)
log_cdf = returns_device_arrays(reference.log_cdf)
