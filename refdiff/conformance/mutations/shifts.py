"""Functions that only changed formulas call: tables read too late or too early, in float32, and the first example's value for all."""

from __future__ import annotations

from typing import Any

import numpy as np


def late(table: Any) -> Any:
    """A table read one entry late, its first entry twice."""
    return np.concatenate([table[:1], table[:-1]])


def early(table: Any) -> Any:
    """A table read one entry early, its last entry twice."""
    return np.concatenate([table[1:], table[-1:]])


def late_around(table: Any) -> Any:
    """A table read one entry late, its last entry in front."""
    return np.roll(table, 1, axis=0)


def early_around(table: Any) -> Any:
    """A table read one entry early, its first entry at the end."""
    return np.roll(table, -1, axis=0)


def single(table: Any) -> Any:
    """A table rounded to float32."""
    return np.asarray(table, dtype=np.float32).astype(np.float64)


def first(t: Any) -> Any:
    """The value of the first example."""
    return t.ravel()[0] if getattr(t, "ndim", 0) else t
