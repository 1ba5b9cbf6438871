"""Tables and grids against their definitions in exact fractions and in 50 digits."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import schedules
from refdiff.process.schedules import Schedule

from .. import exact
from ..strategies import schedule, times
from ..tolerances import COSINE, FAMILY, TABLE, ulps

U = np.finfo(np.float64).eps / 2
BETAS = np.array([0.1, 0.2, 0.3, 0.05])
FAMILIES = (schedules.linear, schedules.quadratic, schedules.scaled_linear, schedules.cosine, schedules.sigmoid)
betas_drawn = st.integers(1, 40).flatmap(lambda T: hnp.arrays(np.float64, T, elements=st.floats(-6, -0.03))).map(lambda x: 10**x)


def log_rounding(betas):
    """Bound on the absolute error of each log alpha_bar when every beta carries FAMILY roundings: it enters log(1 - beta) with its derivative."""
    return U * np.cumsum(FAMILY * betas / (1 - betas) + 2 * abs(np.log1p(-betas)))


def assert_family(actual, betas):
    """The tables are those of these exact betas, given as mpmath numbers."""
    rounded = betas.astype(np.float64)
    expected = np.array(list(np.cumsum(exact.apply(lambda b: mp.log(1 - b), betas))), dtype=object)
    assert np.all(exact.error(actual.log_alpha_bar[1:], expected) <= log_rounding(rounded))
    assert np.all(exact.error(actual.beta[1:], betas) <= U * (FAMILY + 4) * rounded)


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


@given(betas_drawn, st.data())
def test_transition_is_the_product_of_the_alphas_between(betas, data):
    """F2: alpha_{t|s} and beta_{t|s} against exact fractions, also where alpha_bar itself is tiny."""
    table = schedules.from_betas(betas)
    t, s = data.draw(times(table))
    alpha = exact.rational_alpha_bars(betas[s:t])[-1]
    got_alpha, got_beta = table.transition(t, s)
    assert ulps(got_beta, float(1 - alpha)) <= TABLE
    assert ulps(got_alpha, float(alpha)) <= TABLE * (1 + abs(np.log(float(alpha))))


@given(betas_drawn)
def test_snr_is_the_ratio_of_signal_to_noise(betas):
    """F5: SNR = alpha_bar / (1 - alpha_bar), from exact fractions; infinite at t = 0."""
    table = schedules.from_betas(betas)
    snr = [a / (1 - a) for a in exact.rational_alpha_bars(betas)[1:]]
    logs = np.array([mp.log(mp.mpf(r.numerator) / r.denominator) for r in snr], dtype=object)
    scale = 1 + abs(table.log_alpha_bar[1:]) + abs(np.log(table.one_minus_alpha_bar[1:]))
    assert table.snr[0] == table.log_snr[0] == np.inf
    assert np.all(exact.error(table.log_snr[1:], logs) <= 4 * U * scale)
    assert np.all(abs(table.snr[1:] / np.array([float(r) for r in snr]) - 1) <= 8 * U * scale)


def test_generic_numbers_by_hand():
    """F5: betas 0.1, 0.2, 0.3, 0.05 multiplied out on paper."""
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


@given(schedule(zero_terminal=True))
def test_every_table_starts_clean_and_only_loses_signal(table):
    """F5: T + 1 float64 entries from clean data on; alpha_bar never rises, 1 - alpha_bar never falls, and they add up to 1."""
    assert table.T + 1 == len(table.alpha_bar) == len(table.beta) == len(table.sigma) == len(table.log_snr)
    assert table.alpha_bar.dtype == table.remainder.dtype == np.float64
    assert table.alpha_bar[0] == 1 and table.sigma[0] == 0
    assert np.all(np.diff(table.alpha_bar) <= 0) and np.all(np.diff(table.one_minus_alpha_bar) >= 0)
    assert np.all((table.beta[1:] > 0) & (table.beta[1:] <= 1))
    assert np.all(abs(table.alpha_bar + table.one_minus_alpha_bar - 1) <= 2 * U * 2)
    np.testing.assert_array_equal(table.beta[1:], table.transition(np.arange(1, table.T + 1), np.arange(table.T))[1])


def test_running_sum_keeps_small_betas_after_large_ones():
    """F5: after alpha_bar has fallen to 1e-40, a beta of 1e-12 still comes back to the last ulp; a plain sum would lose four digits of it."""
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
        ([0.1, 0.0], r"^beta_2 = 0.0; allowed: inside \(0, 1\), or 1 for the last$"),
        ([1.0, 0.1], r"^beta_1 = 1.0; allowed"),
        ([0.1, 0.2, -0.3], "^beta_3 = -0.3; allowed"),
        ([0.1, 1.5], "^beta_2 = 1.5; allowed"),
        ([0.1, np.nan, 0.2], "^beta_2 = nan; allowed"),
        ([np.inf], "^beta_1 = inf; allowed"),
        ([], r"^betas has shape \(0,\); allowed: \(T,\) with T >= 1$"),
        ([[0.1]], r"^betas has shape \(1, 1\); allowed"),
        (0.1, r"^betas has shape \(\); allowed"),
    ],
)
def test_from_betas_refuses(betas, message):
    """F5: a beta outside (0, 1) is named with its time."""
    with pytest.raises(ValueError, match=message):
        schedules.from_betas(betas)


# --- tables from alpha_bar and from log-SNR ------------------------------------------------------------------------------


@given(betas_drawn)
def test_round_trips_through_alpha_bar_and_log_snr(betas):
    """F5: a schedule built from another's alpha_bar or log-SNR is the same, up to what these numbers hold."""
    table = schedules.from_betas(betas)
    held = abs(table.log_alpha_bar)  # float64 alpha_bar holds its logarithm to u absolute, plus the roundings of log and exp
    again = schedules.from_alpha_bars(table.alpha_bar[1:])
    assert np.all(abs(again.log_alpha_bar - table.log_alpha_bar) <= 4 * U * (1 + held))
    again = schedules.from_log_snr(table.log_snr[1:])
    # log alpha_bar = -log(1 + exp(-l)) moves by (1 - alpha_bar) dl
    moved = table.one_minus_alpha_bar[1:] * (1 + abs(table.log_snr[1:]))
    assert np.all(abs(again.log_alpha_bar[1:] - table.log_alpha_bar[1:]) <= 8 * U * (held[1:] + moved))
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
    """F5: the betas between given alpha_bars; a last 0 is allowed and means no signal."""
    np.testing.assert_allclose(schedules.from_alpha_bars([0.9, 0.72, 0.504]).beta, [0, 0.1, 0.2, 0.3], rtol=1e-14)
    table = schedules.from_alpha_bars([0.5, 0])
    assert table.alpha_bar[-1] == 0 and table.beta[-1] == 1
    np.testing.assert_allclose(schedules.from_log_snr([0.0, -1.0]).alpha_bar, [1, 0.5, 1 / (1 + np.e)], rtol=1e-15)


