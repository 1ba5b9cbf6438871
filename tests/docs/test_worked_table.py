"""W6: rows of docs/errata.md that need one comparison each, by their ids; `pytest tests/test_worked_table.py -k DM-05` runs one.

A case computes the printed form, the right one written out, and the right one as refdiff has it.
"""

import numpy as np
import pytest

from refdiff import elbo, flow, forward, gaussian, guidance, oracles, predict, reverse, samplers, schedules
from refdiff.arrays import sum_event

from ..lecture_example import ALPHA, ALPHA_BAR, BETA, CHAIN, EXAMPLE, NOISE, STEPS, TWO_POINTS, WIDE, X0, X1, X2, X3, differ, same

E = NOISE[2]  # the noise of step 3, and the network's prediction where a formula needs one
SIGMA3 = np.sqrt((1 - ALPHA_BAR[2]) / (1 - ALPHA_BAR[3]) * BETA[3])  # deviation of the posterior at t = 3
POSITIVE, NOISE_01 = np.abs(X2), np.array([[0.5, 0.3, 0.8, 0.2]])  # values whose roots, and those of 1 less them, exist
MODEL = oracles.exact_reverse(np.zeros(4), np.ones(4), EXAMPLE)
Z, (SIGNAL3, NOISE3) = np.array([[0.3]]), EXAMPLE.signal_sigma(3)
MIRRORED = forward.trajectory(X0, STEPS, EXAMPLE, [-e for e in NOISE[::-1]])  # as likely as the chain
NOISE_OF_X3 = (X3 - SIGNAL3 * X0) / NOISE3
KERNEL, POSTERIOR = MODEL(X3, 3, 2), forward.posterior(X3, X0, 3, 2, EXAMPLE)


def log_bayes(*signs):
    """Sum of the logarithms of q(x_3 | x_2), q(x_2 | x_0) and q(x_3 | x_0), times signs."""
    densities = (
        (X3, forward.q_step(X2, 3, 2, EXAMPLE)),
        (X2, forward.q_marginal(X0, 2, EXAMPLE)),
        (X3, forward.q_marginal(X0, 3, EXAMPLE)),
    )
    return sum(sign * gaussian.log_density(x, *normal) for sign, (x, normal) in zip(signs, densities, strict=True))


def log_two_ratios(together):
    """log of p(x_2|x_3) / q(x_2|x_3, x_0) times q(x_2|x_0) / q(x_3|x_0), the second factor inside the logarithm or outside."""
    one = gaussian.log_density(X2, *KERNEL) - gaussian.log_density(X2, *POSTERIOR)
    other = log_bayes(0, 1, -1)
    return one + other if together else one * np.exp(other)


def squares(states, first=1):
    """Sum over t = first..3 of |mu_theta - mu_q|^2 along a chain [x_3, ..., x_0]."""
    means = [
        (MODEL(x, t, t - 1)[0], forward.posterior(x, states[3], t, t - 1, EXAMPLE)[0]) for x, t in zip(states, (3, 2, 1), strict=False)
    ]
    return sum(elbo.l_simple(right, answer) for right, answer in means[: 4 - first])


