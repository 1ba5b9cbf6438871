r"""Brownian motion by its increments: one path for all grids, for the errors of single paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import rng
from ..arrays import Array
from ..checks import as_float64, check_dtype, check_scalar

LEVELS = 30  # of halving: the shortest interval is end / 2^30
Draw = Callable[[int], Array]  # the standard normal numbers (B, ...) of a node


def increment(
    seed: int, samples: Any, s: float, t: float, shape: tuple[int, ...] = (), end: float = 1.0, stream: int = rng.BROWNIAN, dtype: Any = np.float64
) -> Array:  # fmt: skip
    r"""Increment $W(t) - W(s)$ of a Brownian motion on [0, `end`], for $s \le t$; (B, *shape), of variance $t - s$.

    $$W(b) - W(a) = \frac{W(c) - W(a)}2 + \frac{\sqrt{c - a}}2 z, \qquad b = \frac{a + c}2$$

    Halves of halves refine the path (Levy's construction). The normal numbers $z$ of an interval are those of its node in the binary tree, so the path
    of a sample depends only on the seed and its index. `s` and `t` are multiples of `end` / 2^30; other times raise an error.
    `samples` is a count, or the indices (B,). Source: C6 [Kloeden & Platen].
    """
    return _increment(rng.normal, seed, samples, s, t, shape, end, stream, dtype)


@dataclass(frozen=True)
class Increments:
    r"""Noise for a run of `samplers.sample` on `grid`, driven by one Brownian motion: item i is $(W(t_i) - W(t_{i+1})) / \sqrt{t_i - t_{i+1}}$.

    The numbers are standard normal, independent for different steps. On another grid they belong to the same path, so two runs with different
    steps approximate the same solution. The times of the grid are multiples of `end` / 2^30. Source: C6 [Kloeden & Platen].
    """

    seed: int
    samples: Any
    grid: Array
    shape: tuple[int, ...] = ()
    end: float = 1.0
    stream: int = rng.BROWNIAN
    dtype: Any = np.float64

    def __post_init__(self) -> None:
        times = as_float64("grid", self.grid)
        if times.ndim != 1 or len(times) < 2 or not (np.all(np.diff(times) < 0) or np.all(np.diff(times) > 0)):
            raise ValueError(f"grid = {self.grid!r}; allowed: two or more times, which all decrease or all increase")
        for time in times.tolist():
            _ticks("grid", time, check_scalar("end", self.end, 1e-60, 1e60))
        check_dtype(self.dtype)

    def __len__(self) -> int:
        return len(self.grid) - 1

    def __getitem__(self, step: int) -> Array:
        if step not in range(len(self)):
            raise IndexError(f"step = {step}; allowed: 0..{len(self) - 1}")
        s, t = sorted(as_float64("grid", self.grid)[step : step + 2].tolist())
        found = self._increment(self.seed, self.samples, s, t, self.shape, self.end, self.stream, np.float64)
        return (found / np.sqrt(t - s)).astype(self.dtype)

    _increment = staticmethod(increment)


def _increment(
    normal: Callable[..., Array], seed: int, samples: Any, s: float, t: float, shape: tuple[int, ...], end: float, stream: int, dtype: Any
) -> Array:
    """The increment with normal numbers from `normal`, which has the arguments of `rng.normal`."""
    end, dtype = check_scalar("end", end, 1e-60, 1e60), check_dtype(dtype)
    low, high = _ticks("s", s, end), _ticks("t", t, end)
    if low > high:
        raise ValueError(f"s = {s!r} is later than t = {t!r}; allowed: earlier, or the same")

    def draw(node: int) -> Array:
        return normal(seed, samples, shape, node, stream)

    return _part(draw, low, high, 1, 0, 2**LEVELS, draw(0) * np.sqrt(end), end).astype(dtype)


def _part(draw: Draw, low: int, high: int, node: int, first: int, length: int, whole: Array, end: float) -> Array:
    """The part between the ticks `low` and `high` of the increment `whole`, which is that of a node: of `length` ticks from `first`."""
    if low <= first and first + length <= high:
        return whole
    if high <= first or first + length <= low:
        return 0 * whole
    half = length // 2
    left = whole / 2 + np.sqrt(end * (length / 2**LEVELS)) / 2 * draw(node)
    parts = (2 * node, first, half, left), (2 * node + 1, first + half, half, whole - left)
    return _part(draw, low, high, *parts[0], end) + _part(draw, low, high, *parts[1], end)


def _ticks(name: str, time: float, end: float) -> int:
    """A time in units of end / 2^30."""
    ticks = check_scalar(name, time, 0, end) / end * 2**LEVELS
    if abs(ticks - round(ticks)) > 1e-6:  # above the roundings of the quotient, 2^30 times 2^-52
        raise ValueError(f"{name} = {time!r}; allowed: multiples of end / 2^{LEVELS}, such as {end:g} / 8")
    return round(ticks)
