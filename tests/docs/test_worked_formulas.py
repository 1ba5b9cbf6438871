"""W6: formulas of processes, scores, guidance and flows that lecture slides print wrongly, loosely or with a symbol lost, beside the right ones.

A formula that is wrong as printed comes out as another number: every test computes both forms. docs/errata.md has a row for each test that
names W6; the others show what a claim in words leaves out.
"""

import numpy as np
import pytest
from scipy.special import ndtri

from refdiff import flow, forward, gaussian, guidance, oracles, predict, reverse, samplers, schedules, training
from refdiff.arrays import sum_event

from ..slides import ALPHA, ALPHA_BAR, BETA, EXAMPLE, NOISE, STEPS, TWO_POINTS, WIDE, X0, X1, X2, X3, differ, same, two_places

# --- W6, the forward process ---


def test_steps_without_roots():
    """F1, W6: alpha x and (1 - alpha) eps without their roots are another process, which does not keep unit variance."""
    mean, variance = forward.q_step(X2, 3, 2, EXAMPLE)
    x_t = forward.q_step_sample(X2, 3, 2, EXAMPLE, NOISE[2])
    assert differ(ALPHA[3] * X2, mean)
    assert differ(ALPHA[3] * X2 + (1 - ALPHA[3]) * NOISE[2], x_t)
    assert same(np.sqrt(ALPHA[3]) * X2 + np.sqrt(1 - ALPHA[3]) * NOISE[2], x_t, X2)
    assert same(ALPHA[3] + variance, 1.0) and differ(ALPHA[3] ** 2 + (1 - ALPHA[3]) ** 2, 1.0)


def test_jumps_without_roots():
    """F3, W6: alpha_bar x0 + (1 - alpha_bar) eps without the roots is not x_t."""
    x_t = forward.q_sample(X0, 2, EXAMPLE, NOISE[1])
    assert same(np.sqrt(ALPHA_BAR[2]) * X0 + np.sqrt(1 - ALPHA_BAR[2]) * NOISE[1], x_t, X0)
    assert differ(ALPHA_BAR[2] * X0 + (1 - ALPHA_BAR[2]) * NOISE[1], x_t)


def test_jumps_with_alpha_for_alpha_bar():
    """F3, W6: noising x0 with alpha_t for alpha_bar_t is one step and not t of them; the two agree at t = 1 only."""
    for t in (1, 2, 3):
        printed = np.sqrt(ALPHA[t]) * X0 + np.sqrt(1 - ALPHA[t]) * NOISE[0]
        right = forward.q_sample(X0, t, EXAMPLE, NOISE[0])
        assert same(printed, right, X0) if t == 1 else differ(printed, right)
        mean, variance = forward.q_marginal(X0, t, EXAMPLE)
        assert t == 1 or (differ(np.sqrt(ALPHA[t]) * X0, mean) and differ(1 - ALPHA[t], variance))


def test_one_letter_for_two_noises():
    """F2, W6: the noise of the jump to t is not the noise of step t, but a mixture of those of all steps."""
    merged = (X3 - np.sqrt(ALPHA_BAR[3]) * X0) / np.sqrt(1 - ALPHA_BAR[3])
    assert differ(NOISE[2], merged)
    assert differ(forward.q_sample(X0, 3, EXAMPLE, NOISE[2]), X3)
    mixture = sum(np.sqrt(BETA[i] * ALPHA_BAR[3] / ALPHA_BAR[i]) * NOISE[i - 1] for i in (1, 2, 3))
    assert same(np.sqrt(1 - ALPHA_BAR[3]) * merged, mixture, X3, X0)


def test_noise_carries_the_index_of_the_state_it_makes():
    """F4, W6: with the noise that makes x_t called eps_t, a chain is made by eps_1..eps_T; counted from 0 it is another chain."""
    x = X0
    for t in (1, 2, 3):
        x = np.sqrt(ALPHA[t]) * x + np.sqrt(BETA[t]) * NOISE[t - 1]
    assert same(x, X3, X0)
    shifted = forward.trajectory(X0, STEPS, EXAMPLE, [NOISE[1], NOISE[0], NOISE[2]])
    assert differ(shifted[0], X3)


