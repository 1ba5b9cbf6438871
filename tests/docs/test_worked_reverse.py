"""W6: what lecture slides print of the posterior, the reverse process and samplers, beside the right forms; docs/errata.md has a row for each test
that names W6.

A test that does not name W6 shows what a claim in words leaves out.
"""

import numpy as np
import pytest

from refdiff import forward, gaussian, oracles, predict, reverse, samplers, schedules, training

from ..lecture_example import ALPHA, ALPHA_BAR, BETA, EXAMPLE, NOISE, STEPS, TWO_POINTS, WIDE, X0, X1, X2, X3, differ, same, two_places


def test_posterior_without_roots():
    """R2, W6: both weights of the posterior mean carry a root; without it neither is right, though the variance is."""
    mean, variance = forward.posterior(X3, X0, 3, 2, EXAMPLE)
    a, ab, ab_before = ALPHA[3], ALPHA_BAR[3], ALPHA_BAR[2]
    weights = np.sqrt(a) * (1 - ab_before) / (1 - ab), np.sqrt(ab_before) * (1 - a) / (1 - ab)
    printed = a * (1 - ab_before) / (1 - ab), ab_before * (1 - a) / (1 - ab)
    assert same(weights[0] * X3 + weights[1] * X0, mean, X3, X0)
    assert differ(printed[0], weights[0]) and differ(printed[1], weights[1])
    assert differ(printed[0] * X3 + printed[1] * X0, mean)
    assert same((1 - a) * (1 - ab_before) / (1 - ab), variance)


def test_the_posterior_is_random():
    """R2, W6: knowing x0 gives the distribution of x_{t-1}, of positive variance, and not x_{t-1}; only x0 itself comes back for sure."""
    assert forward.posterior(X3, X0, 3, 2, EXAMPLE)[1] > 0 and forward.posterior(X2, X0, 2, 1, EXAMPLE)[1] > 0
    mean, variance = forward.posterior(X1, X0, 1, 0, EXAMPLE)
    assert variance == 0 and same(mean, X0, X1)
    assert differ(forward.posterior(X3, X0, 3, 2, EXAMPLE)[0], X2)


def test_quotients_of_gaussians_need_not_be_gaussian():
    """R1, W6: dividing by a narrower Gaussian gives no Gaussian; Bayes works since its denominator is a constant in x_{t-1}."""
    with pytest.raises(ValueError, match=r"^variance2 - variance1 = .*; allowed"):
        gaussian.quotient(X0, np.float64(0.5), X0, np.float64(0.3))
    mean, variance = forward.posterior_by_bayes(X3, X0, 3, 2, EXAMPLE)
    assert same(mean, forward.posterior(X3, X0, 3, 2, EXAMPLE)[0], X3, X0) and variance > 0


def test_the_mean_takes_the_noise_of_its_own_x_t():
    """R3, W6: in the posterior mean eps is (x_t - sqrt(alpha_bar) x0) / sqrt(1 - alpha_bar), and no other draw."""
    noise = (X3 - np.sqrt(ALPHA_BAR[3]) * X0) / np.sqrt(1 - ALPHA_BAR[3])
    mean, _ = forward.posterior(X3, X0, 3, 2, EXAMPLE)
    assert same(reverse.mean_from_eps(noise, X3, 3, 2, EXAMPLE), mean, X3, X0)
    assert differ(reverse.mean_from_eps(NOISE[2], X3, 3, 2, EXAMPLE), mean)


def test_the_noise_is_known_in_training_and_not_in_sampling():
    """R3, T1, W6: a training batch contains the noise and so the true mean; one x_t alone can come from two noises, with two true means."""
    batch = training.draw(1, X0, None, EXAMPLE, training.Config())
    t, x0 = np.rint(batch.clock * 3 / 1000).astype(int), np.repeat(X0, len(batch.x), axis=0)
    assert same(reverse.mean_from_eps(batch.target, batch.x, t, t - 1, EXAMPLE), forward.posterior(batch.x, x0, t, t - 1, EXAMPLE)[0], X0)
    x_t, (signal, sigma) = np.array([[0.4]]), EXAMPLE.signal_sigma(3)
    noises = *((x_t - signal * point) / sigma for point in (-1.0, 2.0)), TWO_POINTS.eps(x_t, signal, sigma)
    one, other, answer = (reverse.mean_from_eps(noise, x_t, 3, 2, EXAMPLE) for noise in noises)
    assert differ(one, other) and differ(answer, one) and differ(answer, other)


