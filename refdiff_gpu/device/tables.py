"""A schedule with tables on host and device.

The tables are computed on the host in float64, and copied to the device when a time on the device first needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff.arrays import Array, on_device, read_only
from refdiff.process.tables import Schedule

from .arrays import asarray

DERIVED = ("alpha_bar", "one_minus_alpha_bar", "beta", "alpha", "signal", "sigma", "log_snr", "snr")


class Table(np.ndarray):
    """A table on the host that is indexed by times on the host, or by times on the device through a copy there."""

    def __getitem__(self, t: Any) -> Any:
        return self.device_copy()[t] if on_device(t) else np.asarray(self)[t]

    def device_copy(self) -> Any:
        """The copy on the device, made once."""
        if "_device_copy" not in self.__dict__:
            self._device_copy = asarray(np.asarray(self))
        return self._device_copy


def with_device_copy(schedule: Schedule) -> Schedule:
    """The same schedule, for times on the host and on the device."""
    if isinstance(schedule.log_alpha_bar, Table):
        return schedule
    if "_with_device_copy" not in schedule.__dict__:
        copied = Schedule(_table(schedule.log_alpha_bar), _table(schedule.remainder), schedule.log_alpha)
        copied.__dict__.update({name: _table(getattr(schedule, name)) for name in DERIVED})
        copied.__dict__["_words"] = tuple(map(_table, schedule._words))
        schedule.__dict__["_with_device_copy"] = copied
    return schedule.__dict__["_with_device_copy"]


def copy_tables(schedule: Schedule) -> None:
    """Copy all tables to the device now, not when they are first needed."""
    for table in (schedule.log_alpha_bar, schedule.remainder, *schedule._words, *(getattr(schedule, name) for name in DERIVED)):
        table.device_copy()


def _table(values: Array) -> Array:
    return read_only(np.array(values).view(Table))
