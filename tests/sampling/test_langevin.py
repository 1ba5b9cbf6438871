"""Langevin dynamics by its stationary law and detailed balance, correctors, and predictors by the steps of DDPM."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import ddpm_step, langevin, maps, oracles, rng, schedules, sde
from tests.tolerances import AFFINE_MOMENTS, IDENTITY, roundings

COVARIANCE = np.array([[2.0, 0.5], [0.5, 1.0]])
GAUSSIAN = oracles.gaussian([0.5, -1.0], COVARIANCE)
MIXTURE = oracles.mixture([[-1.0, 0.0], [0.8, 0.5]], np.stack([np.eye(2) * 0.3, np.eye(2) * 0.5]), [0.4, 0.6])
X, Y, NOISE = (rng.normal(seed, 4, (2,)) for seed in range(3))


def affine(h):
    return maps.affine_of(lambda x, noise: langevin.ula_step(x, GAUSSIAN.score(x, 1.0, 0.0), h, noise), 2)


@pytest.mark.parametrize("h", [0.001, 0.1, 0.9])
def test_the_stationary_law_of_ula(h):
    """L1: for a Gaussian it has the right mean, and the covariance A^-1 (I - h A / 2)^-1 with A = C^-1."""
    A = np.linalg.inv(COVARIANCE)
    biased = np.linalg.inv(A @ (np.eye(2) - h * A / 2))
    mean, covariance = affine(h).moments(np.array([0.5, -1.0]), biased)
    assert np.allclose(mean, [0.5, -1.0], atol=AFFINE_MOMENTS) and np.allclose(covariance, biased, atol=AFFINE_MOMENTS)


def test_ula_diverges_beyond_two_over_the_largest_curvature():
    """L1: at h = 2 / max eigenvalue of A the variance grows without end, just below it does not."""
    largest = np.linalg.eigvalsh(np.linalg.inv(COVARIANCE)).max()
    for factor, stable in ((0.999, True), (1.0, False), (1.001, False)):
        covariance, step = np.eye(2), affine(2 * factor / largest)
        for _ in range(20_000):
            _, covariance = step.moments(np.zeros(2), covariance)
        assert (np.linalg.eigvalsh(covariance).max() < 5e3) == stable


@given(st.floats(0.01, 2.0), st.integers(0, 50))
def test_detailed_balance_of_mala(h, seed):
    """L1: p(x) q(x'|x) min(1, ratio) is the same in both directions, at any pair of points of a mixture."""
    x, there = rng.normal(seed, 3, (2,)), rng.normal(seed + 100, 3, (2,))
    (p, s), (p_there, s_there) = ((MIXTURE.log_density(each, 1.0, 0.0), MIXTURE.score(each, 1.0, 0.0)) for each in (x, there))

    def flow(x, y, p, s, ratio):
        q = -((y - x - h * s) ** 2).sum(axis=1) / (4 * h)
        return p + q + np.minimum(0, ratio)

    forth = langevin.mala_log_ratio(x, there, p, p_there, s, s_there, h)
    back = langevin.mala_log_ratio(there, x, p_there, p, s_there, s, h)
    assert np.allclose(flow(x, there, p, s, forth), flow(there, x, p_there, s_there, back), rtol=1e-12)
    assert np.allclose(forth, -back, rtol=1e-12)


def test_acceptance():
    """L1: accepted where log u is at most the ratio; u = 0 always accepts."""
    found = langevin.mala_accept(X, Y, np.log([0.5, 0.5, 1e-300, 2.0]), np.array([0.49, 0.51, 0.0, 0.99]))
    assert np.array_equal(found, np.where(np.array([[True], [False], [True], [True]]), Y, X))


def test_annealing_of_a_gaussian():
    """L2: the steps of all levels, with sizes proportional to the variance, and the last denoising; as moments, exactly."""
    sigmas, steps, size = [4.0, 1.0, 0.5], 3, 0.1
    noises = [rng.normal(2, 4, (2,), step=k) for k in range(9)]
    states = list(langevin.annealed(lambda x, sigma: GAUSSIAN.score(x, 1.0, sigma), X, sigmas, steps, size, noises))
    assert len(states) == 10
    x = X
    for sigma, noise in zip(np.repeat(sigmas, steps), noises, strict=True):
        x = langevin.ula_step(x, GAUSSIAN.score(x, 1.0, sigma), size * (sigma / 0.5) ** 2, noise)
    assert np.array_equal(states[-2], x)
    assert roundings(states[-1], GAUSSIAN.model(sde.edm(), "x0")(x, 0.5), x) < IDENTITY  # Tweedie's formula: x + sigma^2 s
    assert [len(list(langevin.annealed(lambda x, sigma: -x, X, sigmas, n, 0.1, [NOISE] * 9))) for n in (0, 1)] == [1, 4]


def test_equal_signal_to_noise_at_each_level():
    """L2: the ratio of a step's drift to its noise tends to the same number for all large levels."""
    ratios = []
    for sigma in (1e3, 1e5):
        h = 0.1 * (sigma / 0.5) ** 2
        drift = h * GAUSSIAN.score(sigma * X, 1.0, sigma)
        ratios.append(np.linalg.norm(drift) / np.sqrt(2 * h))
    assert ratios[0] == pytest.approx(ratios[1], rel=0.01)


def test_the_corrector_is_of_one_example():
    """C7: its size is 2 alpha (r |z| / |s|)^2 of each example, whatever the others are."""
    score = GAUSSIAN.score(X, 1.0, 0.5)
    found = langevin.corrector_size(score, NOISE, 0.16, 0.9)
    for i in range(4):
        want = 2 * 0.9 * (0.16 * np.linalg.norm(NOISE[i]) / np.linalg.norm(score[i])) ** 2
        assert found[i] == pytest.approx(want, rel=1e-14)
        assert langevin.corrector_size(score[i : i + 1], NOISE[i : i + 1], 0.16, 0.9) == pytest.approx(want, rel=1e-14)


def test_correctors_keep_the_density():
    """C7: with the exact score, Langevin steps at one level change the moments of p_t by a bias of order 1 in h only."""
    mean, covariance = 0.7 * np.array([0.5, -1.0]), 0.49 * COVARIANCE + 0.25 * np.eye(2)
    biases = []
    for h in (1e-3, 5e-4):
        step = maps.affine_of(lambda x, noise, h=h: langevin.ula_step(x, GAUSSIAN.score(x, 0.7, 0.5), h, noise), 2)
        moved, law = mean, covariance
        for _ in range(20_000):
            moved, law = step.moments(moved, law)
        assert np.allclose(moved, mean, atol=1e-12)
        biases.append(abs(law - covariance).max())
    assert biases[0] / biases[1] == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("t, s", [(50, 49), (50, 20), (7, 6), (2, 1)])
def test_ancestral_steps_are_those_of_ddpm(t, s):
    """C6: with the score of a prediction, for both variances; in the exploding state too, where signal is 1."""
    schedule = schedules.cosine(50)
    score = np.tanh(Y)
    for variance, name in (("posterior", "posterior"), ("forward", "beta")):
        want = ddpm_step(score, X, t, s, schedule, NOISE, "score", name)
        assert roundings(langevin.ancestral_step(X, t, s, score, schedule, NOISE, variance), want, X / schedule.signal[t], score) < IDENTITY
    path, (a_t, a_s) = sde.edm(2000.0), schedule.signal[[t, s]]
    rho_t, rho_s = (schedule.sigma[each] / schedule.signal[each] for each in (t, s))
    exploded = langevin.ancestral_step(X / a_t, rho_t, rho_s, a_t * score, path, NOISE)
    want = ddpm_step(score, X, t, s, schedule, NOISE, "score", "posterior") / a_s
    assert np.allclose(exploded, want, rtol=1e-9)


def test_predictors_agree_to_first_order():
    """C6: reverse diffusion and ancestral sampling differ by a second-order error, and both are of weak order 1 on a Gaussian."""
    path, gaps, errors = sde.vp(), [], []
    for steps in (100, 200, 400):
        grid = np.linspace(0.8, 0.2, steps + 1)
        t, s = grid[0], grid[1]
        score = GAUSSIAN.score(X, *path.signal_sigma(t))
        both = (
            langevin.reverse_diffusion_step(X, t, s, score, path, 0 * X),
            langevin.ancestral_step(X, t, s, score, path, 0 * X, "forward"),
        )
        gaps.append(abs(both[0] - both[1]).max())
        a, b = path.signal_sigma(grid[0])
        mean, law = a * np.array([0.5, -1.0]), a**2 * COVARIANCE + b**2 * np.eye(2)
        for t, s in pairwise(grid):
            step = maps.affine_of(
                lambda x, z, t=t, s=s: langevin.reverse_diffusion_step(x, t, s, GAUSSIAN.score(x, *path.signal_sigma(t)), path, z), 2
            )
            mean, law = step.moments(mean, law)
        a, b = path.signal_sigma(grid[-1])
        errors.append(abs(law - a**2 * COVARIANCE - b**2 * np.eye(2)).max())
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(2, abs=0.1) and np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.05)


