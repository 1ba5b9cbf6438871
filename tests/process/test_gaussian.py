"""Gaussian densities, divergences, products and pixel likelihoods against 50 digits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import gaussian

from .. import exact
from ..strategies import DTYPES, arrays, covariance, shapes
from ..tolerances import DENSITY, IDENTITY, KL, KL_FULL, PIXEL, in_eps

variances = st.floats(-12, 12).map(lambda x: 10.0**x)
ratios = st.one_of(
    st.sampled_from([1.0, 0.9, 1.1, 0.5, 1.5, 2.0, 1e-290, 1e290, 1e-12, 1e12]),
    st.floats(-15, -0.3).map(lambda x: 1 + 10.0**x),
    st.floats(-15, -0.3).map(lambda x: 1 - 10.0**x),
    st.floats(-100, 100).map(lambda x: 10.0**x),
)
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
    """F1: a lone mean or variance serves all coordinates, a column serves one example each."""
    for mean, variance in [(0.3, 2.0), (MEAN, np.float64(0.7)), (np.float64(0), VARIANCE), (MEAN[:, :1], VARIANCE[:, :1])]:
        wide_mean, wide_variance = np.broadcast_to(mean, X.shape).copy(), np.broadcast_to(variance, X.shape).copy()
        np.testing.assert_allclose(gaussian.log_density(X, mean, variance), gaussian.log_density(X, wide_mean, wide_variance), rtol=1e-14)
    by_hand = -0.5 * (0.25 / 0.5 + 1 / 2 + 0.25 + np.log(0.5 * 2 * 1)) - 1.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(gaussian.log_density(X, MEAN, VARIANCE)[0], by_hand, rtol=1e-14)


@given(arrays((3, 2)), arrays((3, 2)), st.floats(0.01, 10))
def test_score_is_the_gradient_of_the_density(x, noise, variance):
    """C1: the gradient by complex step is -(x - mu) / v, which is -eps / sigma at x = mu + sigma eps."""
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
    """E1: the density with correlations, against inverse and determinant in 50 digits; on a diagonal it is `log_density`."""
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
    """E1: half the sum of log 2 pi e v, coordinate by coordinate; cross-entropy minus entropy is the divergence."""
    expected = 0.5 * np.log(2 * np.pi * np.e * VARIANCE).sum(axis=1)
    np.testing.assert_allclose(gaussian.entropy(X, VARIANCE), expected, rtol=1e-14)
    np.testing.assert_allclose(gaussian.entropy(X, VARIANCE[:, :1]), 1.5 * np.log(2 * np.pi * np.e * VARIANCE[:, 0]), rtol=1e-14)


# --- divergences ---------------------------------------------------------------------------------------------------------


@given(ratios, variances, st.floats(-3, 3).filter(lambda gap: gap == 0 or abs(gap) > 1e-100), st.booleans())
@example(1 + 1e-12, 0.3, 0.0, False)
@example(1 - 1e-12, 0.3, 0.0, False)
@example(1 + 1e-12, 0.3, 1e-13, False)
@example(np.exp(0.1), 1.0, 0.0, False)
@example(np.exp(-0.1), 1.0, 0.0, False)
@example(0.5, 1.0, 0.0, False)
@example(1.5, 1.0, 0.0, False)
@example(1e-300, 1.0, 0.0, False)
@example(1e300, 1.0, 0.0, False)
def test_kl_diagonal_to_full_relative_precision(ratio, variance2, gap, scaled):
    """E1: the divergence to 1e-14 relative for any ratio of variances, down to 1 +- 1e-15, where the textbook form has no digit left."""
    variance1 = np.float64(ratio * variance2)
    gap = gap * np.sqrt(variance1) if scaled else gap
    mean1, mean2 = np.array([[gap]]), np.zeros((1, 1))
    expected = exact.kl_normal(*(mp.mpf(float(v)) for v in (gap, variance1, 0, variance2)))
    actual = gaussian.kl_diagonal(mean1, variance1, mean2, np.float64(variance2))[0]
    assert actual >= 0
    assert (actual == 0) if expected == 0 else exact.relative(actual, expected) <= KL


def test_the_textbook_form_of_the_divergence_fails():
    """E1: written as log(sigma_2 / sigma_1) - 1/2 + ..., nearly equal variances leave no digit; the bound above is not for free."""
    ratio = np.float64(1 + 1e-9)
    expected = exact.kl_normal(mp.mpf(0), mp.mpf(float(ratio)), mp.mpf(0), mp.mpf(1))
    assert exact.relative(np.log(1 / np.sqrt(ratio)) - 0.5 + ratio / 2, expected) >= 0.99
    assert exact.relative(gaussian.kl_diagonal(np.zeros((1, 1)), ratio, np.zeros((1, 1)), np.float64(1))[0], expected) <= KL


@given(shapes, st.sampled_from(DTYPES), st.data())
def test_kl_isotropic_and_diagonal_agree_with_50_digits(shape, dtype, data):
    """E1: the two forms on the domain they share, one variance per example or for all, in every shape and precision."""
    mean1, mean2 = data.draw(arrays(shape, dtype)), data.draw(arrays(shape, dtype))
    one = data.draw(st.booleans())
    size = () if one else shape[:1]
    variance1, variance2 = (drawn(data.draw, size, dtype, st.floats(0.01, 10)) for _ in range(2))
    column = (lambda v: v[()]) if one else (lambda v: v.reshape(-1, *(1,) * (len(shape) - 1)))
    wide = [np.broadcast_to(exact.numbers(np.broadcast_to(column(v), shape)), shape) for v in (variance1, variance2)]
    log_ratio = exact.apply(mp.log, wide[0] / wide[1])
    parts = (wide[0] / wide[1] - 1 - log_ratio + (exact.numbers(mean1) - exact.numbers(mean2)) ** 2 / wide[1]) / 2
    expected = np.asarray(parts.sum(axis=tuple(range(1, len(shape))))).astype(np.float64)
    for actual in (
        gaussian.kl_isotropic(mean1, variance1[()], mean2, variance2[()]),
        gaussian.kl_diagonal(mean1, column(variance1), mean2, column(variance2)),
    ):
        assert actual.dtype == dtype and actual.shape == shape[:1]
        assert in_eps(actual, expected) <= DENSITY


@given(st.integers(1, 4), st.data())
def test_kl_full_against_50_digits(d, data):
    """E1: trace, dimension, quadratic form and log-determinants in 50 digits, for any two covariances."""
    mean1, mean2 = data.draw(arrays((d,))), data.draw(arrays((d,)))
    matrix1, matrix2 = data.draw(covariance(d)), data.draw(covariance(d))
    wide1, wide2, offset = exact.matrix(matrix1), exact.matrix(matrix2), exact.matrix(mean1 - mean2).T
    inverse = wide2**-1
    trace = sum((inverse * wide1)[i, i] for i in range(d))
    expected = (trace - d + (offset.T * inverse * offset)[0] + mp.log(mp.det(wide2) / mp.det(wide1))) / 2
    actual = gaussian.kl_full(mean1, matrix1, mean2, matrix2)
    condition = np.linalg.cond(matrix1) + np.linalg.cond(matrix2)
    assert abs(actual - float(expected)) <= KL_FULL * condition * (float(trace) + d + float(expected))


@given(st.integers(1, 4), st.floats(-12, -2), st.data())
def test_kl_full_of_nearly_equal_covariances(d, exponent, data):
    """E1: where the covariances differ by a factor 1 + tiny, the relative precision stays; trace minus log-determinant would lose it."""
    matrix = data.draw(covariance(d))
    other = matrix * (1 + 10.0**exponent)
    wide1, wide2 = exact.matrix(other), exact.matrix(matrix)
    inverse = wide2**-1
    expected = (sum((inverse * wide1)[i, i] for i in range(d)) - d + mp.log(mp.det(wide2) / mp.det(wide1))) / 2
    actual = gaussian.kl_full(np.zeros(d), other, np.zeros(d), matrix)
    # the entries of `other` are rounded, which the exact value knows; whitening adds cond(matrix) roundings
    assert exact.relative(actual, expected) <= 4 * KL_FULL * np.linalg.cond(matrix)


@given(st.integers(1, 4), st.data())
def test_all_three_divergences_agree(d, data):
    """E1: isotropic = diagonal = full where the covariance is a multiple of the identity, and diagonal = full on diagonals."""
    mean1, mean2 = data.draw(arrays((1, d))), data.draw(arrays((1, d)))
    spread1, spread2 = (data.draw(hnp.arrays(np.float64, (1, d), elements=st.floats(0.05, 5))) for _ in range(2))
    diagonal = gaussian.kl_diagonal(mean1, spread1, mean2, spread2)[0]
    np.testing.assert_allclose(
        gaussian.kl_full(mean1[0], np.diag(spread1[0]), mean2[0], np.diag(spread2[0])), diagonal, rtol=1e-12, atol=1e-15
    )
    v1, v2 = spread1[0, 0], spread2[0, 0]
    isotropic = gaussian.kl_isotropic(mean1, v1, mean2, v2)[0]
    np.testing.assert_allclose(gaussian.kl_diagonal(mean1, v1, mean2, v2)[0], isotropic, rtol=1e-13)
    np.testing.assert_allclose(gaussian.kl_full(mean1[0], v1 * np.eye(d), mean2[0], v2 * np.eye(d)), isotropic, rtol=1e-12, atol=1e-15)


def test_divergences_of_generic_numbers():
    """E1: N(1, 2) against N(3, 5) per coordinate on paper, in the direction D(first || second), d times in d dimensions."""
    one = 0.5 * (2 / 5 - 1 - np.log(2 / 5) + 4 / 5)
    other = 0.5 * (5 / 2 - 1 - np.log(5 / 2) + 4 / 2)
    mean1, mean2 = np.full((2, 3), 1.0), np.full((2, 3), 3.0)
    for kl in (gaussian.kl_isotropic, gaussian.kl_diagonal):
        np.testing.assert_allclose(kl(mean1, 2.0, mean2, 5.0), [3 * one] * 2, rtol=1e-14)
        np.testing.assert_allclose(kl(mean2, 5.0, mean1, 2.0), [3 * other] * 2, rtol=1e-14)
    np.testing.assert_allclose(gaussian.kl_full(mean1[0], 2 * np.eye(3), mean2[0], 5 * np.eye(3)), 3 * one, rtol=1e-14)
    np.testing.assert_allclose(
        gaussian.kl_isotropic(mean1, np.array([2.0, 5.0]), mean2, np.array([5.0, 2.0])), [3 * one, 3 * other], rtol=1e-14
    )
    mixed = gaussian.kl_diagonal(np.array([[1.0, 3.0]]), np.array([[2.0, 5.0]]), np.array([[3.0, 1.0]]), np.array([[5.0, 2.0]]))
    np.testing.assert_allclose(mixed, [one + other], rtol=1e-14)
    assert gaussian.kl_isotropic(X, 2.0, X, 2.0).tolist() == gaussian.kl_diagonal(X, VARIANCE, X, VARIANCE).tolist() == [0, 0]


@given(st.floats(0.05, 5), st.floats(0.05, 5), st.floats(-3, 3))
def test_divergence_is_the_mean_log_ratio(variance1, variance2, gap):
    """E1: D = E_1 (log density_1 - log density_2); two nodes integrate the quadratic exactly."""
    mean1, mean2 = np.full((1, 1), gap), np.zeros((1, 1))
    values = []
    for sign in (-1, 1):
        x = mean1 + sign * np.sqrt(variance1)
        values.append(gaussian.log_density(x, mean1, np.float64(variance1)) - gaussian.log_density(x, mean2, np.float64(variance2)))
    expected = (values[0] + values[1]) / 2
    np.testing.assert_allclose(gaussian.kl_diagonal(mean1, variance1, mean2, variance2), expected, rtol=1e-11, atol=1e-13)


# --- product and quotient ------------------------------------------------------------------------------------------------


@given(arrays((2, 3)), arrays((2, 3)), variances, variances)
def test_product_of_densities(mean1, mean2, variance1, variance2):
    """R1: against precisions added in 50 digits; both weights are positive, so nothing cancels."""
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
    """R1: (N1 N2) / N2 = N1; what is lost grows with v1 / v2, the share of N2 in the product."""
    mean, variance = gaussian.product(mean1, np.float64(variance1), mean2, np.float64(variance2))
    back_mean, back_variance = gaussian.quotient(mean, variance, mean2, np.float64(variance2))
    lost = 1 + variance1 / variance2
    assert in_eps(back_variance, variance1, variance1 * lost) <= IDENTITY
    assert in_eps(back_mean, mean1, lost**2 * (abs(mean1) + abs(mean2))) <= IDENTITY


def test_product_and_quotient_of_generic_numbers():
    """R1: N(1, 2) N(4, 1) = N(3, 2/3) and N(1, 2) / N(4, 6) = N(-1/2, 3) on paper; a variance of 0 wins."""
    np.testing.assert_allclose(gaussian.product(1.0, 2.0, 4.0, 1.0), (3.0, 2 / 3), rtol=1e-15)
    np.testing.assert_allclose(gaussian.quotient(1.0, 2.0, 4.0, 6.0), (-0.5, 3.0), rtol=1e-15)
    assert gaussian.product(1.0, 0.0, 4.0, 1.0) == (1, 0) and gaussian.product(1.0, 2.0, 4.0, 0.0) == (4, 0)
    assert gaussian.quotient(1.0, 0.0, 4.0, 6.0) == (1, 0)


# --- pixels --------------------------------------------------------------------------------------------------------------

LEVELS = np.arange(256) / 127.5 - 1


def log_pixel(x, mean, std, levels=256):
    """Log of the exact normal probability of a pixel's bin, the outer bins open, at 50 digits (and more, far out)."""
    half = mp.mpf(1) / (levels - 1)
    with mp.workdps(60):
        # the complementary error function of the side away from the mean keeps relative precision in the tail
        upper = mp.inf if x > 1 - half else (mp.mpf(x) + half - mp.mpf(mean)) / mp.mpf(std)
        lower = -mp.inf if x < -1 + half else (mp.mpf(x) - half - mp.mpf(mean)) / mp.mpf(std)
        if lower + upper > 0:
            lower, upper = -upper, -lower
        tail = [mp.mpf(0) if z == -mp.inf else mp.erfc(-z / mp.sqrt(2)) / 2 for z in (upper, lower)]
        return mp.log(tail[0] - tail[1])


