"""Accuracy: the linear schedule at T = 1000 against 50 digits, and float32 against rounded float64."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import elbo, forward, gaussian, predict, reverse, rng, samplers, schedules
from refdiff.objectives.flow import straight, trigonometric

from .. import exact
from ..strategies import schedule, times
from ..tolerances import ALPHA_BAR, FLOAT32, KL, LOG_SNR, ONE_MINUS_ALPHA_BAR, POSTERIOR_VARIANCE, in_eps

T = 1000
LINEAR = schedules.linear(T)
BETAS = np.linspace(1e-4, 0.02, T)
BARS = exact.alpha_bars(BETAS)
ALL = np.arange(1, T + 1)


def test_alpha_bar():
    """F5: alpha_bar, a product of 1000 factors, is accurate to 64 ulp."""
    assert exact.ulps(LINEAR.alpha_bar, BARS) <= ALPHA_BAR


def test_one_minus_alpha_bar():
    """F5: 1 - alpha_bar is accurate to 8 ulp at every t, from 1e-4 on."""
    assert exact.ulps(LINEAR.one_minus_alpha_bar[1:], 1 - BARS[1:]) <= ONE_MINUS_ALPHA_BAR


def test_naive_subtraction_is_inaccurate():
    """The naive formula 1 - cumprod(1 - beta) exceeds the tolerance a hundredfold."""
    assert exact.ulps(1 - np.cumprod(1 - BETAS), 1 - BARS[1:]) > 100 * ONE_MINUS_ALPHA_BAR


def test_log_snr():
    """F5: log SNR has absolute error at most 1e-13, whatever its size."""
    expected = exact.apply(mp.log, BARS[1:]) - exact.apply(mp.log, 1 - BARS[1:])
    assert np.max(exact.error(LINEAR.log_snr[1:], expected)) <= LOG_SNR


def posterior_variances(t, s):
    return (1 - BARS[s]) / (1 - BARS[t]) * (1 - BARS[t] / BARS[s])


def test_posterior_variance_of_adjacent_times():
    """R2: beta-tilde keeps 4 ulp for every t, though alpha_bar itself does not."""
    t = ALL[1:]
    assert exact.ulps(forward.posterior_variance(t, t - 1, LINEAR), posterior_variances(t, t - 1)) <= POSTERIOR_VARIANCE


def test_posterior_variance_of_any_pair():
    """R2: beta-tilde is accurate to 4 ulp for any s < t."""
    s = rng.integers(1, 2000, T - 1) + 1
    t = s + 1 + rng.integers(2, 2000, T) % (T - s)
    assert exact.ulps(forward.posterior_variance(t, s, LINEAR), posterior_variances(t, s)) <= POSTERIOR_VARIANCE


def test_table_without_remainder_is_inaccurate():
    """Without the remainder of the running sum, differences of log alpha_bar lose the last digits of beta."""
    table = schedules.Schedule(LINEAR.log_alpha_bar, np.zeros(T + 1))
    t = ALL[1:]
    assert exact.ulps(forward.posterior_variance(t, t - 1, table), posterior_variances(t, t - 1)) > 4 * POSTERIOR_VARIANCE


@pytest.mark.parametrize("distance", [1e-15, 1e-12, 1e-8, 1e-4, 0.01, 0.09, 0.11, 0.5, 2, 30])
@pytest.mark.parametrize("sign", [1, -1])
def test_kl_of_nearly_equal_variances(distance, sign):
    """E1: the divergence has relative error at most 1e-14, however near the variances are."""
    variance1, variance2 = np.array([0.3 * np.exp(sign * distance)]), np.array([0.3])
    same = np.zeros((1, 1))
    actual = gaussian.kl_isotropic(same, variance1, same, variance2)
    assert exact.relative(actual, exact.kl_normal(0, exact.numbers(variance1)[0], 0, exact.numbers(variance2)[0])) <= KL


FUNCTIONS = {  # each linear in the arrays x and y
    "q_step_sample": lambda x, y, t, s: forward.q_step_sample(x, t, s, LINEAR, y),
    "q_sample": lambda x, y, t, s: forward.q_sample(x, t, LINEAR, y),
    "posterior": lambda x, y, t, s: forward.posterior(x, y, t, s, LINEAR)[0],
    "mean_from_eps": lambda x, y, t, s: reverse.mean_from_eps(y, x, t, s, LINEAR),
    "to_x0": lambda x, y, t, s: predict.to_x0(y, x, t, LINEAR, "v"),
    "to_eps": lambda x, y, t, s: predict.to_eps(y, x, t, LINEAR, "v"),
    "target": lambda x, y, t, s: predict.target("v", x, y, t, LINEAR),
    "tweedie_mean": lambda x, y, t, s: predict.tweedie_mean(x, y, t, LINEAR),
} | {
    f"{source} to {to}": lambda x, y, t, s, source=source, to=to: predict.convert(y, x, t, LINEAR, source, to)
    for source in predict.KINDS
    for to in predict.KINDS
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_is_rounded_float64(name):
    """F2, F3, R2, R3, R6: in float32 each result is within 4 ulp of the float64 one, relative to its two terms where they cancel."""
    x, y = rng.normal(3, 500, (2,), dtype=np.float32), rng.normal(4, 500, (2,), dtype=np.float32)
    t = 2 + rng.integers(5, 500, T - 1)
    s = 1 + rng.integers(6, 500, T) % (t - 1)
    assert_rounded(lambda x, y: FUNCTIONS[name](x, y, t, s), x, y)


def assert_rounded(function, x, y):
    """Assert that function(x, y), linear in float32 arrays, is the rounded float64 result; its terms are those of x and of y alone."""
    narrow, wide_x, wide_y = function(x, y), x.astype(np.float64), y.astype(np.float64)
    terms = function(wide_x, np.zeros_like(wide_y)), function(np.zeros_like(wide_x), wide_y)
    assert narrow.dtype == np.float32
    assert in_eps(narrow, function(wide_x, wide_y), *terms) <= FLOAT32


@given(st.data())
def test_samplers_in_float32(data):
    """S1, S2: a DDPM and a DDIM step in float32 are the rounded float64 steps, on schedules of any family."""
    level = data.draw(schedule())
    t, s = data.draw(times(level))
    x, eps, z = (rng.normal(seed, 50, (3,), dtype=np.float32) for seed in (7, 8, 9))
    wide = [array.astype(np.float64) for array in (eps, x)]
    x0 = np.abs(wide[1] / level.signal[t]) + np.abs(level.sigma[t] / level.signal[t] * wide[0])
    for step, options in ((samplers.ddpm_step, {"variance": "beta"}), (samplers.ddim_step, {"eta": 0.5})):
        narrow = step(eps, x, t, s, level, z, **options)
        assert narrow.dtype == np.float32
        expected = step(*wide, t, s, level, z.astype(np.float64), **options)
        assert in_eps(narrow, expected, level.signal[s] * x0, x, eps, z) <= FLOAT32


@pytest.mark.parametrize("path", [straight, trigonometric], ids=lambda path: path.name)
def test_flow_in_float32(path):
    """M2: conversions to velocity on flow paths in float32 are the rounded float64 conversions."""
    x, y = rng.normal(10, 500, (2,), dtype=np.float32), rng.normal(11, 500, (2,), dtype=np.float32)
    t = rng.uniform(12, 500)[:, 0]
    for kind in ("x0", "eps", "v"):
        assert_rounded(lambda x, y, kind=kind: predict.convert(y, x, t, path, kind, "velocity"), x, y)


def test_elbo_weights():
    """E6: the weight of x0 is half the decrease of the SNR in 50 digits, though the two SNRs are near each other."""
    t = ALL[1:]
    expected = (BARS[t - 1] / (1 - BARS[t - 1]) - BARS[t] / (1 - BARS[t])) / 2
    assert exact.relative(elbo.weight_x0(t, t - 1, LINEAR), expected) <= 64 * np.finfo(float).eps
