"""A measurement of accuracy: the errors of two formulas of a quantity against 50 digits, and their text form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refdiff.arrays import Array
from tests import exact


class Measurement(NamedTuple):
    """A quantity: its name, the naive formula and refdiff's, the points x, the errors of both there in a unit, the tests' tolerance
    in the same unit, and the domain of x in words."""

    name: str
    formulas: tuple[str, str]
    x: Array
    errors: tuple[Array, Array]
    unit: str
    tolerance: float
    domain: str

    def worst(self, i: int) -> str:
        """The largest error of a formula, in words."""
        worst = float(np.max(self.errors[i]))
        return "not finite" if not np.isfinite(worst) else f"{figure(worst)} {self.unit}"

    @property
    def allowed(self) -> str:
        """The tolerance, in words."""
        return f"{figure(self.tolerance)} {self.unit}"


def figure(number: float) -> str:
    """A number with two digits, and with a power of ten instead of many zeros."""
    if number == 0 or 0.01 <= number < 100:
        return f"{number:.2g}"
    if 100 <= number < 1e5:
        return f"{float(f'{number:.2g}'):,.0f}"
    mantissa, exponent = f"{number:.1e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.removesuffix('.0')} · 10{power}".removeprefix("1 · ")


def ulps(actual: Array, expected: Array) -> Array:
    """Errors in units in the last place of the exact numbers; infinite where the result is not finite."""
    finite = np.isfinite(actual)
    errors = exact.error(np.where(finite, actual, 0), expected) / np.spacing(abs(exact.floats(expected)))
    return np.where(finite, errors, np.inf)


def relative(actual: Array, expected: Array) -> Array:
    """Errors relative to the exact numbers; infinite where the result is not finite."""
    finite = np.isfinite(actual)
    errors = exact.error(np.where(finite, actual, 0), expected) / abs(exact.floats(expected))
    return np.where(finite, errors, np.inf)
