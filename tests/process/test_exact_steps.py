"""Schedules of betas of any size, and grids of any length: no step is lost in the sum of the others, no integer overflows."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import elbo, forward, schedules
from refdiff.process.tables import Schedule, exact_sums

from .. import exact
from ..tolerances import COSINE, FAMILY, POSTERIOR_VARIANCE, TABLE
from .test_grids import grid_by_definition

LEAST, MOST = 1e-300, float(np.nextafter(1, 0))


def spread(exponents, near_one, order):
    """Betas 10^-e, where near_one 1 - 10^-(e / 20), in a random, rising or falling order."""
    small, large = 10.0**-exponents, 1 - 10.0 ** -np.minimum(exponents / 20, 15.9)
    betas = np.clip(np.where(near_one, large, small), LEAST, MOST)
    return {"random": betas, "rising": np.sort(betas), "falling": np.sort(betas)[::-1]}[order]


@st.composite
def any_betas(draw, max_T=30):
    """Betas from 1e-300 to the last number below 1, most of them on scales of their own."""
    T = draw(st.integers(1, max_T))
    exponents = draw(hnp.arrays(np.float64, T, elements=st.floats(0.01, 300)))
    return spread(exponents, draw(hnp.arrays(bool, T)), draw(st.sampled_from(["random", "rising", "falling"])))


def logs(betas):
    """The exact log(1 - beta)."""
    return exact.apply(lambda beta: mp.log1p(-beta), exact.numbers(betas))


def scale(log_alpha):
    """An error of half an ulp in a logarithm is as many halves of an ulp in its exponential as the logarithm is large."""
    return 1 + float(abs(log_alpha))


def ulps(actual, expected):
    """`exact.ulps`, where results below the smallest normal number count as this number."""
    least = np.finfo(np.float64).smallest_normal
    return float(np.max(exact.error(actual, expected) / np.spacing(np.maximum(abs(exact.floats(expected)), least))))


# --- exact sums ----------------------------------------------------------------------------------------------------------


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e300, 1e300)))
@example(np.array([5e-324, -1e300, 1.0, 2.0**-1074, -(2.0**-60)]))
def test_words_add_up_to_the_exact_sums(terms):
    """F5: prefix sums as words are exact, whatever the sizes and signs of the terms; each word has one unit, and at most 2^53 of it."""
    words = exact_sums(terms)
    total = Fraction(0)
    for t, term in enumerate([0.0, *terms.tolist()]):
        total += Fraction(term)
        assert sum(Fraction(float(word[t])) for word in words) == total
    for word in words:
        assert Fraction(float(word[-1])) - Fraction(float(word[0])) == Fraction(float(word[-1] - word[0]))


def test_words_have_room_for_the_longest_table():
    """F5: a chunk leaves as many bits as T has, so that even T equal terms of all ones add up exactly."""
    for T in (1, 2, 3, 1023, 1024, 100_000):
        words = exact_sums(np.full(T, np.nextafter(-1, 0)))
        assert sum(Fraction(float(word[-1])) for word in words) == T * Fraction(float(np.nextafter(-1, 0)))
        for word in words:
            steps = np.diff(word)
            assert np.all(steps == steps[0])  # no chunk is rounded away in a long sum


def test_words_of_one_sign_do_not_cancel():
    """F5: every word of a sum of logarithms falls, so that their differences add up to a few halves of an ulp."""
    words = exact_sums(np.log1p(-np.array([0.5, 1e-20, 0.999, 1e-300, 1e-3])))
    assert len(words) >= 5 and all(np.all(np.diff(word) <= 0) for word in words)


# --- schedules -----------------------------------------------------------------------------------------------------------


@given(any_betas())
@example(np.array([0.5, 1e-20, 1e-40]))
@example(np.array([0.5, 1e-16, 1e-32]))
@example(np.array([MOST, LEAST, MOST, LEAST]))
@example(np.array([5e-324, 0.5, 5e-324]))
def test_every_beta_comes_back(betas):
    """F5: beta and alpha of a step, and all tables, in a few ulp for betas of any size in any order."""
    table, steps = schedules.from_betas(betas), logs(betas)
    sums, t = np.cumsum(steps), np.arange(1, len(betas) + 1)
    assert exact.ulps(table.beta[t], exact.numbers(betas)) <= TABLE
    assert exact.ulps(table.log_alpha_bar[t], sums) <= TABLE
    assert exact.ulps(table.one_minus_alpha_bar[t], exact.apply(lambda x: -mp.expm1(x), sums)) <= TABLE
    for i in t:
        assert ulps(table.alpha[i], 1 - exact.numbers(betas[i - 1])) <= TABLE * scale(steps[i - 1])
        assert ulps(table.signal[i], mp.exp(sums[i - 1] / 2)) <= TABLE * scale(sums[i - 1])
        snr = -mp.exp(sums[i - 1]) / mp.expm1(sums[i - 1])
        assert ulps(table.snr[i], snr) <= 2 * TABLE * scale(sums[i - 1]) if snr < 1e308 else table.snr[i] == np.inf


@given(any_betas(), st.data())
def test_every_transition_is_precise(betas, data):
    """F2, R2: alpha_{t|s}, beta_{t|s} and the posterior variance for any s < t, however small the betas between."""
    table, steps = schedules.from_betas(betas), logs(betas)
    s = data.draw(st.integers(0, table.T - 1))
    t = data.draw(st.integers(s + 1, table.T))
    between = mp.fsum(steps[s:t])
    alpha, beta = table.transition(t, s)
    assert exact.ulps(table.log_alpha_between(t, s), between) <= TABLE
    assert exact.ulps(beta, -mp.expm1(between)) <= TABLE
    assert ulps(alpha, mp.exp(between)) <= TABLE * scale(between)
    assert ulps(table.signal_between(t, s), mp.exp(between / 2)) <= TABLE * scale(between)
    to_s, to_t = -mp.expm1(mp.fsum(steps[:s])), -mp.expm1(mp.fsum(steps[:t]))
    variance = to_s / to_t * -mp.expm1(between)
    assert ulps(forward.posterior_variance(t, s, table), variance) <= 2 * POSTERIOR_VARIANCE


@pytest.mark.parametrize("order", ["random", "rising", "falling"])
@pytest.mark.parametrize("reach", [300, 20, 2])
def test_long_schedules(order, reach):
    """F2, F5: the same for T = 2000, one in ten betas near 1, against sums in 50 digits; pairs near and far."""
    rng = np.random.default_rng(reach)
    betas = spread(rng.uniform(0.01, reach, 2000), rng.random(2000) < 0.1, order)
    table, steps = schedules.from_betas(betas), logs(betas)
    sums = np.concatenate([[mp.mpf(0)], np.cumsum(steps)])
    assert exact.ulps(table.beta[1:], exact.numbers(betas)) <= TABLE
    assert exact.ulps(table.log_alpha_bar[1:], sums[1:]) <= TABLE
    s = rng.integers(0, 2000, 300)
    t = np.minimum(s + 1 + (10 ** rng.uniform(0, 3, 300)).astype(int), 2000)
    between = np.array([mp.fsum(steps[i:j]) for i, j in zip(s, t, strict=True)])
    assert exact.ulps(table.log_alpha_between(t, s), between) <= TABLE
    assert exact.ulps(table.transition(t, s)[1], exact.apply(lambda x: -mp.expm1(x), between)) <= TABLE


def test_a_last_beta_of_one_and_small_ones():
    """F5: betas after which nothing is left stay what they are beside tiny ones."""
    table = schedules.from_betas([1e-20, 0.9, 1e-40, 1.0])
    np.testing.assert_allclose(table.beta[1:], [1e-20, 0.9, 1e-40, 1.0], rtol=1e-15)
    assert table.alpha_bar[-1] == 0 and table.transition(4, 2) == (0, 1) and table.transition(3, 2)[1] == table.beta[3]


def test_the_other_weight_of_eps():
    """E6: the ELBO's weight of eps where beta^2 underflows, beta / (2 alpha (1 - alpha_bar_s))."""
    table = schedules.from_betas([0.25, 1e-200])
    assert exact.relative(elbo.weight_eps(2, 1, table), mp.mpf(1e-200) / (2 * mp.mpf(0.25))) <= 1e-15