def test_noise_is_a_vector():
    """F3, W6: one number from N(0, 1) for the whole image is no noise of its shape, and is refused."""
    with pytest.raises(ValueError, match=r"^noise has shape \(1,\); allowed: \(1, 4\), the shape of x0$"):
        forward.q_sample(X0, 1, EXAMPLE, np.array([0.3]))


def test_jump_without_noise():
    """F3, W6: a constant sqrt(1 - alpha_bar) in the place of the noise shifts every number alike, and leaves no variance."""
    x_t = forward.q_sample(X0, 3, EXAMPLE, NOISE[2])
    assert differ(np.sqrt(ALPHA_BAR[3]) * X0 + np.sqrt(1 - ALPHA_BAR[3]), x_t)
    assert forward.q_marginal(X0, 3, EXAMPLE)[1] > 0


def test_noising_shrinks_as_well_as_adds():
    """F1: data of variance 1 keeps it, because each step also shrinks; adding alone would make it 1 + 0.1 + 0.2 + 0.3."""
    signal, sigma = EXAMPLE.signal_sigma(3)
    assert same(signal**2 + sigma**2, 1.0)
    assert differ(1 + BETA[1:].sum(), 1.0)


def test_only_x_T_is_nearly_noise():
    """F6, W6: q(x_t) = N(0, I) holds at T, nearly: linear leaves 1e-4 nats at T, and many at t = 1 and halfway."""
    schedule = schedules.linear()

    def kl(t):
        mean, variance = forward.q_marginal(X0, t, schedule)
        return gaussian.kl_diagonal(mean, variance, np.zeros_like(mean), np.ones_like(mean))

    assert kl(1000) < 1e-3 and same(kl(1000), forward.prior_kl(X0, schedule))
    assert kl(500) > 0.1 and kl(1) > 10


def test_the_end_is_not_exactly_noise():
    """F6, W6: x_T keeps 0.6 % of the data under the usual schedule, and none only where the last alpha_bar is 0."""
    schedule = schedules.linear()
    assert f"{schedule.signal[1000]:.4f}" == "0.0064" and forward.prior_kl(X0, schedule) > 0
    assert forward.prior_kl(X0, schedules.zero_terminal_snr(schedule)) == 0


def test_the_mean_is_not_preserved():
    """F3, W6: the mean of x_t given x0 shrinks by sqrt(alpha_bar), and without x0 it is the data's mean, shrunk."""
    mean, _ = forward.q_marginal(X0, 3, EXAMPLE)
    assert differ(X0, mean) and same(np.sqrt(ALPHA_BAR[3]) * X0, mean)
    signal, sigma = EXAMPLE.signal_sigma(3)
    assert same(WIDE.score(np.array([[signal * 0.7]]), signal, sigma), 0.0, 1.0)  # the marginal's mean, where its score is 0


def test_variance_with_and_without_x0():
    """F3, W6: 1 - alpha_bar is the variance given x0 and grows; that of x_t itself adds alpha_bar Var x0, and for wide data it falls."""
    x, given, whole = np.array([[2.0]]), [], []
    for t in (1, 2, 3):
        signal, sigma = EXAMPLE.signal_sigma(t)
        given.append(float(forward.q_marginal(x, t, EXAMPLE)[1]))
        whole.append((signal * 0.7 - x.item()) / WIDE.score(x, signal, sigma).item())  # a Gaussian's score is (mean - x) / variance
        assert same(whole[-1], ALPHA_BAR[t] * 4 + given[-1])
    assert sorted(given) == given and sorted(whole, reverse=True) == whole and differ(given, np.array(whole))


