"""Whether an answer is the specification's: tolerance classes, the first place that differs, and by how many units in the last place."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

TOLERANCES = {  # class: what an error is measured against, and what it may be in each precision
    "exact": ("nothing", {"float64": 0.0, "float32": 0.0}),
    "each": ("each element", {"float64": 1e-9, "float32": 1e-4}),
    "tensor": ("the largest element", {"float64": 1e-9, "float32": 1e-4}),
    "long": ("the largest element", {"float64": 1e-7, "float32": 1e-2}),
    "sharp": ("each element", {"float64": 1e-13, "float32": 1e-4}),
}
FLOOR = 1e-14  # of the largest element: what "each" forgives where the right answer is 0
TINY = 1e-18  # and at any size: variances of 0 are often kept above it, for their logarithm


class Difference(NamedTuple):
    """Where an answer first leaves its tolerance: output, index there, both values, distance in ulps of the right one, and the largest error."""

    output: str
    where: tuple[int, ...]
    got: float
    want: float
    ulps: float
    error: float
    text: str = ""


def difference(got: dict[str, Any], want: dict[str, Any], tolerance: str, precision: str = "float64") -> Difference | None:
    """The first difference beyond the tolerance, None if there is none. An answer may broadcast to the right one's shape."""
    for name, right in want.items():
        if name not in got:
            return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"no output {name}")
        found = _array(name, np.asarray(got[name]), np.asarray(right), tolerance, precision)
        if found is not None:
            return found
    return None


def bounds(want: dict[str, Any], tolerance: str, precision: str = "float64") -> dict[str, tuple[Any, Any]]:
    """Right answers with what their errors may be: `within` asks this of many answers to one question."""
    return {name: (right := np.asarray(value, dtype=np.float64), allowed(right, tolerance, precision)) for name, value in want.items()}


def within(got: dict[str, Any], bounded: dict[str, tuple[Any, Any]]) -> bool:
    """Whether an answer has no difference: the same judgement as `difference`, quicker."""
    try:
        return all(_inside(np.asarray(got[name]), right, most) for name, (right, most) in bounded.items())
    except (KeyError, TypeError, ValueError):
        return False


def _inside(got: Any, right: Any, most: Any) -> bool:
    if got.shape != right.shape and np.broadcast_shapes(got.shape, right.shape) != right.shape:
        return False
    return bool(((abs(got - right) <= most) | (got == right)).all())


def _array(name: str, got: Any, want: Any, tolerance: str, precision: str) -> Difference | None:
    if got.dtype == object and got.ndim == 0 and got.item() is None:
        return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"{name} is None; is a return missing?")
    if got.dtype.kind not in "biuf":
        return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"{name} has dtype {got.dtype}, not numbers")
    try:
        got = np.broadcast_to(got, want.shape).astype(np.float64)
    except ValueError:
        return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"{name} has shape {got.shape}, not {want.shape}")
    want = want.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.where(got == want, 0.0, abs(got - want))
        wrong = ~(error <= allowed(want, tolerance, precision))
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    with np.errstate(all="ignore"):
        ulps = float(np.nan_to_num(error[index] / np.spacing(abs(want[index])), nan=np.inf))
    return Difference(name, index, float(got[index]), float(want[index]), ulps, float(np.nan_to_num(error, nan=np.inf).max(initial=0)))


def allowed(want: Any, tolerance: str, precision: str) -> Any:
    """The largest error that a class allows, element by element."""
    kind, rates = TOLERANCES[tolerance]
    largest = abs(want[np.isfinite(want)]).max(initial=0) if want.size else 0
    if kind == "nothing":
        return 0.0
    if kind == "each element":
        floor = FLOOR if precision == "float64" else 1e-6
        return np.where(np.isfinite(want), rates[precision] * abs(want) + floor * largest + (TINY if tolerance == "each" else 0), 0)
    return rates[precision] * max(largest, 1e-3)