@pytest.mark.parametrize(
    "build, values, message",
    [
        (schedules.from_alpha_bars, [0.5, 0.5], "^alpha_bar_2 = 0.5; allowed: below alpha_bar_1 = 0.5$"),
        (schedules.from_alpha_bars, [1.0, 0.5], "^alpha_bar_1 = 1.0; allowed: below alpha_bar_0 = 1.0$"),
        (schedules.from_alpha_bars, [0.5, 0.0, 0.0], "^alpha_bar_3 = 0.0; allowed: below alpha_bar_2 = 0.0$"),
        (schedules.from_alpha_bars, [0.3, 0.5, 0.1], "^alpha_bar_2 = 0.5; allowed: below alpha_bar_1 = 0.3$"),
        (schedules.from_alpha_bars, [0.5, -0.1], r"^alpha_bars = .*; allowed: finite, in \[0, 1\]$"),
        (schedules.from_alpha_bars, [1.1, 0.5], r"^alpha_bars = .*; allowed: finite, in \[0, 1\]$"),
        (schedules.from_alpha_bars, [0.5, np.nan], "^alpha_bars = .*nan"),
        (schedules.from_alpha_bars, 0.5, r"^alpha_bars has shape \(\); allowed: \(T,\) with T >= 1$"),
        (schedules.from_alpha_bars, [[0.5]], r"^alpha_bars has shape \(1, 1\); allowed"),
        (schedules.from_alpha_bars, [], r"^alpha_bars has shape \(0,\); allowed: \(T,\) with T >= 1$"),
        (schedules.from_log_snr, [1.0, 2.0], "^log_snr_2 = 2.0; allowed: below log_snr_1 = 1.0$"),
        (schedules.from_log_snr, [1.0, np.inf], "^log_snr = .*; allowed: finite"),
    ],
)
def test_tables_that_do_not_fall_are_refused(build, values, message):
    """F5: signal must be lost at every step, and the first step that gains is named."""
    with pytest.raises(ValueError, match=message):
        build(values)


