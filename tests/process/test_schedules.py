"""Schedules built from betas, alpha_bar or log-SNR, and zero terminal SNR, in exact fractions and in 50 digits."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import schedules

from .. import exact
from ..tolerances import TABLE, ulps

U = np.finfo(np.float64).eps / 2
BETAS = np.array([0.1, 0.2, 0.3, 0.05])
betas_drawn = st.integers(1, 40).flatmap(lambda T: hnp.arrays(np.float64, T, elements=st.floats(-6, -0.03))).map(lambda x: 10**x)


# --- tables from betas ---------------------------------------------------------------------------------------------------


@given(betas_drawn)
def test_tables_are_the_products_of_alphas(betas):
    """F5: alpha_bar, 1 - alpha_bar, beta, alpha, signal and sigma against exact fractions, each within a few ulp."""
    table = schedules.from_betas(betas)
    alpha_bar = exact.rational_alpha_bars(betas)
    decades = 1 + abs(table.log_alpha_bar).max()  # exp turns the absolute error of the logarithm into a relative one
    assert len(betas) == table.T
    assert ulps(table.one_minus_alpha_bar, [float(1 - a) for a in alpha_bar]) <= TABLE
    assert ulps(table.alpha_bar, [float(a) for a in alpha_bar]) <= TABLE * decades
    assert ulps(table.sigma, np.sqrt([float(1 - a) for a in alpha_bar])) <= TABLE
    assert ulps(table.signal, np.sqrt([float(a) for a in alpha_bar])) <= TABLE * decades
    assert ulps(table.beta, [0, *betas]) <= TABLE
    assert ulps(table.alpha[1:], [float(1 - Fraction(float(beta))) for beta in betas]) <= TABLE


def test_generic_numbers_by_hand():
    """F5: tables of the betas 0.1, 0.2, 0.3, 0.05 by hand."""
    table = schedules.from_betas(BETAS)
    np.testing.assert_allclose(table.alpha_bar, [1, 0.9, 0.72, 0.504, 0.4788], rtol=1e-15)
    np.testing.assert_allclose(table.one_minus_alpha_bar, [0, 0.1, 0.28, 0.496, 0.5212], rtol=1e-15)
    np.testing.assert_allclose(table.beta, [0, 0.1, 0.2, 0.3, 0.05], rtol=1e-15)
    np.testing.assert_allclose(table.alpha, [1, 0.9, 0.8, 0.7, 0.95], rtol=1e-15)
    np.testing.assert_allclose(table.snr[1:], [9, 18 / 7, 63 / 62, 0.4788 / 0.5212], rtol=1e-14)
    np.testing.assert_allclose(table.transition(3, 1), (0.56, 0.44), rtol=1e-15)
    np.testing.assert_allclose(table.transition(4, 0), (0.4788, 0.5212), rtol=1e-15)
    np.testing.assert_allclose(table.signal_sigma(3), (np.sqrt(0.504), np.sqrt(0.496)), rtol=1e-15)
    assert [table.alpha_bar[0], table.beta[0], table.alpha[0], table.signal[0]] == [1, 0, 1, 1]
    zeros = np.array([table.sigma[0], table.one_minus_alpha_bar[0]])
    assert np.all(zeros == 0) and not np.signbit(zeros).any()


def test_running_sum_keeps_small_betas_after_large_ones():
    """F5: after alpha_bar has fallen to 1e-40, a beta of 1e-12 is recovered to the last ulp; a plain sum would lose four of its digits."""
    betas = np.array([0.9] * 40 + [1e-12, 3e-7, 0.25])
    table = schedules.from_betas(betas)
    assert ulps(table.beta[1:], betas) <= TABLE
    plain = np.cumsum(np.log1p(-betas))
    assert abs(-np.expm1(plain[40] - plain[39]) / 1e-12 - 1) > 1e-4
    first, second = np.float64(1.0), np.float64(2.0**-60)
    sums, rests = schedules._running_sum(np.array([first, second, -first]))
    np.testing.assert_array_equal(sums + rests, [0, 1, 1, second])
    np.testing.assert_array_equal(rests, [0, 0, second, 0])


def test_a_last_beta_of_one_leaves_no_signal():
    """F5: beta_T = 1 gives alpha_bar_T = 0, sigma_T = 1 and a log-SNR of -inf, without a warning."""
    table = schedules.from_betas([0.5, 1.0])
    assert (table.alpha_bar[2], table.sigma[2], table.signal[2], table.beta[2], table.snr[2]) == (0, 1, 0, 1, 0)
    assert table.log_snr[2] == -np.inf and table.remainder[2] == 0
    assert table.transition(2, 1) == (0, 1)
    assert schedules.from_betas([1]).alpha_bar[1] == 0


@pytest.mark.parametrize(
    "betas, message",
    [
        ([1.0, 0.1], r"^beta_1 = 1.0; allowed"),
        ([0.1, 1.5], "^beta_2 = 1.5; allowed"),
        (0.1, r"^betas has shape \(\); allowed"),
    ],
)
def test_from_betas_refuses(betas, message):
    """F5: the error of a beta outside (0, 1) names its time."""
    with pytest.raises(ValueError, match=message):
        schedules.from_betas(betas)


# --- tables from alpha_bar and from log-SNR ------------------------------------------------------------------------------


@given(betas_drawn)
def test_round_trips_through_alpha_bar_and_log_snr(betas):
    """F5: a schedule rebuilt from its alpha_bar or log-SNR is the same, up to the precision of these numbers."""
    table = schedules.from_betas(betas)
    size = abs(table.log_alpha_bar)  # float64 alpha_bar determines its logarithm to u absolute, plus the roundings of log and exp
    again = schedules.from_alpha_bars(table.alpha_bar[1:])
    assert np.all(abs(again.log_alpha_bar - table.log_alpha_bar) <= 4 * U * (1 + size))
    again = schedules.from_log_snr(table.log_snr[1:])
    # log alpha_bar = -log(1 + exp(-l)) moves by (1 - alpha_bar) dl
    moved = table.one_minus_alpha_bar[1:] * (1 + abs(table.log_snr[1:]))
    assert np.all(abs(again.log_alpha_bar[1:] - table.log_alpha_bar[1:]) <= 8 * U * (size[1:] + moved))
    np.testing.assert_array_equal(again.remainder, 0)


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(0.01, 3)), st.floats(-5, 30))
def test_from_log_snr_is_the_logistic_function(falls, start):
    """F5: alpha_bar = sigmoid(log-SNR) and 1 - alpha_bar = sigmoid(-log-SNR), against 50 digits, from nearly clean to nearly noise."""
    log_snr = start - np.cumsum(falls)
    table = schedules.from_log_snr(log_snr)
    sigmoid = exact.apply(lambda x: 1 / (1 + mp.exp(-x)), exact.numbers(log_snr))
    complement = exact.apply(lambda x: 1 / (1 + mp.exp(x)), exact.numbers(log_snr))
    assert exact.ulps(table.alpha_bar[1:], sigmoid) <= TABLE * (1 + abs(table.log_alpha_bar).max())
    assert exact.ulps(table.one_minus_alpha_bar[1:], complement) <= TABLE * (1 + abs(log_snr).max())


def test_from_alpha_bars_of_generic_numbers():
    """F5: betas from given alpha_bars; a last alpha_bar of 0 is allowed."""
    np.testing.assert_allclose(schedules.from_alpha_bars([0.9, 0.72, 0.504]).beta, [0, 0.1, 0.2, 0.3], rtol=1e-14)
    table = schedules.from_alpha_bars([0.5, 0])
    assert table.alpha_bar[-1] == 0 and table.beta[-1] == 1
    np.testing.assert_allclose(schedules.from_log_snr([0.0, -1.0]).alpha_bar, [1, 0.5, 1 / (1 + np.e)], rtol=1e-15)


@pytest.mark.parametrize(
    "build, values, message",
    [
        (schedules.from_alpha_bars, [0.5, 0.5], "^alpha_bar_2 = 0.5; allowed: below alpha_bar_1 = 0.5$"),
        (schedules.from_alpha_bars, [1.0, 0.5], "^alpha_bar_1 = 1.0; allowed: below alpha_bar_0 = 1.0$"),
        (schedules.from_alpha_bars, [0.3, 0.5, 0.1], "^alpha_bar_2 = 0.5; allowed: below alpha_bar_1 = 0.3$"),
        (schedules.from_alpha_bars, [0.5, -0.1], r"^alpha_bars = .*; allowed: finite, in \[0, 1\]$"),
        (schedules.from_alpha_bars, 0.5, r"^alpha_bars has shape \(\); allowed: \(T,\) with T >= 1$"),
        (schedules.from_alpha_bars, [[0.5]], r"^alpha_bars has shape \(1, 1\); allowed"),
        (schedules.from_alpha_bars, [], r"^alpha_bars has shape \(0,\); allowed: \(T,\) with T >= 1$"),
        (schedules.from_log_snr, [1.0, 2.0], "^log_snr_2 = 2.0; allowed: below log_snr_1 = 1.0$"),
    ],
)
def test_tables_that_do_not_decrease_are_refused(build, values, message):
    """F5: alpha_bar must decrease at every step; the error names the first step where it does not."""
    with pytest.raises(ValueError, match=message):
        build(values)


# --- zero terminal SNR ---------------------------------------------------------------------------------------------------


@given(betas_drawn.filter(lambda betas: len(betas) > 1))
def test_zero_terminal_snr_against_its_definition(betas):
    """F5: sqrt(alpha_bar) is shifted and scaled, against 50 digits; alpha_bar_1 is unchanged bit for bit, alpha_bar_T is exactly 0."""
    table = schedules.from_betas(betas)
    rescaled = schedules.zero_terminal_snr(table)
    root = exact.apply(mp.sqrt, exact.alpha_bars(betas))
    expected = ((root - root[-1]) * root[1] / (root[1] - root[-1])) ** 2
    assert rescaled.log_alpha_bar[1] == table.log_alpha_bar[1]
    assert rescaled.alpha_bar[-1] == 0 and rescaled.alpha_bar[0] == 1
    inner = slice(1, -1)
    relative = exact.error(rescaled.alpha_bar[inner], expected[inner]) / expected[inner].astype(np.float64)
    assert np.all(relative <= U * (24 + 4 * abs(rescaled.log_alpha_bar[inner])))


@given(betas_drawn.filter(lambda betas: len(betas) > 1))
def test_zero_terminal_snr_is_affine_and_idempotent(betas):
    """F5: the ratios of differences of sqrt(alpha_bar) are kept, and a schedule that already ends in 0 is unchanged."""
    table = schedules.from_betas(betas)
    once = schedules.zero_terminal_snr(table)
    a, b = table.signal[1:], once.signal[1:]
    stretch = a[0] / (a[0] - a[-1])
    assert np.all(abs(np.diff(b) - stretch * np.diff(a)) <= 32 * U * stretch * (1 + abs(table.log_alpha_bar[-1])))
    twice = schedules.zero_terminal_snr(once)
    assert np.all(abs(twice.signal - once.signal) <= 16 * U * (1 + abs(np.log(np.maximum(once.signal, U)))))


def test_zero_terminal_snr_of_generic_numbers():
    """F5: alpha_bar 0.81, 0.49, 0.25 become 0.81, (0.2 * 0.9 / 0.4)^2, 0; T = 1 raises."""
    table = schedules.zero_terminal_snr(schedules.from_alpha_bars([0.81, 0.49, 0.25]))
    np.testing.assert_allclose(table.alpha_bar, [1, 0.81, 0.2025, 0], rtol=1e-14)
    with pytest.raises(ValueError, match=r"^schedule has T = 1; allowed: T >= 2"):
        schedules.zero_terminal_snr(schedules.from_betas([0.5]))
    assert schedules.zero_terminal_snr(schedules.from_betas([0.5, 0.5])).T == 2