@given(st.floats(-1.5, 1.5), st.floats(-4, 1))
def test_pixel_probabilities_sum_to_one(mean, exponent):
    """E7: the 256 levels share the whole line."""
    x = LEVELS[:, None]
    total = np.exp(gaussian.discretized_log_likelihood(x, np.float64(mean), np.float64(10.0**exponent))).sum()
    assert abs(total - 1) <= 256 * 8 * np.finfo(np.float64).eps


@given(st.integers(0, 255), st.floats(-1.5, 1.5), st.floats(-4, 2), st.sampled_from(DTYPES))
@example(128, -1.0, -3.0, np.float64)
@example(0, 1.0, -2.0, np.float64)
@example(255, -1.0, -2.0, np.float64)
@example(255, 1.0, -4.0, np.float32)
@example(77, 0.1, 2.0, np.float32)
def test_pixels_against_differences_of_the_exact_cdf(level, mean, exponent, dtype):
    """E7: every bin, also a thousand standard deviations away, against 50 digits; float32 to float32 precision."""
    x, std = np.array([[LEVELS[level]]]).astype(dtype), dtype(10.0**exponent)
    mean = dtype(mean)
    expected = log_pixel(float(x[0, 0]), float(mean), float(std))
    actual = gaussian.discretized_log_likelihood(x, mean, std)
    assert actual.dtype == dtype
    # log Phi of a bound z has |z|^2 / 2 nats with relative error u, and the rounding of z itself moves it by |z|^2 u
    reach = ((abs(float(x[0, 0]) - float(mean)) + 1 / 255) / float(std)) ** 2
    # a bin narrow against sigma is a small difference of two CDFs: 1 / width roundings
    width = max(1.0, float(std) * 255)
    allowed = PIXEL * np.finfo(np.float64).eps * (reach + width + 10) + np.finfo(dtype).eps * abs(float(expected))
    assert abs(float(actual[0]) - float(expected)) <= allowed