def test_not_everything_stays_gaussian():
    """C1, W6: x_t is Gaussian given x0; its own density, and the true x_{t-1} given x_t, have two peaks for data of two points."""
    oracle = oracles.data_set([[-1.0], [1.0]])
    x = np.array([[-0.949], [0.0], [0.949]])
    log_p = oracle.log_density(x, *EXAMPLE.signal_sigma(1))
    assert min(log_p[0], log_p[2]) > log_p[1]
    mean, variance = forward.q_step(x, 3, 1, EXAMPLE)  # x_3 = 0: p(x_1 | x_3) is proportional to q(x_3 | x_1) p(x_1)
    log_joint = log_p + gaussian.log_density(np.zeros_like(x), mean, variance)
    assert min(log_joint[0], log_joint[2]) > log_joint[1]


def test_norm_is_kept_only_on_average_and_for_unit_data():
    """F1, W6: E |x_t|^2 = alpha |x|^2 + (1 - alpha) d, which is |x|^2 only where that is d."""
    mean, variance = forward.q_step(X0, 1, 0, EXAMPLE)
    expected = sum_event(mean**2) + X0.size * variance
    assert same(expected, ALPHA[1] * 6.25 + BETA[1] * 4) and differ(6.25, expected)
    unit = np.ones((1, 4))
    mean, variance = forward.q_step(unit, 1, 0, EXAMPLE)
    assert same(sum_event(mean**2) + 4 * variance, 4.0)


def test_alpha_bar_counts_signal():
    """F5: alpha_bar falls from 1: it is what is left of the data, and 1 - alpha_bar the accumulated noise."""
    assert np.all(np.diff(ALPHA_BAR) < 0) and ALPHA_BAR[0] == 1
    assert differ(ALPHA_BAR[1:], EXAMPLE.one_minus_alpha_bar[1:])


def test_cosine_keeps_more_signal_than_linear():
    """F5, W6: cosine noises less than linear in the middle; large images, whose pixels repeat each other, need more noise and not less."""
    linear, cosine = schedules.linear(), schedules.cosine()
    inner = np.arange(100, 901)
    assert np.all(cosine.snr[inner] > linear.snr[inner])
    blocks = np.kron(X0.reshape(2, 2), np.ones((2, 2)))  # the same picture with four times the pixels
    signal, sigma = linear.signal_sigma(500)
    pooled_sigma = np.sqrt(np.sum((np.full(4, 0.25) * sigma) ** 2))  # of the mean of four pixels
    assert same(blocks.reshape(2, 2, 2, 2).mean(axis=(1, 3)), X0.reshape(2, 2)) and same((signal / pooled_sigma) ** 2, 4 * linear.snr[500])


