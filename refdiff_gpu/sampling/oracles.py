"""`refdiff.oracles` with their arrays on the device."""

from __future__ import annotations

from refdiff.sampling import oracles as reference
from refdiff.sampling.oracles import Mixture, exact_reverse, expectation, transport

from ..device.wrappers import returns_device_arrays

__all__ = ["Mixture", "data_set", "exact_reverse", "expectation", "gaussian", "mixture", "point_mass", "transport"]

data_set = returns_device_arrays(reference.data_set)
gaussian = returns_device_arrays(reference.gaussian)
mixture = returns_device_arrays(reference.mixture)
point_mass = returns_device_arrays(reference.point_mass)
