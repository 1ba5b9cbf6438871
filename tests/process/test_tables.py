"""Tables of a schedule: transitions, signal-to-noise ratios, and the checks of time steps."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import schedules
from refdiff.process.schedules import Schedule

from .. import exact
from ..strategies import schedule, times
from ..tolerances import TABLE, ulps

U = np.finfo(np.float64).eps / 2
SHORT = schedules.from_betas([0.1, 0.2, 0.3, 0.05])
betas_drawn = st.integers(1, 40).flatmap(lambda T: hnp.arrays(np.float64, T, elements=st.floats(-6, -0.03))).map(lambda x: 10**x)


@given(betas_drawn, st.data())
def test_transition_is_the_product_of_the_alphas_between(betas, data):
    """F2: alpha_{t|s} and beta_{t|s} against exact fractions, also where alpha_bar is tiny."""
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


@given(schedule(zero_terminal=True))
def test_signal_decreases_from_clean_data(table):
    """F5: T + 1 float64 entries, the first of clean data; alpha_bar never rises, 1 - alpha_bar never falls, and they add up to 1."""
    assert table.T + 1 == len(table.alpha_bar) == len(table.beta) == len(table.sigma) == len(table.log_snr)
    assert table.alpha_bar.dtype == table.remainder.dtype == np.float64
    assert table.alpha_bar[0] == 1 and table.sigma[0] == 0
    assert np.all(np.diff(table.alpha_bar) <= 0) and np.all(np.diff(table.one_minus_alpha_bar) >= 0)
    assert np.all((table.beta[1:] > 0) & (table.beta[1:] <= 1))
    assert np.all(abs(table.alpha_bar + table.one_minus_alpha_bar - 1) <= 2 * U * 2)
    np.testing.assert_array_equal(table.beta[1:], table.transition(np.arange(1, table.T + 1), np.arange(table.T))[1])


@pytest.mark.parametrize("table", [[0.1, -1.0], [0.0], [[0.0, -1.0]]])
def test_schedule_refuses_a_table_of_another_form(table):
    """F5: a table has one dimension and T + 1 >= 2 entries, the first 0."""
    with pytest.raises(ValueError, match=r"^log_alpha_bar = array\(.*; allowed: T\+1 >= 2 entries, the first of them 0$"):
        Schedule(np.array(table), np.zeros_like(table))


def test_times_in_range():
    """F2: `time` returns times in 0..T unchanged."""
    assert SHORT.time(0) == 0 and SHORT.time(4) == 4 and SHORT.time(np.array([4, 1])).tolist() == [4, 1]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: SHORT.time(5), ValueError, r"^t = 5; allowed: 0\.\.4$"),
        (lambda: SHORT.time(-1), ValueError, r"^t = -1; allowed: 0\.\.4$"),
        (lambda: SHORT.time(7, "s"), ValueError, r"^s = 7; allowed: 0\.\.4$"),
        (lambda: SHORT.time(0, low=1), ValueError, r"^t = 0; allowed: 1\.\.4$"),
        (lambda: SHORT.pair(0, 0), ValueError, r"^t = 0; allowed: 1\.\.4$"),
        (lambda: SHORT.pair(2, -1), ValueError, r"^s = -1; allowed: 0\.\.4$"),
        (lambda: SHORT.pair(2, 2), ValueError, r"^s = array\(2\) is not below t = array\(2\); allowed: 0 <= s < t <= T = 4$"),
        (lambda: SHORT.pair(np.array([2, 1]), np.array([1, 3])), ValueError, r"is not below t = array\(\[2, 1\]\)"),
        (lambda: SHORT.transition(1, 1), ValueError, "is not below"),
        (lambda: SHORT.signal_sigma(5), ValueError, r"^t = 5; allowed: 0\.\.4$"),
        *((lambda value=value: SHORT.time(value), TypeError, "^t = ") for value in (1.0, True, [1], None)),
        (lambda: SHORT.clock(5), ValueError, "^t = 5"),
        (lambda: SHORT.rates(5), ValueError, "^t = 5"),
    ],
)
def test_errors_of_times(call, error, message):
    """F2: errors of t outside 0..T and of s >= t, element by element."""
    with pytest.raises(error, match=message):
        call()


@given(schedule(), st.integers(0, 2**32 - 1))
def test_draw_time_covers_1_to_T(table, word):
    """T1: `draw_time` maps uniform numbers to times 1..T, each from an interval of length 1/T."""
    uniform = (word + 0.5) / 2**32
    t = table.draw_time(np.array([uniform]))
    assert t.dtype.kind == "i" and t[0] == 1 + int(Fraction(uniform) * table.T)
    edges = (np.arange(table.T) + 0.5) / table.T
    np.testing.assert_array_equal(table.draw_time(edges), np.arange(1, table.T + 1))


def test_clock_counts_to_1000_for_any_T():
    """N1: `clock` is 1000 t / T, the time that networks take."""
    np.testing.assert_array_equal(SHORT.clock(np.array([0, 1, 4])), [0, 250, 1000])
    assert SHORT.clock(2) == 500


def test_rates_are_those_of_the_straight_path():
    """M5: the rates of a schedule are (1, -1), shaped like t."""
    signal, sigma = SHORT.rates(np.array([0, 4]))
    assert signal.tolist() == [1, 1] and sigma.tolist() == [-1, -1]
    assert SHORT.rates(3)[0] == 1 and SHORT.rates(3)[1] == -1
