"""Metrics of features and class probabilities: enumerations of all samples and splits, moments, and the bias of the Frechet distance in closed form."""

import math
import re
from itertools import combinations, product

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import feature_metrics, metrics, rng

from ..tolerances import FRECHET, IDENTITY, relative

EPS = np.finfo(np.float64).eps
TABLE = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.0, 0.25, 0.75], [0.0, 0.0, 1.0]])


# Q2: inception score


def entropy(p):
    return -math.fsum(q * math.log(q) for q in np.ravel(p) if q > 0)


@pytest.mark.parametrize("K", [1, 2, 5])
def test_inception_score_of_sharp_and_of_equal_rows(K):
    """Q2: K balanced classes, each row sure of one, score K; equal rows score 1; both also for every part of a split."""
    sharp = np.tile(np.eye(K), (4, 1))
    for splits in (1, 2, 4):
        assert feature_metrics.inception_score(sharp, splits) == pytest.approx((K, 0), abs=1e-14 * K)
        assert feature_metrics.inception_score(np.tile(TABLE[:1], (4 * K, 1)), splits) == pytest.approx((1, 0), abs=1e-14)


def test_inception_score_is_the_exponential_of_mutual_information():
    """Q2: H(mean row) - mean H(row), with 0 log 0 = 0; the probability table of (row, class) gives the same mutual information."""
    joint = TABLE / len(TABLE)
    rows, classes = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    information = math.fsum(float(p * math.log(p / q)) for p, q in zip(joint.ravel(), (rows * classes).ravel(), strict=True) if p > 0)
    assert relative(feature_metrics.inception_score(TABLE).mean, math.exp(information)) <= IDENTITY * EPS
    assert (
        relative(math.log(feature_metrics.inception_score(TABLE).mean), entropy(TABLE.mean(axis=0)) - np.mean([entropy(p) for p in TABLE]))
        < 1e-14
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_bias_of_a_small_split(n):
    """Q2: over all draws of n rows, the log-score is too small by exactly E KL(mean of the draws || mean of the table)."""
    draws = [TABLE[list(rows)] for rows in product(range(4), repeat=n)]
    logs = np.mean([math.log(feature_metrics.inception_score(draw).mean) for draw in draws])
    full = TABLE.mean(axis=0)
    gap = np.mean([sum(q * math.log(q / f) for q, f in zip(draw.mean(axis=0), full, strict=True) if q > 0) for draw in draws])
    assert relative(math.log(feature_metrics.inception_score(TABLE).mean) - logs, gap) <= 1e-13
    assert gap > 0.05


def sharp_mean(K, n):
    """E of the entropy of n draws of K sharp classes."""
    law = [math.comb(n, c) * (1 / K) ** c * (1 - 1 / K) ** (n - c) for c in range(1, n + 1)]
    return -K * math.fsum(p * c / n * math.log(c / n) for c, p in enumerate(law, 1))


@pytest.mark.parametrize(("K", "n"), [(2, 6), (3, 4)])
def test_bias_for_sharp_classes(K, n):
    """Q2: n draws of K sharp classes have the entropy of multinomial counts on average, a sum over the binomial law of one count."""
    logs = [math.log(feature_metrics.inception_score(np.eye(K)[list(classes)]).mean) for classes in product(range(K), repeat=n)]
    assert relative(np.mean(logs), sharp_mean(K, n)) <= 1e-13
    bias = [math.log(K) - sharp_mean(K, m) - (K - 1) / (2 * m) - (K**2 - 1) / (12 * m**2) for m in (100, 200)]
    assert 7 < bias[0] / bias[1] < 9  # the first two terms of the bias, and a third of order n^-3


def test_parts_of_a_split():
    """Q2: part k has the rows from k N // splits on; mean and standard deviation have the divisor splits."""
    p = np.concatenate([TABLE, TABLE[:3]])
    found = feature_metrics.inception_score(p, 3)
    parts = [feature_metrics.inception_score(p[i:j]).mean for i, j in ((0, 2), (2, 4), (4, 7))]
    assert found == pytest.approx((np.mean(parts), np.sqrt(np.mean((np.array(parts) - np.mean(parts)) ** 2))), rel=1e-14)
    assert feature_metrics.inception_score(p, 7) == pytest.approx((1, 0), abs=1e-14), "one row is its own mean"
    assert feature_metrics.inception_score(p.astype(np.float32)).mean == pytest.approx(feature_metrics.inception_score(p).mean, rel=1e-6)


# Q3: KID


def tensor_powers(x):
    """E x, E x x, E x x x."""
    return [np.einsum(f"{','.join(f'n{i}' for i in 'ijk'[:j])}->{'ijk'[:j]}", *[x] * j) / len(x) for j in (1, 2, 3)]


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
def test_kid_compares_three_moments(seed, d, n, m):
    """Q3: the V-statistic is 3/d |dE x|^2 + 3/d^2 |dE xx|^2 + 1/d^3 |dE xxx|^2 of the two sets, also over blocks."""
    x, y = rng.normal(seed, n, (d,)), 0.5 + rng.normal(seed, m, (d,), 1)
    differences = [((a - b) ** 2).sum() for a, b in zip(tensor_powers(x), tensor_powers(y), strict=True)]
    expected = sum(math.comb(3, j) / d**j * differences[j - 1] for j in (1, 2, 3))
    scale = max(((p**2).sum(axis=1).max() / d + 1) ** 3 for p in (x, y))
    assert abs(feature_metrics.kid(x, y, unbiased=False) - expected) <= 10 * IDENTITY * EPS * scale


@pytest.mark.parametrize("size", [2, 3])
def test_kid_is_unbiased(size):
    """Q3: over all splits of a pool into two sets the mean of the U-statistic is 0; that of the V-statistic is not."""
    pool = rng.normal(1, 7, (2,))
    splits = [(list(c), [i for i in range(7) if i not in c]) for c in combinations(range(7), size)]
    values = np.array([feature_metrics.kid(pool[a], pool[b]) for a, b in splits])
    assert abs(values.mean()) <= IDENTITY * EPS * abs(values).max() and values.std() > 0.1
    assert np.mean([feature_metrics.kid(pool[a], pool[b], unbiased=False) for a, b in splits]) > 0.1


def gaussian_kid(mean1, cov1, mean2, cov2):
    """KID of two Gaussians from their first three moments, the tensors E x, E xx, E xxx."""
    d = len(mean1)

    def moments(m, C):
        shared = np.einsum("i,jk->ijk", m, C) + np.einsum("j,ik->ijk", m, C) + np.einsum("k,ij->ijk", m, C)
        return m, C + np.outer(m, m), shared + np.einsum("i,j,k->ijk", m, m, m)

    pairs = zip(moments(mean1, cov1), moments(mean2, cov2), strict=True)
    return sum(math.comb(3, j) / d**j * ((a - b) ** 2).sum() for j, (a, b) in enumerate(pairs, 1))


def test_kid_of_gaussians():
    """Q3: two Gaussians as the points of a quadrature that is exact for their moments: the closed form, by the V-statistic."""
    nodes = np.sqrt(3) * np.array([-1, 0, 0, 0, 0, 1])  # of N(0, 1) with equal weights: exact for the moments 1 to 5
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    roots = np.array([[1.0, 0.0], [0.5, 0.75]]), np.array([[0.5, 0.25], [0.0, 1.5]])
    means = np.array([0.3, -0.2]), np.array([-0.5, 0.4])
    x, y = (m + grid @ L.T for m, L in zip(means, roots, strict=True))
    expected = gaussian_kid(means[0], roots[0] @ roots[0].T, means[1], roots[1] @ roots[1].T)
    assert relative(feature_metrics.kid(x, y, unbiased=False), expected) <= 1e-12
    assert expected > 0.5


def test_kid_over_subsets():
    """Q3: mean and standard deviation of the subsets named; all subsets of m of n rows have the mean of the whole."""
    x, y = rng.normal(2, 5, (3,)), 0.3 + rng.normal(3, 4, (3,))
    pairs = [(a, b) for a in combinations(range(5), 3) for b in combinations(range(4), 3)]
    found = feature_metrics.kid_over_subsets(x, y, [a for a, _ in pairs], [b for _, b in pairs])
    each = [feature_metrics.kid(x[list(a)], y[list(b)]) for a, b in pairs]
    assert found == pytest.approx((np.mean(each), np.std(each)), rel=1e-13)
    assert found.mean == pytest.approx(feature_metrics.kid(x, y), rel=1e-12) and found.std > 0.1


def test_kid_does_not_depend_on_blocks(monkeypatch):
    """Q3: the diagonal is left out in every block."""
    x, y = rng.normal(2, 9, (3,)), rng.normal(3, 8, (3,))
    whole = feature_metrics.kid(x, y)
    for block in (1, 20, 40):
        monkeypatch.setattr(metrics, "_BLOCK", block)
        assert relative(feature_metrics.kid(x, y), whole) <= 1e-12


# Q1: Frechet distance of samples


def mean_distance(n, shift, s1, s2):
    """E (m - shift)^2 + E (s - s2)^2 for n samples of N(0, s1^2) against N(shift, s2^2); E s = s1 c4(n)."""
    c4 = mpmath.sqrt(mpmath.mpf(2) / (n - 1)) * mpmath.gamma(mpmath.mpf(n) / 2) / mpmath.gamma(mpmath.mpf(n - 1) / 2)
    return shift**2 + s1**2 / mpmath.mpf(n) + s1**2 + s2**2 - 2 * s1 * s2 * c4


def test_bias_in_one_dimension():
    """Q1: E d^2 - c / n is of order n^-2, by the exact mean of the sample's standard deviation in 50 digits."""
    s = 1.5
    c = feature_metrics.frechet_bias([[s**2]])
    with mpmath.workdps(50):
        rests = [float((mean_distance(n, 0, s, s) - mpmath.mpf(c) / n) * n**2) for n in (100, 1000, 10000)]
    assert c == pytest.approx(1.5 * s**2, rel=1e-14)
    assert rests[2] == pytest.approx(rests[1], rel=0.01) and 0.1 < abs(rests[2]) < 10


def wishart_mean(C, n):
    """E of the second-order term of the distance: sum of E dC_ij^2 / 2 (l_i + l_j) in the axes of C, by the moments of Wishart's law, plus E |m|^2."""
    spreads, axes = np.linalg.eigh(C)
    cov = lambda i, j, k, m: (C[i, k] * C[j, m] + C[i, m] * C[j, k]) / n  # noqa: E731
    total = np.trace(C) / n
    d = len(C)
    for a, b in product(range(d), repeat=2):
        weights = np.outer(axes[:, a], axes[:, b])
        entries = sum(weights[i, j] * weights[k, m] * cov(i, j, k, m) for i, j, k, m in product(range(d), repeat=4))
        total += entries / (2 * (spreads[a] + spreads[b]))
    return total


def test_bias_in_several_dimensions():
    """Q1: the coefficient is that of Wishart's law for any covariance; d + d (d + 1) / 4 for the identity; 0 for a point; singular ones."""
    root = rng.normal(4, 3, (3,))
    C = root @ root.T
    assert relative(feature_metrics.frechet_bias(C), wishart_mean(C, 1)) <= 1e-12
    for d in (1, 2, 200):
        assert feature_metrics.frechet_bias(np.eye(d)) == pytest.approx(d + d * (d + 1) / 4, rel=1e-12)
    assert feature_metrics.frechet_bias(np.zeros((2, 2))) == 0
    assert feature_metrics.frechet_bias(np.diag([4.0, 0.0])) == pytest.approx(6, rel=1e-14)


def test_bias_measured():
    """Q1: the mean distance of 2000 pairs of sets of 50 and 70 samples of one Gaussian is c (1/50 + 1/70) to 6 %, of which 3 % are chance."""
    root = np.array([[1.0, 0.0], [0.6, 0.5]])
    x = rng.normal(5, 2000 * 120, (2,)).reshape(2000, 120, 2) @ root.T
    values = [feature_metrics.frechet_of_features(each[:50], each[50:]) for each in x]
    assert np.mean(values) == pytest.approx(feature_metrics.frechet_bias(root @ root.T) * (1 / 50 + 1 / 70), rel=0.06)


def test_extrapolation():
    """Q1: exact on a + b / n; on the exact means of the Frechet distance the error is of order n^-2, that of the last value of order 1 / n."""
    sizes = np.array([10, 20, 25, 50])
    assert feature_metrics.at_infinity(sizes, 3 - 7 / sizes) == pytest.approx(3, rel=1e-14)
    true, errors = 0.3**2 + (1.2 - 0.7) ** 2, []
    for n in (100, 1000):
        sizes = [n, 2 * n, 4 * n]
        values = [float(mean_distance(k, 0.3, 1.2, 0.7)) for k in sizes]
        errors.append(feature_metrics.at_infinity(sizes, values) - true)
        assert abs(values[-1] - true) > 100 * abs(errors[-1])
    assert math.log10(errors[0] / errors[1]) == pytest.approx(2, abs=0.02)


def test_divisor():
    """Q1: `ddof` 0 is the covariance of the points as a law; the distance of two points to their own moments scales so."""
    x = np.array([[0.0, 1.0], [2.0, 5.0]])
    assert np.array_equal(metrics.sample_moments(x, 0)[1], [[1.0, 2.0], [2.0, 4.0]])
    assert np.array_equal(metrics.sample_moments(x, 1)[1], [[2.0, 4.0], [4.0, 8.0]])
    assert metrics.sample_moments(x[:1], 0)[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    y = rng.normal(1, 5, (2,))
    for ddof in (0, 1):
        expected = metrics.frechet_distance(*metrics.sample_moments(x, ddof), *metrics.sample_moments(y, ddof))
        assert feature_metrics.frechet_of_features(x, y, ddof) == expected
    assert abs(feature_metrics.frechet_of_features(x, y, 0) - feature_metrics.frechet_of_features(x, y)) > 0.1


def test_fewer_points_than_dimensions():
    """Q1: two sets of 3 points in 8 dimensions have singular covariances; a rotation of both sets leaves the distance."""
    x, y = rng.normal(1, 3, (8,)), rng.normal(2, 3, (8,))
    turn = np.linalg.qr(rng.normal(3, 8, (8,)))[0]
    here = feature_metrics.frechet_of_features(x, y)
    assert feature_metrics.frechet_of_features(x @ turn, y @ turn) == pytest.approx(here, rel=1e-6)
    assert feature_metrics.frechet_of_features(x, x) <= FRECHET * EPS * (x**2).sum() and here > 1


ERRORS = {
    "sums": (lambda: feature_metrics.inception_score(2 * TABLE), "probabilities = "),
    "rows": (
        lambda: feature_metrics.inception_score(TABLE / 2),
        "probabilities have shape (4, 3), sums array([0.5, 0.5, 0.5, 0.5]); allowed: (N, K)",
    ),
    "vector": (lambda: feature_metrics.inception_score(np.ones(1)), "probabilities have shape (1,), sums "),
    "splits": (lambda: feature_metrics.inception_score(TABLE, 5), "splits = 5; allowed: 1..4"),
    "one point": (lambda: feature_metrics.kid(TABLE[:1], TABLE), "x, y have 1, 4 points; allowed: 2 or more each"),
    "features of one point": (
        lambda: feature_metrics.frechet_of_features(TABLE, TABLE[:1]),
        "x, y have 4, 1 points; allowed: 2 or more each",
    ),
    "too far": (lambda: feature_metrics.kid(TABLE, 1e50 * TABLE), "y = "),
    "rows outside": (lambda: feature_metrics.kid_over_subsets(TABLE, TABLE, [[0, 4]], [[0, 1]]), "rows_x = array([0, 4]); allowed: 0..3"),
    "one row": (lambda: feature_metrics.kid_over_subsets(TABLE, TABLE, [[0]], [[1]]), "rows_x has shape (1, 1); allowed: (S, m)"),
    "subsets": (
        lambda: feature_metrics.kid_over_subsets(TABLE, TABLE, [[0, 1]], [[0, 1]] * 2),
        "rows_y has 2 subsets; allowed: 1, as rows_x has",
    ),
    "equal sizes": (
        lambda: feature_metrics.at_infinity([5, 5], [1, 2]),
        "sizes, values have shapes (2,), (2,); allowed: (k,) both, with two different",
    ),
    "ddof": (lambda: metrics.sample_moments(TABLE, 2), "ddof = 2; allowed: 0..1"),
    "no matrix": (lambda: feature_metrics.frechet_bias(np.ones(3)), "covariance has shape (3,); allowed: (d, d)"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_wrong_arguments(name):
    """Q1, Q2, Q3: a wrong argument is named, with its value and what is allowed."""
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