def test_pixel_likelihood_is_the_normal_and_not_the_tanh_one():
    """E7: sigma 0.5/255 and offset 3/255 give 10.360 nats; the tanh approximation of the normal CDF that circulates gives 10.950."""
    x, std = np.array([[LEVELS[128]]]), np.float64(0.5 / 255)
    mean = x - 3 / 255
    actual = -gaussian.discretized_log_likelihood(x, mean, std)[0]
    assert round(actual, 3) == 10.360
    assert exact.relative(-actual, log_pixel(float(x[0, 0]), float(mean[0, 0]), float(std))) <= 1e-12

    def approximate_cdf(z):
        return 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))

    tail = approximate_cdf(-(3 - 1) / 0.5) - approximate_cdf(-(3 + 1) / 0.5)
    assert round(-np.log(tail), 3) == 10.950


@given(st.floats(-0.5, 0.5), st.integers(90, 160))
def test_wide_gaussians_have_the_density_times_the_bin(mean, level):
    """E7: for sigma much wider than a bin the log-probability is log-density + log(2/255), to second order in the bin."""
    x, std = np.array([[LEVELS[level]]]), 0.7
    limit = gaussian.log_density(x, np.float64(mean), np.float64(std**2)) + np.log(2 / 255)
    actual = gaussian.discretized_log_likelihood(x, np.float64(mean), np.float64(std))
    second_order = (1 / 255 / std) ** 2 / 6 * (1 + ((x[0, 0] - mean) / std) ** 2)
    assert abs(actual - limit)[0] <= second_order + 1e-12


