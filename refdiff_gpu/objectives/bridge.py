"""`refdiff.bridge` for device arrays; the bridge between Gaussians is computed on the host."""

from __future__ import annotations

from refdiff.objectives import bridge as reference
from refdiff.objectives.bridge import brownian, drift, score, targets

from ..device.wrappers import computed_on_host, returns_device_arrays

__all__ = ["brownian", "drift", "gaussian", "score", "targets"]

gaussian = returns_device_arrays(computed_on_host(reference.gaussian))