@pytest.mark.parametrize("table", [[0.1, -1.0], [0.0], [[0.0, -1.0]]])
def test_schedule_refuses_a_table_of_another_form(table):
    """F5: one dimension, T + 1 >= 2 entries, the first 0."""
    with pytest.raises(ValueError, match=r"^log_alpha_bar = array\(.*; allowed: T\+1 >= 2 entries, the first of them 0$"):
        Schedule(np.array(table), np.zeros_like(table))


# --- the families --------------------------------------------------------------------------------------------------------

ranges = st.tuples(st.floats(1e-5, 1e-3), st.floats(2e-3, 0.02))


@given(st.integers(21, 60), ranges)
@example(1000, (1e-4, 0.02))
def test_linear_against_its_definition(T, ends):
    """F5: betas in equal steps, scaled by 1000/T, against 50 digits."""
    start, end = (mp.mpf(x) for x in ends)
    betas = np.array([mp.mpf(1000) / T * (start + mp.mpf(i) / (T - 1) * (end - start)) for i in range(T)], dtype=object)
    assert_family(schedules.linear(T, *ends), betas)


@given(st.integers(21, 60), ranges)
@example(1000, (1e-4, 0.02))
def test_quadratic_against_its_definition(T, ends):
    """F5: square roots of betas in equal steps, scaled by 1000/T, against 50 digits; "scaled linear" is the same rule."""
    start, end = (mp.sqrt(mp.mpf(x)) for x in ends)
    betas = np.array([mp.mpf(1000) / T * (start + mp.mpf(i) / (T - 1) * (end - start)) ** 2 for i in range(T)], dtype=object)
    assert_family(schedules.quadratic(T, *ends), betas)
    np.testing.assert_array_equal(schedules.scaled_linear(T, *ends).log_alpha_bar, schedules.quadratic(T, *ends).log_alpha_bar)


def cosine_betas(T, offset, beta_max):
    """The definition, and each beta's relative sensitivity to a relative error of u in the angles."""
    angle = [(mp.mpf(t) / T + mp.mpf(offset)) / (1 + mp.mpf(offset)) * mp.pi / 2 for t in range(T + 1)]
    betas = [min(1 - (mp.cos(angle[t]) / mp.cos(angle[t - 1])) ** 2, mp.mpf(beta_max)) for t in range(1, T + 1)]
    total = np.array([float(angle[t] + angle[t - 1]) for t in range(1, T + 1)])
    before = np.array([float(a) for a in angle[:-1]])
    return np.array(betas, dtype=object), 2 * before * np.tan(before) + abs(total / np.tan(total))


@given(st.integers(1, 60), st.floats(0.001, 0.05), st.floats(0.5, 0.999))
@example(1000, 0.008, 0.999)
def test_cosine_against_its_definition(T, offset, beta_max):
    """F5: squared cosines and clipped betas, against 50 digits."""
    betas, sensitivity = cosine_betas(T, offset, beta_max)
    actual = schedules.cosine(T, offset, beta_max)
    relative = exact.error(actual.beta[1:], betas) / betas.astype(np.float64)
    assert np.all(relative <= COSINE * U * (1 + sensitivity))
    assert exact.error(actual.log_alpha_bar[1:], np.cumsum(exact.apply(lambda b: mp.log(1 - b), exact.numbers(actual.beta[1:])))).max() <= (
        16 * U * T * (1 + abs(np.log1p(-beta_max)))
    )