@given(st.floats(0.01, 1), hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(0.01, 15)))
def test_betas_of_given_alpha_bars(start, exponents):
    """F5: beta = (alpha_bar_s - alpha_bar_t) / alpha_bar_s and alpha of neighbouring alpha_bars, also where these are nearly equal."""
    bars = start * np.cumprod(1 - 10.0**-exponents)
    bars = np.unique(bars[bars < 1])[::-1]
    table, true = schedules.from_alpha_bars(bars), np.concatenate([[mp.mpf(1)], exact.numbers(bars)])
    assert exact.ulps(table.beta[1:], 1 - true[1:] / true[:-1]) <= TABLE
    for t in range(1, len(true)):
        assert exact.ulps(table.alpha[t], true[t] / true[t - 1]) <= TABLE * scale(mp.log(true[t] / true[t - 1]))
        assert exact.ulps(table.alpha_bar[t], true[t]) <= TABLE * scale(mp.log(true[t]))


@given(st.floats(-700, 700), hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-13, 1)))
@example(744.0, np.array([0.0, 2.0]))
def test_betas_of_given_log_snr(start, falls):
    """F5: beta = sigmoid(-l_t) (1 - exp(l_t - l_s)) of neighbouring log-SNRs, also where these are nearly equal or extreme."""
    levels = start - np.cumsum(np.concatenate([[0], 10.0**falls]))
    levels = np.unique(levels)[::-1]
    table, true = schedules.from_log_snr(levels), exact.numbers(levels)
    noise = exact.apply(lambda x: 1 / (1 + mp.exp(x)), true)
    betas = noise * np.concatenate([[mp.mpf(1)], exact.apply(lambda x: -mp.expm1(x), true[1:] - true[:-1])])
    assert np.all(exact.error(table.one_minus_alpha_bar[1:], noise) <= TABLE * np.spacing(exact.floats(noise)))
    bound = TABLE + abs(table.log_alpha_bar[1:])  # where beta is large, its logarithm is a difference of table entries
    assert np.all(exact.error(table.beta[1:], betas) <= bound * np.spacing(exact.floats(betas)))


