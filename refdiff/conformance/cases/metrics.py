"""Metrics: sets of different sizes, one and several dimensions, singular covariances, sharp and equal class probabilities."""

from collections.abc import Iterator

import numpy as np

from ...arrays import read_only
from . import BATCH, Case, numbers, refused
from .gaussian import covariance

SIZES = ((3, 4, 2), (2, 2, 1), (5, 3, 3))  # N, M, d
ROWS = read_only(np.array([[32, 16, 16], [8, 48, 8], [0, 16, 48], [0, 0, 64], [63, 1, 0], [20, 24, 20], [0, 64, 0]]) / 64)


def cases() -> Iterator[Case]:
    yield from _gaussians()
    for seed, (n, m, d) in enumerate(SIZES):
        sets = {"x": numbers((n, d), seed), "y": numbers((m, d), seed + 10) + 0.5}
        yield Case("frechet_of_features", sets, tolerance="long" if min(n, m) <= d else "tensor", minimal=True)
        for statistic in ("V", "U"):
            yield Case("energy_distance", {**sets, "statistic": statistic}, minimal=True)
            for bandwidth in (0.75, 2.0):
                yield Case("mmd", {**sets, "bandwidth": bandwidth, "statistic": statistic}, minimal=bandwidth == 0.75)
            yield Case("kid", {**sets, "statistic": statistic}, minimal=True)
    one = {"x": numbers((1, 2), 1), "y": numbers((3, 2), 2), "statistic": "V"}
    for operation, more in (("energy_distance", {}), ("mmd", {"bandwidth": 1.5}), ("kid", {})):
        yield Case(operation, one | more, minimal=True)
    yield from _subsets()
    yield from _scores()
    yield from _extrapolations()
    yield from _errors()


def _gaussians() -> Iterator[Case]:
    for d in (1, 2, 3):
        inputs = {"mean1": numbers((d,), d), "cov1": covariance(d, d), "mean2": numbers((d,), d + 5), "cov2": covariance(d, d + 9) / 4}
        yield Case("frechet_distance", inputs, minimal=True)
        yield Case("frechet_distance", inputs | {"mean2": inputs["mean1"]}, minimal=d == 2)
        yield Case("frechet_distance", inputs | {"cov2": inputs["cov1"]}, minimal=d == 2)
    inputs = {"mean1": numbers((2,), 1), "mean2": numbers((2,), 2)}
    yield Case("frechet_distance", inputs | {"cov1": np.diag([4.0, 1.0]), "cov2": np.diag([0.25, 9.0])}, minimal=True)
    singular, other = np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([[4.0, -2.0], [-2.0, 1.0]])
    for cov1, cov2 in ((singular, other), (singular, covariance(2, 3)), (covariance(2, 3), np.zeros((2, 2))), (singular, singular / 4)):
        yield Case("frechet_distance", inputs | {"cov1": cov1, "cov2": cov2}, tolerance="long", minimal=True)


def _subsets() -> Iterator[Case]:
    sets = {"x": numbers((5, 2), 3), "y": numbers((4, 2), 13) + 0.5}
    for rows_x, rows_y in (
        ([[0, 1, 2], [4, 2, 3], [1, 0, 4]], [[0, 1, 3], [3, 2, 1], [1, 0, 2]]),
        ([[3, 1], [4, 0]], [[0, 2], [1, 3]]),
        ([[0, 1, 2, 3]], [[3, 1, 2, 0]]),
    ):
        yield Case("kid_over_subsets", {**sets, "rows_x": np.array(rows_x), "rows_y": np.array(rows_y)}, minimal=True)
    wrong = {**sets, "rows_x": np.array([[0, 1], [2, 3]])}
    yield refused("kid_over_subsets", "a row that x or y does not have", **wrong, rows_y=np.array([[0, 4], [1, 2]]))
    yield refused("kid_over_subsets", BATCH, **wrong, rows_y=np.array([[0, 1], [1, 2], [2, 3]]))


def _scores() -> Iterator[Case]:
    for splits in (1, 2, 3, 7):
        yield Case("inception_score", {"probabilities": ROWS, "splits": splits}, minimal=splits < 7)
    yield Case("inception_score", {"probabilities": np.tile(np.eye(4), (2, 1)), "splits": 2}, minimal=True)
    yield Case("inception_score", {"probabilities": np.tile(ROWS[:1], (4, 1)), "splits": 2}, minimal=True)
    yield Case("inception_score", {"probabilities": ROWS[3:], "splits": 3}, minimal=True)


def _extrapolations() -> Iterator[Case]:
    for seed, counts in enumerate(([1000.0, 2000.0, 5000.0], [50.0, 100.0], [5.0, 10.0, 20.0, 40.0, 80.0])):
        sizes = np.array(counts)
        yield Case("at_infinity", {"sizes": sizes, "values": 3 + numbers(sizes.shape, seed)}, minimal=True)
    yield refused("at_infinity", "one size alone", sizes=np.array([50.0, 50.0]), values=numbers((2,)))


def _errors() -> Iterator[Case]:
    mean = numbers((2,), 1)
    for wrong in (np.array([[1.0, 0.5], [-0.5, 1.0]]), np.array([[1.0, 2.0], [2.0, 1.0]])):
        what = "a covariance that is not symmetric and positive semidefinite"
        yield refused("frechet_distance", what, mean1=mean, cov1=wrong, mean2=mean, cov2=np.eye(2))
    yield refused("frechet_of_features", "a set of one point", x=numbers((1, 2)), y=numbers((3, 2)))
    for operation, more in (("energy_distance", {}), ("mmd", {"bandwidth": 1.0}), ("kid", {})):
        yield refused(operation, "a set of one point, for the statistic U", x=numbers((1, 2)), y=numbers((3, 2)), statistic="U", **more)
        yield refused(operation, "sets of different dimensions", x=numbers((3, 2)), y=numbers((3, 3)), statistic="V", **more)
    yield refused("mmd", "a bandwidth of 0", x=numbers((3, 2)), y=numbers((3, 2), 1), bandwidth=0.0, statistic="V")
    yield refused("inception_score", "probabilities that do not sum to 1", probabilities=2 * ROWS[:2], splits=1)
    for splits in (0, 3):
        yield refused("inception_score", "more parts than rows, or none", probabilities=ROWS[:2], splits=splits)