@given(st.integers(1, 60), st.floats(-4, -1), st.floats(1, 4), st.floats(0.5, 2), st.floats(0.5, 0.999))
@example(1000, -3, 3, 1, 0.999)
def test_sigmoid_against_its_definition(T, start, end, tau, beta_max):
    """F5: logistic functions and clipped betas, against 50 digits."""

    def logistic(x):
        return 1 / (1 + mp.exp(-x / mp.mpf(tau)))

    a, b = mp.mpf(start), mp.mpf(end)
    alpha_bar = [(logistic(b) - logistic(a + (b - a) * t / T)) / (logistic(b) - logistic(a)) for t in range(T + 1)]
    betas = np.array([min(1 - alpha_bar[t] / alpha_bar[t - 1], mp.mpf(beta_max)) for t in range(1, T + 1)], dtype=object)
    actual = schedules.sigmoid(T, start, end, tau, beta_max)
    relative = exact.error(actual.beta[1:], betas) / betas.astype(np.float64)
    assert np.all(relative <= COSINE * U * (1 + (end - start) / tau))


def test_defaults_are_the_published_ones():
    """F5: T = 1000; 1e-4 to 0.02; 0.00085 to 0.012; offset 0.008; -3 to 3 at temperature 1; clipping at 0.999."""
    for family, ends in (
        (schedules.linear, (1e-4, 0.02)),
        (schedules.quadratic, (1e-4, 0.02)),
        (schedules.scaled_linear, (0.00085, 0.012)),
    ):
        table = family()
        assert table.T == 1000
        np.testing.assert_allclose(table.beta[[1, 1000]], ends, rtol=1e-14)
        np.testing.assert_array_equal(table.beta, family(1000, *ends).beta)
    np.testing.assert_array_equal(schedules.cosine().beta, schedules.cosine(1000, 0.008, 0.999).beta)
    np.testing.assert_array_equal(schedules.sigmoid().beta, schedules.sigmoid(1000, -3, 3, 1, 0.999).beta)
    for family in (schedules.cosine, schedules.sigmoid):
        assert family().beta[-1] == pytest.approx(0.999, rel=1e-15) and family().beta[-2] < 0.999


@pytest.mark.parametrize("family", FAMILIES[:3])
def test_scaling_keeps_the_noise_at_T(family):
    """F5: the range belongs to T = 1000; with the factor 1000/T the logarithm of alpha_bar_T hardly depends on T, without it noise is missing."""
    wanted, betas = family(1000).log_alpha_bar[-1], family(1000).beta[1:]
    for T in (100, 250, 4000):
        # sum log(1 - beta) = -sum beta - sum beta^2 / 2 - ...: the first sum is kept, the second shrinks as 1/T
        second = ((family(T).beta ** 2).sum() + (betas**2).sum()) / 2
        assert abs(family(T).log_alpha_bar[-1] - wanted) <= 1.5 * second + abs(wanted) / T
    assert schedules.from_betas(betas[::10]).log_alpha_bar[-1] > wanted / 5


@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_schedules(family):
    """F5: T = 1 is a schedule for every family."""
    expected = {"linear": 0.1, "quadratic": 0.1, "scaled_linear": 0.85, "cosine": 0.999, "sigmoid": 0.999}[family.__name__]
    assert family(1).T == 1 and family(1).beta[1] == pytest.approx(expected, rel=1e-14)


