"""Discretized log-likelihood of pixels against 50 digits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import gaussian

from .. import exact
from ..strategies import DTYPES
from ..tolerances import PIXEL

X = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.5]])
LEVELS = np.arange(256) / 127.5 - 1


def log_pixel(x, mean, std, levels=256):
    """Log of the exact normal probability of a pixel's bin, the outer bins open, in 60 digits."""
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
    """E7: the probabilities of the 256 levels sum to 1."""
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
    """E7: every bin, up to a thousand standard deviations away, against 50 digits; float32 to float32 precision."""
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
    """E7: sigma 0.5/255 and offset 3/255 give 10.360 nats; the tanh approximation of the normal CDF in published code gives 10.950."""
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
    """E7: log-probabilities sum over the event; negating pixels and mean changes nothing; the outer bins extend to infinity."""
    x = LEVELS[np.array([[0, 255, 13], [128, 200, 77]])]
    mean, std = 0.2 * X / 3, np.array([[0.05], [0.3]])
    single = [[float(log_pixel(x[i, j], mean[i, j], std[i, 0])) for j in range(3)] for i in range(2)]
    actual = gaussian.discretized_log_likelihood(x, mean, std)
    np.testing.assert_allclose(actual, np.sum(single, axis=1), rtol=1e-13)
    np.testing.assert_allclose(gaussian.discretized_log_likelihood(-x, -mean, std), actual, rtol=1e-13)
    assert gaussian.discretized_log_likelihood(np.array([[1.0]]), np.float64(5), np.float64(0.1))[0] == 0
    assert gaussian.discretized_log_likelihood(np.array([[-1.0]]), np.float64(-5), np.float64(0.1))[0] == 0


def test_pixels_with_other_numbers_of_levels():
    """E7: `levels` sets the bins: the edges are 0 for two levels, and -2/3, 0, 2/3 for four."""
    half = gaussian.discretized_log_likelihood(np.array([[-1.0], [1.0]]), np.float64(0), np.float64(0.3), levels=2)
    np.testing.assert_allclose(half, np.log([0.5, 0.5]), rtol=1e-14)
    x = np.array([[-1.0], [-1 / 3], [1 / 3], [1.0]])
    four = gaussian.discretized_log_likelihood(x, np.float64(0.1), np.float64(0.5), levels=4)
    np.testing.assert_allclose(four, [float(log_pixel(v, 0.1, 0.5, 4)) for v in x[:, 0]], rtol=1e-13)
    assert np.exp(four).sum() == pytest.approx(1, rel=1e-14)