@given(any_betas())
@example(np.array([0.5, 1e-20, 1e-40, 1e-8, 0.9]))
def test_betas_at_zero_terminal_snr(betas):
    """F5: the rescaled steps, 1 - (g_t / g_s)^2 with g = sqrt(alpha_bar) less its last value, for betas of any size."""
    if len(betas) < 2:
        betas = np.repeat(betas, 2)
    table = schedules.zero_terminal_snr(schedules.from_betas(betas))
    with mp.workdps(700):
        root = np.concatenate([[mp.mpf(1)], exact.apply(lambda x: mp.exp(x / 2), np.cumsum(logs(betas)))])
        level = root[1:] - root[-1]
        expected = np.concatenate([exact.numbers(betas[:1]), 1 - (level[1:] / level[:-1]) ** 2])
        error = exact.error(table.beta[1:], expected) / np.spacing(exact.floats(expected))
    assert np.all(error <= 2 * TABLE * (1 + abs(np.log1p(-betas))))
    assert table.alpha_bar[-1] == 0


@pytest.mark.parametrize("T, offset", [(1000, 0.008), (1000, 0.0), (50, 1e3), (50, 1e10), (7, 1e-300), (1, 0.008), (5, 1e300)])
def test_cosine_to_its_end(T, offset):
    """F5: betas of the cosine schedule in a few ulp for every t and every offset."""
    with mp.workdps(700):
        theta = [(mp.mpf(t) / T + mp.mpf(offset)) / (1 + mp.mpf(offset)) * mp.pi / 2 for t in range(T)] + [mp.pi / 2]
        cosine = [mp.cos(angle) ** 2 for angle in theta[:-1]] + [mp.mpf(0)]
        expected = np.array([1 - cosine[t] / cosine[t - 1] for t in range(1, T + 1)])
        assert exact.ulps(schedules.cosine(T, offset, 1.0).beta[1:], expected) <= COSINE


