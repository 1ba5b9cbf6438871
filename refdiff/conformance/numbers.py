"""Arithmetic in float64 or at 50 digits, depending on the inputs: the same formulas give vectors with mpmath and
mutants with NumPy.

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
    """Floats and arrays of floats as numbers at 50 digits; integers, strings and functions unchanged."""
    if isinstance(value, float | np.floating):
        return _mp().mpf(float(value))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.array([_mp().mpf(float(x)) for x in value.ravel()], dtype=object).reshape(value.shape)
    return value


def rounded(value: Any) -> Any:
    """Numbers at 50 digits rounded to float64; other values unchanged."""
    if hasattr(value, "_mpf_"):
        return np.float64(value)
    return value.astype(np.float64) if is_exact(value) else value


def _mp() -> Any:
    import mpmath

    mpmath.mp.dps = DIGITS
    return mpmath.mp


def _dual(float64: Callable[..., Any], name: str) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        if not is_exact(x):
            return float64(x)
        return np.frompyfunc(getattr(_mp(), name), 1, 1)(x)

    return function


sqrt, exp, log = _dual(np.sqrt, "sqrt"), _dual(np.exp, "exp"), _dual(np.log, "log")
sin, cos, tanh, arccos = _dual(np.sin, "sin"), _dual(np.cos, "cos"), _dual(np.tanh, "tanh"), _dual(np.arccos, "acos")
normal_cdf = _dual(ndtr, "ncdf")


def pi(x: Any) -> Any:
    """Pi in the precision of x."""
    return +_mp().pi if is_exact(x) else np.pi


def like(number: int, x: Any) -> Any:
    """An integer in the precision of the array x."""
    return number * x.ravel()[0] ** 0


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + exp(-x))


def cached_at_50_digits(table_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decorator for functions of a table: at 50 digits the results are cached, since cases share their tables."""
    cache: dict[int, tuple[Any, Any]] = {}

    @wraps(table_of)
    def function(betas: Any) -> Any:
        if not is_exact(betas):
            return table_of(betas)
        if id(betas) not in cache:
            cache[id(betas)] = betas, table_of(betas)
            cache[id(betas)][1].setflags(write=False)
        return cache[id(betas)][1]

    return function


def full(value: Any, x: Any) -> Any:
    """An array shaped like x, filled with the value."""
    return value + 0 * x


def after_one(table: Any) -> Any:
    """The table with a 1 in front."""
    return np.concatenate([table[:1] ** 0, table])


def per_example(t: Any, x: Any) -> Any:
    """Times or labels (B,) shaped to broadcast with x (B, ...); a scalar unchanged."""
    return t.reshape(t.shape + (1,) * (x.ndim - 1)) if getattr(t, "ndim", 0) else t


def event_sum(x: Any) -> Any:
    """Sum over all but the first axis: (B, ...) -> (B,)."""
    return x.reshape(len(x), -1).sum(axis=1)


def event_mean(x: Any) -> Any:
    """Mean over all but the first axis; no formula uses it, but mutants put it in place of `event_sum`."""
    return event_sum(x) / (x.size // len(x))


def identity(matrix: Any) -> Any:
    """The identity matrix in the size and precision of a matrix."""
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


def symmetric_root(matrix: Any) -> Any:
    """The square root of a symmetric positive semidefinite matrix (d, d), by Jacobi's rotations; eigenvalues below 0 count as 0."""
    a, axes = 1 * matrix, identity(matrix)
    for _ in range(12):  # sweeps: the entries off the diagonal vanish quadratically
        for i in range(len(a)):
            for j in range(i):
                if a[i, j] != 0:
                    turn = _rotation(a, i, j)
                    a, axes = turn.T @ a @ turn, axes @ turn
    values = np.array([max(a[i, i], 0 * a[i, i]) for i in range(len(a))])
    return (axes * sqrt(values)) @ axes.T


def sinkhorn(kernel: Any) -> Any:
    """The matrix u K v (N, M), with factors u of the rows and v of the columns, whose rows sum to 1 / N and whose columns sum to 1 / M."""
    n, m = kernel.shape
    u, v = 0 * kernel[:, 0], kernel[0] ** 0
    for _ in range(5000):
        before, u = u, 1 / (n * (kernel @ v))
        v = 1 / (m * (kernel.T @ u))
        if not (abs(u - before) * 10**24 > u).any():
            break
    return u[:, None] * kernel * v


def _rotation(a: Any, i: int, j: int) -> Any:
    """The rotation of the axes i and j after which a symmetric matrix has 0 at (i, j)."""
    theta = (a[j, j] - a[i, i]) / (2 * a[i, j])
    tangent = (1 if theta >= 0 else -1) / (abs(theta) + sqrt(theta**2 + 1))
    turn = identity(a)
    turn[i, i] = turn[j, j] = 1 / sqrt(tangent**2 + 1)
    turn[i, j], turn[j, i] = turn[i, i] * tangent, -turn[i, i] * tangent
    return turn


def _eliminated(matrix: Any, right: Any) -> tuple[Any, Any]:
    """Gaussian elimination without pivoting: the upper triangle and the transformed right side."""
    upper, side = 1 * matrix, 1 * right
    for i in range(len(upper)):
        for j in range(i + 1, len(upper)):
            factor = upper[j, i] / upper[i, i]
            upper[j] = upper[j] - factor * upper[i]
            side[j] = side[j] - factor * side[i]
    return upper, side
