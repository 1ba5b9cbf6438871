"""`refdiff.flow` with a kernel for interpolation; the optimal coupling is computed on the host, by scipy."""

from __future__ import annotations

from functools import wraps

from refdiff.arrays import Array, Time, like
from refdiff.checks import check_arrays
from refdiff.objectives import flow as reference
from refdiff.objectives.flow import (
    Path,
    conditional_loss,
    conditional_path,
    flow_log_snr,
    flow_time,
    from_flow,
    marginal_loss,
    optimal_transport,
    straight,
    to_flow,
    trigonometric,
    velocity,
)

from ..device.launch import launch
from ..device.transfer import to_device, to_host

__all__ = [
    "Path",
    "conditional_loss",
    "conditional_path",
    "couple_optimally",
    "flow_log_snr",
    "flow_time",
    "from_flow",
    "interpolate",
    "marginal_loss",
    "optimal_transport",
    "straight",
    "to_flow",
    "trigonometric",
    "velocity",
]


@wraps(reference.interpolate)
def interpolate(data: Array, noise: Array, t: Time, path: Path = straight) -> Array:
    check_arrays(data=data, noise=noise)
    signal, sigma = path.signal_sigma(t)
    return launch("q_sample", data, noise, like(signal, data), like(sigma, data))


@wraps(reference.couple_optimally)
def couple_optimally(data: Array, noise: Array) -> Array:
    return to_device(reference.couple_optimally(to_host(data), to_host(noise)))