@pytest.mark.parametrize("ends", [(1e-4, 0.02), (0.02, 1e-4), (1e-3, 1e-300), (1e-300, 1e-3), (0.3, 0.3)])
def test_linear_up_and_down(ends):
    """F5: steps of beta and of its root in either direction; counted from the larger end, the small betas would lose their digits."""
    start, end = exact.numbers(ends)
    share = np.array([mp.mpf(t) / 99 for t in range(100)])
    with mp.workdps(400):
        linear = (start * (1 - share) + end * share) * 10
        root = (mp.sqrt(start) * (1 - share) + mp.sqrt(end) * share) ** 2 * 10
        if max(ends) < 0.1:
            assert exact.ulps(schedules.linear(100, *ends).beta[1:], linear) <= FAMILY + 4
            assert exact.ulps(schedules.quadratic(100, *ends).beta[1:], root) <= FAMILY + 4
    assert schedules.linear(1, 0.0002, 0.0001).beta[1] == pytest.approx(0.2, rel=1e-15)


@pytest.mark.parametrize("ends", [(-700.0, 700.0), (700.0, -700.0), (-700.0, -699.0), (699.0, 700.0), (0.0, 700.0), (-1e-300, 1e-300)])
def test_sigmoid_from_end_to_end(ends):
    """F5: the sigmoid schedule over all admitted ends, without overflow; exponents of up to 350 cost as many ulp."""
    T = 10
    with mp.workdps(700):
        start, end = exact.numbers(ends)
        level = np.array([mp.tanh(start / 2) if t == 0 else mp.tanh((start + mp.mpf(t) / T * (end - start)) / 2) for t in range(T + 1)])
        expected = np.minimum((level[1:] - level[:-1]) / (level[-1] - level[:-1]), mp.mpf(0.999))
        got = schedules.sigmoid(T, *ends).beta[1:]
        assert exact.ulps(got, expected) <= COSINE + max(map(abs, ends))


# --- what is refused -----------------------------------------------------------------------------------------------------

TABLE_OF = np.array([0.0, -1.0, -3.0])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Schedule(-np.array([0.0, 1, 1]), np.zeros(3)), r"^log_alpha_bar\[2\] = -1.0; allowed: below log_alpha_bar\[1\] = -1.0$"),
        (lambda: Schedule(TABLE_OF, np.zeros(3), np.array([-1.0])), r"^log_alpha has shape \(1,\); allowed: \(2,\), one step for each"),
        (lambda: Schedule(TABLE_OF, np.zeros(3), np.array([-1.0, -1.0])), r"(?s)^log_alpha = array\(.*; allowed: the steps"),
        (lambda: Schedule(1e-12 * TABLE_OF, np.zeros(3), np.array([-1e-12, -1e-12])), r"(?s)^log_alpha = array\(.*; allowed: the steps"),
        (lambda: Schedule(TABLE_OF, np.zeros(3), np.array([-1.0, 0.0])), r"^log_alpha_bar\[2\] = -3.0; allowed: below"),
        (lambda: schedules.from_betas([0.5, 1e-400]), r"^beta_2 = 0.0; allowed: inside \(0, 1\), or 1 for the last$"),
        (lambda: schedules.from_betas([0.5, 1 - 1e-17, 0.5]), r"^beta_2 = 1.0; allowed: inside \(0, 1\), or 1 for the last$"),
        (lambda: schedules.from_log_snr([746.0]), r"^log_snr = array\(\[746.\]\); allowed: finite, in \[-inf, 745\]$"),
        (lambda: schedules.from_log_snr([745.0, np.nextafter(745.0, 0)]), r"^log_alpha_bar\[2\] = .*; allowed: below"),
    ],
)
def test_a_step_that_is_none_is_named(call, message):
    """F5: what the tables cannot hold is refused, with its time."""
    with pytest.raises(ValueError, match=message):
        call()


