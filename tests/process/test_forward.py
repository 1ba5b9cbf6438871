"""The forward process: one step, several steps, posteriors, chains, and the prior term."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from refdiff import forward, gaussian, schedules
from refdiff.process.forward import posterior, posterior_by_bayes, posterior_variance, q_marginal, q_sample, q_step, q_step_sample

from .. import exact
from ..strategies import arrays, case, chain, each, schedule, shapes, times
from ..tolerances import DENSITY, IDENTITY, TABLE, in_eps, log_density_size

TABLE4 = schedules.from_betas([0.1, 0.2, 0.3, 0.05])  # alpha_bar 0.9, 0.72, 0.504, 0.4788
X0 = np.array([[1.0, -2.0], [0.5, 3.0]])
XT = np.array([[0.25, 1.0], [-1.5, 2.0]])


def widths(drawn):
    """(alpha_{t|s}, beta_{t|s}, 1 - alpha_bar_s, 1 - alpha_bar_t), shaped to multiply the arrays."""
    table, t, s, *_ = drawn
    return [drawn.column(v) for v in (*table.transition(t, s), table.one_minus_alpha_bar[s], table.one_minus_alpha_bar[t])]


# --- one step, two steps, all steps --------------------------------------------------------------------------------------


@given(case(2, zero_terminal=True))
def test_one_step_has_its_moments_and_sampling_form(drawn):
    """F1: mean sqrt(alpha) x_s, variance beta = 1 - alpha, and x_t = mean + sqrt(variance) noise."""
    table, t, s, x_s, noise = drawn
    alpha, beta, _, _ = widths(drawn)
    mean, variance = q_step(x_s, t, s, table)
    assert mean.dtype == np.asarray(variance).dtype == x_s.dtype and mean.shape == x_s.shape
    assert in_eps(mean, np.sqrt(alpha) * x_s) <= 2
    assert in_eps(variance, beta) <= 1
    sample = q_step_sample(x_s, t, s, table, noise)
    assert sample.dtype == x_s.dtype
    assert in_eps(sample, mean + np.sqrt(variance) * noise, mean, noise * np.sqrt(beta)) <= TABLE


@given(case(1))
def test_adjacent_times_step_by_alpha_and_beta(drawn):
    """F1: for s = t - 1 the step has alpha_t and beta_t of the tables."""
    table, t, _, x = drawn
    mean, variance = q_step(x, t, t - 1, table)
    assert in_eps(mean, np.sqrt(drawn.column(table.alpha[t])) * x, x * np.sqrt(drawn.column(table.alpha[t])) + x * 1e-16) <= TABLE
    assert in_eps(variance, drawn.column(table.beta[t])) <= 1


@given(case(3, low=1), st.data())
def test_two_steps_merge(drawn, data):
    """F2: q(x_s | x_r) followed by q(x_t | x_s) is q(x_t | x_r), in moments and in samples with the merged noise."""
    table, t, s, x, noise1, noise2 = drawn
    r = data.draw(st.integers(0, int(np.min(s)) - 1))
    first, second = table.transition(s, r), table.transition(t, s)
    alpha, beta = table.transition(t, r)
    assert in_eps(second[0] * first[0], alpha) <= TABLE * (1 + np.max(abs(np.log(alpha))))
    assert in_eps(second[0] * first[1] + second[1], beta) <= 2 * TABLE
    mean, variance = q_step(x, s, r, table)
    merged_mean, merged_variance = q_step(x, t, r, table)
    again, added = q_step(mean, t, s, table)
    assert in_eps(again, merged_mean) <= IDENTITY + TABLE * np.max(abs(np.log(alpha)))
    assert in_eps(drawn.column(second[0]).astype(x.dtype) * variance + added, merged_variance) <= IDENTITY
    old, new = (drawn.column(v) for v in (np.sqrt(second[0] * first[1] / beta), np.sqrt(second[1] / beta)))
    assert in_eps(old**2 + new**2, np.ones_like(old)) <= 2 * TABLE
    one_by_one = q_step_sample(q_step_sample(x, s, r, table, noise1), t, s, table, noise2)
    at_once = q_step_sample(x, t, r, table, (old * noise1 + new * noise2).astype(x.dtype))
    assert in_eps(one_by_one, at_once, merged_mean, noise1, noise2) <= IDENTITY


def test_two_steps_of_generic_numbers_merge():
    """F2: sqrt(0.7 * 0.8) x + sqrt(1 - 0.7 * 0.8) eps, by hand."""
    mean, variance = q_step(X0, 3, 1, TABLE4)
    np.testing.assert_allclose(mean, np.sqrt(0.56) * X0, rtol=1e-15)
    np.testing.assert_allclose(variance, 0.44, rtol=1e-15)
    np.testing.assert_allclose(q_step_sample(X0, 3, 1, TABLE4, XT), np.sqrt(0.56) * X0 + np.sqrt(0.44) * XT, rtol=1e-14)


@given(case(2, zero_terminal=True))
def test_closed_form_is_the_step_from_time_zero(drawn):
    """F3: q(x_t | x_0) is q(x_t | x_s) at s = 0, with signal^2 = alpha_bar; the sample is mean + sqrt(variance) noise."""
    table, t, _, x0, noise = drawn
    mean, variance = q_marginal(x0, t, table)
    step_mean, step_variance = q_step(x0, t, np.zeros_like(t), table)
    assert mean.dtype == np.asarray(variance).dtype == x0.dtype
    assert in_eps(mean, step_mean) <= TABLE + np.max(abs(np.nan_to_num(table.log_alpha_bar[t], neginf=0)))
    assert in_eps(variance, step_variance) <= TABLE
    assert in_eps(mean, np.sqrt(drawn.column(table.alpha_bar[t])) * x0) <= TABLE
    assert in_eps(q_sample(x0, t, table, noise), mean + np.sqrt(variance) * noise, mean, noise) <= TABLE


@given(case(1, max_T=12), st.data())
def test_single_steps_compose_to_the_closed_form(drawn, data):
    """F3: t single steps equal one q_sample with noise sum_i sqrt(alpha_{t|i} beta_i) eps_i / sigma_t, whose variance is 1."""
    table, t, _, x0 = drawn
    t = int(np.max(t))
    noises = [data.draw(arrays(x0.shape, x0.dtype.type)) for _ in range(t)]
    x = x0
    for i in range(1, t + 1):
        x = q_step_sample(x, i, i - 1, table, noises[i - 1])
    shares = [np.sqrt(table.beta[i] * np.exp(table.log_alpha_between(t, i))) / table.sigma[t] for i in range(1, t + 1)]
    assert in_eps(np.sum(np.square(shares)), 1.0) <= 2 * t * TABLE
    at_once = q_sample(
        x0.astype(np.float64), t, table, sum(share * noise.astype(np.float64) for share, noise in zip(shares, noises, strict=True))
    )
    assert in_eps(x, at_once, x0, *noises) <= t * TABLE


def test_closed_form_of_generic_numbers():
    """F3: alpha_bar_3 = 0.504 by hand, and per-example times 1, 4."""
    mean, variance = q_marginal(X0, 3, TABLE4)
    np.testing.assert_allclose(mean, np.sqrt(0.504) * X0, rtol=1e-15)
    np.testing.assert_allclose(variance, 0.496, rtol=1e-15)
    mean, variance = q_marginal(X0, np.array([1, 4]), TABLE4)
    np.testing.assert_allclose(mean, np.sqrt([[0.9], [0.4788]]) * X0, rtol=1e-15)
    np.testing.assert_allclose(variance, [[0.1], [0.5212]], rtol=1e-15)
    np.testing.assert_allclose(q_sample(X0, 3, TABLE4, XT), np.sqrt(0.504) * X0 + np.sqrt(0.496) * XT, rtol=1e-14)


@given(case(2))
def test_time_zero_is_the_data(drawn):
    """F3: at t = 0 q_sample returns the data, bit for bit."""
    table, t, _, x0, noise = drawn
    np.testing.assert_array_equal(q_sample(x0, np.zeros_like(t), table, noise), x0)
    mean, variance = q_marginal(x0, 0, table)
    np.testing.assert_array_equal(mean, x0)
    assert variance == 0


@given(case(2, zero_terminal=True).filter(lambda drawn: np.ndim(drawn.t)))
def test_times_per_example_are_the_scalar_times(drawn):
    """F1, F3, R2: a batch with times (B,) equals its single examples with scalar times, bit for bit; inputs are not modified."""
    table, t, s, x, y = drawn
    before = [value.copy() for value in (t, s, x, y)]
    for f in (
        lambda t, s, x, y: q_step_sample(x, t, s, table, y),
        lambda t, s, x, y: q_sample(x, t, table, y),
        lambda t, s, x, y: posterior(x, y, t, s, table)[0],
        lambda t, s, x, y: q_step(x, t, s, table)[0],
        lambda t, s, x, y: q_marginal(x, t, table)[0],
    ):
        np.testing.assert_array_equal(f(t, s, x, y), each(f, t, s, x, y))
    np.testing.assert_array_equal(posterior_variance(t, s, table), each(lambda t, s: posterior_variance(t, s, table), t, s))
    for value, old in zip((t, s, x, y), before, strict=True):
        np.testing.assert_array_equal(value, old)


# --- the posterior -------------------------------------------------------------------------------------------------------


@given(case(2, low=1))
def test_bayes_product_is_the_closed_form(drawn):
    """R1: the product of q(x_t | x_s) and q(x_s | x_0), as a density of x_s, is the closed-form posterior, mean and variance."""
    table, t, s, x_t, x0 = drawn
    assume(np.min(table.transition(t, s)[0]) > 1e-30)  # x_t / sqrt(alpha) must be a float32
    mean, variance = posterior(x_t, x0, t, s, table)
    by_bayes_mean, by_bayes_variance = posterior_by_bayes(x_t, x0, t, s, table)
    assert mean.dtype == by_bayes_mean.dtype == x_t.dtype
    terms = posterior(abs(x_t), abs(x0), t, s, table)[0]
    assert in_eps(by_bayes_mean, mean, terms) <= IDENTITY
    assert in_eps(by_bayes_variance, variance) <= IDENTITY


@given(case(3, low=1, zero_terminal=True))
def test_bayes_holds_for_log_densities(drawn):
    """R1: log q(x_t | x_s) + log q(x_s | x_0) - log q(x_t | x_0) = log q(x_s | x_t, x_0) at any x_s."""
    table, t, s, x_t, x_s, x0 = drawn
    pairs = [
        (x_t, q_step(x_s, t, s, table)),
        (x_s, q_marginal(x0, s, table)),
        (x_t, q_marginal(x0, t, table)),
        (x_s, posterior(x_t, x0, t, s, table)),
    ]
    forwards, start, end, backwards = (gaussian.log_density(x, *moments) for x, moments in pairs)
    scale = sum(log_density_size(x, *moments) for x, moments in pairs)
    assert in_eps(forwards + start - end, backwards, scale) <= DENSITY


@given(st.integers(2, 30), st.data())
def test_posterior_against_precisions_in_50_digits(T, data):
    """R2: precision alpha / beta + 1 / (1 - alpha_bar_s) and precision-weighted mean, from exact products of the alphas."""
    betas = 10 ** np.array(data.draw(st.lists(st.floats(-5, -0.05), min_size=T, max_size=T)))
    table, bars = schedules.from_betas(betas), exact.alpha_bars(betas)
    t, s = data.draw(times(table, 1))
    x_t, x0 = data.draw(arrays((2, 2))), data.draw(arrays((2, 2)))
    alpha = bars[t] / bars[s]
    precision = alpha / (1 - alpha) + 1 / (1 - bars[s])
    weight_xt, weight_x0 = mp.sqrt(alpha) / (1 - alpha) / precision, mp.sqrt(bars[s]) / (1 - bars[s]) / precision
    mean, variance = posterior(x_t, x0, t, s, table)
    parts = [exact.floats(weight_xt * exact.numbers(x_t)), exact.floats(weight_x0 * exact.numbers(x0))]
    decades = 1 + abs(np.log(float(alpha))) + abs(table.log_alpha_bar[s])
    assert in_eps(mean, parts[0] + parts[1], *parts) <= 2 * TABLE * decades
    assert exact.ulps(posterior_variance(t, s, table), 1 / precision) <= 2 * TABLE
    assert in_eps(variance, float(1 / precision)) <= 2 * TABLE


@given(case(1, low=1, zero_terminal=True))
def test_posterior_composed_with_the_marginal_is_the_earlier_marginal(drawn):
    """R2: q(x_s | x_t, x_0) averaged over q(x_t | x_0) is q(x_s | x_0): its mean at the mean of x_t, and variance + weight^2 (1 - alpha_bar_t)."""
    table, t, s, x0 = drawn
    end_mean, end_variance = q_marginal(x0, t, table)
    mean, variance = posterior(end_mean, x0, t, s, table)
    weight = posterior(np.ones_like(x0), np.zeros_like(x0), t, s, table)[0]
    start_mean, start_variance = q_marginal(x0, s, table)
    assert in_eps(mean, start_mean) <= IDENTITY
    assert in_eps(weight**2 * end_variance + variance, np.broadcast_to(start_variance, x0.shape)) <= IDENTITY


@given(case(2, zero_terminal=True))
def test_posterior_at_time_zero_is_the_data(drawn):
    """R2: for s = 0 the mean is x0 and the variance exactly +0."""
    table, t, _, x_t, x0 = drawn
    zero = np.zeros_like(t)
    mean, variance = posterior(x_t, x0, t, zero, table)
    assert in_eps(mean, x0) <= 2
    assert np.all(variance == 0) and not np.signbit(variance).any()
    assert np.all(posterior_variance(t, zero, table) == 0)


def test_posterior_of_generic_numbers():
    """R2: alpha_bar_1 = 0.9, alpha_bar_3 = 0.504, alpha_{3|1} = 0.56 by hand; s = t - 1 is the formula of DDPM."""
    mean, variance = posterior(XT, X0, 3, 1, TABLE4)
    np.testing.assert_allclose(mean, (np.sqrt(0.9) * 0.44 * X0 + np.sqrt(0.56) * 0.1 * XT) / 0.496, rtol=1e-14)
    np.testing.assert_allclose(variance, 0.1 / 0.496 * 0.44, rtol=1e-14)
    mean, variance = posterior(XT, X0, 3, 2, TABLE4)
    np.testing.assert_allclose(mean, (np.sqrt(0.72) * 0.3 * X0 + np.sqrt(0.7) * 0.28 * XT) / 0.496, rtol=1e-14)
    np.testing.assert_allclose(variance, 0.28 / 0.496 * 0.3, rtol=1e-14)
    np.testing.assert_allclose(
        posterior_variance(np.array([3, 3]), np.array([1, 2]), TABLE4), [0.1 / 0.496 * 0.44, 0.28 / 0.496 * 0.3], rtol=1e-14
    )


def test_posterior_without_signal_does_not_depend_on_x_t():
    """R2: at alpha_bar_t = 0 the posterior is q(x_s | x_0); the product of Bayes' rule is undefined there and raises."""
    table = schedules.zero_terminal_snr(TABLE4)
    mean, variance = posterior(XT, X0, 4, 2, table)
    start_mean, start_variance = q_marginal(X0, 2, table)
    np.testing.assert_allclose(mean, start_mean, rtol=1e-15)
    np.testing.assert_allclose(variance, start_variance, rtol=1e-15)
    with pytest.raises(ValueError, match=r"^t = 4 has alpha_bar 0, where x_t / sqrt\(alpha\) is undefined; allowed: t with alpha_bar > 0$"):
        posterior_by_bayes(XT, X0, 4, 2, table)