def test_edms_levels_are_not_exponential():
    """W6: EDM samples in equal steps of sigma^(1/7), and trains on normal log sigma; an exponential ladder is neither, and too low in the middle."""
    i = np.arange(18) / 17
    printed = 80 * (0.002 / 80) ** i
    right = (80 ** (1 / 7) + i * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    roots, logs = np.diff(right ** (1 / 7)), np.diff(np.log(right))
    assert same(roots, np.full(17, roots.mean()), right[0] ** (1 / 7)) and differ(np.diff(np.log(printed)), logs)
    assert two_places([right[9], printed[9]]) == ["1.92", "0.29"]
    trained = -1.2 + 1.2 * ndtri([0.1, 0.3, 0.5, 0.7, 0.9])  # log sigma of levels that are equally likely: no equal steps
    assert differ(np.full(4, np.ptp(trained) / 4), np.diff(trained))


def test_times_are_whole_numbers():
    """T1, W6: t is drawn from 1..T; a t from the continuous U(1, T) has no alpha_bar and is refused."""
    times = EXAMPLE.draw_time((np.arange(300) + 0.5) / 300)
    assert np.bincount(times).tolist() == [0, 100, 100, 100]
    with pytest.raises(TypeError, match=r"^t = .*1\.5.*; allowed: an integer"):
        forward.q_sample(X0, np.float64(1.5), EXAMPLE, NOISE[0])


# --- W6, the posterior and the reverse process ---


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


def test_the_way_back_is_random():
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
    """R3, T1, W6: a training batch holds the noise, and so the whole true mean; of x_t alone two noises and two true means may be right."""
    batch = training.draw(1, X0, None, EXAMPLE, training.Config())
    t, x0 = np.rint(batch.clock * 3 / 1000).astype(int), np.repeat(X0, len(batch.x), axis=0)
    assert same(reverse.mean_from_eps(batch.target, batch.x, t, t - 1, EXAMPLE), forward.posterior(batch.x, x0, t, t - 1, EXAMPLE)[0], X0)
    x_t, (signal, sigma) = np.array([[0.4]]), EXAMPLE.signal_sigma(3)
    noises = *((x_t - signal * point) / sigma for point in (-1.0, 2.0)), TWO_POINTS.eps(x_t, signal, sigma)
    one, other, answer = (reverse.mean_from_eps(noise, x_t, 3, 2, EXAMPLE) for noise in noises)
    assert differ(one, other) and differ(answer, one) and differ(answer, other)


def test_the_reverse_kernel_is_not_the_posterior():
    """R4, W6: p(x_{t-1} | x_t) is q(x_{t-1} | x_t, x0) averaged over x0: it is wider by what x_t leaves open about x0."""
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
    """S1, W6: a reverse step adds noise of its own; with that of step t, or of the jump, once more, N(0, 1) comes back too wide."""
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
    """R3, W6: under the root of the mean stands 1 - alpha_bar; with 1 - alpha it is right at t = 1 only."""
    for t in (1, 3):
        printed = (X3 - (1 - ALPHA[t]) / np.sqrt(1 - ALPHA[t]) * NOISE[2]) / np.sqrt(ALPHA[t])
        right = reverse.mean_from_eps(NOISE[2], X3, t, t - 1, EXAMPLE)
        assert same(printed, right, X3) if t == 1 else differ(printed, right)


def test_the_residual_is_not_the_noise():
    """R3: the noise is the residual of the mean only up to scales: x_t - sqrt(alpha) mean = beta / sqrt(1 - alpha_bar) eps."""
    mean = reverse.mean_from_eps(NOISE[2], X3, 3, 2, EXAMPLE)
    assert differ(X3 - mean, NOISE[2]) and differ(X3 - X0, NOISE[2])
    assert same(X3 - np.sqrt(ALPHA[3]) * mean, BETA[3] / np.sqrt(1 - ALPHA_BAR[3]) * NOISE[2], X3)


def test_jump_without_signal():
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
    """T1, W6: training meets every noise level from its first batch on; nothing goes from easy to difficult."""
    batch = training.draw(1, np.zeros((10, 2)), None, schedules.linear(), training.Config())
    assert batch.clock.min() < 100 and batch.clock.max() > 900


def test_little_noise_is_hard_to_predict():
    """R6, W6: what x_t leaves open about eps is nearly all of it at small t and nearly nothing at T: the loss never reaches 0."""
    schedule, unexplained = schedules.linear(), []
    for t in (1, 250, 500, 1000):
        signal, sigma = schedule.signal_sigma(t)
        hessian = np.array([[[-1 / (signal**2 * 4 + sigma**2)]]])
        unexplained.append((signal / sigma) ** 2 * predict.tweedie_covariance(hessian, t, schedule).item())
    assert sorted(unexplained, reverse=True) == unexplained
    assert unexplained[0] > 0.99 and 0 < unexplained[-1] < 0.01


# --- W6, scores and guidance ---


def test_a_model_learns_the_marginal_score():
    """C1, W6: the best s_theta is the score of q(x_t), the mean over x0 of the score of q(x_t | x0), and -eps / sigma is the latter."""
    x, (signal, sigma) = np.array([[0.4]]), EXAMPLE.signal_sigma(2)
    conditional = [gaussian.score(x, signal * m, np.float64(sigma**2)).item() for m in (-1.0, 2.0)]
    share = np.array([0.3, 0.7]) * [np.exp(gaussian.log_density(x, signal * m, np.float64(sigma**2))).item() for m in (-1.0, 2.0)]
    marginal = TWO_POINTS.score(x, signal, sigma).item()
    assert all(differ(score, marginal) for score in conditional)
    assert same(share @ conditional / share.sum(), marginal, *conditional)
    noise = (x - signal * 2.0) / sigma
    assert same(-noise / sigma, conditional[1]) and differ(TWO_POINTS.eps(x, signal, sigma), noise)


def test_guidance_with_the_empty_label_twice():
    """G3, W6: (1 - gamma) s(x) + gamma s(x, no label) is the unconditional score for every gamma; the label belongs in the second."""
    unconditional, conditional = NOISE[0], NOISE[1]
    for gamma in (0.5, 1.0, 3.0):
        assert same(guidance.classifier_free(unconditional, unconditional, gamma), unconditional, gamma * unconditional)
        assert differ(unconditional, guidance.classifier_free(unconditional, conditional, gamma))


def test_two_meanings_of_w():
    """G3: u + w (c - u) calls w what refdiff calls gamma; the paper's w, in (1 + w) c - w u, is one less."""
    u, c, w = NOISE[0], NOISE[1], 2.0
    assert same(u + w * (c - u), guidance.classifier_free(u, c, w), w * c)
    paper = (1 + w) * c - w * u
    assert same(paper, guidance.classifier_free(u, c, guidance.scale_from_w(w)), 3 * c) and differ(u + w * (c - u), paper)


def test_v_is_not_the_velocity():
    """R6, W6: v = signal eps - sigma x0 is a velocity in the angle of (signal, sigma), neither the noise nor data - noise of flow matching."""
    targets = {kind: predict.target(kind, X0, NOISE[1], 2, EXAMPLE) for kind in ("v", "velocity", "eps")}
    assert same(np.sqrt(ALPHA_BAR[2]) * NOISE[1] - np.sqrt(1 - ALPHA_BAR[2]) * X0, targets["v"], X0) and same(
        X0 - NOISE[1], targets["velocity"]
    )
    angle = np.arctan2(*EXAMPLE.signal_sigma(2)[::-1]) + 1e-30j
    assert same((np.cos(angle) * X0 + np.sin(angle) * NOISE[1]).imag / 1e-30, targets["v"], X0)
    assert differ(targets["v"], targets["velocity"]) and differ(-targets["v"], targets["velocity"]) and differ(targets["v"], targets["eps"])


# --- W6, flow matching ---


def test_x_0_is_noise_in_flow_time():
    """M2, W6: at t = 0 a flow has the noise and a diffusion the data; the letters x_0 and p change their meaning between the two."""
    assert np.array_equal(flow.interpolate(X0, NOISE[0], 0), NOISE[0]) and np.array_equal(flow.interpolate(X0, NOISE[0], 1), X0)
    assert np.array_equal(forward.q_sample(X0, 0, EXAMPLE, NOISE[0]), X0)


def test_width_of_the_conditional_path():
    """M2, W6: x_t = t data + (1 - t) noise is a draw of N(t data + (1 - t) noise, sigma^2 I) for sigma = 0; else sigma times noise is missing."""
    mean, variance = flow.conditional_path(X0, NOISE[0], 0.4, 0.5)
    x_t = flow.interpolate(X0, NOISE[0], 0.4)
    assert np.array_equal(mean, x_t) and variance == 0.25 and differ(x_t, mean + 0.5 * NOISE[1])
    assert flow.conditional_path(X0, NOISE[0], 0.4)[1] == 0


def test_paths_of_the_flow_are_curved():
    """M2, M4: conditional paths are straight; the flow of the marginal velocity, which sampling follows, is not."""
    oracle, x = oracles.gaussian([0.7], [[0.25]]), np.array([[1.5]])
    middle, end = (oracles.transport(oracle, x, 0, t, flow.straight) for t in (0.5, 1))
    assert same(end, 0.7 + 0.5 * 1.5) and same(middle, 0.5 * 0.7 + np.sqrt(0.25 * 0.25 + 0.25) * 1.5)
    assert differ((x + end) / 2, middle)
    assert same((x + X0[:, :1]) / 2, flow.interpolate(X0[:, :1], x, 0.5))


def test_the_field_is_the_mean_of_conditional_fields():
    """M3, W6: the marginal field is the mean of the conditional ones given x_t; no single one of them takes its place."""
    x, t, data = np.array([[0.4]]), 0.4, np.array([-1.0, 2.0])
    conditional = data - (x.item() - t * data) / (1 - t)
    share = np.array([0.3, 0.7]) * [np.exp(gaussian.log_density(x, t * m, np.float64((1 - t) ** 2))).item() for m in data]
    marginal = TWO_POINTS.model(flow.straight, "velocity")(x, t).item()
    assert all(differ(velocity, marginal) for velocity in conditional)
    assert same(share @ conditional / share.sum(), marginal, *conditional)


def test_the_field_depends_on_time():
    """M2, W6: one x has different velocities at different t: f takes t, with a label or without."""
    velocity = TWO_POINTS.model(flow.straight, "velocity")
    assert differ(velocity(np.array([[0.4]]), 0.3), velocity(np.array([[0.4]]), 0.6))


def test_the_difference_quotient_is_approximate():
    """M1: (x(t + h) - x(t)) / h is f(x(t), t) up to order h: for dx/dt = x and h = 1/2 it is 1.30 against 1."""
    x = np.array([1.0])
    step = samplers.euler_step(lambda x, t: x, x, 0.0, 0.5)
    assert same(step, 1.5) and differ(step, np.exp(0.5)) and two_places((np.exp(0.5) - 1) / 0.5) == ["1.30"]


def test_flow_matching_does_not_transport_optimally():
    """M4, W6: independent pairs are longer than optimal ones; optimal transport is a choice of coupling, and not flow matching itself."""
    data, noise = np.array([[-1.0, 0.5], [2.0, 1.0], [0.3, -0.7]]), np.array([[1.2, 0.1], [0.2, -1.0], [-0.4, 0.6]])
    order = flow.couple_optimally(data, noise)
    assert ((data[order] - noise) ** 2).sum() < 0.9 * ((data - noise) ** 2).sum()


def test_ddim_is_a_family():
    """S2: DDIM is deterministic for eta = 0 only; with eta = 1 it adds the noise of DDPM."""
    zero, one = (samplers.ddim_step(NOISE[0], X3, 3, 2, EXAMPLE, NOISE[1], eta) for eta in (0.0, 1.0))
    assert differ(zero, one) and np.array_equal(zero, samplers.ddim_step(NOISE[0], X3, 3, 2, EXAMPLE))


# --- W6, attention ---


def attention(queries, keys, values):
    """Softmax attention, a row for each query."""
    scores = np.exp(queries @ keys.T / np.sqrt(queries.shape[1]))
    return scores / scores.sum(axis=1, keepdims=True) @ values


def test_who_asks_in_cross_attention():
    """W6: the queries decide how many rows come out, so it is the image that asks the text: asked the other way it cannot be added to the image."""
    image, text = np.sin(np.arange(48.0)).reshape(16, 3), np.cos(np.arange(15.0)).reshape(5, 3)
    assert attention(image, text, text).shape == image.shape
    assert attention(text, image, image).shape == text.shape != image.shape


def test_cost_of_cross_attention():
    """W6: n^2 products are those of self-attention; cross-attention over a text of m tokens has n m, far fewer."""
    n, m = 32 * 32, 77
    assert n * n == 1_048_576 and n * m == 78_848
