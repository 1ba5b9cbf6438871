"""The marginal likelihood, the ELBO, and the VAE as a diffusion model of one step."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import elbo, forward, latent, oracles, rng, schedules

from .. import exact
from ..tolerances import DENSITY, QUADRATURE, relative

WEIGHTS = np.array([[1.0, 0.3], [-0.5, 0.8], [0.2, 1.1]])
BIAS = np.array([0.4, -1.0, 0.1])
MODEL = latent.LinearGaussian(WEIGHTS, BIAS, 0.35)
X = rng.normal(0, 5, (3,)) * 2
CLOSE = DENSITY * 8 * np.finfo(float).eps  # a log-density after a 3 x 3 Cholesky or inverse of condition below 30


def gaussian_q(seed):
    """A random q(z | x): means (5, 2) and a covariance (2, 2)."""
    root = rng.normal(seed, 2, (2,), step=1) + 2 * np.eye(2)
    return rng.normal(seed, 5, (2,)), root @ root.T / 9


def draws(mean, covariance, K):
    """K points of q for each mean, and their log-densities."""
    z = mean + rng.normal(9, K, mean.shape) @ np.linalg.cholesky(covariance).T
    offset = z - mean
    log_q = -(np.einsum("kbi,ij,kbj->kb", offset, np.linalg.inv(covariance), offset) + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2
    return z, log_q


def log_joint(z):
    """log p(z) + log p(x | z), written out; (K, B)."""
    prior = -(z * z).sum(axis=-1) / 2 - z.shape[-1] / 2 * np.log(2 * np.pi)
    residual = X - z @ WEIGHTS.T - BIAS
    return prior - (residual**2).sum(axis=-1) / (2 * 0.35) - 1.5 * np.log(2 * np.pi * 0.35)


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=8), st.floats(-1e4, 1e4))
def test_log_mean_exp(values, shift):
    """E2: the logarithm of a mean of exponentials in 50 digits, also where exp overflows."""
    column = np.array(values)[:, None] + shift
    expected = mp.log(mp.fsum(mp.exp(value) for value in exact.numbers(column[:, 0])) / len(values))
    actual = latent.log_mean_exp(column)
    assert actual.shape == (1,)
    assert exact.error(actual, np.array([expected])) <= 8 * np.finfo(float).eps * (1 + np.max(abs(column)))


def test_log_mean_exp_is_of_the_first_axis():
    """E2: (K, B) -> (B,), the mean over the first axis; the mean of a constant is the constant."""
    assert np.array_equal(latent.log_mean_exp(np.array([[1.0, -5.0], [1.0, -5.0], [1.0, -5.0]])), [1.0, -5.0])


def test_marginal_likelihood_by_quadrature():
    """E2: the mean of p(x | z) over the prior is p(x), with Gauss-Hermite nodes of N(0, I) as draws, repeated by their weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    log_weight = np.log(np.outer(weights, weights).ravel() / (2 * np.pi) * len(grid))[:, None]
    log_likelihood = log_joint(grid) - (-(grid**2).sum(axis=-1) / 2 - np.log(2 * np.pi))
    assert relative(latent.marginal_likelihood(log_likelihood + log_weight), MODEL.log_marginal(X)) <= QUADRATURE * 1e3


def test_log_likelihood():
    """E2: log p(x | z) is the Gaussian around W z + b."""
    z = rng.normal(1, 5, (2,))
    assert relative(MODEL.log_likelihood(X, z), log_joint(z) + (z * z).sum(axis=1) / 2 + np.log(2 * np.pi)) <= CLOSE


def test_importance_weights_of_the_posterior_are_exact():
    """E2, E3: with the posterior as q, any single draw gives log p(x), and so do K draws."""
    mean, covariance = MODEL.posterior(X)
    z, log_q = draws(mean, covariance, 7)
    for k in range(7):
        assert relative(latent.importance_weighted(log_joint(z)[k : k + 1], log_q[k : k + 1]), MODEL.log_marginal(X)) <= CLOSE
    assert relative(latent.importance_weighted(log_joint(z), log_q), MODEL.log_marginal(X)) <= CLOSE


