"""What a measurement of accuracy is: two forms of a quantity, their errors against 50 digits, and how these are written."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refdiff.arrays import Array
from tests import exact


class Measured(NamedTuple):
    """A quantity: its name, both formulas, their errors at the places x, in a unit, what the tests allow, and over what x runs."""

    name: str
    formulas: tuple[str, str]
    x: Array
    errors: tuple[Array, Array]
    unit: str
    bound: float
    where: str

    def worst(self, i: int) -> str:
        """The largest error of a form, in words."""
        worst = float(np.max(self.errors[i]))
        return "no number" if not np.isfinite(worst) else f"{figure(worst)} {self.unit}"

    @property
    def allowed(self) -> str:
        return f"{figure(self.bound)} {self.unit}"


def figure(number: float) -> str:
    """Two digits, with a power of ten where there would be many zeros."""
    if number == 0 or 0.01 <= number < 100:
        return f"{number:.2g}"
    if 100 <= number < 1e5:
        return f"{float(f'{number:.2g}'):,.0f}"
    mantissa, exponent = f"{number:.1e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.removesuffix('.0')} · 10{power}".removeprefix("1 · ")


def ulps(actual: Array, expected: Array) -> Array:
    """Errors in units in the last place of the exact numbers; infinite where there is no number."""
    finite = np.isfinite(actual)
    errors = exact.error(np.where(finite, actual, 0), expected) / np.spacing(abs(exact.floats(expected)))
    return np.where(finite, errors, np.inf)


def relative(actual: Array, expected: Array) -> Array:
    """Errors relative to the exact numbers; infinite where there is no number."""
    finite = np.isfinite(actual)
    errors = exact.error(np.where(finite, actual, 0), expected) / abs(exact.floats(expected))
    return np.where(finite, errors, np.inf)
