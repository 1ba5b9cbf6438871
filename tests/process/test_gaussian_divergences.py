"""KL divergences between Gaussians against 50 digits."""

import mpmath as mp
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import gaussian

from .. import exact
from ..strategies import DTYPES, arrays, covariance, shapes
from ..tolerances import DENSITY, KL, KL_FULL, in_eps
from .test_gaussian import drawn

variances = st.floats(-12, 12).map(lambda x: 10.0**x)
ratios = st.one_of(
    st.sampled_from([1.0, 0.9, 1.1, 0.5, 1.5, 2.0, 1e-290, 1e290, 1e-12, 1e12]),
    st.floats(-15, -0.3).map(lambda x: 1 + 10.0**x),
    st.floats(-15, -0.3).map(lambda x: 1 - 10.0**x),
    st.floats(-100, 100).map(lambda x: 10.0**x),
)
X = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.5]])
VARIANCE = np.array([[0.5, 2.0, 1.0], [4.0, 0.25, 3.0]])


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
    """E1: the divergence has relative error at most 1e-14 for any ratio of variances, down to 1 +- 1e-15, where the
    naive formula has no correct digit.
    """
    variance1 = np.float64(ratio * variance2)
    gap = gap * np.sqrt(variance1) if scaled else gap
    mean1, mean2 = np.array([[gap]]), np.zeros((1, 1))
    expected = exact.kl_normal(*(mp.mpf(float(v)) for v in (gap, variance1, 0, variance2)))
    actual = gaussian.kl_diagonal(mean1, variance1, mean2, np.float64(variance2))[0]
    assert actual >= 0
    assert (actual == 0) if expected == 0 else exact.relative(actual, expected) <= KL


def test_naive_formula_of_the_divergence_is_inaccurate():
    """E1: log(sigma_2 / sigma_1) - 1/2 + ... has no correct digit for nearly equal variances."""
    ratio = np.float64(1 + 1e-9)
    expected = exact.kl_normal(mp.mpf(0), mp.mpf(float(ratio)), mp.mpf(0), mp.mpf(1))
    assert exact.relative(np.log(1 / np.sqrt(ratio)) - 0.5 + ratio / 2, expected) >= 0.99
    assert exact.relative(gaussian.kl_diagonal(np.zeros((1, 1)), ratio, np.zeros((1, 1)), np.float64(1))[0], expected) <= KL


@given(shapes, st.sampled_from(DTYPES), st.data())
def test_kl_isotropic_and_diagonal_agree_with_50_digits(shape, dtype, data):
    """E1: the isotropic and the diagonal form, one variance per example or for all, in every shape and precision."""
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
    """E1: for covariances that differ by a factor 1 + tiny the relative precision is kept; trace minus log-determinant would lose it."""
    matrix = data.draw(covariance(d))
    other = matrix * (1 + 10.0**exponent)
    wide1, wide2 = exact.matrix(other), exact.matrix(matrix)
    inverse = wide2**-1
    expected = (sum((inverse * wide1)[i, i] for i in range(d)) - d + mp.log(mp.det(wide2) / mp.det(wide1))) / 2
    actual = gaussian.kl_full(np.zeros(d), other, np.zeros(d), matrix)
    # the entries of `other` are rounded, as in the exact value; whitening adds cond(matrix) roundings
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
    """E1: N(1, 2) against N(3, 5) per coordinate by hand, in the direction D(first || second), d times in d dimensions."""
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