def test_linear_for_few_steps():
    """F5: with the default range, T = 2..19 would need betas above 1 and raises, T = 20 ends in a beta of 1, T = 21 is ordinary."""
    for T in range(2, 20):
        with pytest.raises(ValueError, match=r"^beta_\d+ = .*; allowed: inside \(0, 1\)"):
            schedules.linear(T)
    assert schedules.linear(20).alpha_bar[-1] == 0 and schedules.linear(20).alpha_bar[-2] > 0
    assert schedules.linear(21).alpha_bar[-1] > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "T, error", [(0, ValueError), (-5, ValueError), (10**7 + 1, ValueError), (10.0, TypeError), (True, TypeError), ("9", TypeError)]
)
def test_families_refuse_a_wrong_T(family, T, error):
    """F5: T is a positive integer."""
    with pytest.raises(error, match=r"^T = .*1\.\.10000000"):
        family(T)


def test_cosine_and_sigmoid_clip_only_what_is_above():
    """F5: betas below the limit are untouched, the rest equal it."""
    for family in (schedules.cosine, schedules.sigmoid):
        free, clipped = family(50).beta[1:], family(50, beta_max=0.1).beta[1:]
        above = free > 0.1
        assert 0 < above.sum() < 50
        np.testing.assert_allclose(clipped, np.where(above, 0.1, free), rtol=1e-14)


# --- zero terminal SNR ---------------------------------------------------------------------------------------------------


@given(betas_drawn.filter(lambda betas: len(betas) > 1))
def test_zero_terminal_snr_against_its_definition(betas):
    """F5: sqrt(alpha_bar) shifted and stretched, against 50 digits; t = 1 stays bit for bit, T is exactly 0."""
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
    """F5: sqrt(alpha_bar) keeps the ratios of its differences, and a schedule that already ends in 0 is left as it is."""
    table = schedules.from_betas(betas)
    once = schedules.zero_terminal_snr(table)
    a, b = table.signal[1:], once.signal[1:]
    stretch = a[0] / (a[0] - a[-1])
    assert np.all(abs(np.diff(b) - stretch * np.diff(a)) <= 32 * U * stretch * (1 + abs(table.log_alpha_bar[-1])))
    twice = schedules.zero_terminal_snr(once)
    assert np.all(abs(twice.signal - once.signal) <= 16 * U * (1 + abs(np.log(np.maximum(once.signal, U)))))


def test_zero_terminal_snr_of_generic_numbers():
    """F5: alpha_bar 0.81, 0.49, 0.25 become 0.81, (0.2 * 0.9 / 0.4)^2, 0; one step cannot keep its level and lose it."""
    table = schedules.zero_terminal_snr(schedules.from_alpha_bars([0.81, 0.49, 0.25]))
    np.testing.assert_allclose(table.alpha_bar, [1, 0.81, 0.2025, 0], rtol=1e-14)
    with pytest.raises(ValueError, match=r"^schedule has T = 1; allowed: T >= 2"):
        schedules.zero_terminal_snr(schedules.from_betas([0.5]))
    assert schedules.zero_terminal_snr(schedules.from_betas([0.5, 0.5])).T == 2


# --- times ---------------------------------------------------------------------------------------------------------------


