"""Distances between sets of points: against explicit sums, closed forms for Gaussians, invariances, and scipy."""

import math
import re
import tracemalloc
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import erf

from refdiff import metrics, rng

from ..strategies import frozen
from ..tolerances import FRECHET, IDENTITY, SIGMAS, relative

EPS = np.finfo(np.float64).eps
seeds = st.integers(0, 10**6)
orders = st.floats(1, 4)


@st.composite
def sets(draw, count=2, smallest=1):
    """Sets of 1 to 7 points in 1 to 3 dimensions, of unequal sizes."""
    d, seed = draw(st.integers(1, 3)), draw(seeds)
    scales = st.floats(0.1, 10)
    return [frozen(draw(scales) * rng.normal(seed, draw(st.integers(smallest, 7)), (d,), i)) for i in range(count)]


def rotation(seed, d):
    """An orthogonal matrix (d, d)."""
    return np.linalg.qr(rng.normal(seed, d, (d,), 99))[0]


def explicit_sum(x, y, kernel, unbiased):
    """E k(X, X') + E k(Y, Y') - 2 E k(X, Y), pair by pair, with Python's numbers."""

    def mean(a, b, skip):
        terms = [kernel(math.dist(p, q)) for i, p in enumerate(a.tolist()) for j, q in enumerate(b.tolist()) if not (skip and i == j)]
        return math.fsum(terms) / len(terms)

    return mean(x, x, unbiased) + mean(y, y, unbiased) - 2 * mean(x, y, False)


def close(actual, expected, scale):
    """Equal up to rounding errors of sums of a few hundred terms of this size."""
    return abs(actual - expected) <= IDENTITY * EPS * scale


@given(sets(), st.booleans())
def test_energy_distance_equals_explicit_sums(xy, unbiased):
    """Q3: Energy distance: 2 E|X - Y| - E|X - X'| - E|Y - Y'|, as V- and as U-statistic."""
    x, y = xy
    assume(not unbiased or min(len(x), len(y)) > 1)
    expected = explicit_sum(x, y, lambda distance: -distance, unbiased)
    assert close(metrics.energy_distance(x, y, unbiased), expected, np.abs(x).max() + np.abs(y).max())


@given(sets(), st.booleans(), st.floats(0.1, 10))
def test_mmd_equals_explicit_sums(xy, unbiased, bandwidth):
    """Q3: Squared MMD: E k(X, X') + E k(Y, Y') - 2 E k(X, Y) with the Gaussian kernel, as V- and as U-statistic."""
    x, y = xy
    assume(not unbiased or min(len(x), len(y)) > 1)
    expected = explicit_sum(x, y, lambda distance: math.exp(-(distance**2) / (2 * bandwidth**2)), unbiased)
    assert close(metrics.mmd(x, y, bandwidth, unbiased), expected, 2)


def test_by_hand():
    """Two points against one, with known distances: V- and U-statistic, defaults, and vectors, numbers and images as points."""
    x, y = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0]])
    assert metrics.energy_distance(x, y) == metrics.energy_distance(y, x) == 2 * 2.5 - 2.5
    assert metrics.energy_distance(x, np.array([[0.0, 0.0], [0.0, 0.0]]), unbiased=True) == 2 * 2.5 - 5
    assert metrics.median_distance(x, y) == 5.0
    half = math.exp(-0.5)
    assert close(metrics.mmd(x, y), metrics.mmd(x, y, 5.0), 1) and close(metrics.mmd(x, y, 5.0), (2 + 2 * half) / 4 + 1 - (1 + half), 1)
    for f in (metrics.energy_distance, lambda a, b: metrics.mmd(a, b, 2.0), metrics.mmd):
        assert f(x.reshape(2, 1, 2, 1), y.reshape(1, 1, 2, 1)) == f(x, y) == f(x.astype(np.float32), y.astype(int))
    assert metrics.energy_distance(np.array([1.0, 4.0]), np.array([2.0])) == 2 * 1.5 - 1.5
    assert isinstance(metrics.energy_distance(x, y), float) and isinstance(metrics.mmd(x, y), float)


