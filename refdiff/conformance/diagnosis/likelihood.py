r"""How likely a cause is against chance, in bits.

A cause predicts an answer that is not the specification's. An answer that has nothing to do with the cause agrees with this
prediction to b bits with a probability of 2^-b for each independent number, and some cause of N tried agrees N times as often:

    log2 P(answers | cause) / P(answers | chance) = sum of b - log2 N

A number counts once, however often it occurs, and for no more bits than it has: 0.875 has three, and half of all formulas give it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

NEEDED, OF_KNOWN = 16.0, 4.0  # bits above chance, of a cause (one in 65,536), and of a known departure, which others have made before
MOST = 30.0  # bits of a number, at most
PREDICATE, REGION, CONSTANT = 6.0, 5.0, 30.0  # bits of choice in a predicate on the inputs, a region of the output, a fitted number


def numbers(got: Any, predicted: Any, want: Any) -> dict[tuple[float, float], float]:
    """The bits of each different number of an answer that agrees with a prediction where that is not the right answer, by both."""
    got, predicted, want = (np.asarray(each, dtype=np.float64) for each in (got, predicted, want))
    try:
        got, predicted, want = np.broadcast_arrays(got, predicted, want)
    except ValueError:  # another shape: the whole answer counts
        got, predicted = np.broadcast_arrays(got, predicted)
        want = np.full(got.shape, math.nan)
    finite = np.isfinite(got) & np.isfinite(predicted)
    with np.errstate(all="ignore"):
        apart = np.where(np.isfinite(want), abs(predicted - want), abs(predicted))[finite]
        agreed = np.log2(apart / np.maximum(abs(got - predicted)[finite], 2.0**-MOST * apart))
    bits = np.clip(np.minimum(agreed, significant(predicted[finite])), 0, MOST)
    keys = zip(_short(predicted[finite]).tolist(), _short(want[finite]).tolist(), strict=True)
    return dict(zip(keys, np.where(apart > 0, bits, 0).tolist(), strict=True))


def significant(x: Any) -> Any:
    """How many bits numbers have, to 30 places: 1 for powers of 2."""
    mantissa = (_short(np.frexp(x)[0]) * 2.0**MOST).astype(np.int64)
    lowest = np.where(mantissa == 0, 2**29, mantissa & -mantissa)
    return MOST - np.log2(lowest)


def _short(x: Any) -> Any:
    """Numbers rounded to 30 bits."""
    mantissa, exponent = np.frexp(x)
    with np.errstate(all="ignore"):
        return np.ldexp(np.rint(mantissa * 2.0**MOST), exponent) * 2.0**-MOST


def above_chance(bits: float, tried: int, choices: Iterable[float] = ()) -> float:
    """The bits of a cause above chance: of its numbers, less those of the choice among the causes tried and of its own choices."""
    return bits - math.log2(max(tried, 1)) - sum(choices)