def test_the_reverse_kernel_is_not_the_posterior():
    """R4, W6: p(x_{t-1} | x_t) is q(x_{t-1} | x_t, x0) averaged over x0: its variance is larger by the variance of x0 given x_t."""
    x_t = np.array([[0.4]])
    signal, sigma = EXAMPLE.signal_sigma(3)
    S = signal**2 * 4 + sigma**2
    _, true = oracles.exact_reverse(np.array([0.7]), np.array([4.0]), EXAMPLE)(x_t, 3, 2)
    given_x0 = forward.posterior_variance(3, 2, EXAMPLE)
    spread = predict.tweedie_covariance(np.array([[[-1 / S]]]), 3, EXAMPLE).item()
    weight = np.sqrt(ALPHA_BAR[2]) * BETA[3] / (1 - ALPHA_BAR[3])
    assert same(true, given_x0 + weight**2 * spread) and differ(given_x0, true)


def test_two_variances_for_two_kinds_of_data():
    """R4, W6: beta-tilde is right for data that is one point, beta for N(0, I), and neither for data of another width."""
    x_t, zero = np.array([[0.4]]), np.zeros(1)
    beta, beta_tilde = (reverse.model_variance(x_t, 3, 2, EXAMPLE, kind) for kind in ("beta", "posterior"))
    true = [oracles.exact_reverse(zero, np.array([width]), EXAMPLE)(x_t, 3, 2)[1].item() for width in (0.0, 1.0, 4.0)]
    assert same(true[0], beta_tilde) and same(true[1], beta) and differ(beta, beta_tilde)
    assert differ(true[2], beta) and differ(true[2], beta_tilde)


def test_noise_on_the_last_step():
    """S1, W6: algorithm 2 ends with the mean; sqrt(beta_1) z would stay in the result, while sqrt(beta-tilde_1) is 0 by itself."""
    x_1 = X1
    mean, beta = reverse.kernel(NOISE[0], x_1, 1, 0, EXAMPLE, variance="beta")
    assert np.array_equal(samplers.ddpm_step(NOISE[0], x_1, 1, 0, EXAMPLE, NOISE[1], variance="beta"), mean)
    assert differ(mean + np.sqrt(beta) * NOISE[1], mean)
    assert forward.posterior_variance(1, 0, EXAMPLE) == 0


def test_a_reverse_step_draws_fresh_noise():
    """S1, W6: a reverse step adds fresh noise; with the noise of step t, or of the closed form, the variance of N(0, 1) comes out too large."""
    standard, (signal, sigma) = oracles.gaussian([0.0], [[1.0]]), EXAMPLE.signal_sigma(3)
    for kept, noise in ((np.sqrt(ALPHA[3]), np.sqrt(BETA[3])), (signal, sigma)):
        x_t = np.array([[kept], [noise], [0.0]])  # coefficients of a state of variance 1, of the noise that made x_t, and of a fresh one
        answer = standard.eps(x_t, signal, sigma)
        steps = [samplers.ddpm_step(answer, x_t, 3, 2, EXAMPLE, np.eye(3)[:, [i]], variance="beta") for i in (1, 2)]
        again, fresh = (np.sum(step**2) for step in steps)
        assert same(fresh, 1.0) and same(again, 1 + 2 * np.sqrt(ALPHA[3] * BETA[3]) * noise) and differ(again, fresh)


def test_misplaced_parenthesis_of_the_mean():
    """R3, W6: the bracket of the mean closes after eps; closed before it, eps multiplies x_t as well."""
    right = reverse.mean_from_eps(NOISE[2], X3, 3, 2, EXAMPLE)
    factor = (1 - ALPHA[3]) / np.sqrt(1 - ALPHA_BAR[3])
    assert same((X3 - factor * NOISE[2]) / np.sqrt(ALPHA[3]), right, X3)
    assert differ((X3 - factor) / np.sqrt(ALPHA[3]) * NOISE[2], right)


def test_mean_with_alpha_for_alpha_bar():
    """R3, W6: the root in the mean is of 1 - alpha_bar; with 1 - alpha it is right at t = 1 only."""
    for t in (1, 3):
        printed = (X3 - (1 - ALPHA[t]) / np.sqrt(1 - ALPHA[t]) * NOISE[2]) / np.sqrt(ALPHA[t])
        right = reverse.mean_from_eps(NOISE[2], X3, t, t - 1, EXAMPLE)
        assert same(printed, right, X3) if t == 1 else differ(printed, right)


def test_the_residual_is_not_the_noise():
    """R3, W6: eps is the residual of x_t against the data, divided by sigma; of the mean it is the residual only up to scales."""
    mean = reverse.mean_from_eps(NOISE[2], X3, 3, 2, EXAMPLE)
    assert differ(X3 - mean, NOISE[2]) and differ(X3 - X0, NOISE[2])
    x0, (signal, sigma) = predict.to_x0(NOISE[2], X3, 3, EXAMPLE), EXAMPLE.signal_sigma(3)
    assert same((X3 - signal * x0) / sigma, NOISE[2], X3)
    assert same(X3 - np.sqrt(ALPHA[3]) * mean, BETA[3] / np.sqrt(1 - ALPHA_BAR[3]) * NOISE[2], X3)


