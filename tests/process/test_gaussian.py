"""Gaussian densities, scores, entropies, products and quotients against 50 digits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import gaussian

from .. import exact
from ..strategies import DTYPES, arrays, covariance, shapes
from ..tolerances import DENSITY, IDENTITY, KL_FULL, in_eps

variances = st.floats(-12, 12).map(lambda x: 10.0**x)
X = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.5]])
MEAN = np.array([[0.5, -1.0, 0.0], [1.25, 2.0, -1.0]])
VARIANCE = np.array([[0.5, 2.0, 1.0], [4.0, 0.25, 3.0]])


def drawn(draw, shape, dtype, elements):
    """Positive numbers of a precision."""
    return draw(hnp.arrays(np.float64, shape, elements=elements)).astype(dtype)


# --- density, score, entropy ---------------------------------------------------------------------------------------------


@given(shapes, st.sampled_from(DTYPES), st.data())
def test_log_density_against_50_digits(shape, dtype, data):
    """F1: sum over the event of -(x - mu)^2 / 2 v - log(2 pi v) / 2, in every shape and precision."""
    x, mean = data.draw(arrays(shape, dtype)), data.draw(arrays(shape, dtype))
    variance = drawn(data.draw, shape, dtype, st.floats(0.01, 10))
    terms = [
        (exact.numbers(x) - exact.numbers(mean)) ** 2 / exact.numbers(variance),
        exact.apply(mp.log, exact.numbers(variance)) + exact.LOG_2PI,
    ]
    event = tuple(range(1, len(shape)))
    expected = -(terms[0] + terms[1]).sum(axis=event) / 2
    magnitude = sum(abs(term) for term in terms).sum(axis=event)
    actual = gaussian.log_density(x, mean, variance)
    assert actual.dtype == dtype and actual.shape == shape[:1]
    # log v loses up to |log v| u before log 2 pi is added: at most 5 for these variances
    assert in_eps(actual, np.asarray(expected).astype(np.float64), np.asarray(magnitude).astype(np.float64) + 5 * x[0].size) <= DENSITY


def test_log_density_broadcasts_mean_and_variance():
    """F1: a scalar mean or variance applies to all coordinates, a column to one example each."""
    for mean, variance in [(0.3, 2.0), (MEAN, np.float64(0.7)), (np.float64(0), VARIANCE), (MEAN[:, :1], VARIANCE[:, :1])]:
        wide_mean, wide_variance = np.broadcast_to(mean, X.shape).copy(), np.broadcast_to(variance, X.shape).copy()
        np.testing.assert_allclose(gaussian.log_density(X, mean, variance), gaussian.log_density(X, wide_mean, wide_variance), rtol=1e-14)
    by_hand = -0.5 * (0.25 / 0.5 + 1 / 2 + 0.25 + np.log(0.5 * 2 * 1)) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(gaussian.log_density(X, MEAN, VARIANCE)[0], by_hand, rtol=1e-14)


@given(arrays((3, 2)), arrays((3, 2)), st.floats(0.01, 10))
def test_score_is_the_gradient_of_the_density(x, noise, variance):
    """C1: the gradient of the log-density by complex step is -(x - mu) / v, which is -eps / sigma at x = mu + sigma eps."""
    mean = np.array([0.5, -1.25])
    for i in range(2):
        step = np.zeros_like(x, dtype=complex)
        step[:, i] = 1e-30j
        derivative = (-((x + step - mean) ** 2) / (2 * variance)).imag.sum(axis=1) / 1e-30
        np.testing.assert_allclose(gaussian.score(x, mean, np.float64(variance))[:, i], derivative, rtol=1e-14, atol=0)
    sigma = np.sqrt(variance)
    state = mean + sigma * noise
    terms = (abs(mean) + abs(state)) / variance  # x - mu cancels the mean
    assert in_eps(gaussian.score(state, mean, np.float64(variance)), -noise / sigma, -noise / sigma, terms) <= IDENTITY


@given(st.integers(1, 4), st.data())
def test_log_density_full_against_50_digits(d, data):
    """E1: the density with a full covariance, against inverse and determinant in 50 digits; for a diagonal it is `log_density`."""
    x, mean, matrix = data.draw(arrays((3, d))), data.draw(arrays((d,))), data.draw(covariance(d))
    wide = exact.matrix(matrix)
    inverse, log_det = wide**-1, mp.log(mp.det(2 * mp.pi * wide))
    actual = gaussian.log_density_full(x, mean, matrix)
    condition = np.linalg.cond(matrix)
    for row, value in zip(x, actual, strict=True):
        offset = exact.matrix(row - mean).T
        quadratic = (offset.T * inverse * offset)[0]
        expected = -(quadratic + log_det) / 2
        assert abs(value - float(expected)) <= KL_FULL * condition * (float(quadratic) + abs(float(log_det)) + d)
    np.testing.assert_allclose(
        gaussian.log_density_full(x, mean, np.diag(np.arange(1.0, d + 1))), gaussian.log_density(x, mean, np.arange(1.0, d + 1)), rtol=1e-13
    )
    np.testing.assert_allclose(gaussian.log_density_full(x, x + 1, np.eye(d)), gaussian.log_density(x, x + 1, np.float64(1)), rtol=1e-13)


@given(shapes, st.floats(0.01, 100))
def test_entropy_is_the_mean_of_minus_log_density(shape, variance):
    """E1: H = -E log density; two nodes at mu +- sigma integrate the quadratic exactly."""
    x = np.zeros(shape)
    nodes = [gaussian.log_density(np.full(shape, sign * np.sqrt(variance)), np.float64(0), np.float64(variance)) for sign in (-1, 1)]
    np.testing.assert_allclose(gaussian.entropy(x, np.float64(variance)), -(nodes[0] + nodes[1]) / 2, rtol=1e-13, atol=1e-14 * x[0].size)
    assert gaussian.entropy(x, np.float64(variance)).shape == shape[:1]


def test_entropy_of_generic_numbers():
    """E1: half the sum of log 2 pi e v over coordinates; cross-entropy minus entropy is the divergence."""
    expected = 0.5 * np.log(2 * np.pi * np.e * VARIANCE).sum(axis=1)
    np.testing.assert_allclose(gaussian.entropy(X, VARIANCE), expected, rtol=1e-14)
    np.testing.assert_allclose(gaussian.entropy(X, VARIANCE[:, :1]), 1.5 * np.log(2 * np.pi * np.e * VARIANCE[:, 0]), rtol=1e-14)


# --- product and quotient ------------------------------------------------------------------------------------------------


@given(arrays((2, 3)), arrays((2, 3)), variances, variances)
def test_product_of_densities(mean1, mean2, variance1, variance2):
    """R1: mean and variance against sums of precisions in 50 digits; both weights are positive, so nothing cancels."""
    p1, p2 = 1 / mp.mpf(variance1), 1 / mp.mpf(variance2)
    weighted = [exact.numbers(mean1) * p1 / (p1 + p2), exact.numbers(mean2) * p2 / (p1 + p2)]
    mean, variance = gaussian.product(mean1, np.float64(variance1), mean2, np.float64(variance2))
    terms = [exact.floats(w) for w in weighted]
    assert in_eps(mean, exact.floats(weighted[0] + weighted[1]), *terms) <= IDENTITY
    assert exact.relative(variance, 1 / (p1 + p2)) <= IDENTITY * np.finfo(np.float64).eps


@given(arrays((2, 3)), arrays((2, 3)), st.floats(0.01, 10), st.floats(0.01, 10), arrays((2, 3)))
def test_product_as_log_densities(mean1, mean2, variance1, variance2, x):
    """R1: log N1(x) + log N2(x) = log N(x; product) + a constant, the constant being log N(mu1; mu2, v1 + v2)."""
    mean, variance = gaussian.product(mean1, np.float64(variance1), mean2, np.float64(variance2))
    left = [gaussian.log_density(x, m, np.float64(v)) for m, v in ((mean1, variance1), (mean2, variance2))]
    right = gaussian.log_density(x, mean, variance) + gaussian.log_density(mean1, mean2, np.float64(variance1 + variance2))
    scale = sum(abs(term) for term in left) + abs(right) + 64 / min(variance1, variance2)
    assert in_eps(left[0] + left[1], right, scale) <= 4 * IDENTITY


@given(arrays((2, 3)), arrays((2, 3)), st.floats(0.01, 10), st.floats(0.01, 10))
def test_quotient_undoes_product(mean1, mean2, variance1, variance2):
    """R1: (N1 N2) / N2 = N1; the error grows with v1 / v2, the share of N2 in the product."""
    mean, variance = gaussian.product(mean1, np.float64(variance1), mean2, np.float64(variance2))
    back_mean, back_variance = gaussian.quotient(mean, variance, mean2, np.float64(variance2))
    lost = 1 + variance1 / variance2
    assert in_eps(back_variance, variance1, variance1 * lost) <= IDENTITY
    assert in_eps(back_mean, mean1, lost**2 * (abs(mean1) + abs(mean2))) <= IDENTITY


def test_product_and_quotient_of_generic_numbers():
    """R1: N(1, 2) N(4, 1) = N(3, 2/3) and N(1, 2) / N(4, 6) = N(-1/2, 3) by hand; a factor of variance 0 determines the product."""
    np.testing.assert_allclose(gaussian.product(1.0, 2.0, 4.0, 1.0), (3.0, 2 / 3), rtol=1e-15)
    np.testing.assert_allclose(gaussian.quotient(1.0, 2.0, 4.0, 6.0), (-0.5, 3.0), rtol=1e-15)
    assert gaussian.product(1.0, 0.0, 4.0, 1.0) == (1, 0) and gaussian.product(1.0, 2.0, 4.0, 0.0) == (4, 0)
    assert gaussian.quotient(1.0, 0.0, 4.0, 6.0) == (1, 0)


# --- errors --------------------------------------------------------------------------------------------------------------

ONE = np.ones((1, 2))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: gaussian.log_density(ONE, ONE, 0.0), ValueError, r"^variance = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.log_density(ONE, ONE, -ONE), ValueError, r"^variance = .*; allowed"),
        (lambda: gaussian.log_density(ONE, ONE, np.nan), ValueError, "^variance = nan; allowed"),
        (lambda: gaussian.score(ONE, ONE, 0.0), ValueError, r"^variance = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.entropy(ONE, 0.0), ValueError, r"^variance = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.kl_isotropic(ONE, 0.0, ONE, 1.0), ValueError, "^variance1 = 0.0; allowed"),
        (lambda: gaussian.kl_isotropic(ONE, 1.0, ONE, -1.0), ValueError, "^variance2 = -1.0; allowed"),
        (
            lambda: gaussian.kl_isotropic(ONE, ONE, ONE, 1.0),
            ValueError,
            r"^variance1 has shape \(1, 2\); allowed: \(\) or \(B,\)",
        ),
        (lambda: gaussian.kl_isotropic(ONE, 1.0, ONE, ONE), ValueError, r"^variance2 has shape \(1, 2\); allowed: \(\) or \(B,\)"),
        (lambda: gaussian.kl_diagonal(ONE, 0.0, ONE, ONE), ValueError, "^variance1 = 0.0; allowed"),
        (lambda: gaussian.kl_diagonal(ONE, ONE, ONE, np.inf), ValueError, "^variance2 = inf; allowed"),
        (
            lambda: gaussian.kl_full(ONE[0], -np.eye(2), ONE[0], np.eye(2)),
            ValueError,
            r"(?s)^covariance1 = .*; allowed: symmetric positive definite$",
        ),
        (
            lambda: gaussian.kl_full(ONE[0], np.eye(2), ONE[0], np.ones((2, 2))),
            ValueError,
            r"(?s)^covariance2 = .*; allowed: symmetric positive definite$",
        ),
        (
            lambda: gaussian.kl_full(ONE[0], np.array([[1, 0.9], [0.1, 1]]), ONE[0], np.eye(2)),
            ValueError,
            r"(?s)^covariance1 = .*; allowed: symmetric",
        ),
        (
            lambda: gaussian.log_density_full(ONE, ONE[0], np.zeros((2, 2))),
            ValueError,
            r"(?s)^covariance = .*; allowed: symmetric positive definite$",
        ),
        (
            lambda: gaussian.log_density_full(ONE, ONE[0], np.array([[1, 0.1], [0.9, 1]])),
            ValueError,
            r"(?s)^covariance = .*; allowed: symmetric",
        ),
        (lambda: gaussian.product(1.0, -1.0, 2.0, 1.0), ValueError, r"^variance1 = -1.0; allowed: finite, in \[0, inf\]$"),
        (lambda: gaussian.product(1.0, 1.0, 2.0, -0.5), ValueError, r"^variance2 = -0.5; allowed: finite, in \[0, inf\]$"),
        (lambda: gaussian.quotient(1.0, 2.0, 2.0, 2.0), ValueError, r"^variance2 - variance1 = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.discretized_log_likelihood(2 * ONE, ONE, 1.0), ValueError, r"^x = .*; allowed: finite, in \[-1, 1\]$"),
        (lambda: gaussian.discretized_log_likelihood(-2 * ONE, ONE, 1.0), ValueError, r"^x = .*; allowed: finite, in \[-1, 1\]$"),
        (lambda: gaussian.discretized_log_likelihood(ONE, ONE, 0.0), ValueError, r"^std = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.discretized_log_likelihood(ONE, ONE, 1.0, levels=1), ValueError, r"^levels = 1; allowed: 2\.\.65536$"),
        (lambda: gaussian.discretized_log_likelihood(ONE, ONE, 1.0, levels=65537), ValueError, r"^levels = 65537; allowed: 2\.\.65536$"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    """E1: errors of invalid variances and covariances, and of pixels outside [-1, 1]."""
    with pytest.raises(error, match=message):
        call()


def test_nodes_of_gauss():
    """E7: the quadrature rule of narrow bins integrates polynomials up to degree 11 over [-1, 1] exactly."""
    for degree in range(12):
        total = sum(weight * ((-node) ** degree + node**degree) for node, weight in gaussian.GAUSS)
        assert abs(total - (2 / (degree + 1) if degree % 2 == 0 else 0)) <= 1e-15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_covariances_near_zero(dtype):
    """E1: a covariance so small that a whitened square would overflow is refused; one above the limit has a finite log-density."""
    x, limit = np.ones((1, 2), dtype), gaussian.SMALLEST[np.dtype(dtype).str[1:]]
    assert np.isfinite(gaussian.log_density_full(x, np.zeros(2), 4 * limit * np.eye(2))).all()
    with pytest.raises(ValueError, match=r"(?s)^covariance = .*; allowed: symmetric positive definite"):
        gaussian.log_density_full(x, np.zeros(2), limit / 4 * np.eye(2))
