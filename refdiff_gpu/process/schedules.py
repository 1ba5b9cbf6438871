"""`refdiff.schedules` with the tables of a schedule on host and device, for times on either."""

from __future__ import annotations

from refdiff.process import schedules as reference
from refdiff.process.schedules import GRIDS, MAX_T, Schedule, check_chain, check_grid, check_steps, check_times, grid

from ..device.wrappers import returns_device_arrays

__all__ = [
    "GRIDS",
    "MAX_T",
    "Schedule",
    "check_chain",
    "check_grid",
    "check_steps",
    "check_times",
    "cosine",
    "from_alpha_bars",
    "from_betas",
    "from_log_snr",
    "grid",
    "linear",
    "quadratic",
    "scaled_linear",
    "sigmoid",
    "zero_terminal_snr",
]

cosine = returns_device_arrays(reference.cosine)
from_alpha_bars = returns_device_arrays(reference.from_alpha_bars)
from_betas = returns_device_arrays(reference.from_betas)
from_log_snr = returns_device_arrays(reference.from_log_snr)
linear = returns_device_arrays(reference.linear)
quadratic = returns_device_arrays(reference.quadratic)
scaled_linear = returns_device_arrays(reference.scaled_linear)
sigmoid = returns_device_arrays(reference.sigmoid)
zero_terminal_snr = returns_device_arrays(reference.zero_terminal_snr)
