"""High-precision references: the definitions in mpmath at 50 digits or in exact fractions, independent of refdiff's code."""

from fractions import Fraction
from itertools import accumulate
from math import floor

import mpmath as mp
import numpy as np

LOG_2PI = mp.log(2 * mp.pi)


def numbers(values):
    """Floats as exact mpmath numbers in an object array of the same shape; arithmetic on it has 50 digits."""
    return np.frompyfunc(lambda value: mp.mpf(float(value)), 1, 1)(np.asarray(values))


def apply(f, values):
    """Apply an mpmath function to every entry."""
    return np.frompyfunc(f, 1, 1)(values)


def floats(values):
    """mpmath numbers rounded to float64."""
    return np.asarray(values, dtype=object).astype(np.float64)


def error(actual, expected):
    """|actual - expected| as floats, from the float64 actual exactly."""
    return floats(abs(numbers(actual) - expected))


def ulps(actual, expected):
    """Largest distance to mpmath numbers in units in the last place of these numbers rounded to float64."""
    return float(np.max(error(actual, expected) / np.spacing(abs(floats(expected)))))


def relative(actual, expected):
    """Largest |actual / expected - 1|."""
    return float(np.max(error(actual, expected) / abs(floats(expected))))


def alpha_bars(betas):
    """[1, alpha_1, alpha_1 alpha_2, ...] of float64 betas."""
    return np.array(list(accumulate(1 - numbers(betas), lambda a, b: a * b, initial=mp.mpf(1))), dtype=object)


def rational_alpha_bars(betas):
    """[1, alpha_1, alpha_1 alpha_2, ...] of float64 betas as exact fractions."""
    return list(accumulate((1 - Fraction(float(beta)) for beta in betas), lambda a, b: a * b, initial=Fraction(1)))


def half_up(x):
    """Round a fraction to the nearest integer, halves up."""
    return floor(x + Fraction(1, 2))


def log_normal(x, mean, variance):
    """Log-density of one number."""
    return -((x - mean) ** 2) / (2 * variance) - (mp.log(variance) + LOG_2PI) / 2


def kl_normal(mean1, variance1, mean2, variance2):
    """Divergence between two Gaussians of one dimension."""
    ratio = variance1 / variance2
    return (ratio - 1 - mp.log(ratio) + (mean1 - mean2) ** 2 / variance2) / 2


def matrix(values):
    """A float64 matrix as an mpmath matrix."""
    return mp.matrix([[mp.mpf(float(value)) for value in row] for row in np.atleast_2d(values)])
