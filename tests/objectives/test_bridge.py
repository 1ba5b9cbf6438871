"""The Schroedinger bridge: Fokker-Planck equations by complex step, Doob's transform, and Gaussians in closed form."""

import re

import numpy as np
import pytest

from refdiff import bridge, oracles, rng, transport

from ..tolerances import IDENTITY, relative, roundings

NOISE, DATA = rng.normal(0, 4, (2,)), rng.normal(1, 3, (2,)) + 1
X = rng.normal(2, 5, (2,)) + 0.5
SIGMA, T = 0.8, 0.3
PLAN, F, G = transport.couple_entropic(DATA, NOISE, 2 * SIGMA**2)
A, B = np.array([[1.5, 0.4], [0.4, 0.5]]), np.array([[0.3, -0.2], [-0.2, 2.0]])
STEP = 1e-30


def log_density(x, t, plan=PLAN, sigma=SIGMA):
    """Of the mixture of Brownian bridges, from its definition."""
    means = (1 - t) * NOISE[:, None] + t * DATA
    variance = sigma**2 * t * (1 - t)
    terms = np.log(plan) - ((x[:, None, None] - means) ** 2).sum(axis=3) / (2 * variance) - np.log(2 * np.pi * variance)
    return np.log(np.exp(terms).sum(axis=(1, 2)))


def partials(f, x):
    """Derivatives of f (B, ...) in each number of x (B, 2), by complex step: (2, B, ...)."""
    return np.stack([f(x + 1j * STEP * unit).imag / STEP for unit in np.eye(2)])


@pytest.mark.parametrize(
    "plan", [PLAN, np.full((4, 3), 1 / 12), rng.uniform(3, 4, 3) / rng.uniform(3, 4, 3).sum()], ids=["entropic", "independent", "any"]
)
@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_drift_and_score_of_the_mixture(plan, t):
    """B2: the score is the gradient of the log-density, and d_t log p = -div v - v . s for the velocity v = u - sigma^2 s / 2, for any plan."""
    score = bridge.score(X, DATA, NOISE, plan, t, SIGMA)
    gradient = partials(lambda x: log_density(x, t, plan), X).T
    assert relative(score, gradient) <= 1e-12

    def velocity(x):
        return bridge.drift(x, DATA, NOISE, plan, t, SIGMA) - SIGMA**2 / 2 * bridge.score(x, DATA, NOISE, plan, t, SIGMA)

    divergence = np.einsum("ibi->b", partials(velocity, X))
    rate = log_density(X, t + 1j * STEP, plan).imag / STEP
    assert np.allclose(rate, -divergence - (velocity(X) * score).sum(axis=1), rtol=0, atol=1e-11 * abs(divergence).max())


def doob_drift(x, t, sigma=SIGMA, g=G):
    """sigma^2 grad log h, with h(x, t) = sum_j e^{g_j / eps} N(data_j; x, sigma^2 (1 - t))."""

    def log_h(x):
        terms = g / (2 * sigma**2) - ((DATA - x[:, None]) ** 2).sum(axis=2) / (2 * sigma**2 * (1 - t))
        return np.log(np.exp(terms).sum(axis=1))

    return sigma**2 * partials(log_h, x).T


@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_the_entropic_plan_makes_it_markov(t):
    """B2: for eps = 2 sigma^2 the drift is sigma^2 grad log h, which depends on the data's potential alone; for another eps it is not."""
    assert relative(bridge.drift(X, DATA, NOISE, PLAN, t, SIGMA), doob_drift(X, t)) <= 1e-11
    for eps in (SIGMA**2, 4 * SIGMA**2):
        plan, _, g = transport.couple_entropic(DATA, NOISE, eps)
        assert relative(bridge.drift(X, DATA, NOISE, plan, t, SIGMA), doob_drift(X, t, g=g * 2 * SIGMA**2 / eps)) > 1e-3