# --- grids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", schedules.GRIDS)
@pytest.mark.parametrize("T, S", [(schedules.MAX_T, 10**6), (schedules.MAX_T - 1, 10**6 + 1), (schedules.MAX_T, 3), (999_983, 999_979)])
def test_the_longest_grids(kind, T, S):
    """S2: every entry of a grid of millions of steps is the rounded fraction of the definition; none overflows."""
    times = schedules.grid(kind, T, S)
    assert times.dtype == np.int64 and times[-1] == 0 and np.all(np.diff(times) < 0) and (times[0] == T or kind == "leading")
    i = np.unique(np.concatenate([np.arange(1, 100), S - np.arange(100), np.linspace(1, S, 5000).astype(int)]))
    i = i[(i >= 1) & (i <= S)]
    formulas = {
        "linspace": lambda i: 1 + exact.half_up(Fraction((i - 1) * (T - 1), S - 1)),
        "leading": lambda i: 1 + (i - 1) * (T // S),
        "trailing": lambda i: exact.half_up(Fraction(i * T, S)),
        "quadratic": lambda i: max(i, exact.half_up(Fraction(i * i * T, S * S))),
    }
    assert times[S - i].tolist() == [formulas[kind](n) for n in i.tolist()]


@given(st.sampled_from(schedules.GRIDS), st.integers(1, schedules.MAX_T), st.integers(1, 50))
def test_grids_over_the_whole_range(kind, T, S):
    """S2: the definition in fractions for T up to the largest that is allowed."""
    assert schedules.grid(kind, T, min(S, T)).tolist() == grid_by_definition(kind, T, min(S, T))


@pytest.mark.parametrize("kind", schedules.GRIDS)
@pytest.mark.parametrize("T", [np.uint8(200), np.int8(100), np.int16(1000), np.uint16(50_000), np.int32(10**6), np.array(200, np.uint8)])
@pytest.mark.parametrize("S", [np.uint8(50), np.int8(7), np.array(50, np.uint8)])
def test_grids_of_small_integers(kind, T, S):
    """S2: integers of any width give the grid of Python's integers."""
    times = schedules.grid(kind, T, S)
    assert times.dtype == np.int64
    np.testing.assert_array_equal(times, schedules.grid(kind, int(T), int(S)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64])
def test_grids_in_small_integers(dtype):
    """S2: a grid of integers of any width is a grid: differences of unsigned integers would not be negative."""
    times = np.array([100, 50, 3, 0], dtype)
    np.testing.assert_array_equal(schedules.check_grid(times, 100), times)
    with pytest.raises(ValueError, match=r"^grid = .*; allowed: strictly decreasing"):
        schedules.check_grid(times[::-1], 100)
    x = np.ones((1, 2))
    noise = [x, x, x]
    chains = [forward.trajectory(x, each, schedules.linear(100), noise) for each in (times, times.astype(int))]
    np.testing.assert_array_equal(*chains)


@pytest.mark.parametrize("family", ["linear", "quadratic", "cosine", "sigmoid"])
@pytest.mark.parametrize("T", [np.uint8(200), np.int8(100), np.int16(1000)])
def test_schedules_of_small_integers(family, T):
    """F5: and so do the schedules."""
    np.testing.assert_array_equal(getattr(schedules, family)(T).beta, getattr(schedules, family)(int(T)).beta)
