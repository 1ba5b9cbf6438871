"""W6: what lecture slides print of the forward process and of times, beside the right forms; docs/errata.md has a row for each test that names W6.

A formula that is wrong as printed comes out as another number: every test computes both forms. A test that does not name W6 shows what a claim
in words leaves out.
"""

import numpy as np
import pytest
from scipy.special import ndtri

from refdiff import forward, gaussian, oracles, schedules
from refdiff.arrays import sum_event

from ..lecture_example import ALPHA, ALPHA_BAR, BETA, EXAMPLE, NOISE, STEPS, WIDE, X0, X2, X3, differ, same, two_places


def test_steps_without_roots():
    """F1, W6: alpha x and (1 - alpha) eps without their roots are another process, which does not keep unit variance."""
    mean, variance = forward.q_step(X2, 3, 2, EXAMPLE)
    x_t = forward.q_step_sample(X2, 3, 2, EXAMPLE, NOISE[2])
    assert differ(ALPHA[3] * X2, mean)
    assert differ(ALPHA[3] * X2 + (1 - ALPHA[3]) * NOISE[2], x_t)
    assert same(np.sqrt(ALPHA[3]) * X2 + np.sqrt(1 - ALPHA[3]) * NOISE[2], x_t, X2)
    assert same(ALPHA[3] + variance, 1.0) and differ(ALPHA[3] ** 2 + (1 - ALPHA[3]) ** 2, 1.0)


def test_closed_form_without_roots():
    """F3, W6: alpha_bar x0 + (1 - alpha_bar) eps without the roots is not x_t."""
    x_t = forward.q_sample(X0, 2, EXAMPLE, NOISE[1])
    assert same(np.sqrt(ALPHA_BAR[2]) * X0 + np.sqrt(1 - ALPHA_BAR[2]) * NOISE[1], x_t, X0)
    assert differ(ALPHA_BAR[2] * X0 + (1 - ALPHA_BAR[2]) * NOISE[1], x_t)


def test_closed_form_with_alpha_for_alpha_bar():
    """F3, W6: with alpha_t in place of alpha_bar_t, x0 is noised by one step and not by t steps; the two agree at t = 1 only."""
    for t in (1, 2, 3):
        printed = np.sqrt(ALPHA[t]) * X0 + np.sqrt(1 - ALPHA[t]) * NOISE[0]
        right = forward.q_sample(X0, t, EXAMPLE, NOISE[0])
        assert same(printed, right, X0) if t == 1 else differ(printed, right)
        mean, variance = forward.q_marginal(X0, t, EXAMPLE)
        assert t == 1 or (differ(np.sqrt(ALPHA[t]) * X0, mean) and differ(1 - ALPHA[t], variance))


def test_one_letter_for_two_noises():
    """F2, W6: the noise of the closed form is not the noise of step t, but a weighted sum of the noises of all steps."""
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


def test_closed_form_without_noise():
    """F3, W6: a constant sqrt(1 - alpha_bar) in place of the noise shifts every coordinate equally and has no variance."""
    x_t = forward.q_sample(X0, 3, EXAMPLE, NOISE[2])
    assert differ(np.sqrt(ALPHA_BAR[3]) * X0 + np.sqrt(1 - ALPHA_BAR[3]), x_t)
    assert forward.q_marginal(X0, 3, EXAMPLE)[1] > 0


def test_a_step_scales_and_adds_noise():
    """F1: data of variance 1 keeps its variance, because each step also scales; addition alone would give 1 + 0.1 + 0.2 + 0.3."""
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
    """F3, W6: the mean of x_t given x0 is x0 scaled by sqrt(alpha_bar); without x0 it is the data's mean scaled by the same."""
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


def test_a_chain_for_one_time():
    """T1, F3, W6: the loss at one t needs x_t alone, which the closed form gives; only a uniform t weighs the terms of all t alike."""
    noise = (X3 - np.sqrt(ALPHA_BAR[3]) * X0) / np.sqrt(1 - ALPHA_BAR[3])
    assert same(forward.q_sample(X0, 3, EXAMPLE, noise), X3, X0)  # the same x_3 without x_1 and x_2
    losses = np.array([0.9, 0.5, 0.2])
    uniform, other = np.bincount(EXAMPLE.draw_time((np.arange(300) + 0.5) / 300))[1:] / 300, np.array([0.6, 0.3, 0.1])
    assert same(uniform @ losses, losses.mean()) and differ(other @ losses, losses.mean())
    assert same(other @ (losses / (3 * other)), losses.mean())  # divided by 3 p(t), another distribution gives the same sum