def test_given_one_end_the_drift_is_the_same():
    """B2: with the entropic plan, the drift of the bridges from one noise alone is the drift of all; with the independent plan it is not."""
    all_together = bridge.drift(X, DATA, NOISE, PLAN, T, SIGMA)
    for i in range(4):
        alone = bridge.drift(X, DATA, NOISE[i : i + 1], PLAN[i : i + 1] * 4, T, SIGMA)
        offset = ((1 - T) * NOISE[i] + T * DATA - X[:, None]) / (SIGMA**2 * T * (1 - T))
        assert np.isfinite(offset).all() and relative(alone, all_together) <= 1e-11
    independent = np.full((4, 3), 1 / 12)
    assert (
        relative(bridge.drift(X, DATA, NOISE[:1], independent[:1] * 4, T, SIGMA), bridge.drift(X, DATA, NOISE, independent, T, SIGMA))
        > 0.01
    )


def test_targets():
    """B2: u + sigma^2 s / 2 is (data - x) / (1 - t); u - sigma^2 s / 2 is (x - noise) / t; u is the path's velocity for its own noise."""
    data, noise, x, t = DATA[[0, 1, 2, 0]], NOISE, X[:4], np.array([0.1, 0.3, 0.5, 0.9])
    u, s = bridge.targets(x, data, noise, t, SIGMA)
    column = t[:, None]
    assert roundings(u + SIGMA**2 / 2 * s, (data - x) / (1 - column), u, s) <= IDENTITY
    assert roundings(u - SIGMA**2 / 2 * s, (x - noise) / column, u, s) <= IDENTITY
    z = rng.normal(4, 4, (2,))

    def state(t):
        mean, variance = (1 - t) * noise + t * data, SIGMA**2 * t * (1 - t)
        return mean + np.sqrt(variance) * z

    x = state(column)
    assert roundings(bridge.targets(x, data, noise, t, SIGMA)[0], state(column + 1j * STEP).imag / STEP, 20) <= IDENTITY
    mean, variance = bridge.brownian(data, noise, t, SIGMA)
    assert roundings(mean + np.sqrt(variance) * z, x, 4) <= IDENTITY
    assert roundings(bridge.targets(x, data, noise, t, SIGMA)[1], -z / np.sqrt(variance), 20) <= IDENTITY


def test_drift_is_the_mean_of_the_targets():
    """B2: with one pair the drift and the score are those of its targets; per-example times, images and float32."""
    data, noise = np.broadcast_to(DATA[:1], X.shape), np.broadcast_to(NOISE[:1], X.shape)
    t = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    u, s = bridge.targets(X, data, noise, t, SIGMA)
    one = np.ones((1, 1))
    assert roundings(bridge.drift(X, DATA[:1], NOISE[:1], one, t, SIGMA), u + SIGMA**2 / 2 * s, u, s) <= IDENTITY
    assert roundings(bridge.score(X, DATA[:1], NOISE[:1], one, t, SIGMA), s) <= IDENTITY
    whole = bridge.drift(X, DATA, NOISE, PLAN, t, SIGMA)
    rows = [bridge.drift(X[i : i + 1], DATA, NOISE, PLAN, t[i], SIGMA)[0] for i in range(5)]
    assert roundings(whole, np.array(rows)) <= IDENTITY
    images = bridge.drift(X.reshape(5, 1, 2, 1), DATA.reshape(3, 1, 2, 1), NOISE.reshape(4, 1, 2, 1), PLAN, t, SIGMA)
    assert np.array_equal(images.reshape(5, 2), whole) and bridge.drift(X[:0], DATA, NOISE, PLAN, 0.5, SIGMA).shape == (0, 2)
    narrow = [bridge.drift(*(each.astype(np.float32) for each in (X, DATA, NOISE)), PLAN, t, SIGMA)]
    assert narrow[0].dtype == np.float32 and relative(narrow[0], whole) < 1e-4
    assert bridge.brownian(DATA, NOISE[:3], 0.0, SIGMA)[1] == 0 and np.array_equal(bridge.brownian(DATA, NOISE[:3], 1.0, SIGMA)[0], DATA)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.7, 1.0])
