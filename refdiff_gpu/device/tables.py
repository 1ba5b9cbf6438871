"""A schedule's tables on both sides: made on the host in float64, where sums are deterministic, and moved once, when first asked there."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff.arrays import Array, on_device
from refdiff.process.tables import Schedule

from .arrays import moved

DERIVED = ("alpha_bar", "one_minus_alpha_bar", "beta", "alpha", "signal", "sigma", "log_snr", "snr")


class Table(np.ndarray):
    """A table of the host; a time on the device picks from its copy there."""

    def __getitem__(self, t: Any) -> Any:
        return self.there()[t] if on_device(t) else np.asarray(self)[t]

    def there(self) -> Any:
        """The copy on the device, the same one every time."""
        if "_there" not in self.__dict__:
            self._there = moved(np.asarray(self))
        return self._there


def both_sides(schedule: Schedule) -> Schedule:
    """The same schedule, for times on the host and on the device."""
    if isinstance(schedule.log_alpha_bar, Table):
        return schedule
    if "_both" not in schedule.__dict__:
        both = Schedule(_table(schedule.log_alpha_bar), _table(schedule.remainder))
        both.__dict__.update({name: _table(getattr(schedule, name)) for name in DERIVED})
        schedule.__dict__["_both"] = both
    return schedule.__dict__["_both"]


def move_all(schedule: Schedule) -> None:
    """Move the tables now rather than when first asked."""
    for name in ("log_alpha_bar", "remainder", *DERIVED):
        getattr(schedule, name).there()


def _table(values: Array) -> Table:
    return np.array(values).view(Table)
