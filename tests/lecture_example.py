"""The four-dimensional example of lecture slides, with numbers for which different formulas differ, and two comparisons of formulas."""

import numpy as np

from refdiff import forward, oracles, schedules

from .tolerances import DIFFERENT_FORMULA, IDENTITY, relative, roundings

EXAMPLE = schedules.from_betas([0.1, 0.2, 0.3])
ALPHA, ALPHA_BAR, BETA = EXAMPLE.alpha, EXAMPLE.alpha_bar, EXAMPLE.beta
X0 = np.array([[1.0, 2.0, -1.0, 0.5]])
NOISE = [np.array([e]) for e in ([0.5, -0.3, 0.8, -0.2], [-0.4, -0.2, -0.4, 1.0], [-0.5, 0.3, 0.5, -0.2])]
STEPS = np.array([3, 2, 1, 0])
CHAIN = forward.trajectory(X0, STEPS, EXAMPLE, NOISE[::-1])  # [x_3, x_2, x_1, x_0]
X3, X2, X1, _ = CHAIN

WIDE = oracles.gaussian([0.7], [[4.0]])  # data whose variance is not 1
TWO_POINTS = oracles.data_set([[-1.0], [2.0]], [0.3, 0.7])


def same(actual, expected, *terms):
    """Whether two values of one formula agree up to rounding."""
    return roundings(np.asarray(actual), expected, *terms) <= IDENTITY


def differ(printed, right):
    """Whether the values of two formulas differ by more than rounding."""
    return relative(printed, right) > DIFFERENT_FORMULA


def two_places(values):
    """Format numbers with two decimals, as slides print them."""
    return [f"{value:.2f}" for value in np.ravel(values)]
