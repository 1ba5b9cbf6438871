"""Score matching: on a finite data set the four losses differ by constants that no model changes, and the weights are those of the papers."""

import re
from itertools import product

import numpy as np
import pytest

from refdiff import elbo, gaussian, likelihood, oracles, predict, rng, score_matching, sde
from tests.tolerances import DENSITY, IDENTITY, QUADRATURE, relative, roundings

POINTS, WEIGHTS = np.array([-1.2, 0.1, 0.9, 2.0]), np.array([0.1, 0.4, 0.3, 0.2])
DATA = oracles.data_set(POINTS[:, None], WEIGHTS)
THETA = np.array([0.3, -0.7, 0.5, 1.1])
H = 1e-30
NODES, MASSES = np.polynomial.hermite_e.hermegauss(150)


def model(theta):
    """A small score model of a point on the line."""
    return lambda x, t: theta[0] + theta[1] * x + theta[2] * np.sin(theta[3] * x + t)


def states(signal, sigma):
    """All noisy states x_t of the data with quadrature's noise, that noise, and their weights."""
    data, eps = (a.reshape(-1, 1) for a in np.meshgrid(POINTS, NODES, indexing="ij"))
    return signal * data + sigma * eps, eps, np.outer(WEIGHTS, MASSES / np.sqrt(2 * np.pi)).ravel()


def expected(theta, signal, sigma):
    """E of the denoising, explicit, implicit and sliced losses over the data and the noise, exact to rounding."""
    (x, eps, weights), f = states(signal, sigma), model(theta)
    s, slope = f(x, 0.5), theta[1] + theta[2] * theta[3] * np.cos(theta[3] * x[:, 0] + 0.5)
    losses = (
        score_matching.denoising(s, eps, sigma),
        score_matching.explicit(s, DATA.score(x, signal, sigma)),
        score_matching.implicit(s, slope),
        score_matching.sliced(s, np.ones_like(x), slope, reduced=False),
    )
    return [(weights * loss).sum() for loss in losses]


def gradients(theta, signal, sigma):
    """The gradients in theta of the four expectations, by complex steps: (4, 4)."""
    directions = theta + 1j * H * np.eye(4)
    return np.array([[value.imag / H for value in expected(each, signal, sigma)] for each in directions]).T


@pytest.mark.parametrize("signal, sigma", [(0.9, 0.6), (0.5, 0.9), (1.0, 1.5)])
def test_the_losses_differ_by_constants(signal, sigma):
    """L3: for any model, denoising - implicit = 1 / sigma^2, implicit - explicit = -E s^2 of the data; sliced = implicit on the line."""
    x, _, weights = states(signal, sigma)
    information = (weights * DATA.score(x, signal, sigma)[:, 0] ** 2).sum()
    for theta in (THETA, THETA[::-1] + 0.5):
        dsm, esm, ism, ssm = expected(theta, signal, sigma)
        assert abs(dsm - ism - 1 / sigma**2) < QUADRATURE * dsm
        assert abs(ism - esm + information) < QUADRATURE * (esm + information) and ssm == ism
        assert abs(dsm - esm - (1 / sigma**2 - information)) < QUADRATURE * dsm
    assert information > 0.1 and 1 / sigma**2 - information > 0.05


@pytest.mark.parametrize("signal, sigma", [(0.9, 0.6), (0.5, 0.9)])
def test_the_losses_have_one_gradient(signal, sigma):
    """L3: so training on any of them goes the same way, on average."""
    for theta in (THETA, THETA[::-1] + 0.5):
        found = gradients(theta, signal, sigma)
        assert abs(found[0]).min() > 0.01
        for each in found[1:]:
            assert relative(each, found[0]) < QUADRATURE


def test_the_score_of_the_data_is_the_minimum():
    """L3: with the exact score the explicit loss is 0, and any change of it adds the square of the change."""
    signal, sigma = 0.8, 0.7
    x, eps, weights = states(signal, sigma)
    exact = DATA.score(x, signal, sigma)
    change = 0.1 * np.sin(3 * x)
    best, worse = ((weights * score_matching.denoising(s, eps, sigma)).sum() for s in (exact, exact + change))
    assert np.all(score_matching.explicit(exact, exact) == 0)
    assert worse - best == pytest.approx((weights * change[:, 0] ** 2).sum(), rel=1e-9)


def test_the_mean_over_directions():
    """L3: over all directions of signs both sliced losses are the implicit one on average, and the reduced one varies less."""
    A = rng.normal(5, 3, (3,))
    field, x = lambda x, t: np.tanh(x @ A.T), rng.normal(1, 4, (3,))
    s, exact = field(x, 0.5), score_matching.implicit(field(x, 0.5), likelihood.divergence(field, x, 0.5))
    found = {}
    for reduced in (True, False):
        probes = [np.tile(np.array(v), (4, 1)) for v in product([-1.0, 1.0], repeat=3)]
        each = [score_matching.sliced(s, v, likelihood.hutchinson(field, x, 0.5, v), reduced) for v in probes]
        assert np.allclose(np.mean(each, axis=0), exact, rtol=0, atol=1e-13)
        found[reduced] = np.var(each, axis=0)
    assert found[True].sum() < found[False].sum()


