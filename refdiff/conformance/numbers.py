"""Arithmetic in float64 or at 50 digits, by what goes in: one text of a formula makes vectors with mpmath and mutants with NumPy.

At 50 digits an array holds mpmath numbers (dtype object), and no float may enter: write x / 2, not 0.5 * x.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from scipy.special import ndtr

DIGITS = 50


def is_exact(x: Any) -> bool:
    """Whether this is a number, or an array of numbers, at 50 digits."""
    return hasattr(x, "_mpf_") or getattr(getattr(x, "dtype", None), "kind", "") == "O"


def exact(value: Any) -> Any:
    """Floats as numbers at 50 digits, arrays of them too; integers, words and functions stay as they are."""
    if isinstance(value, float | np.floating):
        return _mp().mpf(float(value))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.array([_mp().mpf(float(x)) for x in value.ravel()], dtype=object).reshape(value.shape)
    return value


def rounded(value: Any) -> Any:
    """The nearest float64 of numbers at 50 digits; everything else as it is."""
    if hasattr(value, "_mpf_"):
        return np.float64(value)
    return value.astype(np.float64) if is_exact(value) else value


def _mp() -> Any:
    import mpmath

    mpmath.mp.dps = DIGITS
    return mpmath.mp


def _either(plain: Callable[..., Any], name: str) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        if not is_exact(x):
            return plain(x)
        return np.frompyfunc(getattr(_mp(), name), 1, 1)(x)

    return function


sqrt, exp, log = _either(np.sqrt, "sqrt"), _either(np.exp, "exp"), _either(np.log, "log")
sin, cos, tanh, arccos = _either(np.sin, "sin"), _either(np.cos, "cos"), _either(np.tanh, "tanh"), _either(np.arccos, "acos")
normal_cdf = _either(ndtr, "ncdf")


def pi(x: Any) -> Any:
    """Pi, as precise as x."""
    return +_mp().pi if is_exact(x) else np.pi


def like(number: int, x: Any) -> Any:
    """A whole number, as precise as the array x."""
    return number * x.ravel()[0] ** 0


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + exp(-x))


def remembered(table_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of a table that at 50 digits remembers its answers: cases share their tables."""
    known: dict[int, tuple[Any, Any]] = {}

    @wraps(table_of)
    def function(betas: Any) -> Any:
        if not is_exact(betas):
            return table_of(betas)
        if id(betas) not in known:
            known[id(betas)] = betas, table_of(betas)
        return known[id(betas)][1]

    return function


def full(value: Any, x: Any) -> Any:
    """The value at every element of x."""
    return value + 0 * x


def after_one(table: Any) -> Any:
    """The table with a 1 in front, as precise as the rest."""
    return np.concatenate([table[:1] ** 0, table])


def per_example(t: Any, x: Any) -> Any:
    """Times or labels (B,) shaped to index tables for an x of shape (B, ...); a lone time as it is."""
    return t.reshape(t.shape + (1,) * (x.ndim - 1)) if getattr(t, "ndim", 0) else t


def event_sum(x: Any) -> Any:
    """Sum over all but the first axis: (B, ...) -> (B,)."""
    return x.reshape(len(x), -1).sum(axis=1)


def event_mean(x: Any) -> Any:
    """Mean over all but the first axis; no formula uses it, but a mutant takes it for `event_sum`."""
    return event_sum(x) / (x.size // len(x))


def identity(matrix: Any) -> Any:
    """The identity of a matrix's size and precision."""
    return np.eye(len(matrix), dtype=int) + 0 * matrix


def trace(matrix: Any) -> Any:
    """The sum of the diagonal."""
    return sum(matrix[i, i] for i in range(len(matrix)))


def log_det(matrix: Any) -> Any:
    """The logarithm of the determinant of a positive definite matrix (d, d)."""
    upper, _ = _eliminated(matrix, identity(matrix))
    return sum(log(upper[i, i]) for i in range(len(upper)))


def solve(matrix: Any, right: Any) -> Any:
    """X of matrix X = right, for a positive definite matrix (d, d) and right (d, ...)."""
    upper, x = _eliminated(matrix, right)
    for i in reversed(range(len(x))):
        for j in range(i + 1, len(x)):
            x[i] = x[i] - upper[i, j] * x[j]
        x[i] = x[i] / upper[i, i]
    return x


def _eliminated(matrix: Any, right: Any) -> tuple[Any, Any]:
    """Gauss's elimination, without exchanging rows: the upper triangle, and the right side as it goes along."""
    upper, side = 1 * matrix, 1 * right
    for i in range(len(upper)):
        for j in range(i + 1, len(upper)):
            factor = upper[j, i] / upper[i, i]
            upper[j] = upper[j] - factor * upper[i]
            side[j] = side[j] - factor * side[i]
    return upper, side