def test_closed_form_without_signal():
    """S2, W6: x0 + sigma eps is the variance-exploding form; on this process the data is scaled by sqrt(alpha_bar)."""
    sigma = EXAMPLE.sigma[2]
    assert differ(X0 + sigma * NOISE[1], forward.q_sample(X0, 2, EXAMPLE, NOISE[1]))
    assert differ(sigma * NOISE[1], NOISE[1])  # nor is the start at T sigma eps: it is drawn from N(0, I)


def test_few_steps_do_not_reach_the_data():
    """S1: samplers end near p_data, given many steps and a right model: one step turns N(0, I) into almost a point."""
    schedule = schedules.linear()
    x_T = np.array([[0.0], [1.0]])
    x0 = samplers.ddpm_step(WIDE.eps(x_T, *schedule.signal_sigma(1000)), x_T, 1000, 0, schedule)
    assert (x0[1, 0] - x0[0, 0]) ** 2 < 0.01 * 4  # the variance of the result, against that of the data


def test_ancestral_steps_are_not_langevin_steps():
    """S1, C1, W6: a reverse step leads from p_t to p_{t-1}; a Langevin step of the same noise stays at p_t, up to second order."""
    schedule = schedules.linear()
    x_t = np.array([[0.0], [1.0]])
    widths = [a**2 * 4 + b**2 for a, b in (schedule.signal_sigma(500), schedule.signal_sigma(499))]
    mean, variance = oracles.exact_reverse(np.array([0.7]), np.array([4.0]), schedule)(x_t, 500, 499)
    after = (mean[1, 0] - mean[0, 0]) ** 2 * widths[0] + variance.item()
    drift = schedule.beta[500] / 2 * WIDE.score(x_t, *schedule.signal_sigma(500))
    langevin = (1 + drift[1, 0] - drift[0, 0]) ** 2 * widths[0] + schedule.beta[500]
    assert same(after, widths[1]) and abs(langevin - widths[0]) < 0.1 * abs(widths[1] - widths[0])


def test_time_is_drawn_in_no_order():
    """T1, W6: the first training batch already contains all noise levels; there is no order from easy to difficult."""
    batch = training.draw(1, np.zeros((10, 2)), None, schedules.linear(), training.Config())
    assert batch.clock.min() < 100 and batch.clock.max() > 900


def test_little_noise_is_hard_to_predict():
    """R6, W6: the variance of eps given x_t is nearly 1 at small t and nearly 0 at T: the loss never reaches 0."""
    schedule, unexplained = schedules.linear(), []
    for t in (1, 250, 500, 1000):
        signal, sigma = schedule.signal_sigma(t)
        hessian = np.array([[[-1 / (signal**2 * 4 + sigma**2)]]])
        unexplained.append((signal / sigma) ** 2 * predict.tweedie_covariance(hessian, t, schedule).item())
    assert sorted(unexplained, reverse=True) == unexplained
    assert unexplained[0] > 0.99 and 0 < unexplained[-1] < 0.01


def test_a_network_predicts_the_mean_noise():
    """C1, W6: the best prediction is the mean noise given x_t; for data N(0, I) and alpha_bar = 0.64 its squared error is 0.64 a coordinate."""
    schedule, standard = schedules.from_alpha_bars([0.64]), oracles.gaussian([0.0], [[1.0]])
    signal, sigma = schedule.signal_sigma(1)
    one, other = (forward.q_sample(np.array([[x0]]), 1, schedule, np.array([[noise]])) for x0, noise in ((0.8, 0.2), (0.2, 1.0)))
    assert same(one, 0.76) and same(other, 0.76)
    x_t, noise = np.array([[signal], [sigma]]), np.array([[0.0], [1.0]])  # coefficients of the data and of the noise, both of variance 1
    answer = standard.eps(x_t, signal, sigma)
    assert same(np.sum((noise - answer) ** 2), 0.64) and differ(0.0, np.sum((noise - answer) ** 2))
    assert all(np.sum((noise - factor * answer) ** 2) > 0.64 + 1e-3 for factor in (0.9, 1.1))
    assert same(np.sum(answer * (noise - answer)), 0.0, answer)  # the error is uncorrelated with the answer, as that of a mean is


