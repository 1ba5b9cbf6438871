"""Six common 2-D data sets with labels, each a function f(count, seed) -> points (count, 2) float64, labels (count,).

Point i depends only on the seed and on i, so a longer data set begins with the points of a shorter one. All sets are shifted and scaled to
E x = 0 and E |x|^2 / 2 = 1. The constants for this follow from the formulas of the sets, not from the points drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import rng
from ..arrays import Array
from ..checks import check_choice, check_count

Points = tuple[Array, Array]  # points (count, 2), labels (count,)


def two_moons(count: int, seed: int = 0) -> Points:
    r"""Two interleaving half circles; the label is the half circle, 0 the upper, 1 the lower.

    $$(\cos a, \sin a) \;\text{or}\; (1 - \cos a, \tfrac12 - \sin a), \quad a \sim U(0, \pi), \quad \text{plus } 0.07\, \mathcal N(0, I)$$
    """
    u, z = _draws(count, seed, 2)
    label, a = (2 * u[:, 0]).astype(int), np.pi * u[:, 1]
    upper = np.stack([np.cos(a), np.sin(a)], axis=1)
    points = np.where(label[:, None] == 0, upper, [1, 0.5] - upper) + 0.07 * z
    variance = 1 / 2 + 1 / 4 + (1 / 2 - 4 / np.pi**2) + (2 / np.pi - 1 / 4) ** 2  # of x, of the two means of x, of y, of the two means of y
    return (points - [0.5, 0.25]) / np.sqrt(variance / 2 + 0.07**2), label


def swiss_roll(count: int, seed: int = 0) -> Points:
    r"""A spiral, the cross section of a rolled-up sheet; the label is the quarter of the sheet, 0 the innermost.

    $$a\, (\cos a, \sin a), \quad a \sim U(\tfrac32\pi, \tfrac92\pi), \quad \text{plus } 0.3\, \mathcal N(0, I)$$
    """
    u, z = _draws(count, seed, 1)
    a = 1.5 * np.pi + 3 * np.pi * u[:, 0]
    points = a[:, None] * np.stack([np.cos(a), np.sin(a)], axis=1) + 0.3 * z
    center = np.array([2, 2 / (3 * np.pi)])  # the integrals of a cos a and a sin a, [a sin a + cos a] and [sin a - a cos a], over 3 pi
    square = (4.5**3 - 1.5**3) / 9 * np.pi**2  # the mean of a^2
    return (points - center) / np.sqrt((square - center @ center) / 2 + 0.3**2), (4 * u[:, 0]).astype(int)


def eight_gaussians(count: int, seed: int = 0) -> Points:
    r"""Eight Gaussians of standard deviation 0.1 on the unit circle; labels count counterclockwise from the right.

    $$(\cos a, \sin a), \quad a = \tfrac{\pi}4\, label, \quad \text{plus } 0.1\, \mathcal N(0, I)$$
    """
    u, z = _draws(count, seed, 1)
    label = (8 * u[:, 0]).astype(int)
    a = np.pi / 4 * label
    points = np.stack([np.cos(a), np.sin(a)], axis=1) + 0.1 * z
    return points / np.sqrt(1 / 2 + 0.1**2), label


def checkerboard(count: int, seed: int = 0) -> Points:
    r"""The uniform distribution on the dark squares of a 4 x 4 board; the label is the row, 0 the lowest.

    $$(column + u, \; label + v) - (2, 2), \quad column \in \{0, 2\} + label \;\mathrm{mod}\; 2, \quad u, v \sim U(0, 1)$$
    """
    u, _ = _draws(count, seed, 4)
    row, half = (4 * u[:, 0]).astype(int), (2 * u[:, 1]).astype(int)
    column = 2 * half + row % 2
    points = np.stack([column + u[:, 2], row + u[:, 3]], axis=1) - 2
    return points / np.sqrt(4 / 3), row


def pinwheel(count: int, seed: int = 0) -> Points:
    r"""Five arms, each an elongated Gaussian rotated by an angle that grows with the radius; the label is the arm.

    $$r = 1 + 0.3 z_0, \quad w = 0.1 z_1, \quad (r, w) \text{ rotated by } \tfrac{2\pi}5\, label + \tfrac14 e^{r}$$
    """
    u, z = _draws(count, seed, 1)
    label = (5 * u[:, 0]).astype(int)
    points = np.stack([1 + 0.3 * z[:, 0], 0.1 * z[:, 1]], axis=1)
    angle = 2 * np.pi / 5 * label + np.exp(points[:, 0]) / 4
    return _rotated(points, angle) / np.sqrt((1 + 0.3**2 + 0.1**2) / 2), label


def spirals(count: int, seed: int = 0) -> Points:
    r"""Two spirals, one rotated by half a turn from the other; the label is the spiral.

    $$\pm a\, (\cos a, \sin a), \quad a = 3\pi \sqrt{u}, \; u \sim U(0, 1), \quad \text{plus } 0.3\, \mathcal N(0, I)$$

    The square root makes the points nearly uniform along the length of the spirals.
    """
    u, z = _draws(count, seed, 2)
    label = (2 * u[:, 0]).astype(int)
    a = 3 * np.pi * np.sqrt(u[:, 1])
    arm = (1 - 2 * label) * a
    points = arm[:, None] * np.stack([np.cos(a), np.sin(a)], axis=1) + 0.3 * z
    return points / np.sqrt((3 * np.pi) ** 2 / 4 + 0.3**2), label


DATASETS: dict[str, Callable[[int, int], Points]] = {
    f.__name__: f for f in (two_moons, swiss_roll, eight_gaussians, checkerboard, pinwheel, spirals)
}


def load(name: str, count: int, seed: int = 0) -> Points:
    """Load a data set by name: points (count, 2) and labels (count,). Raises ValueError for a name that is not in DATASETS."""
    check_choice("dataset", name, tuple(DATASETS))
    return DATASETS[name](count, seed)


def _draws(count: Any, seed: int, uniforms: int) -> tuple[Array, Array]:
    """Independent uniform numbers (count, uniforms) and normal numbers (count, 2): two steps of the stream for data."""
    count = check_count("count", count, 0, 2**32 - 1)
    return rng.uniform(seed, count, uniforms, 0, rng.DATA), rng.normal(seed, count, (2,), 1, rng.DATA)


def _rotated(points: Array, angle: Array) -> Array:
    """Each point rotated about the origin by its own angle."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], axis=1)
