"""Densities, labels and samples of a Gaussian mixture against scipy, quadrature, complex step and 50 digits."""

from dataclasses import FrozenInstanceError

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from refdiff import oracles, rng, schedules
from tests import strategies
from tests.tolerances import COMPLEX_STEP, IDENTITY, MIXTURE_DENSITY, QUADRATURE, roundings

MEANS, COVARIANCES, PRIOR = (
    np.array([[1.0, 0.3], [-0.5, 0.2], [0.1, 2.0]]),
    np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.2, -0.1], [-0.1, 0.4]], [[0.5, 0.2], [0.2, 0.1]]]),
    np.array([0.2, 0.3, 0.5]),
)

SCHEDULE = schedules.linear(100)
PLANE = oracles.mixture(MEANS, COVARIANCES, PRIOR, [0, 1, 1])
LINE = oracles.mixture([[-1.0], [0.4], [1.5]], [[[0.2]], [[0.05]], [[0.4]]], [0.5, 0.2, 0.3], [0, 1, 0])
EPS = np.finfo(float).eps


def numbers(*shape, step=0):
    """Normal random numbers of a fixed seed."""
    return rng.normal(41, shape[0], shape[1:], step)


def covariances(oracle):
    """The covariance matrices (K, d, d) behind spreads and axes."""
    axes = np.eye(oracle.means.shape[1]) if oracle.axes is None else oracle.axes
    return axes @ (oracle.spreads[:, :, None] * np.swapaxes(axes * np.ones((len(oracle.means), 1, 1)), 1, 2))


def log_joint(oracle, x, signal, sigma):
    """log w_k N(x; signal m_k, signal^2 C_k + sigma^2 I) by scipy; (B, K)."""
    spread = signal**2 * covariances(oracle) + sigma**2 * np.eye(oracle.means.shape[1])
    columns = [np.atleast_1d(multivariate_normal(signal * m, S).logpdf(x)) for m, S in zip(oracle.means, spread, strict=True)]
    return oracle.log_weights + np.stack(columns, axis=1)


@st.composite
def cases(draw, low=0.1):
    """A mixture, states (3, d), signal and sigma, and labels of which some may be "no label"."""
    oracle = draw(strategies.mixture())
    x = draw(strategies.arrays((3, oracle.means.shape[1])))
    y = np.array([draw(st.integers(0, oracle.classes)) for _ in range(3)])
    return oracle, x, draw(st.floats(0, 1)), draw(st.floats(low, 1)), y


@given(cases())
def test_log_density_by_scipy(case):
    """G4, C1: log-density of the noised mixture, with and without a label, and the class posterior by Bayes' rule."""
    oracle, x, signal, sigma, y = case
    parts = log_joint(oracle, x, signal, sigma)
    total, largest = logsumexp(parts, axis=1), max(abs(parts).max(), 1)
    assert roundings(oracle.log_density(x, signal, sigma), total, largest) <= MIXTURE_DENSITY
    chosen = np.where((y[:, None] == oracle.labels) | (y[:, None] == oracle.classes), 0, -np.inf)
    conditional = logsumexp(parts + chosen, axis=1) - logsumexp(oracle.log_weights + chosen, axis=1)
    assert roundings(oracle.log_density(x, signal, sigma, y), conditional, largest) <= MIXTURE_DENSITY
    for k, column in enumerate(oracle.log_class(x, signal, sigma).T):
        assert roundings(column, logsumexp(parts[:, oracle.labels == k], axis=1) - total, largest) <= MIXTURE_DENSITY


def test_log_density_in_the_tails_to_many_digits():
    """G4: 60 standard deviations away, where every density underflows, the one-dimensional log-density agrees with 50 digits."""
    x, signal, sigma = np.array([[60.0], [-45.0], [0.3]]), 0.8, 0.1
    with mp.workdps(50):
        spread = [mp.mpf(signal) ** 2 * mp.mpf(c) + mp.mpf(sigma) ** 2 for c in (0.2, 0.05, 0.4)]
        for row, value in zip(x[:, 0], LINE.log_density(x, signal, sigma), strict=True):
            parts = zip((0.5, 0.2, 0.3), (-1.0, 0.4, 1.5), spread, strict=True)
            total = sum(mp.mpf(w) * mp.npdf(mp.mpf(row), mp.mpf(signal) * mp.mpf(m), mp.sqrt(S)) for w, m, S in parts)
            assert roundings(value, float(mp.log(total)), 1.0) <= MIXTURE_DENSITY


def test_log_density_integrates_to_one():
    """G4: the density integrates to 1 over the plane, for clean data, for half noise, and given a class."""
    axis = np.linspace(-7, 7, 281)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    cell = (axis[1] - axis[0]) ** 2
    for signal, sigma, y in ((1.0, 0.0, None), (0.7, 0.7, None), (0.7, 0.7, 1)):
        label = None if y is None else np.full(len(x), y)
        assert abs(np.exp(PLANE.log_density(x, signal, sigma, label)).sum() * cell - 1) < QUADRATURE


