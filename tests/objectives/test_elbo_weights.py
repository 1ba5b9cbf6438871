"""Weights of the squared errors in the ELBO and in the losses trained in its place."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from refdiff import elbo, forward, gaussian, predict, schedules

from .. import exact
from ..strategies import case, each, schedule, times
from ..tolerances import DENSITY, IDENTITY, TABLE, WEIGHT, in_eps

TABLE4 = schedules.from_betas([0.1, 0.2, 0.3, 0.05])  # alpha_bar 0.9, 0.72, 0.504, 0.4788
ZERO_TERMINAL = schedules.zero_terminal_snr(TABLE4)
X0 = np.array([[1.0, -2.0], [0.5, 3.0]])
XT = np.array([[0.25, 1.0], [-1.5, 2.0]])


@given(st.integers(2, 30), st.data())
def test_weights_against_50_digits(T, data):
    """E6: 1/(2 beta-tilde), beta^2/(2 beta-tilde alpha (1 - alpha_bar)) and (SNR(s) - SNR(t))/2 from exact products, for near SNRs too."""
    betas = 10 ** np.array(data.draw(st.lists(st.floats(-5, -0.05), min_size=T, max_size=T)))
    table, bars = schedules.from_betas(betas), exact.alpha_bars(betas)
    t, s = data.draw(times(table, 1))
    alpha = bars[t] / bars[s]
    tilde = (1 - bars[s]) / (1 - bars[t]) * (1 - alpha)
    eps = np.finfo(np.float64).eps
    assert exact.relative(elbo.weight_mean(t, s, table), 1 / (2 * tilde)) <= WEIGHT * eps
    decades = 1 + abs(np.log(float(alpha)))
    assert exact.relative(elbo.weight_eps(t, s, table), (1 - alpha) ** 2 / (2 * tilde * alpha * (1 - bars[t]))) <= WEIGHT * eps * decades
    snr = [bars[i] / (1 - bars[i]) for i in (s, t)]
    assert exact.relative(elbo.weight_x0(t, s, table), (snr[0] - snr[1]) / 2) <= WEIGHT * eps * (1 + abs(table.log_alpha_bar[s]))


@given(case(3, low=1, dtypes=(np.float64,)))
def test_weighted_squares_are_the_divergence(drawn):
    """E6: with variance beta-tilde on both sides, the divergence is the weight times the squared error of the mean, of eps, or of x0."""
    table, t, s, x0, eps, guess = drawn
    assume(np.min(table.signal[t]) > 1e-6)
    x_t = forward.q_sample(x0, t, table, eps)
    signal, sigma = (drawn.column(v) for v in table.signal_sigma(t))
    # the guess of eps goes with the guess of x0 along x_t = signal x0 + sigma eps
    eps_error = guess - eps
    x0_error = -sigma / signal * eps_error
    true, variance = forward.posterior(x_t, x0, t, s, table)
    model, _ = forward.posterior(x_t, x0 + x0_error, t, s, table)
    divergence = gaussian.kl_diagonal(true, variance, model, variance)
    squares = [((value) ** 2).sum(axis=tuple(range(1, x0.ndim))) for value in (true - model, eps_error, x0_error)]
    slope = drawn.column(table.signal[s] * table.transition(t, s)[1] / table.one_minus_alpha_bar[t])
    cancelled = ((abs(true) + abs(model) + slope * (abs(x0) + abs(x0_error))) ** 2 / variance).sum(axis=tuple(range(1, x0.ndim)))
    for weight, square in zip((elbo.weight_mean, elbo.weight_eps, elbo.weight_x0), squares, strict=True):
        assert in_eps(elbo.weighted(square, weight(t, s, table)), divergence, divergence, cancelled) <= 2 * IDENTITY


@given(case(1, low=1, dtypes=(np.float64,)))
def test_weights_are_those_of_the_means_slopes(drawn):
    """E6: the weight of eps is that of the mean times (d mu / d eps)^2, the weight of x0 is that of the mean times (d mu / d x0)^2."""
    table, t, s, _ = drawn
    alpha, beta = table.transition(t, s)
    base = elbo.weight_mean(t, s, table)
    slope_eps = beta / (table.sigma[t] * np.sqrt(alpha))
    slope_x0 = table.signal[s] * beta / table.one_minus_alpha_bar[t]
    assert in_eps(elbo.weight_eps(t, s, table), base * slope_eps**2) <= WEIGHT
    assert in_eps(elbo.weight_x0(t, s, table), base * slope_x0**2) <= WEIGHT + np.max(abs(table.log_alpha_bar[s]))


def test_weights_of_generic_numbers():
    """E6: weights at alpha_bar_1 = 0.9, alpha_bar_3 = 0.504 by hand; arrays of times; no weight at s = 0; no weight of
    eps without signal.
    """
    tilde = 0.1 / 0.496 * 0.44
    assert elbo.weight_mean(3, 1, TABLE4) == pytest.approx(1 / (2 * tilde), rel=1e-14)
    assert elbo.weight_eps(3, 1, TABLE4) == pytest.approx(0.44**2 / (2 * tilde * 0.56 * 0.496), rel=1e-14)
    assert elbo.weight_x0(3, 1, TABLE4) == pytest.approx((9 - 0.504 / 0.496) / 2, rel=1e-14)
    t, s = np.array([3, 4]), np.array([1, 3])
    for weight in (elbo.weight_mean, elbo.weight_eps, elbo.weight_x0):
        np.testing.assert_array_equal(weight(t, s, TABLE4), each(lambda t, s, weight=weight: weight(t, s, TABLE4), t, s))
        for zero in (0, np.array([1, 0])):
            with pytest.raises(ValueError, match=r"^s = .*; allowed: s > 0, since beta-tilde is 0 at s = 0 and that term is L_0$"):
                weight(3, zero, TABLE4)
    with pytest.raises(ValueError, match=r"^t = 4 has alpha_bar 0, where eps does not determine the mean; allowed: t with alpha_bar > 0$"):
        elbo.weight_eps(4, 2, ZERO_TERMINAL)
    assert elbo.weight_x0(4, 2, ZERO_TERMINAL) == pytest.approx(ZERO_TERMINAL.snr[2] / 2, rel=1e-13)


@given(case(2))
def test_l_simple_sums_squares_over_the_event(drawn):
    """E8: |eps - eps_theta|^2 per example, in every shape and precision."""
    _, _, _, target, prediction = drawn
    actual = elbo.l_simple(target, prediction)
    expected = [((target[i].astype(np.float64) - prediction[i]) ** 2).sum() for i in range(len(target))]
    assert actual.dtype == target.dtype and actual.shape == target.shape[:1]
    assert in_eps(actual, expected) <= DENSITY


def snr_kept(table, t, gamma):
    """min(SNR, gamma) in 50 digits from the table's logarithms; SNR = inf at t = 0."""
    bar = mp.exp(mp.mpf(float(table.log_alpha_bar[t])))
    return mp.mpf(gamma) if t == 0 else min(bar / (1 - bar), mp.mpf(gamma))


