"""`refdiff.transport`, computed on the host: its arguments are fetched from the device, and its results copied there."""

from __future__ import annotations

from refdiff.objectives import transport as reference
from refdiff.objectives.transport import Coupling, check_plan, covariances

from ..device.wrappers import computed_on_host, returns_device_arrays

__all__ = ["Coupling", "check_plan", "couple_entropic", "covariances", "draw_pairs", "gaussian_coupling"]

couple_entropic = returns_device_arrays(computed_on_host(reference.couple_entropic))
draw_pairs = returns_device_arrays(computed_on_host(reference.draw_pairs))
gaussian_coupling = returns_device_arrays(computed_on_host(reference.gaussian_coupling))