@given(sets(), seeds)
def test_properties_of_energy_distance(xy, seed):
    """Energy distance is 0 from a set to itself, nonnegative, symmetric, invariant to order and rigid motions, and scales."""
    x, y = xy
    size, here = np.abs(x).max() + np.abs(y).max(), metrics.energy_distance(x, y)
    assert metrics.energy_distance(x, x) == 0.0 and here >= -IDENTITY * EPS * size
    assert close(metrics.energy_distance(y[::-1], x), here, size)
    turn, shift = rotation(seed, x.shape[1]), rng.normal(seed, 1, x.shape[1:])
    assert close(metrics.energy_distance(x @ turn + shift, y @ turn + shift), here, size + np.abs(shift).max())
    assert close(metrics.energy_distance(-4 * x, -4 * y), 4 * here, 4 * size)


@given(sets(), seeds)
def test_properties_of_mmd(xy, seed):
    """MMD is 0 from a set to itself, nonnegative, symmetric, invariant to rigid motions, and to scale if the bandwidth scales too."""
    x, y = xy
    assume(metrics.median_distance(x, y) > 0.01)
    here = metrics.mmd(x, y)
    assert metrics.mmd(x, x, 1.0) == 0.0 and here >= -IDENTITY * EPS
    assert close(metrics.mmd(y, x), here, 2) and close(metrics.mmd(x, y, metrics.median_distance(x, y)), here, 2)
    assert close(metrics.mmd(8 * x, 8 * y), here, 2)
    turn = rotation(seed, x.shape[1])
    assert abs(metrics.mmd(x @ turn, y @ turn, 1.0) - metrics.mmd(x, y, 1.0)) <= 100 * IDENTITY * EPS * max(
        1, np.abs(x).max(), np.abs(y).max()
    )


@given(sets())
def test_energy_distance_in_one_dimension_equals_scipy(xy):
    """In one dimension, the square of scipy's energy distance, which integrates (F - G)^2."""
    x, y = (points[:, 0] for points in xy)
    theirs = scipy.stats.energy_distance(x, y) ** 2
    assert close(metrics.energy_distance(x, y), theirs, np.abs(x).max() + np.abs(y).max())


def gaussian_energy(mean, s1, s2):
    """Energy distance of N(mean, s1^2) and N(0, s2^2): absolute values of Gaussians have folded means."""
    s = math.hypot(s1, s2)
    between = s * math.sqrt(2 / math.pi) * math.exp(-(mean**2) / (2 * s**2)) + mean * erf(mean / (s * math.sqrt(2)))
    return 2 * between - 2 * (s1 + s2) / math.sqrt(math.pi)


def gaussian_mmd(mean, s1, s2, h):
    """Squared MMD of the same Gaussians: the mean of a Gaussian kernel is a Gaussian function of the means."""

    def kernel(mean, variance):
        return h / math.sqrt(h**2 + variance) * math.exp(-(mean**2) / (2 * (h**2 + variance)))

    return kernel(0, 2 * s1**2) + kernel(0, 2 * s2**2) - 2 * kernel(mean, s1**2 + s2**2)


@pytest.mark.parametrize("mean, s1, s2", [(0.0, 1.0, 1.0), (1.5, 1.0, 1.0), (-0.3, 0.5, 2.0)])
@pytest.mark.parametrize("n, m", [(12, 7)])
def test_gaussians_on_average(mean, s1, s2, n, m):
    """The mean of the U-statistic is the closed form for Gaussians, the mean of the V-statistic is that plus the noise floor."""
    repeats = 400
    x, y = mean + s1 * rng.normal(1, repeats, (n,), stream=rng.DATA), s2 * rng.normal(2, repeats, (m,), stream=rng.DATA)
    floor = 2 / math.sqrt(math.pi) * (s1 / n + s2 / m)
    cases = [
        (lambda a, b: metrics.energy_distance(a, b, unbiased=True), gaussian_energy(mean, s1, s2)),
        (metrics.energy_distance, gaussian_energy(mean, s1, s2) + floor),
        (lambda a, b: metrics.mmd(a, b, 0.7, unbiased=True), gaussian_mmd(mean, s1, s2, 0.7)),
    ]
    for f, expected in cases:
        values = np.array([f(a, b) for a, b in zip(x, y, strict=True)])
        assert abs(values.mean() - expected) < SIGMAS * values.std() / math.sqrt(repeats)


