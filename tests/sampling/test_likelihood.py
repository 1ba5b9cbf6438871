"""Likelihood by the flow: against the closed form of mixtures on every path, divergences by sums over all probes, and bits of known laws."""

import re
from itertools import product

import numpy as np
import pytest

from refdiff import flow, gaussian, likelihood, mlp, oracles, rng, samplers, sde
from tests.tolerances import IDENTITY, roundings

PLANE = oracles.mixture([[-1.0, 0.3], [0.8, -0.5]], [[[0.3, 0.1], [0.1, 0.2]], [[0.25, 0.0], [0.0, 0.5]]], [0.4, 0.6])
X = rng.normal(3, 4, (2,))
A = rng.normal(5, 4, (4,))
PATHS = {
    "vp": (sde.vp(), 0.02, 1.0),
    "sub_vp": (sde.sub_vp(), 0.02, 1.0),
    "edm": (sde.edm(20.0), 0.05, 20.0),
    "straight": (flow.straight, 1.0, 0.0),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_likelihood_of_a_mixture(name):
    """C8: to ten digits, with the density of the path's end; and the state at the end is that of the flow."""
    path, t, s = PATHS[name]
    field = PLANE.model(path, "velocity")
    found, moved = likelihood.log_likelihood(field, X, t, s, lambda x: PLANE.log_density(x, *path.signal_sigma(s)))
    assert np.allclose(found, PLANE.log_density(X, *path.signal_sigma(t)), rtol=0, atol=1e-9)
    assert np.allclose(samplers.solve_adaptive(field, moved, s, t, 1e-10, 1e-12), X, rtol=0, atol=1e-8)


def test_another_prior_shifts_the_likelihood():
    """C8: with N(0, I) in place of the density at the end, the result changes by exactly their log-ratio there."""
    path, t, s = PATHS["vp"]
    field = PLANE.model(path, "velocity")
    exact, normal = (lambda x: PLANE.log_density(x, *path.signal_sigma(s))), lambda x: gaussian.log_density(x, 0 * x, 1 + 0 * x)
    (right, moved), (shifted, again) = (likelihood.log_likelihood(field, X, t, s, prior) for prior in (exact, normal))
    assert np.array_equal(moved, again) and np.allclose(shifted - right, normal(moved) - exact(moved), rtol=0, atol=1e-13)


def test_the_divergence_of_a_gaussian():
    """C8: for one Gaussian the integral of the divergence is half the logarithm of the ratio of the determinants."""
    data, path, (t, s) = oracles.gaussian([0.5, -1.0], [[2.0, 0.5], [0.5, 1.0]]), sde.vp(), (0.1, 0.9)
    found, _ = likelihood.log_likelihood(data.model(path, "velocity"), X, t, s, lambda x: np.zeros(len(x)))
    (a, b), (a_s, b_s) = path.signal_sigma(t), path.signal_sigma(s)
    C = np.array([[2.0, 0.5], [0.5, 1.0]])
    ratio = np.linalg.slogdet(a_s**2 * C + b_s**2 * np.eye(2))[1] - np.linalg.slogdet(a**2 * C + b**2 * np.eye(2))[1]
    assert np.allclose(found, ratio / 2, rtol=0, atol=1e-10)


def test_hutchinson_over_all_signs():
    """C9: the mean over all 2^d probes of signs is the trace, and the variance that of the entries off the diagonal."""
    field = lambda x, t: np.tanh(x @ A.T) * (1 + t)  # noqa: E731
    x = rng.normal(1, 3, (4,))
    found = np.stack([likelihood.hutchinson(field, x, 0.5, np.tile(np.array(signs), (3, 1))) for signs in product([-1.0, 1.0], repeat=4)])
    jacobians = (1.5 / np.cosh(x @ A.T) ** 2)[:, :, None] * A
    exact = np.einsum("bii->b", jacobians)
    assert roundings(found.mean(axis=0), exact, found) < IDENTITY
    assert np.allclose(likelihood.divergence(field, x, 0.5), exact, rtol=0, atol=1e-14)
    symmetric = (jacobians + jacobians.mT) / 2
    off = symmetric * (1 - np.eye(4))
    assert np.allclose(found.var(axis=0), 2 * (off**2).sum(axis=(1, 2)), rtol=1e-12)


def test_one_probe_for_the_whole_path():
    """C9: with the probes of all signs, the mean of the likelihoods is the exact one: the estimate of the integral is unbiased."""
    path, t, s = PATHS["vp"]
    field, prior = PLANE.model(path, "velocity"), lambda x: PLANE.log_density(x, *path.signal_sigma(s))
    each = [likelihood.log_likelihood(field, X, t, s, prior, np.tile(np.array(v), (4, 1)))[0] for v in product([-1.0, 1.0], repeat=2)]
    assert np.allclose(np.mean(each, axis=0), PLANE.log_density(X, *path.signal_sigma(t)), rtol=0, atol=1e-8)
    assert abs(each[0] - each[1]).max() > 0.01


def test_the_likelihood_of_a_network():
    """C8: a network is differentiated by the same complex step; its density integrates to 1 over the line."""
    p = mlp.init(0, inputs=1, outputs=1, width=8, depth=2, features=4, dtype=np.float64)
    field = lambda x, t: mlp.mlp(p, x, np.full(len(x), 1000.0 * t))[0] * 0.5 - 0.3 * x  # noqa: E731
    x = np.linspace(-12, 12, 600)[:, None]
    found, _ = likelihood.log_likelihood(field, x, 1.0, 0.0, lambda z: gaussian.log_density(z, 0 * z, 1 + 0 * z), rtol=1e-8, atol=1e-10)
    assert np.trapezoid(np.exp(found), x[:, 0]) == pytest.approx(1, abs=1e-5)


def test_bits():
    """C8: a uniform law on [-1, 1] in each of d numbers has 8 bits per dimension; the offset of 8 bits is 7."""
    assert likelihood.bits_of_density(3 * np.log(0.5) * np.ones(2), 3, 2 / 256) == pytest.approx(8)
    assert likelihood.bits_of_density(np.array([0.0]), 784, 2 / 256) == pytest.approx(7)
    assert likelihood.bits_of_density(0.0, 784) == likelihood.bits_of_density(0.0, 784, 2 / 255)
    assert likelihood.bits_of_density(-784 * np.log(2.0), 784, 1.0) == pytest.approx(1)


def test_wrong_arguments():
    """C8, C9: each wrong argument is named, with its value and what is allowed."""
    field = lambda x, t: x  # noqa: E731
    for call, error, message in (
        (lambda: likelihood.hutchinson(field, X, 0.5, X[:2]), ValueError, "probe has shape (2, 2); allowed: (4, 2)"),
        (lambda: likelihood.divergence(lambda x, t: x[:1], X, 0.5), ValueError, "f(x, t) has shape (1, 2); allowed: (4, 2)"),
        (lambda: likelihood.divergence(lambda x, t: 3 * x.real, X, 0.5), TypeError, "f(x, t) is real for a complex x; allowed: "),
        (lambda: likelihood.log_likelihood(field, X, 0.5, 0.0, lambda x: x), ValueError, "log_prior(x) has shape (4, 2); allowed: (4,)"),
        (lambda: likelihood.log_likelihood(field, X, 0.5, 0.0, len, method="RK9"), ValueError, "method = 'RK9'; allowed: "),
        (lambda: likelihood.bits_of_density(1.0, 0), ValueError, "dimensions = 0; allowed: "),
        (lambda: likelihood.bits_of_density(1.0, 2, 0.0), ValueError, "width = 0.0; allowed: "),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()