def test_gaussian_bridge(t):
    """B2: the covariance has the rate G S + S G^T + sigma^2 I of a diffusion with drift G x; at the ends it is A and B."""
    covariance, slope = bridge.gaussian(A, B, t, SIGMA)
    rate = (bridge.gaussian(A, B, min(t + 1e-4, 1.0), SIGMA)[0] - bridge.gaussian(A, B, max(t - 1e-4, 0.0), SIGMA)[0]) / (
        min(t + 1e-4, 1.0) - max(t - 1e-4, 0.0)
    )
    inside = 1e-9 if 0 < t < 1 else 1e-3  # the covariance is quadratic in t, so a central difference is exact
    assert np.allclose(slope @ covariance + covariance @ slope.T + SIGMA**2 * np.eye(2), rate, rtol=0, atol=inside)
    assert np.allclose(slope, slope.T, rtol=0, atol=1e-13), "the drift is a gradient, sigma^2 grad log h"
    if t in (0, 1):
        assert np.allclose(covariance, (A, B)[int(t)], rtol=0, atol=1e-14)


def test_gaussian_bridge_is_the_mixture_of_bridges():
    """B2: the drift of a finite set that is a quadrature of both Gaussians, by Sinkhorn's algorithm, is the closed form."""
    nodes, share = np.polynomial.hermite_e.hermegauss(100)
    a, b, sigma, t = 1.5, 0.4, 0.9, 0.35
    noise, data = np.sqrt(a) * nodes[:, None] - 0.5, np.sqrt(b) * nodes[:, None] + 1
    plan = transport.couple_entropic(data, noise, 2 * sigma**2, share, share).plan
    covariance, slope = bridge.gaussian([[a]], [[b]], t, sigma)
    mean = (1 - t) * -0.5 + t
    x = np.array([[-1.5], [0.2], [1.1]])
    assert relative(bridge.drift(x, data, noise, plan, t, sigma), 1.5 + slope * (x - mean)) <= 1e-9
    assert relative(bridge.score(x, data, noise, plan, t, sigma), -(x - mean) / covariance) <= 1e-9


def test_bridge_from_a_point():
    """B2: from noise that is a point, the bridge to a Gaussian is the Foellmer drift; in the limit of small sigma a Gaussian moves by optimal transport."""
    slope = bridge.gaussian(np.zeros((2, 2)), B, 0.5, 1.0)[1]
    S = 0.25 * B + 0.25 * np.eye(2)
    assert np.allclose(slope, ((0.5 * B - 0.5 * np.eye(2)) @ np.linalg.inv(S)), rtol=0, atol=1e-14)
    oracle = oracles.gaussian([0.0, 0.0], A)
    assert oracle.means.shape == (1, 2)
    t, sigma = 0.4, 1e-6
    T = np.linalg.solve(A, transport.gaussian_coupling(A, B, 2 * sigma**2))
    moved = (1 - t) * np.eye(2) + t * T
    covariance, slope = bridge.gaussian(A, B, t, sigma)
    assert np.allclose(covariance, moved @ A @ moved.T, atol=1e-10) and np.allclose(
        slope, (T - np.eye(2)) @ np.linalg.inv(moved), atol=1e-9
    )


ERRORS = {
    "end": (lambda: bridge.drift(X, DATA, NOISE, PLAN, 1.0, SIGMA), "t = 1.0; allowed: above 0 and below 1"),
    "start": (lambda: bridge.targets(X[:3], DATA, NOISE[:3], 0.0, SIGMA), "t = 0.0; allowed: above 0 and below 1"),
    "time": (lambda: bridge.brownian(DATA, NOISE[:3], 1.5, SIGMA), "t = 1.5; allowed: finite, in [0, 1]"),
    "sigma": (lambda: bridge.drift(X, DATA, NOISE, PLAN, T, 0.0), "sigma = 0.0; allowed: finite, in "),
    "plan": (lambda: bridge.drift(X, DATA, NOISE, PLAN.T, T, SIGMA), "plan has shape (3, 4); allowed: (4, 3), not empty"),
    "sum": (lambda: bridge.score(X, DATA, NOISE, 0 * PLAN, T, SIGMA), "plan has the sum 0.0; allowed: 1"),
    "dimensions": (lambda: bridge.drift(X, DATA[:, :1], NOISE, PLAN, T, SIGMA), "data has shape (0, 1); allowed: (0, 2), the shape of x_t"),
    "singular": (
        lambda: bridge.gaussian(np.zeros((2, 2)), B, 0.0, SIGMA),
        "cov_noise, cov_data leave a singular covariance at t = 0.0; allowed: ",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_wrong_arguments(name):
    """B2: a wrong argument is named, with its value and what is allowed."""
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