@pytest.mark.parametrize("kind", ["data set", "mixed"])
def test_components_of_zero_covariance(kind):
    """G4: points, alone or with a component of full or of rank-one covariance, have a density as soon as there is noise."""
    x, signal, sigma = numbers(4, 2), 0.8, 0.5
    widths = np.zeros((3, 2, 2)) if kind == "data set" else np.array([np.zeros((2, 2)), [[0.2, 0.2], [0.2, 0.2]], np.eye(2) * 0.3])
    oracle = oracles.data_set(MEANS, PRIOR) if kind == "data set" else oracles.mixture(MEANS, widths, PRIOR)
    spread = signal**2 * widths + sigma**2 * np.eye(2)
    parts = np.stack(
        [np.log(w) + multivariate_normal(signal * m, S).logpdf(x) for w, m, S in zip(PRIOR, MEANS, spread, strict=True)], axis=1
    )
    assert roundings(oracle.log_density(x, signal, sigma), logsumexp(parts, axis=1)) <= MIXTURE_DENSITY
    share = np.exp(parts - logsumexp(parts, axis=1)[:, None])
    pulls = np.stack([np.linalg.solve(S, (x - signal * m).T).T for m, S in zip(MEANS, spread, strict=True)], axis=1)
    assert roundings(oracle.score(x, signal, sigma), -(share[:, :, None] * pulls).sum(axis=1), 1.0) <= MIXTURE_DENSITY


@given(cases())
def test_label_selects_its_components(case):
    """G4: conditioning on a class gives the mixture of its components; the label `classes` is no conditioning."""
    oracle, x, signal, sigma, _ = case
    C = covariances(oracle)
    for label in range(oracle.classes):
        own, y = oracle.labels == label, np.full(3, label)
        part = oracles.mixture(oracle.means[own], C[own], np.exp(oracle.log_weights[own]))
        scale = 1 / sigma**2 * (1 + abs(x).max()) ** 2
        for name in ("log_density", "score", "x0", "eps", "v"):
            given_class, alone = getattr(oracle, name)(x, signal, sigma, y), getattr(part, name)(x, signal, sigma)
            assert roundings(given_class, alone, scale) <= MIXTURE_DENSITY, name
    for name in ("log_density", "score", "x0", "eps", "v"):
        assert np.array_equal(getattr(oracle, name)(x, signal, sigma, np.full(3, oracle.classes)), getattr(oracle, name)(x, signal, sigma))


@given(cases())
def test_class_posterior_and_its_gradient(case):
    """G1, G4: class probabilities sum to 1 and obey Bayes' rule; class_gradient is the gradient of log_class by complex step."""
    oracle, x, signal, sigma, y = case
    y = y % oracle.classes
    log_class = oracle.log_class(x, signal, sigma)
    assert log_class.shape == (3, oracle.classes)
    assert roundings(np.exp(log_class).sum(axis=1), np.ones(3)) <= MIXTURE_DENSITY * (1 + abs(log_class[np.isfinite(log_class)]).max())
    prior = np.array([np.exp(oracle.log_weights[oracle.labels == k]).sum() for k in range(oracle.classes)])
    by_bayes = oracle.log_density(x, signal, sigma, y) + np.log(prior[y]) - oracle.log_density(x, signal, sigma)
    assert roundings(log_class[np.arange(3), y], by_bayes, oracle.log_density(x, signal, sigma), by_bayes, 1.0) <= MIXTURE_DENSITY
    gradient = strategies.complex_gradient(lambda x: oracle.log_class(x, signal, sigma)[np.arange(3), y], x)
    scale = 1 + abs(oracle.score(x, signal, sigma)).max() + abs(oracle.score(x, signal, sigma, y)).max() + abs(x).max() / sigma**2
    assert abs(oracle.class_gradient(x, signal, sigma, y) - gradient).max() <= COMPLEX_STEP * scale


def test_classes_are_counted_by_the_labels():
    """G4: there is one class unless labels are given; weights are normalized; a mixture is immutable."""
    assert PLANE.classes == 2 and LINE.classes == 2 and oracles.data_set(MEANS).classes == 1
    assert oracles.mixture(MEANS, COVARIANCES, 7 * PRIOR).log_weights == pytest.approx(np.log(PRIOR), rel=IDENTITY * EPS)
    assert np.array_equal(oracles.mixture(MEANS, COVARIANCES).log_weights, np.log(np.ones(3) / 3))
    assert np.array_equal(oracles.data_set(MEANS).labels, [0, 0, 0]) and np.array_equal(PLANE.labels, [0, 1, 1])
    assert oracles.mixture(MEANS, COVARIANCES, PRIOR, [0, 1, 1]) != PLANE  # compared as objects, not array by array
    with pytest.raises(FrozenInstanceError):
        PLANE.labels = np.zeros(3, int)


