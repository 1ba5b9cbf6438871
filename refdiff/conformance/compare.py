"""Comparison of outputs with the expected ones: tolerance classes, the first element that differs, and by how much."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

TOLERANCES = {  # class: what an error is relative to, and the largest relative error in each precision
    "exact": ("nothing", {"float64": 0.0, "float32": 0.0}),
    "each": ("each element", {"float64": 1e-9, "float32": 1e-4}),
    "tensor": ("the largest element", {"float64": 1e-9, "float32": 1e-4}),
    "long": ("the largest element", {"float64": 1e-7, "float32": 1e-2}),
    "sharp": ("each element", {"float64": 1e-13, "float32": 1e-4}),
}
FLOOR = 1e-14  # of the largest element: the absolute error that "each" allows, for elements whose right value is 0
TINY = 1e-18  # an absolute error that "each" always allows: variances of 0 are often clipped to such a number for their logarithm


class Difference(NamedTuple):
    """The first element outside its tolerance: output, index, both values, distance in ulps of the right value, and the
    largest error of the output. `allowed` is the largest error of this element, and `is_integer` whether it is an integer.
    """

    output: str
    where: tuple[int, ...]
    got: float
    want: float
    ulps: float
    error: float
    text: str = ""
    allowed: float = 0.0
    is_integer: bool = False


def difference(got: dict[str, Any], want: dict[str, Any], tolerance: str, precision: str = "float64") -> Difference | None:
    """The first difference beyond the tolerance, None if there is none. Outputs may broadcast to the expected shape."""
    for name, right in want.items():
        if name not in got:
            return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"no output {name}")
        found = _array(name, np.asarray(got[name]), np.asarray(right), tolerance, precision)
        if found is not None:
            return found
    return None


def bounds(want: dict[str, Any], tolerance: str, precision: str = "float64") -> dict[str, tuple[Any, Any]]:
    """Expected outputs with their allowed errors, for `within`, which compares many answers with the same outputs."""
    return {name: (right := np.asarray(value, dtype=np.float64), allowed(right, tolerance, precision)) for name, value in want.items()}


def within(got: dict[str, Any], bounded: dict[str, tuple[Any, Any]]) -> bool:
    """Whether an answer has no difference: the result of `difference`, faster."""
    try:
        return all(_inside(np.asarray(got[name]), right, largest) for name, (right, largest) in bounded.items())
    except (KeyError, TypeError, ValueError):
        return False


def _inside(got: Any, right: Any, largest: Any) -> bool:
    if got.shape != right.shape and np.broadcast_shapes(got.shape, right.shape) != right.shape:
        return False
    return bool(((abs(got - right) <= largest) | (got == right)).all())


def _array(name: str, got: Any, want: Any, tolerance: str, precision: str) -> Difference | None:
    if got.dtype == object and got.ndim == 0 and got.item() is None:
        return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"{name} is None; is a return missing?")
    if got.dtype.kind not in "biuf":
        return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"{name} has dtype {got.dtype}, not numbers")
    try:
        got = np.broadcast_to(got, want.shape).astype(np.float64)
    except ValueError:
        return Difference(name, (), np.nan, np.nan, np.inf, np.inf, f"{name} has shape {got.shape}, not {want.shape}")
    is_integer, want = want.dtype.kind in "iu", want.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.where(got == want, 0.0, abs(got - want))
        most = np.broadcast_to(allowed(want, tolerance, precision), want.shape)
        wrong = ~(error <= most)
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    with np.errstate(all="ignore"):
        ulps = float(np.nan_to_num(error[index] / np.spacing(abs(want[index])), nan=np.inf))
    largest = float(np.nan_to_num(error, nan=np.inf).max(initial=0))
    return Difference(name, index, float(got[index]), float(want[index]), ulps, largest, "", float(most[index]), is_integer)


def allowed(want: Any, tolerance: str, precision: str) -> Any:
    """The largest error that a tolerance class allows, for each element."""
    kind, rates = TOLERANCES[tolerance]
    largest = abs(want[np.isfinite(want)]).max(initial=0) if want.size else 0
    if kind == "nothing":
        return 0.0
    if kind == "each element":
        floor = FLOOR if precision == "float64" else 1e-6
        return np.where(np.isfinite(want), rates[precision] * abs(want) + floor * largest + (TINY if tolerance == "each" else 0), 0)
    return rates[precision] * max(largest, 1e-3)