# id: the printed form, the right one written out, the right one by refdiff
CASES = {
    "DM-02": (
        lambda: np.sqrt(1 - BETA[1]) * X1 + np.sqrt(BETA[3]) * E,
        lambda: np.sqrt(1 - BETA[3]) * X2 + np.sqrt(BETA[3]) * E,
        lambda: forward.q_step_sample(X2, 3, 2, EXAMPLE, E),
    ),
    "DM-03": (
        lambda: np.sqrt(POSITIVE) + np.sqrt(1 - NOISE_01),
        lambda: np.sqrt(ALPHA[3]) * POSITIVE + np.sqrt(1 - ALPHA[3]) * NOISE_01,
        lambda: forward.q_step_sample(POSITIVE, 3, 2, EXAMPLE, NOISE_01),
    ),
    "DM-05": (
        lambda: ALPHA[3] * ALPHA[2] * X1 + np.sqrt(1 - ALPHA[3] * ALPHA[2]) * E,
        lambda: np.sqrt(ALPHA[3] * ALPHA[2]) * X1 + np.sqrt(1 - ALPHA[3] * ALPHA[2]) * E,
        lambda: forward.q_step_sample(X1, 3, 1, EXAMPLE, E),
    ),
    "DM-08": (lambda: log_bayes(0, 1, -1), lambda: log_bayes(1, 1, -1), lambda: gaussian.log_density(X2, *POSTERIOR)),
    "DM-09": (lambda: (1 - ALPHA[3]) * 3, lambda: 1 - ALPHA[3], lambda: forward.q_step(X2, 3, 2, EXAMPLE)[1]),
    "DM-17": (
        lambda: X3 - E,
        lambda: (X3 - (1 - ALPHA[3]) / np.sqrt(1 - ALPHA_BAR[3]) * E) / np.sqrt(ALPHA[3]),
        lambda: reverse.mean_from_eps(E, X3, 3, 2, EXAMPLE),
    ),
    "DM-26": (
        lambda: samplers.ddpm_step(WIDE.eps(Z, *EXAMPLE.signal_sigma(1)), Z, 3, 2, EXAMPLE, 0 * Z),
        lambda: reverse.mean_from_eps(WIDE.eps(Z, *EXAMPLE.signal_sigma(3)), Z, 3, 2, EXAMPLE),
        lambda: samplers.ddpm_step(WIDE.eps(Z, *EXAMPLE.signal_sigma(3)), Z, 3, 2, EXAMPLE, 0 * Z),
    ),
    "DM-27": (
        lambda: reverse.mean_from_eps(E, X3, 3, 2, EXAMPLE) + 0 * 2,
        lambda: reverse.mean_from_eps(E, X3, 3, 2, EXAMPLE) + SIGMA3 * NOISE[0],
        lambda: samplers.ddpm_step(E, X3, 3, 2, EXAMPLE, NOISE[0]),
    ),
    "DM-28": (
        lambda: X1,
        lambda: (X1 - np.sqrt(1 - ALPHA[1]) * NOISE[1]) / np.sqrt(ALPHA[1]),
        lambda: samplers.ddpm_step(NOISE[1], X1, 1, 0, EXAMPLE),
    ),
    "DM-30": (
        lambda: np.sqrt(forward.posterior_variance(3, 2, EXAMPLE)),
        lambda: np.sqrt(1 - ALPHA_BAR[3]),
        lambda: EXAMPLE.sigma[3],
    ),
    "DM-32": (
        lambda: 1 * np.sqrt(ALPHA[3]) * (X3 - (1 - ALPHA[3]) * np.sqrt(1 - ALPHA_BAR[3]) * NOISE_OF_X3),
        lambda: 1 / np.sqrt(ALPHA[3]) * (X3 - (1 - ALPHA[3]) / np.sqrt(1 - ALPHA_BAR[3]) * NOISE_OF_X3),
        lambda: POSTERIOR[0],
    ),
    "DM-33": (
        lambda: (1 - ALPHA_BAR[2]) * (1 - ALPHA_BAR[3]) * (1 - ALPHA[3]),
        lambda: (1 - ALPHA_BAR[2]) / (1 - ALPHA_BAR[3]) * (1 - ALPHA[3]),
        lambda: POSTERIOR[1],
    ),
    "DM-34": (
        lambda: 1 * np.sqrt(ALPHA[3]) * (X3 - (1 - ALPHA[3]) * np.sqrt(1 - ALPHA_BAR[3]) * E),
        lambda: 1 / np.sqrt(ALPHA[3]) * (X3 - (1 - ALPHA[3]) / np.sqrt(1 - ALPHA_BAR[3]) * E),
        lambda: reverse.mean_from_eps(E, X3, 3, 2, EXAMPLE),
    ),
    "DM-35": (
        lambda: 1 * np.sqrt(ALPHA[3]) * (X3 - (1 - ALPHA[3]) * np.sqrt(1 - ALPHA_BAR[3]) * E) + SIGMA3 * NOISE[0],
        lambda: 1 / np.sqrt(ALPHA[3]) * (X3 - (1 - ALPHA[3]) / np.sqrt(1 - ALPHA_BAR[3]) * E) + SIGMA3 * NOISE[0],
        lambda: samplers.ddpm_step(E, X3, 3, 2, EXAMPLE, NOISE[0]),
    ),
    "DM-36": (lambda: log_bayes(1, 1, 1), lambda: log_bayes(1, 1, -1), lambda: gaussian.log_density(X2, *POSTERIOR)),
    "GM-08": (
        lambda: log_two_ratios(together=False),
        lambda: log_two_ratios(together=True),
        lambda: gaussian.log_density(X2, *KERNEL) - gaussian.log_density(X3, *forward.q_step(X2, 3, 2, EXAMPLE)),
    ),
    "GM-14": (
        lambda: elbo.l_simple(NOISE[0], E),
        lambda: (sum_event((NOISE[0] - E) ** 2) + sum_event((NOISE[1] - E) ** 2)) / 2,
        lambda: (elbo.l_simple(NOISE[0], E) + elbo.l_simple(NOISE[1], E)) / 2,
    ),
    "BV-15": (
        lambda: squares(CHAIN, first=2),
        lambda: squares(CHAIN, first=2) + sum_event((X0 - MODEL(X1, 1, 0)[0]) ** 2),
        lambda: squares(CHAIN),
    ),
    "BV-17": (
        lambda: squares(CHAIN),
        lambda: np.mean([squares(CHAIN), squares(MIRRORED)], axis=0),
        lambda: (squares(CHAIN) + squares(MIRRORED)) / 2,
    ),
    "LD-21": (
        lambda: WIDE.eps(X1[:, :1], SIGNAL3, NOISE3),
        lambda: -NOISE3 * WIDE.score(X3[:, :1], SIGNAL3, NOISE3),
        lambda: WIDE.eps(X3[:, :1], SIGNAL3, NOISE3),
    ),
}


