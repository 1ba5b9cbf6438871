"""`refdiff.schedules`, its schedules on both sides: a time on the device finds them there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from refdiff.process import schedules as text
from refdiff.process.schedules import GRIDS, MAX_T, Schedule, check_chain, check_grid, check_steps, grid

from ..device.tables import both_sides

__all__ = [
    "GRIDS",
    "MAX_T",
    "Schedule",
    "check_chain",
    "check_grid",
    "check_steps",
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


def _both(make: Callable[..., Schedule]) -> Callable[..., Schedule]:
    @wraps(make)
    def made(*args: Any, **keywords: Any) -> Schedule:
        return both_sides(make(*args, **keywords))

    return made


from_betas, from_alpha_bars, from_log_snr = _both(text.from_betas), _both(text.from_alpha_bars), _both(text.from_log_snr)
linear, quadratic, scaled_linear = _both(text.linear), _both(text.quadratic), _both(text.scaled_linear)
cosine, sigmoid, zero_terminal_snr = _both(text.cosine), _both(text.sigmoid), _both(text.zero_terminal_snr)