# --- chains --------------------------------------------------------------------------------------------------------------


@given(chain(zero_terminal=True, dtypes=(np.float32, np.float64)))
def test_trajectory_is_made_of_steps(drawn):
    """F4: every state is q_step_sample of the next cleaner state with that step's noise."""
    table, grid, x0, noises = drawn
    states = forward.trajectory(x0, grid, table, noises)
    assert len(states) == len(grid) and states[-1] is x0
    for i in range(len(grid) - 1):
        np.testing.assert_array_equal(states[i], q_step_sample(states[i + 1], grid[i], grid[i + 1], table, noises[i]))


@given(chain(dtypes=(np.float32, np.float64)), st.booleans())
def test_both_factorizations_agree(drawn, sampled):
    """F4: forward steps and backward posteriors give a chain the same density, for chains drawn from q and for arbitrary ones."""
    table, grid, x0, noises = drawn
    states = forward.trajectory(x0, grid, table, noises) if sampled else [*noises, x0]
    forwards = forward.trajectory_log_density(states, grid, table)
    backwards = forward.trajectory_log_density_reversed(states, grid, table)
    assert forwards.shape == backwards.shape == x0.shape[:1] and forwards.dtype == x0.dtype
    scale = log_density_size(states[0], *q_marginal(x0, grid[0], table))
    for t, s, x_t, x_s in zip(grid[:-1], grid[1:], states[:-1], states[1:], strict=True):
        scale = scale + log_density_size(x_t, *q_step(x_s, t, s, table))
        if s > 0:
            scale = scale + log_density_size(x_s, *posterior(x_t, x0, t, s, table))
    assert in_eps(forwards, backwards, scale) <= DENSITY