def test_pure_noise_carries_no_information():
    """G4, F6: at signal 0 and sigma 1 the score is -x, eps is x, x0 the data's mean, and the class posterior the prior."""
    x = numbers(4, 2)
    assert roundings(PLANE.score(x, 0.0, 1.0), -x) <= IDENTITY and roundings(PLANE.eps(x, 0.0, 1.0), x) <= IDENTITY
    assert roundings(PLANE.x0(x, 0.0, 1.0), np.broadcast_to(PRIOR @ MEANS, (4, 2))) <= IDENTITY
    assert roundings(np.exp(PLANE.log_class(x, 0.0, 1.0)), np.broadcast_to([0.2, 0.8], (4, 2))) <= IDENTITY
    assert roundings(PLANE.log_density(x, 0.0, 1.0), -(x**2).sum(axis=1) / 2 - np.log(2 * np.pi)) <= IDENTITY


def test_clean_data_with_and_without_a_density():
    """G4: at sigma = 0 data with a density gives x0 = x, eps = 0 and that density; data without a density raises."""
    x = numbers(4, 2)
    assert roundings(PLANE.x0(x, 1.0, 0.0), x) <= MIXTURE_DENSITY and np.array_equal(PLANE.eps(x, 1.0, 0.0), np.zeros((4, 2)))
    assert roundings(PLANE.log_density(x, 1.0, 0.0), logsumexp(log_joint(PLANE, x, 1.0, 0.0), axis=1), 1.0) <= MIXTURE_DENSITY
    assert np.array_equal(PLANE.model(SCHEDULE, "eps")(x, 0), np.zeros((4, 2)))
    flat = oracles.mixture(MEANS[:2], [np.eye(2), [[1.0, 1.0], [1.0, 1.0]]])  # the second lives on a line
    for oracle in (oracles.point_mass([0.0, 0.0]), flat):
        for method in (oracle.log_density, oracle.score, oracle.x0, oracle.eps, oracle.v, oracle.log_class):
            with pytest.raises(ValueError, match=r"^sigma = 0 with data of no width: x_t has no density; allowed: sigma > 0"):
                method(x, 1.0, 0.0)


def test_samples_by_component():
    """G4: uniform numbers select components by cumulative weight, and noise is multiplied by a root of the covariance."""
    edges = np.array([0.0, 0.1999, 0.2, 0.4999, 0.5, 0.9999, 1.0])
    expected = np.array([0, 0, 1, 1, 2, 2, 2])
    assert np.array_equal(PLANE.sample(edges, np.zeros((7, 2))), MEANS[expected])
    roots = np.stack([PLANE.sample(edges, np.tile(unit, (7, 1))) - MEANS[expected] for unit in np.eye(2)], axis=2)
    assert roundings(roots @ np.swapaxes(roots, 1, 2), COVARIANCES[expected]) <= IDENTITY
    points = oracles.data_set(MEANS, PRIOR)
    assert np.array_equal(points.sample(edges, numbers(7, 2)), MEANS[expected])


def test_moments_of_many_samples():
    """G4: mean and covariance of 40,000 samples lie within five standard errors of the exact ones."""
    n = 40_000
    x = PLANE.sample(rng.uniform(3, n)[:, 0], rng.normal(3, n, (2,)))
    mean = PRIOR @ MEANS
    covariance = np.einsum("k,kij->ij", PRIOR, COVARIANCES + np.einsum("ki,kj->kij", MEANS - mean, MEANS - mean))
    centered = x - mean
    assert (abs(centered.mean(axis=0)) < 5 * np.sqrt(np.diag(covariance) / n)).all()
    products = centered[:, :, None] * centered[:, None]
    assert (abs(products.mean(axis=0) - covariance) < 5 * products.std(axis=0) / np.sqrt(n)).all()


X = np.ones((2, 2))
ERRORS = {
    "x with NaN": (ValueError, "^x holds NaN", lambda: PLANE.x0(np.full((2, 2), np.nan), 0.5, 0.5)),
    "x of integers": (TypeError, "^x is ", lambda: PLANE.log_density(np.ones((2, 2), int), 0.5, 0.5)),
    "levels of another batch": (ValueError, r"has shape \(3,\); allowed", lambda: PLANE.score(X, np.ones(3), 0.5)),
    "label below": (ValueError, "^y = .*; allowed: integers 0..2", lambda: PLANE.log_density(X, 0.5, 0.5, np.array([0, -1]))),
    "label of floats": (ValueError, "^y = .*; allowed: integers", lambda: PLANE.x0(X, 0.5, 0.5, np.array([0.0, 1.0]))),
    "signal": (ValueError, "^signal = nan; allowed: finite", lambda: PLANE.score(X, np.nan, 0.5)),
    "sigma": (ValueError, "^sigma = -0.5; allowed: finite, in .0, inf", lambda: PLANE.score(X, 0.5, -0.5)),
    "choice below": (ValueError, "^choice = .*; allowed: finite, in .0, 1.", lambda: PLANE.sample(np.array([0.5, -0.5]), X)),
    "time": (ValueError, "^t = 101; allowed: 0..100", lambda: PLANE.model(SCHEDULE)(X, 101)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_arguments_are_named(case):
    """C1, G4: the error of a wrong argument names it, its value, and what is allowed."""
    error, message, call = ERRORS[case]
    with pytest.raises(error, match=f"(?s){message}"):
        call()