def test_losses_by_hand():
    """L3: squares and products summed over the event, one number for each example."""
    s, other, v = (rng.normal(seed, 3, (2, 2, 1)) for seed in range(3))
    sigma, slope = np.array([0.5, 1.0, 2.0]), np.array([1.0, -2.0, 0.5])
    axes = (1, 2, 3)
    assert roundings(score_matching.explicit(s, other), ((s - other) ** 2).sum(axis=axes)) < IDENTITY
    wanted = [((s[i] + other[i] / sigma[i]) ** 2).sum() for i in range(3)]
    assert roundings(score_matching.denoising(s, other, sigma), np.array(wanted)) < IDENTITY
    assert roundings(score_matching.implicit(s, slope), (s**2).sum(axis=axes) + 2 * slope) < IDENTITY
    assert roundings(score_matching.sliced(s, v, slope), (s**2).sum(axis=axes) + 2 * slope) < IDENTITY
    assert roundings(score_matching.sliced(s, v, slope, False), (s * v).sum(axis=axes) ** 2 + 2 * slope) < IDENTITY


@pytest.mark.parametrize("path", [sde.vp(), sde.sub_vp(), sde.edm(5.0)], ids=lambda path: path.name)
def test_the_weight_of_the_variance_gives_the_loss_of_eps(path):
    """L3, E8: sigma^2 times the denoising loss is the simple loss of the noise that the score stands for."""
    t, (x0, eps, guess) = np.array([0.1, 0.5, 0.9]) * path.end, (rng.normal(seed, 3, (2,)) for seed in range(3))
    sigma = path.signal_sigma(t)[1]
    s = -guess / sigma[:, None]
    found = elbo.weighted(score_matching.denoising(s, eps, sigma), score_matching.weight(t, path))
    assert np.allclose(found, elbo.l_simple(eps, guess), rtol=1e-12)
    assert np.allclose(score_matching.denoising(s, eps, sigma), elbo.l_simple(predict.target("score", x0, eps, t, path), s), rtol=1e-12)


@pytest.mark.parametrize("path", [sde.vp(), sde.sub_vp(), sde.edm(5.0)], ids=lambda path: path.name)
def test_the_weight_of_the_likelihood_gives_the_divergence(path):
    """L3: KL(p_s | q_s) - KL(p_t | q_t) of two noisy Gaussians is half the integral of g^2 times the explicit loss from s to t."""
    (m, c), (n, e), start, end = (0.5, 0.6), (-0.4, 1.3), 0.05 * path.end, 0.9 * path.end

    def law(mean, variance, t):
        signal, sigma = path.signal_sigma(t)
        return signal * mean, signal**2 * variance + sigma**2

    def kl(t):
        (a, v), (b, w) = law(m, c, t), law(n, e, t)
        return (np.log(w / v) + (v + (a - b) ** 2) / w - 1) / 2

    def rate(t):
        (a, v), (b, w) = law(m, c, t), law(n, e, t)
        x = (a + np.sqrt(v) * NODES)[:, None]
        loss = score_matching.explicit(gaussian.score(x, b + 0 * x, w + 0 * x), gaussian.score(x, a + 0 * x, v + 0 * x))
        return (MASSES * loss).sum() / np.sqrt(2 * np.pi) * score_matching.weight(t, path, "likelihood") / 2

    nodes, masses = np.polynomial.legendre.leggauss(60)
    times = (start + end) / 2 + (end - start) / 2 * nodes
    integral = (end - start) / 2 * (masses * [rate(t) for t in times]).sum()
    assert integral == pytest.approx(kl(start) - kl(end), rel=1e-9) and integral > 0.1


def test_precision_and_batches():
    """L3: float32 in, float32 out; batches of 0 and 1; complex numbers pass."""
    s, eps = (rng.normal(seed, 2, (3,), dtype=np.float32) for seed in (1, 2))
    sigma = np.array([0.5, 0.25])
    wide = score_matching.denoising(s.astype(float), eps.astype(float), sigma)
    found = score_matching.denoising(s, eps, sigma)
    assert found.dtype == np.float32 and roundings(found, wide) < DENSITY
    for loss in (score_matching.implicit(s, np.ones(2)), score_matching.sliced(s, eps, np.ones(2)), score_matching.explicit(s, eps)):
        assert loss.dtype == np.float32
    assert score_matching.denoising(s[:0], eps[:0], 0.5).shape == (0,) and score_matching.explicit(s[:1], eps[:1]).shape == (1,)
    assert score_matching.weight(0.5, sde.edm(5.0)) == 0.25 and score_matching.weight(0.5, sde.edm(5.0), "likelihood") == 1


def test_wrong_arguments():
    """L3: each wrong argument is named, with its value and what is allowed."""
    x = np.zeros((2, 2))
    for call, message in (
        (lambda: score_matching.denoising(x, x, 0.0), "sigma = 0.0; allowed: "),
        (lambda: score_matching.denoising(x, x, 1e-13), "sigma = 1e-13; allowed: "),
        (lambda: score_matching.denoising(x, x + 1e135, 1e-12), "eps / sigma = "),
        (lambda: score_matching.explicit(x, x[:1]), "exact has shape (1, 2); allowed: (2, 2)"),
        (lambda: score_matching.implicit(x, np.zeros(3)), "divergence has shape (3,); allowed: "),
        (lambda: score_matching.sliced(x, x, np.zeros(3)), "slope has shape (3,); allowed: "),
        (lambda: score_matching.weight(0.5, sde.vp(), "snr"), "kind = 'snr'; allowed: variance, likelihood"),
        (lambda: score_matching.weight(1.5, sde.vp()), "t = 1.5; allowed: "),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            call()