@pytest.mark.parametrize("id", CASES)
def test_row(id):
    """W6: the printed form and the right one come out as different numbers, and the right one is refdiff's."""
    printed, written_out, right = (form() for form in CASES[id])
    assert same(written_out, right, 10.0) and differ(printed, right)


SNR = ALPHA_BAR[3] / (1 - ALPHA_BAR[3])
SCORE, X = WIDE.score(Z, SIGNAL3, NOISE3), np.array([[1.2]])

# What the slides print, and the same by refdiff
RIGHT = {
    "one step": (lambda: np.sqrt(1 - BETA[3]) * X2 + np.sqrt(BETA[3]) * E, lambda: forward.q_step_sample(X2, 3, 2, EXAMPLE, E)),
    "closed form": (
        lambda: np.sqrt(ALPHA_BAR[3]) * X0 + np.sqrt(1 - ALPHA_BAR[3]) * E,
        lambda: forward.q_sample(X0, 3, EXAMPLE, E),
    ),
    "Bayes' rule": (lambda: log_bayes(1, 1, -1), lambda: gaussian.log_density(X2, *POSTERIOR)),
    "posterior mean by the noise": (
        lambda: (X3 - (1 - ALPHA[3]) / np.sqrt(1 - ALPHA_BAR[3]) * (X3 - SIGNAL3 * X0) / NOISE3) / np.sqrt(ALPHA[3]),
        lambda: POSTERIOR[0],
    ),
    "posterior variance": (lambda: (1 - ALPHA_BAR[2]) / (1 - ALPHA_BAR[3]) * (1 - ALPHA[3]), lambda: POSTERIOR[1]),
    "sampling step": (
        lambda: (X3 - (1 - ALPHA[3]) / np.sqrt(1 - ALPHA_BAR[3]) * E) / np.sqrt(ALPHA[3]) + SIGMA3 * NOISE[0],
        lambda: samplers.ddpm_step(E, X3, 3, 2, EXAMPLE, NOISE[0]),
    ),
    "weight of the noise's error": (
        lambda: BETA[3] ** 2 / (2 * SIGMA3**2 * ALPHA[3] * (1 - ALPHA_BAR[3])),
        lambda: elbo.weight_eps(3, 2, EXAMPLE),
    ),
    "score of a Gaussian": (lambda: -(X3 - X0) / 0.49, lambda: gaussian.score(X3, X0, np.float64(0.49))),
    "noise by the score": (lambda: -np.sqrt(1 - ALPHA_BAR[3]) * SCORE, lambda: WIDE.eps(Z, SIGNAL3, NOISE3)),
    "classifier guidance": (lambda: X3 + 2.0 * E, lambda: guidance.classifier_score(X3, E, 2.0)),
    "classifier-free guidance by scores": (lambda: (1 - 3.0) * X3 + 3.0 * E, lambda: guidance.classifier_free(X3, E, 3.0)),
    "classifier-free guidance by noises": (lambda: X3 + 3.0 * (E - X3), lambda: guidance.classifier_free(X3, E, 3.0)),
    "DDIM update": (
        lambda: np.sqrt(ALPHA_BAR[2]) * predict.to_x0(E, X3, 3, EXAMPLE) + np.sqrt(1 - ALPHA_BAR[2]) * E,
        lambda: samplers.ddim_step(E, X3, 3, 2, EXAMPLE),
    ),
    "signal-to-noise ratio": (lambda: SNR, lambda: EXAMPLE.snr[3]),
    "linear interpolation": (lambda: 0.4 * X0 + (1 - 0.4) * E, lambda: flow.interpolate(X0, E, 0.4)),
    "Euler step": (
        lambda: X + 0.1 * TWO_POINTS.model(flow.straight, "velocity")(X, 0.4),
        lambda: samplers.euler_step(TWO_POINTS.model(flow.straight, "velocity"), X, 0.4, 0.5),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_formulas_that_are_right(name):
    """W6: formulas that are right as printed."""
    printed, right = (form() for form in RIGHT[name])
    assert same(printed, right, 10.0)


def test_range_of_the_linear_schedule():
    """W6: betas from 0.0001 to 0.02 in 1000 steps, as printed, end nearly in noise."""
    schedule = schedules.linear()
    assert (schedule.T, f"{schedule.beta[1]:g}", f"{schedule.beta[1000]:g}") == (1000, "0.0001", "0.02")
    assert forward.prior_kl(X0, schedule) < 1e-3
