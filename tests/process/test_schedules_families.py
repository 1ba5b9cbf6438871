"""The families of schedules (linear, quadratic, cosine, sigmoid) against their definitions in 50 digits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refdiff import schedules

from .. import exact
from ..tolerances import COSINE, FAMILY

U = np.finfo(np.float64).eps / 2
FAMILIES = (schedules.linear, schedules.quadratic, schedules.scaled_linear, schedules.cosine, schedules.sigmoid)


def log_rounding(betas):
    """Bound of the absolute error of each log alpha_bar when every beta has FAMILY roundings: the derivative of log(1 -
    beta) times these.
    """
    return U * np.cumsum(FAMILY * betas / (1 - betas) + 2 * abs(np.log1p(-betas)))


def assert_family(actual, betas):
    """Assert that the tables are those of exact betas, given as mpmath numbers."""
    rounded = betas.astype(np.float64)
    expected = np.array(list(np.cumsum(exact.apply(lambda b: mp.log(1 - b), betas))), dtype=object)
    assert np.all(exact.error(actual.log_alpha_bar[1:], expected) <= log_rounding(rounded))
    assert np.all(exact.error(actual.beta[1:], betas) <= U * (FAMILY + 4) * rounded)


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
    """Exact betas of the cosine schedule, and the relative sensitivity of each beta to a relative error of u in the angles."""
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
    """F5: default parameters: T = 1000; 1e-4 to 0.02; 0.00085 to 0.012; offset 0.008; -3 to 3 at temperature 1; clipping at 0.999."""
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
    """F5: betas are given for T = 1000; with the factor 1000/T, log alpha_bar_T hardly depends on T, without it noise is missing."""
    wanted, betas = family(1000).log_alpha_bar[-1], family(1000).beta[1:]
    for T in (100, 250, 4000):
        # sum log(1 - beta) = -sum beta - sum beta^2 / 2 - ...: the first sum is kept, the second shrinks as 1/T
        second = ((family(T).beta ** 2).sum() + (betas**2).sum()) / 2
        assert abs(family(T).log_alpha_bar[-1] - wanted) <= 1.5 * second + abs(wanted) / T
    assert schedules.from_betas(betas[::10]).log_alpha_bar[-1] > wanted / 5


@pytest.mark.parametrize("family", FAMILIES)
def test_one_step_schedules(family):
    """F5: every family allows T = 1."""
    expected = {"linear": 0.1, "quadratic": 0.1, "scaled_linear": 0.85, "cosine": 0.999, "sigmoid": 0.999}[family.__name__]
    assert family(1).T == 1 and family(1).beta[1] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("T", range(2, 20))
def test_linear_for_few_steps(T):
    """F5: with the default range, T = 2..19 would need betas above 1 and raises, T = 20 ends in a beta of 1, T = 21 is ordinary."""
    with pytest.raises(ValueError, match=r"^beta_\d+ = .*; allowed: inside \(0, 1\)"):
        schedules.linear(T)
    assert schedules.linear(20).alpha_bar[-1] == 0 and schedules.linear(20).alpha_bar[-2] > 0
    assert schedules.linear(21).alpha_bar[-1] > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "T, error", [(0, ValueError), (-5, ValueError), (10**7 + 1, ValueError), (10.0, TypeError), (True, TypeError), ("9", TypeError)]
)
def test_families_refuse_a_wrong_T(family, T, error):
    """F5: every family requires a positive integer T."""
    with pytest.raises(error, match=r"^T = .*1\.\.10000000"):
        family(T)


def test_cosine_and_sigmoid_clip_only_what_is_above():
    """F5: betas below the limit are unchanged, the others equal it."""
    for family in (schedules.cosine, schedules.sigmoid):
        free, clipped = family(50).beta[1:], family(50, beta_max=0.1).beta[1:]
        above = free > 0.1
        assert 0 < above.sum() < 50
        np.testing.assert_allclose(clipped, np.where(above, 0.1, free), rtol=1e-14)