def moments(start, kernel):
    """Mean and variance that a chain of kernels, with means affine in x, makes of those at t = 3."""
    mean, variance = start
    for t in (3, 2, 1):
        (low, high), added = (part.ravel() for part in kernel(np.array([[0.0], [1.0]]), t, t - 1))
        mean, variance = low + (high - low) * mean, (high - low) ** 2 * variance + added[0]
    return np.array([mean, variance])


def test_the_reverse_process_ends_in_the_distribution_of_the_model():
    """R5, W6: exact kernels from q(x_T) end in p_data; exact kernels from N(0, I), or kernels of another variance, end in another p_theta(x_0)."""
    exact, (signal, sigma) = oracles.exact_reverse(np.array([0.7]), np.array([4.0]), EXAMPLE), EXAMPLE.signal_sigma(3)
    q_end, data = (signal * 0.7, signal**2 * 4 + sigma**2), np.array([0.7, 4.0])

    def posterior_variance(x_t, t, s):
        return reverse.kernel(WIDE.eps(x_t, *EXAMPLE.signal_sigma(t)), x_t, t, s, EXAMPLE)

    assert same(moments(q_end, exact), data)
    assert differ(moments((0.0, 1.0), exact), data) and differ(moments(q_end, posterior_variance), data)


def test_the_process_of_ddim():
    """S2, W6: for eta < 1 the forward step depends on x0 as well; the sampler reads x_t alone, and draws noise unless eta = 0."""
    one, (signal_t, sigma_t), (signal_s, sigma_s) = np.ones((1, 1)), EXAMPLE.signal_sigma(3), EXAMPLE.signal_sigma(2)
    for eta in (0.0, 0.5, 1.0):
        kept = samplers.ddim_step(one, sigma_t * one, 3, 2, EXAMPLE, 0 * one, eta).item()  # of the noise of x_3, in x_2
        of_x_s = kept * sigma_t / sigma_s**2  # the coefficients of x_2 and x_0 in the mean of q(x_3 | x_2, x_0), by Bayes
        of_x_0 = signal_t - of_x_s * signal_s
        assert same(of_x_0, 0.0, signal_t) == (eta == 1) and same(of_x_s, np.sqrt(ALPHA[3])) == (eta == 1)
    step, model = samplers.stepper(samplers.ddim_step, EXAMPLE, eta=0.5), TWO_POINTS.model(EXAMPLE)
    noise = [np.array([[e]]) for e in (0.3, -0.8, 0.1)]
    states = list(samplers.sample(model, step, STEPS, np.array([[0.4]]), noise))
    assert np.array_equal(samplers.last(samplers.sample(model, step, STEPS[1:], states[1], noise[1:])), states[-1])
    zero, half, again = (
        samplers.ddim_step(NOISE[0], X3, 3, 2, EXAMPLE, e, eta) for e, eta in ((NOISE[1], 0), (NOISE[1], 0.5), (NOISE[2], 0.5))
    )
    assert np.array_equal(zero, samplers.ddim_step(NOISE[0], X3, 3, 2, EXAMPLE)) and differ(half, again)


def test_coverage_takes_steps():
    """S2, W6: with the exact model of two points one step ends between them, and 100 steps reach both."""
    schedule, x_T = schedules.linear(), np.array([[-1.5], [1.5]])
    step, model = samplers.stepper(samplers.ddim_step, schedule), TWO_POINTS.model(schedule)
    once, often = (samplers.last(samplers.sample(model, step, schedules.grid("trailing", 1000, S), x_T)).ravel() for S in (1, 100))
    assert two_places(often) == ["-1.00", "2.00"]
    assert np.all(abs(once - 1.1) < 0.05)  # the mean of the points


def test_truncation_is_neither_an_early_stop_nor_a_partial_run():
    """S2, W6: a start of half the width gives clean samples of half the width; an early stop leaves noise; a run from x_t keeps most of the image."""

    def slope(t, s):
        """The derivative of x_s in x_t along the probability-flow ODE."""
        low, high = oracles.transport(WIDE, np.array([[0.0], [1.0]]), t, s, EXAMPLE).ravel()
        return high - low

    whole, after_one, halfway = (signal**2 * 4 + sigma**2 for signal, sigma in (EXAMPLE.signal_sigma(t) for t in (3, 1, 2)))
    full, truncated, stopped = slope(3, 0) ** 2 * whole, slope(3, 0) ** 2 * whole / 4, slope(3, 1) ** 2 * whole
    assert same(full, 4.0) and same(truncated, 1.0)
    assert same(stopped, after_one) and same(stopped, 4 * ALPHA_BAR[1] + BETA[1]) and differ(stopped, truncated)
    kept = slope(2, 0) * EXAMPLE.signal[2]  # of the image that was noised up to t = 2
    assert same(kept, 2 * EXAMPLE.signal[2] / np.sqrt(halfway)) and kept > 0.9