def test_time_and_pair_name_what_is_wrong():
    """F2: t in 0..T, s < t, element by element."""
    table = schedules.from_betas(BETAS)
    assert table.time(0) == 0 and table.time(4) == 4 and table.time(np.array([4, 1])).tolist() == [4, 1]
    for call, message in [
        (lambda: table.time(5), r"^t = 5; allowed: 0\.\.4$"),
        (lambda: table.time(-1), r"^t = -1; allowed: 0\.\.4$"),
        (lambda: table.time(7, "s"), r"^s = 7; allowed: 0\.\.4$"),
        (lambda: table.time(0, low=1), r"^t = 0; allowed: 1\.\.4$"),
        (lambda: table.pair(0, 0), r"^t = 0; allowed: 1\.\.4$"),
        (lambda: table.pair(2, -1), r"^s = -1; allowed: 0\.\.4$"),
        (lambda: table.pair(2, 2), r"^s = array\(2\) is not below t = array\(2\); allowed: 0 <= s < t <= T = 4$"),
        (lambda: table.pair(np.array([2, 1]), np.array([1, 3])), r"is not below t = array\(\[2, 1\]\)"),
        (lambda: table.transition(1, 1), "is not below"),
        (lambda: table.signal_sigma(5), r"^t = 5; allowed: 0\.\.4$"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    for value in (1.0, True, [1], None):
        with pytest.raises(TypeError, match=r"^t = "):
            table.time(value)


@given(schedule(), st.integers(0, 2**32 - 1))
def test_draw_time_covers_1_to_T(table, word):
    """T1: uniform numbers become times 1..T, each from an interval of length 1/T."""
    uniform = (word + 0.5) / 2**32
    t = table.draw_time(np.array([uniform]))
    assert t.dtype.kind == "i" and t[0] == 1 + int(Fraction(uniform) * table.T)
    edges = (np.arange(table.T) + 0.5) / table.T
    np.testing.assert_array_equal(table.draw_time(edges), np.arange(1, table.T + 1))


def test_clock_counts_to_1000_whatever_T():
    """N1: networks see 1000 t / T."""
    table = schedules.from_betas(BETAS)
    np.testing.assert_array_equal(table.clock(np.array([0, 1, 4])), [0, 250, 1000])
    assert table.clock(2) == 500
    with pytest.raises(ValueError, match=r"^t = 5"):
        table.clock(5)


def test_rates_are_those_of_the_straight_path():
    """M5: (1, -1), shaped like t."""
    table = schedules.from_betas(BETAS)
    signal, sigma = table.rates(np.array([0, 4]))
    assert signal.tolist() == [1, 1] and sigma.tolist() == [-1, -1]
    assert table.rates(3)[0] == 1 and table.rates(3)[1] == -1
    with pytest.raises(ValueError, match=r"^t = 5"):
        table.rates(5)


# --- grids ---------------------------------------------------------------------------------------------------------------


def grid_by_definition(kind, T, S):
    """The rule of each kind for i = S..1 in exact fractions, and the final 0."""
    rules = {
        "linspace": lambda i: exact.half_up(1 + Fraction((i - 1) * (T - 1), S - 1)) if S > 1 else T,
        "leading": lambda i: 1 + (i - 1) * (T // S),
        "trailing": lambda i: exact.half_up(Fraction(i * T, S)),
        "quadratic": lambda i: max(i, exact.half_up(T * Fraction(i, S) ** 2)),
    }
    return [rules[kind](i) for i in range(S, 0, -1)] + [0]


MANY = sorted(
    {*range(1, 26), *range(27, 1000, 61), 48, 50, 60, 61, 64, 100, 103, 121, 250, 256, 333, 499, 500, 501, 666, 900, 998, 999, 1000}
)


@pytest.mark.parametrize("kind", schedules.GRIDS)
@pytest.mark.parametrize("T", [1, 2, 5, 20, 1000])
def test_grids_against_exact_fractions(kind, T):
    """S2: every S for small T, and many for T = 1000, entry by entry."""
    for S in range(1, T + 1) if T < 1000 else MANY:
        assert schedules.grid(kind, T, S).tolist() == grid_by_definition(kind, T, S), S


@pytest.mark.parametrize("kind", schedules.GRIDS)
@pytest.mark.parametrize("T", [1, 2, 5, 20, 99, 1000])
def test_grids_keep_the_contract(kind, T):
    """S2: S steps, strictly decreasing integers from at most T to 0, for every S from 1 to T; all but "leading" start at T."""
    for S in range(1, T + 1):
        times = schedules.grid(kind, T, S)
        assert times.dtype.kind == "i" and len(times) == S + 1
        assert times[0] <= T and times[-1] == 0 and np.all(np.diff(times) < 0)
        assert (times[0] == T) == (kind != "leading" or S == T)
        np.testing.assert_array_equal(schedules.check_grid(times, T), times)
    np.testing.assert_array_equal(schedules.grid(kind, T, T), np.arange(T, -1, -1))


@given(st.sampled_from(schedules.GRIDS), st.integers(1, 3000), st.data())
def test_grids_of_any_length(kind, T, data):
    """S2: the contract and the definition for any T."""
    S = data.draw(st.integers(1, min(T, 60)) | st.just(T))
    times = schedules.grid(kind, T, S)
    assert len(times) == S + 1 and times[-1] == 0 and np.all(np.diff(times) < 0) and times[0] <= T
    assert times.tolist() == grid_by_definition(kind, T, S)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: schedules.grid("karras", 10, 2), ValueError, "^kind = 'karras'; allowed: linspace, leading, trailing, quadratic$"),
        (lambda: schedules.grid("linspace", 10, 0), ValueError, r"^S = 0; allowed: 1\.\.10$"),
        (lambda: schedules.grid("linspace", 10, 11), ValueError, r"^S = 11; allowed: 1\.\.10$"),
        (lambda: schedules.grid("linspace", 10, 2.0), TypeError, "^S = 2.0; allowed"),
        (lambda: schedules.grid("linspace", 0, 1), ValueError, "^T = 0; allowed"),
        (
            lambda: schedules.check_grid([3, 2, 1], 3),
            ValueError,
            "^grid = .*; allowed: strictly decreasing integers from at most T = 3, the last",
        ),
        (lambda: schedules.check_grid([3, 3, 0], 3), ValueError, "^grid = .*; allowed: strictly decreasing"),
        (lambda: schedules.check_grid([1, 2, 0], 3), ValueError, "^grid = .*; allowed: strictly decreasing"),
        (lambda: schedules.check_grid([4, 0], 3), ValueError, r"^grid = .*; allowed: 0\.\.3$"),
        (lambda: schedules.check_grid([3, -1], 3), ValueError, r"^grid = .*; allowed: 0\.\.3$"),
        (lambda: schedules.check_grid([0], 3), ValueError, "^grid = .*; allowed: strictly decreasing"),
        (lambda: schedules.check_grid(0, 3), ValueError, "^grid = .*; allowed: strictly decreasing"),
        (lambda: schedules.check_grid([2.5, 0.0], 3), TypeError, "^grid = "),
    ],
)
def test_grids_refuse(call, error, message):
    """S2: wrong kinds, lengths and hand-made grids are named."""
    with pytest.raises(error, match=message):
        call()


