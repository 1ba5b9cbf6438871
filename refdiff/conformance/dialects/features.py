"""Sinusoidal features of time in a library's layout: the order of the halves, the divisor and the argument."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...arrays import Array, as_array
from ...checks import check_choice
from . import choices


class Features(NamedTuple):
    """A layout: the order of the halves, the divisor of the exponent, and the factor of the frequencies."""

    order: str
    divisor: str
    argument: str

    def check(self) -> None:
        """Raise if a part is not among the choices."""
        check_choice("features", self.order, tuple(choices.ORDERS))
        check_choice("features", self.divisor, tuple(choices.DIVISORS))
        check_choice("features", self.argument, tuple(choices.ARGUMENTS))

    def of_time(self, time: Array, features: int) -> Array:
        """Features of a library's time (B,); (B, features) float64."""
        divisor = choices.DIVISORS[self.divisor]
        half, least = features // 2, 2 + 2 * divisor
        if features % 2 or features < least:
            raise ValueError(f"features = {features!r}; allowed: even, {least} or more")
        u = choices.ARGUMENTS[self.argument](as_array(time).astype(np.float64))
        angles = u[:, None] * 10000.0 ** (-np.arange(half) / (half - divisor))
        return self.ordered([np.sin(angles), np.cos(angles)])

    def ordered(self, halves: list[Array]) -> Array:
        """The halves [sin, cos] in this order, or the other way round."""
        return np.concatenate(halves[:: choices.ORDERS[self.order]], axis=1)