def test_chain_density_is_that_of_one_big_gaussian():
    """F4: the states of one coordinate are jointly Gaussian given x_0, with covariances sqrt(alpha_{t|s}) (1 - alpha_bar_s)."""
    grid, x0 = np.array([4, 3, 1, 0]), np.array([0.7, -1.2])
    states = [np.array([0.1, 2.0]), np.array([-0.4, 0.3]), np.array([1.1, -0.9]), x0]
    bars = TABLE4.alpha_bar[grid[:-1]]
    covariance = np.array([[np.sqrt(min(a, b) / max(a, b)) * (1 - max(a, b)) for b in bars] for a in bars])
    joint = gaussian.log_density_full(np.stack(states[:-1], axis=1), x0[:, None] * np.sqrt(bars), covariance)
    np.testing.assert_allclose(forward.trajectory_log_density(states, grid, TABLE4), joint, rtol=1e-13)
    np.testing.assert_allclose(forward.trajectory_log_density_reversed(states, grid, TABLE4), joint, rtol=1e-13)


def test_chain_of_one_step():
    """F4: for one step from x_t to the data both factorizations are q(x_t | x_0)."""
    expected = gaussian.log_density(XT, *q_marginal(X0, 2, TABLE4))
    for density in (forward.trajectory_log_density, forward.trajectory_log_density_reversed):
        np.testing.assert_allclose(density([XT, X0], np.array([2, 0]), TABLE4), expected, rtol=1e-14)