def test_reverse_diffusion_as_printed():
    """C6: of DDPM's chain it is (2 - sqrt(1 - beta)) x + beta s + sqrt(beta) z."""
    schedule, score = schedules.linear(50), np.tanh(Y)
    beta = schedule.beta[30]
    printed = (2 - np.sqrt(1 - beta)) * X + beta * score + np.sqrt(beta) * NOISE
    assert roundings(langevin.reverse_diffusion_step(X, 30, 29, score, schedule, NOISE), printed, X, score) < IDENTITY


def test_the_last_step_may_end_at_clean_data():
    """C6: at s = 0 the posterior variance is 0, and the step is Tweedie's denoising divided by the signal."""
    path, t = sde.vp(), 0.3
    a, b = path.signal_sigma(t)
    want = (X + b**2 * np.tanh(Y)) / a
    assert roundings(langevin.ancestral_step(X, t, 0.0, np.tanh(Y), path, NOISE), want, X / a) < IDENTITY


WRONG = [
    (lambda: langevin.ula_step(X, Y, -0.1, NOISE), "h = -0.1; allowed: "),
    (lambda: langevin.ula_step(X, Y[:2], 0.1, NOISE), "score has shape (2, 2); allowed: (4, 2)"),
    (lambda: langevin.mala_log_ratio(X, Y, np.zeros(4), np.zeros(4), X, Y, 0.0), "h = 0.0; allowed: above 0"),
    (lambda: langevin.corrector_size(0 * X, NOISE, 0.1), "score = 0 for an example"),
    (lambda: langevin.corrector_size(X, NOISE, -0.1), "ratio = -0.1; allowed: "),
    (lambda: next(langevin.annealed(lambda x, s: x, X, [1.0, 2.0], 1, 0.1, [NOISE])), "sigmas = [1.0, 2.0]; allowed: decreasing numbers"),
    (lambda: next(langevin.annealed(lambda x, s: x, X, [1.0], -1, 0.1, [NOISE])), "steps = -1; allowed: "),
    (lambda: langevin.ancestral_step(X, 0.3, 0.5, Y, sde.vp(), NOISE), "s = 0.5 is noisier than t = 0.3; allowed: "),
    (lambda: langevin.ancestral_step(X, 0.0, 0.0, Y, sde.vp(), NOISE), "t = 0.0 has no signal or no noise; allowed: "),
    (lambda: langevin.ancestral_step(X, 0.5, 0.3, Y, sde.vp(), NOISE, "beta"), "variance = 'beta'; allowed: posterior, forward"),
]


@pytest.mark.parametrize("call, message", WRONG, ids=[message[:24] for _, message in WRONG])
def test_wrong_arguments(call, message):
    """L1, L2, C6, C7: each wrong argument is named, with its value and what is allowed."""
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