def test_pixels_of_a_batch_add_up_and_mirror():
    """E7: images sum over the event; negating pixels and mean changes nothing; the outer bins take all beyond."""
    x = LEVELS[np.array([[0, 255, 13], [128, 200, 77]])]
    mean, std = 0.2 * X / 3, np.array([[0.05], [0.3]])
    single = [[float(log_pixel(x[i, j], mean[i, j], std[i, 0])) for j in range(3)] for i in range(2)]
    actual = gaussian.discretized_log_likelihood(x, mean, std)
    np.testing.assert_allclose(actual, np.sum(single, axis=1), rtol=1e-13)
    np.testing.assert_allclose(gaussian.discretized_log_likelihood(-x, -mean, std), actual, rtol=1e-13)
    assert gaussian.discretized_log_likelihood(np.array([[1.0]]), np.float64(5), np.float64(0.1))[0] == 0
    assert gaussian.discretized_log_likelihood(np.array([[-1.0]]), np.float64(-5), np.float64(0.1))[0] == 0


def test_pixels_with_other_numbers_of_levels():
    """E7: `levels` sets the bins: two levels split the line at 0, four at -2/3, 0, 2/3."""
    half = gaussian.discretized_log_likelihood(np.array([[-1.0], [1.0]]), np.float64(0), np.float64(0.3), levels=2)
    np.testing.assert_allclose(half, np.log([0.5, 0.5]), rtol=1e-14)
    x = np.array([[-1.0], [-1 / 3], [1 / 3], [1.0]])
    four = gaussian.discretized_log_likelihood(x, np.float64(0.1), np.float64(0.5), levels=4)
    np.testing.assert_allclose(four, [float(log_pixel(v, 0.1, 0.5, 4)) for v in x[:, 0]], rtol=1e-13)
    assert np.exp(four).sum() == pytest.approx(1, rel=1e-14)


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
            r"^variance1 has shape \(1, 2\); allowed: \(\) or \(B,\), one variance",
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
        (lambda: gaussian.product(1.0, 0.0, 2.0, 0.0), ValueError, r"^variance1 \+ variance2 = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.quotient(1.0, 2.0, 2.0, 2.0), ValueError, r"^variance2 - variance1 = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.quotient(1.0, 2.0, 2.0, 1.0), ValueError, "^variance2 - variance1 = -1.0; allowed"),
        (lambda: gaussian.discretized_log_likelihood(2 * ONE, ONE, 1.0), ValueError, r"^x = .*; allowed: finite, in \[-1, 1\]$"),
        (lambda: gaussian.discretized_log_likelihood(-2 * ONE, ONE, 1.0), ValueError, r"^x = .*; allowed: finite, in \[-1, 1\]$"),
        (lambda: gaussian.discretized_log_likelihood(ONE, ONE, 0.0), ValueError, r"^std = 0.0; allowed: finite, in \(0, inf\]$"),
        (lambda: gaussian.discretized_log_likelihood(ONE, ONE, 1.0, levels=1), ValueError, r"^levels = 1; allowed: 2\.\.65536$"),
        (lambda: gaussian.discretized_log_likelihood(ONE, ONE, 1.0, levels=65537), ValueError, r"^levels = 65537; allowed: 2\.\.65536$"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    """E1: a variance that is none, a covariance that is none, a pixel off the scale."""
    with pytest.raises(error, match=message):
        call()


def test_nodes_of_gauss():
    """E7: the rule for narrow bins integrates polynomials up to degree 11 over [-1, 1] exactly."""
    for degree in range(12):
        total = sum(weight * ((-node) ** degree + node**degree) for node, weight in gaussian.GAUSS)
        assert abs(total - (2 / (degree + 1) if degree % 2 == 0 else 0)) <= 1e-15