def test_block_size_does_not_matter(monkeypatch):
    """Any block size gives the same sums, and sets larger than a block need the memory of a few blocks."""
    x, y = rng.normal(0, 33, (2,)), rng.normal(1, 20, (2,))
    functions = [metrics.energy_distance, metrics.mmd, lambda a, b: metrics.mode_coverage(a, b, 0.3)]
    whole = [f(x, y) for f in functions]
    for block in (1, 20, 70, 660):
        monkeypatch.setattr(metrics, "_BLOCK", block)
        assert max(map(len, metrics._blocks(x, y))) == max(1, min(33, block // 20))
        assert np.allclose(np.hstack([f(x, y) for f in functions]), np.hstack(whole), rtol=0, atol=IDENTITY * EPS)
    monkeypatch.undo()
    big = rng.normal(0, 3000, (2,))
    tracemalloc.start()
    metrics.energy_distance(big, big[:2500] + 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 8 * metrics._BLOCK < 3000 * 2500 * 8


def test_median_distance():
    """The median over all pairs of different points of both sets, by hand; of each set of more than 1000 points, every k-th from the first."""
    x, y = rng.normal(0, 9, (2,)), rng.normal(1, 6, (2,)) + 1
    pool = np.concatenate([x, y]).tolist()
    pairs = [math.dist(pool[i], pool[j]) for i in range(15) for j in range(i)]
    assert close(metrics.median_distance(x, y), np.median(pairs), 10)


@pytest.mark.parametrize("size, step", [(999, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 3), (2500, 3)])
def test_points_of_the_median_distance(size, step, monkeypatch):
    """The median distance is over at most 1000 points of each set: every k-th from the first on, for the smallest k, in their order."""
    seen = []
    monkeypatch.setattr(metrics, "pdist", lambda pool: (seen.append(pool), np.ones(1))[1])
    x, y = rng.normal(2, size, (2,)), rng.normal(3, 2 * size, (2,))
    for sets in (x, y[:6]), (y[:6], x), (x, x + 1):
        metrics.median_distance(*sets)
        kept = [points if len(points) == 6 else points[np.arange(0, size, step)] for points in sets]
        assert len(kept[0]) <= 1000 >= len(kept[1])
        np.testing.assert_array_equal(seen.pop(), np.concatenate(kept))


def quantiles(x, y, order):
    """W_p^p on a line: every x repeated M times against every y repeated N times, both sorted."""
    a, b = np.repeat(np.sort(x), len(y)), np.repeat(np.sort(y), len(x))
    return float(np.mean(np.abs(a - b) ** order))


@given(sets(count=3), orders)
def test_sliced_wasserstein_equals_quantile_differences(sets, order):
    """SW_p^p: the mean over directions, of any length, of the exact distance of the projections, for any sizes N and M."""
    x, y, directions = sets
    expected = np.mean([quantiles(x @ d / np.linalg.norm(d), y @ d / np.linalg.norm(d), order) for d in directions]) ** (1 / order)
    scale = np.linalg.norm(x, axis=1).max() + np.linalg.norm(y, axis=1).max()
    assert close(metrics.sliced_wasserstein(x, y, directions, order), expected, 8 * scale)
    assert metrics.sliced_wasserstein(x, y, directions) == metrics.sliced_wasserstein(x, y, directions, 2.0)


@given(sets())
def test_wasserstein_in_one_dimension_equals_scipy(xy):
    """In one dimension and with order 1, scipy's Wasserstein distance."""
    x, y = (points[:, :1] for points in xy)
    theirs = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])
    for direction in 1.0, -3.0:
        assert close(metrics.sliced_wasserstein(x, y, np.array([[direction]]), 1.0), theirs, np.abs(x).max() + np.abs(y).max())


@given(sets(count=3), orders)
def test_properties_of_sliced_wasserstein(sets, order):
    """Zero to itself, symmetric, invariant to order and repetition of the set, scales; for a shift the mean projected length."""
    x, y, directions = sets
    size, here = np.linalg.norm(x, axis=1).max() + np.linalg.norm(y, axis=1).max(), metrics.sliced_wasserstein(x, y, directions, order)
    assert metrics.sliced_wasserstein(x, x[::-1], directions, order) == 0.0
    assert close(metrics.sliced_wasserstein(y, x, directions, order), here, 8 * size)
    assert close(metrics.sliced_wasserstein(np.concatenate([x, x, x]), y[::-1], directions, order), here, 8 * size)
    assert close(metrics.sliced_wasserstein(-4 * x, -4 * y, directions, order), 4 * here, 32 * size)
    shift = y[0]
    lengths = np.abs(directions @ shift) / np.linalg.norm(directions, axis=1)
    assert close(metrics.sliced_wasserstein(x, x + shift, directions, order), np.mean(lengths**order) ** (1 / order), 8 * size)


def test_wasserstein_of_an_affine_map():
    """An increasing map is the optimal transport: W_2 of x and a x + b is the root mean square of (a - 1) x + b."""
    x = rng.normal(0, 50, (1,))
    expected = np.sqrt(np.mean((1.5 * x - 0.3) ** 2))
    assert close(metrics.sliced_wasserstein(x, 2.5 * x - 0.3, np.ones((1, 1))), expected, 20)


def test_mode_coverage_by_hand():
    """A sample hits the nearest mode if it is within the radius; the fractions are those of modes and of samples."""
    centers = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 4.0], [9.0, 9.0]])
    x = np.array([[0.5, 0.0], [0.75, 0.0], [0.9, 0.1], [0.0, 3.5], [5.0, 5.0]])
    assert metrics.mode_coverage(x, centers, 0.5) == metrics.Coverage(modes=0.75, samples=0.8)
    assert metrics.mode_coverage(x, centers, 0.49) == (0.25, 0.4)
    assert metrics.mode_coverage(x, centers, 0.0) == (0.0, 0.0)
    assert metrics.mode_coverage(x[1:3], centers, 0.9) == (0.25, 1.0), "near two modes, it counts for the nearest"
    assert metrics.mode_coverage(centers, centers, 0.0) == (1.0, 1.0)