@given(schedule(zero_terminal=True), st.floats(0.01, 100), st.data())
def test_min_snr_weights_against_50_digits(table, gamma, data):
    """E8: min(SNR, gamma) divided by 1, SNR or SNR + 1, at every time from clean data (SNR inf) to no signal (SNR 0)."""
    t = data.draw(st.integers(0, table.T))
    kept = snr_kept(table, t, gamma)
    bar = mp.exp(mp.mpf(float(table.log_alpha_bar[t])))
    expected = {"x0": kept, "eps": min(mp.mpf(1), gamma * (1 - bar) / bar) if bar > 0 else mp.mpf(1), "v": kept * (1 - bar)}
    scale = 1 + abs(np.nan_to_num(table.log_snr[t], posinf=0, neginf=0))
    for kind, value in expected.items():
        actual = elbo.min_snr_weight(t, table, gamma, kind)
        assert in_eps(actual, float(value)) <= 2 * TABLE * scale, kind


@given(case(3, low=1, dtypes=(np.float64,)), st.floats(0.1, 20))
def test_min_snr_is_one_loss_in_three_parametrizations(drawn, gamma):
    """E8: the error of a network has the same weighted square in x0, eps and v."""
    table, t, _, x_t, truth, guess = drawn
    assume(np.min(table.signal[t]) > 1e-6)
    losses = []
    for kind in ("x0", "eps", "v"):
        a, b = (predict.convert(value, x_t, t, table, "x0", kind) for value in (truth, guess))
        terms = [
            abs(predict.convert(abs(value), 0 * x_t, t, table, "x0", kind))
            + abs(predict.convert(0 * value, abs(x_t), t, table, "x0", kind))
            for value in (truth, guess)
        ]
        weight = elbo.min_snr_weight(t, table, gamma, kind)
        losses.append((elbo.weighted(elbo.l_simple(a, b), weight), elbo.weighted(elbo.l_simple(terms[0], -terms[1]), weight)))
    for loss, scale in losses[1:]:
        assert in_eps(loss, losses[0][0], scale, losses[0][1]) <= 2 * IDENTITY


def test_losses_of_generic_numbers():
    """E8: losses at alpha_bar_1 = 0.9 (SNR 9) and alpha_bar_3 = 0.504 (SNR 63/62); defaults gamma 5, eps, and lambda 0.001."""
    for kind, values in {"x0": (5, 63 / 62), "eps": (5 / 9, 1), "v": (0.5, 0.504)}.items():
        np.testing.assert_allclose(elbo.min_snr_weight(np.array([1, 3]), TABLE4, 5, kind), values, rtol=1e-14)
    np.testing.assert_array_equal(elbo.min_snr_weight(1, TABLE4), elbo.min_snr_weight(1, TABLE4, 5, "eps"))
    np.testing.assert_array_equal(elbo.min_snr_weight(np.array([0, 4]), ZERO_TERMINAL, 5, "x0"), [5, 0])
    np.testing.assert_array_equal(elbo.min_snr_weight(np.array([0, 4]), ZERO_TERMINAL, 5, "eps"), [0, 1])
    np.testing.assert_array_equal(elbo.min_snr_weight(np.array([0, 4]), ZERO_TERMINAL, 5, "v"), [0, 0])
    simple, vlb = np.array([2.0, 3.0]), np.array([100.0, -50.0])
    np.testing.assert_allclose(elbo.hybrid(simple, vlb), [2.1, 2.95], rtol=1e-15)
    np.testing.assert_allclose(elbo.hybrid(simple, vlb, 0.5), [52, -22], rtol=1e-15)
    np.testing.assert_array_equal(elbo.hybrid(simple, vlb, 0), simple)
    np.testing.assert_allclose(elbo.l_simple(X0, XT), [0.5625 + 9, 4 + 1], rtol=1e-15)
    np.testing.assert_allclose(elbo.bits_per_dim(np.array([6 * np.log(2), 1.0]), 3), [2, 1 / (3 * np.log(2))], rtol=1e-15)
    assert elbo.bits_per_dim(np.log(2.0), 1) == 1
    scaled = elbo.weighted(simple.astype(np.float32), np.array([0.5, 2.0]))
    assert scaled.dtype == np.float32 and scaled.tolist() == [1, 6]
    assert elbo.weighted(simple, 3.0).tolist() == [6, 9]