# --- the end of the chain ------------------------------------------------------------------------------------------------


@given(schedule(zero_terminal=True), shapes.flatmap(arrays))
def test_prior_kl_against_50_digits(table, x0):
    """F6: D(q(x_T | x_0) || N(0, I)) = sum of (alpha_bar x_0^2 - alpha_bar - log(1 - alpha_bar)) / 2."""
    bar = mp.exp(mp.mpf(float(table.log_alpha_bar[-1])))
    parts = (bar * exact.numbers(x0) ** 2 - bar - mp.log(1 - bar)) / 2
    expected = exact.floats(np.asarray(parts.sum(axis=tuple(range(1, x0.ndim)))))
    actual = forward.prior_kl(x0, table)
    assert actual.shape == x0.shape[:1]
    # 1 - alpha_bar is rounded to u, which the excess r - 1 - log r multiplies by alpha_bar / (1 - alpha_bar)
    eps = np.finfo(np.float64).eps
    slack = x0[0].size * (float(bar) / (1 - float(bar)) + eps)
    assert in_eps(actual, expected, expected, slack) <= DENSITY


def test_prior_kl_has_a_direction_and_a_limit():
    """F6: the divergence is D(q || N(0, I)), in this direction, and vanishes when no signal is left."""
    direct = gaussian.kl_diagonal(*q_marginal(X0, 4, TABLE4), np.zeros_like(X0), np.float64(1))
    other = gaussian.kl_diagonal(np.zeros_like(X0), np.float64(1), *q_marginal(X0, 4, TABLE4))
    np.testing.assert_allclose(forward.prior_kl(X0, TABLE4), direct, rtol=1e-14)
    assert np.all(abs(direct / other - 1) > 0.1)
    by_hand = 0.5 * (0.4788 * 5 - 2 * 0.4788 - 2 * np.log(0.5212))
    np.testing.assert_allclose(forward.prior_kl(X0, TABLE4)[0], by_hand, rtol=1e-13)
    assert forward.prior_kl(X0, schedules.zero_terminal_snr(TABLE4)).tolist() == [0, 0]
    assert np.all(forward.prior_kl(X0, schedules.linear()) < 3e-4)