@given(sets(), st.floats(0, 20))
def test_mode_coverage_is_its_definition(sets, radius):
    """Coverage by a loop over samples and modes."""
    x, centers = sets
    hits = []
    for point in x:
        distances = [math.dist(point, center) for center in centers]
        hits += [int(np.argmin(distances))] if min(distances) <= radius else []
    assert metrics.mode_coverage(x, centers, radius) == (len(set(hits)) / len(centers), len(hits) / len(x))


def covariance(seed, d, rank=None):
    """A covariance (d, d) of a rank, with its eigenvectors and eigenvalues: (matrix, axes, variances)."""
    axes, variances = rotation(seed, d), rng.normal(seed, 1, (d,), 5)[0] ** 2 + 0.1
    variances[d if rank is None else rank :] = 0
    return (axes * variances) @ axes.T, axes, variances


@given(seeds, st.integers(1, 5), st.integers(0, 5))
def test_frechet_of_commuting_covariances(seed, d, rank):
    """Q1: Frechet: with common axes the distance is that of the means and of the standard deviations, also where covariances are singular."""
    cov1, axes, variances1 = covariance(seed, d)
    variances2 = variances1[::-1] * 1.7
    variances2[rank:] = 0
    mean1, mean2 = rng.normal(seed, 2, (d,), 6)
    expected = ((mean1 - mean2) ** 2).sum() + ((np.sqrt(variances1) - np.sqrt(variances2)) ** 2).sum()
    scale = variances1.sum() + variances2.sum() + (mean1**2).sum() + (mean2**2).sum()
    for swap in (1, -1):
        (a, A), (b, B) = ((mean1, cov1), (mean2, (axes * variances2) @ axes.T))[::swap]
        # the root of a variance lost to rounding is sqrt(eps) of the largest: 1e-8, which enters linearly
        assert abs(metrics.frechet_distance(a, A, b, B) - expected) <= (FRECHET * EPS if rank >= d else np.sqrt(FRECHET * EPS)) * scale


@given(seeds)
def test_frechet_in_two_dimensions(seed):
    """Q1: Frechet: any two covariances (2, 2), by tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)) in 50 digits."""
    (cov1, *_), (cov2, *_) = covariance(seed, 2), covariance(seed + 1, 2)
    zero = np.zeros(2)
    with mpmath.workdps(50):
        A, B = mpmath.matrix(cov1.tolist()), mpmath.matrix(cov2.tolist())
        M = A * B
        cross = mpmath.sqrt(M[0, 0] + M[1, 1] + 2 * mpmath.sqrt(mpmath.det(M)))
        expected = A[0, 0] + A[1, 1] + B[0, 0] + B[1, 1] - 2 * cross
    assert abs(metrics.frechet_distance(zero, cov1, zero, cov2) - expected) <= FRECHET * EPS * (np.trace(cov1) + np.trace(cov2))


