"""Time grids of samplers: the times among 0..T that a sampler visits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, as_array
from ..checks import check_arrays, check_choice, check_count, check_integer, check_number

GRIDS = ("linspace", "leading", "trailing", "quadratic")
MAX_T = 10**7


def grid(kind: str, T: int, S: int) -> Array:
    r"""Time grid for $S$ sampler steps: $S + 1$ strictly decreasing times, the last of them 0, which is clean data.

    | kind | times before the final 0, for $i = S, \ldots, 1$ |
    |---|---|
    | linspace | $T$ to 1 in equal steps, rounded to integers, halves up |
    | leading | $1 + (i - 1) \lfloor T / S \rfloor$, which starts below $T$ unless $S = T$ |
    | trailing | $i\, T / S$, rounded to an integer, halves up |
    | quadratic | $\max(i, T (i / S)^2)$, rounded to an integer, halves up |

    The arithmetic is in integers without rounding or overflow, and $S$ may be any number in 1..T.

    Source: S2 [Lin et al. table 2], [DDIM app. D.2].
    """
    check_choice("kind", kind, GRIDS)
    T = check_steps(T)
    S = check_count("S", S, 1, T)
    i = np.arange(S, 0, -1)
    if kind == "linspace":
        times = 1 + _rounded((i - 1) * (T - 1), S - 1) if S > 1 else np.array([T])
    elif kind == "leading":
        times = 1 + (i - 1) * (T // S)
    elif kind == "trailing":
        times = _rounded(i * T, S)
    else:
        squares = i.astype(object) ** 2  # Python's integers: i^2 T may exceed 2^63, all other products stay below 10^15
        times = np.maximum(i, _rounded(squares * T, S * S).astype(np.int64))
    return np.append(times, 0)


def check_grid(times: Any, T: int) -> Array:
    """Check a time grid and return it as an array.

    Raises unless the times are integers, decrease strictly from at most T, and end in 0.
    """
    times = check_integer("grid", as_array(times, "grid"), 0, check_steps(T))
    if times.ndim != 1 or len(times) < 2 or times[-1] != 0 or not np.all(times[1:] < times[:-1]):
        raise ValueError(f"grid = {times!r}; allowed: strictly decreasing integers from at most T = {T}, the last of them 0")
    return times


def check_times(times: Any) -> None:
    """Raise unless the times of a sampler, integers or numbers, are finite and stand in one row."""
    if np.ndim(check_number("grid", times)) != 1:
        raise ValueError(f"grid = {times!r}; allowed: one time after another")


def check_noise(noise: Any, steps: int) -> None:
    """Raise unless noise is None or has an item for each step of a sampler."""
    if noise is not None and not hasattr(noise, "__getitem__"):
        raise TypeError(f"noise = {noise!r}; allowed: one array for each of the {steps} steps")
    if noise is not None and hasattr(noise, "__len__") and len(noise) < steps:
        raise ValueError(f"noise has {len(noise)} entries; allowed: one for each of the {steps} steps")


def check_chain(entries: Any, times: Any, T: int = MAX_T, name: str = "states") -> Array:
    """Check a time grid as `check_grid` does and the number of entries of a chain, and return the grid.

    `entries` are the states of the chain or, with `name="noise"`, its noises. Raises unless there is one state for each
    time, or one noise for each step.
    """
    times = check_grid(times, T)
    wanted, each = len(times) - (name == "noise"), "step" if name == "noise" else "time"
    if isinstance(entries, dict | str) or not (hasattr(entries, "__getitem__") or hasattr(entries, "__iter__")):
        raise TypeError(f"{name} = {entries!r}; allowed: {wanted} arrays, one for each {each} of the grid")
    if hasattr(entries, "__len__"):
        if len(entries) != wanted:
            raise ValueError(f"{name} has {len(entries)} entries; allowed: {wanted}, one for each {each} of the grid")
        check_arrays(**{f"{name}[{i}]": entries[i] for i in range(wanted)})
    return times


def check_steps(T: int) -> int:
    """Check a number of time steps and return it. Raises unless it is a positive integer."""
    return check_count("T", T, 1, MAX_T)


def _rounded(numerator: Array, denominator: int) -> Array:
    return (2 * numerator + denominator) // (2 * denominator)
