"""`refdiff.oracles` with their tables on the device."""

from __future__ import annotations

from refdiff.sampling import oracles as text
from refdiff.sampling.oracles import Mixture, exact_reverse, transport

from ..device.wrappers import made_there

__all__ = ["Mixture", "data_set", "exact_reverse", "gaussian", "mixture", "point_mass", "transport"]

mixture, gaussian = made_there(text.mixture), made_there(text.gaussian)
data_set, point_mass = made_there(text.data_set), made_there(text.point_mass)