@given(seeds, st.integers(1, 5))
def test_properties_of_frechet(seed, d):
    """Q1: Frechet: zero to itself, symmetric, invariant to rigid motions, scales with the square, and no rotation Q gives less."""
    (cov1, axes1, variances1), (cov2, axes2, variances2) = covariance(seed, d), covariance(seed + 1, d)
    mean1, mean2 = rng.normal(seed, 2, (d,), 7)
    here, scale = metrics.frechet_distance(mean1, cov1, mean2, cov2), np.trace(cov1) + np.trace(cov2) + (mean1**2).sum() + (mean2**2).sum()
    assert metrics.frechet_distance(mean1, cov1, mean1, cov1) <= (FRECHET * EPS) ** 2 * scale
    assert abs(metrics.frechet_distance(mean2, cov2, mean1, cov1) - here) <= FRECHET * EPS * scale
    turn = rotation(seed + 2, d)
    turned = metrics.frechet_distance(mean1 @ turn + 1, turn.T @ cov1 @ turn, mean2 @ turn + 1, turn.T @ cov2 @ turn)
    assert abs(turned - here) <= FRECHET * EPS * (scale + d)
    assert abs(metrics.frechet_distance(3 * mean1, 9 * cov1, 3 * mean2, 9 * cov2) - 9 * here) <= 9 * FRECHET * EPS * scale
    root1, root2 = axes1 * np.sqrt(variances1), axes2 * np.sqrt(variances2)
    assert here <= ((mean1 - mean2) ** 2).sum() + ((root1 - root2 @ turn) ** 2).sum() + FRECHET * EPS * scale


@pytest.mark.parametrize("delta", [1e-2, 1e-5, 1e-7])
def test_frechet_of_nearly_equal_covariances(delta):
    """Q1: Frechet: standard deviations that differ by a factor 1 + delta are delta^2 tr C apart, to the precision of the covariances."""
    cov, *_ = covariance(3, 4)
    d = metrics.frechet_distance(np.zeros(4), cov, np.zeros(4), cov * (1 + delta) ** 2)
    assert relative(d, delta**2 * np.trace(cov)) <= FRECHET * EPS / delta


@given(seeds, st.integers(2, 9), st.integers(1, 4))
def test_sample_moments(seed, n, d):
    """Q1: Mean and covariance with divisor N - 1 are numpy's; the distance to a shifted set is the squared shift."""
    x, shift = frozen(rng.normal(seed, n, (d,))), rng.normal(seed, 1, (d,), 1)[0]
    mean, cov = metrics.sample_moments(x)
    assert mean.shape == (d,) and relative(mean, x.mean(axis=0)) <= IDENTITY * EPS
    assert cov.shape == (d, d) and relative(cov, np.reshape(np.cov(x.T), (d, d))) <= IDENTITY * EPS
    distance = metrics.frechet_distance(mean, cov, *metrics.sample_moments(x + shift))
    assert abs(distance - (shift**2).sum()) <= np.sqrt(FRECHET * EPS) * (1 + np.trace(cov) + (shift**2).sum())
    assert metrics.sample_moments(x.reshape(n, d, 1, 1).astype(np.float32))[1].dtype == np.float64


def test_distances_fall_with_sample_size():
    """Every distance between two sets of one distribution falls with their size, and is smaller than that to a shifted set."""
    x, y = rng.normal(0, 1600, (2,)), rng.normal(1, 1600, (2,))
    functions = [
        metrics.energy_distance,
        lambda a, b: metrics.mmd(a, b, 1.0),
        lambda a, b: metrics.sliced_wasserstein(a, b, rng.normal(2, 16, (2,))),
        lambda a, b: metrics.frechet_distance(*metrics.sample_moments(a), *metrics.sample_moments(b)),
    ]
    for f in functions:
        falling = [f(x, y + 1), f(x[:25], y[:25]), f(x, y)]
        assert all(a > 2 * b for a, b in pairwise(falling))