# --- errors --------------------------------------------------------------------------------------------------------------

NAN, SHORT = np.full((2, 2), np.nan), np.zeros((1, 2))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: q_step(NAN, 1, 0, TABLE4), ValueError, r"^x_s holds NaN"),
        (lambda: q_step(X0, 1, 1, TABLE4), ValueError, r"^s = .* is not below t"),
        (lambda: q_step_sample(X0, 1, 0, TABLE4, SHORT), ValueError, r"^noise has shape \(1, 2\); allowed: \(2, 2\), the shape of x_s$"),
        (lambda: q_step_sample(NAN, 1, 0, TABLE4, X0), ValueError, r"^x_s holds NaN"),
        (lambda: q_marginal(NAN, 1, TABLE4), ValueError, r"^x0 holds NaN"),
        (lambda: q_marginal(X0, 5, TABLE4), ValueError, r"^t = 5; allowed: 0\.\.4$"),
        (lambda: q_marginal(X0, np.array([1, 2, 3]), TABLE4), ValueError, r"^t has shape \(3,\); allowed"),
        (lambda: q_sample(X0, 1, TABLE4, NAN), ValueError, r"^noise holds NaN"),
        (lambda: posterior(X0, SHORT, 1, 0, TABLE4), ValueError, r"^x0 has shape \(1, 2\); allowed: \(2, 2\), the shape of x_t$"),
        (lambda: posterior_variance(2, 3, TABLE4), ValueError, r"^s = .* is not below t"),
        (lambda: posterior_by_bayes(X0, NAN, 2, 1, TABLE4), ValueError, r"^x0 holds NaN"),
        (
            lambda: posterior_by_bayes(X0.astype(np.float32), X0, 2, 1, TABLE4),
            TypeError,
            r"^x0 has dtype float64; allowed: float32, the dtype of x_t$",
        ),
        (lambda: forward.prior_kl(NAN, TABLE4), ValueError, r"^x0 holds NaN"),
        (
            lambda: forward.trajectory_log_density_reversed([XT, X0], np.array([2, 1, 0]), TABLE4),
            ValueError,
            r"^states has 2 entries; allowed: 3, one for each time of the grid$",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    """F3, R2: errors of NaN, other shapes and precisions, and times outside the schedule."""
    with pytest.raises(error, match=message):
        call()
