"""One failing vector: its inputs, the first element outside the tolerance, and the first diverging step of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import compare
from ..operations import operations
from ..results import Result

MAX_NUMBERS = 6  # of an input that are shown


@dataclass
class Step:
    """The first state of a trajectory that differs: its number (0 is the start), the times of its step, and the first
    wrong element.
    """

    number: int
    start: float | None
    end: float | None
    tensor: str
    index: list[int]
    got: float | str
    want: float | str
    ulps: float | str
    allowed: float = 0.0
    is_integer: bool = False


@dataclass
class Failure:
    """A vector that failed or errored; numbers that are not finite are strings."""

    id: str
    level: str
    status: str
    inputs: dict[str, str]
    message: str = ""
    output: str = ""
    index: list[int] | None = None
    got: float | str | None = None
    want: float | str | None = None
    ulps: float | str | None = None
    error: float | str | None = None
    tolerance: str = ""
    allowed: float = 0.0
    is_integer: bool = False
    step: Step | None = None


def failure(result: Result, precision: str) -> Failure:
    """The failure in a result."""
    vector, different = result.vector, result.difference
    found = Failure(
        vector.id, vector.level, result.status, {name: abbreviate(value) for name, value in vector.inputs.items()}, result.message
    )
    if different is None:
        return found
    found.output, found.index, found.message = different.output, list(different.where), different.text
    found.got, found.want, found.ulps, found.error = map(json_number, (different.got, different.want, different.ulps, different.error))
    found.tolerance, found.allowed, found.is_integer = _tolerance(vector.tolerance, precision), different.allowed, different.is_integer
    found.step = _step(result, precision)
    return found


def _tolerance(name: str, precision: str) -> str:
    kind, rates = compare.TOLERANCES[name]
    return "exact" if kind == "nothing" else f"{rates[precision]:g} of {kind}"


def _step(result: Result, precision: str) -> Step | None:
    """The first state outside its tolerance; each state is compared by itself."""
    vector, got, want = result.vector, result.got or {}, result.vector.expected or {}
    if operations()[vector.operation].outputs != ["states"] or "states" not in got or got["states"].shape != want["states"].shape:
        return None
    times = vector.inputs.get("grid", vector.inputs.get("times"))
    for k, (state, wanted) in enumerate(zip(got["states"], want["states"], strict=True)):
        found = compare.difference({"states": state}, {"states": wanted}, vector.tolerance, precision)
        if found is not None:
            start, end = (None, None) if times is None or k == 0 else (float(times[k - 1]), float(times[k]))
            got_value, want_value, ulps = (json_number(value) for value in (found.got, found.want, found.ulps))
            return Step(k, start, end, f"states[{k}]", list(found.where), got_value, want_value, ulps, found.allowed, found.is_integer)
    return None


def size(result: Result) -> int:
    """The count of numbers in a vector's inputs and expected outputs."""
    return sum(np.size(value) for value in (*result.vector.inputs.values(), *(result.vector.expected or {}).values()))


def abbreviate(value: Any) -> str:
    """An input on one line."""
    if isinstance(value, dict):
        return f"{value.get('model', 'model')}({', '.join(f'{k}={abbreviate(v)}' for k, v in value.items() if k != 'model')})"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return abbreviate(value.item())
    if isinstance(value, np.ndarray):
        flat = value.ravel()
        if flat.size > MAX_NUMBERS:
            shown = ", ".join(abbreviate(x) for x in flat[:2]) + ", .., " + abbreviate(flat[-1])
        else:
            shown = ", ".join(abbreviate(x) for x in flat)
        return f"[{shown}]" + (f" {value.shape}".replace(",)", ")") if value.ndim > 1 or flat.size > MAX_NUMBERS else "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def json_number(value: Any) -> Any:
    """A number for JSON; one that is not finite as a string."""
    return float(value) if np.isfinite(value) else str(float(value))