def test_check_grid_accepts_hand_made_grids():
    """S2: a list, two entries, and a start below T are fine."""
    assert schedules.check_grid([3, 1, 0], 5).tolist() == [3, 1, 0]
    assert schedules.check_grid((1, 0), 1).tolist() == [1, 0]


def test_chains_have_a_state_for_each_time_and_a_noise_for_each_step():
    """S2, F4: `check_chain` gives the grid back for S + 1 states or S noises, whatever has no length passes, and other numbers are named."""
    states, noise = np.zeros((4, 2)), np.zeros((3, 2))
    assert schedules.check_chain(states, [9, 5, 2, 0], 9).tolist() == [9, 5, 2, 0]
    assert schedules.check_chain(noise, [9, 5, 2, 0], 9, "noise").tolist() == [9, 5, 2, 0]
    assert schedules.check_chain(iter(noise), [9, 5, 2, 0], 9, "noise").tolist() == [9, 5, 2, 0]
    with pytest.raises(ValueError, match=r"^states has 3 entries; allowed: 4, one for each time of the grid$"):
        schedules.check_chain(noise, [9, 5, 2, 0], 9)
    with pytest.raises(ValueError, match=r"^noise has 4 entries; allowed: 3, one for each step of the grid$"):
        schedules.check_chain(states, [9, 5, 2, 0], 9, "noise")


@pytest.mark.parametrize(("T", "error"), [(0, ValueError), (-3, ValueError), (10**7 + 1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_numbers_of_steps(T, error):
    """F5: `check_steps` gives integers from 1 to ten million back as int, of NumPy's kinds too, and refuses all else by name."""
    assert [type(schedules.check_steps(right)) for right in (1, np.int32(7), 10**7)] == [int] * 3
    with pytest.raises(error, match=f"^T = {T}; allowed: "):
        schedules.check_steps(T)