X, I2, M2 = np.ones((3, 2)), np.eye(2), np.zeros(2)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: metrics.energy_distance(X, np.ones((3, 3))), ValueError, "y has 3 numbers a point; allowed: 2, as x has"),
        (lambda: metrics.energy_distance(X[:0], X), ValueError, "x has shape (0, 2); allowed: (N, ...), not empty"),
        (lambda: metrics.energy_distance(X, np.ones(())), ValueError, "y has shape (); allowed: (N, ...), not empty"),
        (lambda: metrics.energy_distance(X * np.nan, X), ValueError, "x = array([[nan, nan]"),
        (lambda: metrics.energy_distance(X, X[:1], unbiased=True), ValueError, "x, y have 3, 1 points; allowed: 2 or more each"),
        (lambda: metrics.energy_distance(X, X + 1j), TypeError, "y = array([[1.+1.j"),
        (lambda: metrics.mmd(X, X, 0.0), ValueError, "bandwidth = 0.0; allowed: finite, in (0, inf]"),
        (lambda: metrics.mmd(X, X), ValueError, "bandwidth = 0.0; allowed"),
        (lambda: metrics.mmd(X[:1], X, 1.0, unbiased=True), ValueError, "x, y have 1, 3 points"),
        (lambda: metrics.median_distance(X, X[:, :1]), ValueError, "y has 1 numbers a point; allowed: 2"),
        (lambda: metrics.sliced_wasserstein(X, X, np.ones((4, 3))), ValueError, "directions has 3 numbers a point; allowed: 2"),
        (lambda: metrics.sliced_wasserstein(X, X, np.zeros((1, 2))), ValueError, "length of directions = "),
        (lambda: metrics.sliced_wasserstein(X, X, X, 0.5), ValueError, "order = 0.5; allowed: finite, in [1, inf]"),
        (lambda: metrics.mode_coverage(X, X, -1.0), ValueError, "radius = -1.0; allowed: finite, in [0, inf]"),
        (lambda: metrics.mode_coverage(X, X[:, :1], 1.0), ValueError, "centers has 1 numbers a point; allowed: 2, as x has"),
        (lambda: metrics.sample_moments(X[:1]), ValueError, "x has 1 point; allowed: 2 or more"),
        (lambda: metrics.frechet_distance(M2, I2, np.zeros(3), I2), ValueError, "mean1, mean2 have shapes (2,), (3,); allowed: (d,) both"),
        (lambda: metrics.frechet_distance(I2, I2, I2, I2), ValueError, "mean1, mean2 have shapes (2, 2), (2, 2)"),
        (lambda: metrics.frechet_distance(M2, np.eye(3), M2, I2), ValueError, "cov1 has shape (3, 3); allowed: (2, 2)"),
        (lambda: metrics.frechet_distance(M2, I2, M2, np.ones(2)), ValueError, "cov2 has shape (2,); allowed: (2, 2)"),
        (lambda: metrics.frechet_distance(M2, I2, M2, np.array([[1.0, 2.0], [2.0, 1.0]])), ValueError, "cov2 = array([[1., 2.]"),
        (lambda: metrics.frechet_distance(M2, np.array([[1.0, 0.1], [0.0, 1.0]]), M2, I2), ValueError, "cov1 = array([[1. , 0.1]"),
        (lambda: metrics.frechet_distance(M2 * np.inf, I2, M2, I2), ValueError, "mean1 = "),
        (lambda: metrics.frechet_distance(M2, I2, M2 * np.nan, I2), ValueError, "mean2 = "),
        (lambda: metrics.frechet_distance(M2, I2, M2, I2 * np.nan), ValueError, "cov2 = "),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # 0 * inf, in an argument
def test_errors(call, error, message):
    """A wrong argument is named, with its value and what is allowed."""
    with pytest.raises(error, match="^" + re.escape(message)):
        call()


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_frechet_is_in_float64(dtype):
    """Q1: Frechet: arguments of any real dtype give the distance of the same numbers in float64, with no wrap-around of unsigned integers."""
    mean1, cov1, mean2, cov2 = np.array([1, 2]), np.array([[200, 90], [90, 100]]), np.array([4, 1]), np.array([[3, 1], [1, 2]])
    expected = metrics.frechet_distance(mean1, cov1, mean2, cov2)
    arguments = [argument.astype(dtype) for argument in (mean1, cov1, mean2, cov2)]
    assert metrics.frechet_distance(*arguments) == expected


def test_covariances_are_checked_at_their_own_size():
    """Q1: Frechet: an asymmetry or a negative eigenvalue is an error in a covariance of small numbers as well; no dimension is distance 0."""
    for wrong in [[1.0, 0.1], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]:
        with pytest.raises(ValueError, match=r"; allowed: symmetric, without negative eigenvalues$"):
            metrics.frechet_distance(M2, 1e-9 * np.array(wrong), M2, I2)
    assert metrics.frechet_distance(M2[:0], I2[:0, :0], M2[:0], I2[:0, :0]) == 0


def test_rounded_covariances_are_allowed():
    """Q1: Frechet: asymmetries and negative eigenvalues of the size of float32 rounding errors are allowed."""
    rough = np.array([[1.0, 1.0 + 1e-7], [1.0 - 1e-7, 1.0]])
    assert abs(metrics.frechet_distance(M2, rough, M2, np.ones((2, 2)))) <= 1e-6