def test_marginal_is_the_gaussian_of_its_moments():
    """E3: p(x) has mean b and covariance W W^T + noise, in 50 digits."""
    covariance = exact.matrix(WEIGHTS) * exact.matrix(WEIGHTS).T + mp.mpf(0.35) * mp.eye(3)
    for x, actual in zip(X, MODEL.log_marginal(X), strict=True):
        offset = exact.matrix(x - BIAS).T
        expected = -((offset.T * covariance**-1 * offset)[0] + mp.log(mp.det(2 * mp.pi * covariance))) / 2
        assert abs(actual - float(expected)) <= CLOSE * abs(expected)


def test_posterior_is_bayes():
    """E3: log p(z | x) = log p(x, z) - log p(x) at any z."""
    mean, covariance = MODEL.posterior(X)
    z, log_posterior = draws(mean, covariance, 4)
    assert relative(log_posterior, log_joint(z) - MODEL.log_marginal(X)) <= CLOSE


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_elbo_and_gap(seed):
    """E3: log p(x) = ELBO + D(q || p(z | x)) for any Gaussian q, the gap is positive, and 0 for the posterior."""
    mean, covariance = gaussian_q(seed)
    bound, gap = MODEL.elbo(X, mean, covariance), MODEL.gap(X, mean, covariance)
    assert bound.shape == gap.shape == (5,) and np.all(gap > 0)
    assert relative(bound + gap, MODEL.log_marginal(X)) <= CLOSE * max(1, np.max(abs(bound / MODEL.log_marginal(X))))
    exact_mean, exact_covariance = MODEL.posterior(X)
    assert np.all(MODEL.gap(X, exact_mean, exact_covariance) <= CLOSE)
    assert relative(MODEL.elbo(X, exact_mean, exact_covariance), MODEL.log_marginal(X)) <= CLOSE


def test_elbo_is_the_mean_of_its_integrand():
    """E3: the closed form is E_q [log p(x, z) - log q(z | x)], a quadratic that two Gauss-Hermite nodes per dimension integrate exactly."""
    mean, covariance = gaussian_q(4)
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2) @ np.linalg.cholesky(covariance).T
    weight = np.outer(weights, weights).ravel() / (2 * np.pi)
    z = mean + grid[:, None]
    log_q = -(np.einsum("ki,ij,kj->k", grid, np.linalg.inv(covariance), grid) + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2
    assert relative(weight @ (log_joint(z) - log_q[:, None]), MODEL.elbo(X, mean, covariance)) <= CLOSE


def test_vae_is_diffusion_of_one_step():
    """E4: with q(x_1 | x_0) as encoder and p(x_0 | x_1) as decoder, the ELBO of DDPM at T = 1 is the VAE's, term by term."""
    schedule = schedules.from_alpha_bars([0.3])
    model = latent.LinearGaussian(np.array([[0.8]]), np.array([0.2]), 0.5)
    x0 = np.array([[-1.2], [0.4], [2.0]])
    mean, variance = forward.q_marginal(x0, 1, schedule)
    closed = model.elbo(x0, mean, np.array([[float(variance)]]))

    def decoder(x_t, t, s):
        return 0.8 * x_t + 0.2, np.asarray(0.5)

    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    noise = [np.full_like(x0, node) for node in nodes]
    weight = weights / np.sqrt(2 * np.pi)
    terms = sum(w * elbo.elbo_terms(x0, [1, 0], schedule, decoder, [z]).sum(axis=0) for w, z in zip(weight, noise, strict=True))
    chains = [forward.trajectory(x0, [1, 0], schedule, [z]) for z in noise]
    joint = sum(w * elbo.elbo_joint(chain, [1, 0], schedule, decoder) for w, chain in zip(weight, chains, strict=True))
    assert relative(-terms, closed) <= CLOSE
    assert relative(joint, closed) <= CLOSE


def test_exact_decoder_closes_the_gap():
    """E4: for data N(0, 1) and the true reverse kernel the one-step ELBO is log p(x_0)."""
    schedule = schedules.from_alpha_bars([0.3])
    reverse = oracles.exact_reverse(np.zeros(1), np.ones(1), schedule)
    x0 = np.array([[-1.2], [0.4]])
    chain = forward.trajectory(x0, [1, 0], schedule, [np.array([[0.7], [-0.1]])])
    expected = -(x0[:, 0] ** 2 + np.log(2 * np.pi)) / 2
    assert relative(elbo.elbo_joint(chain, [1, 0], schedule, reverse), expected) <= CLOSE
