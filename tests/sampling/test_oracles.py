"""Oracles: Gaussians, point masses and data sets as mixtures, exact transport, and exact reverse kernels."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfcx, logsumexp

from refdiff import flow, oracles, schedules
from tests import strategies
from tests.tolerances import COMPLEX_STEP, IDENTITY, MIXTURE_DENSITY, TRANSPORT, roundings

from .test_mixture import COVARIANCES, MEANS, PRIOR, covariances, numbers

SCHEDULE = schedules.linear(100)
PLANE = oracles.mixture(MEANS, COVARIANCES, PRIOR, [0, 1, 1])


# Scores and predictions


@given(x=strategies.arrays((3, 2)), signal=st.floats(0, 1), sigma=st.floats(0.1, 1))
def test_gaussian_by_matrices(x, signal, sigma):
    """C1: for N(m, C) the score is -S^-1 (x - signal m), and x0 = m + signal C S^-1 (x - signal m), with S = signal^2 C + sigma^2 I."""
    mean, C = MEANS[0], COVARIANCES[0]
    oracle, S = oracles.gaussian(mean, C), signal**2 * C + sigma**2 * np.eye(2)
    pull = np.linalg.solve(S, (x - signal * mean).T).T
    assert roundings(oracle.score(x, signal, sigma), -pull, 1 / sigma**2) <= MIXTURE_DENSITY
    assert roundings(oracle.x0(x, signal, sigma), mean + signal * pull @ C, 1 / sigma**2) <= MIXTURE_DENSITY


# Limits


@given(x=strategies.arrays((3, 2)), signal=st.floats(0, 1), sigma=st.floats(0.01, 1))
def test_point_mass_determines_the_noise(x, signal, sigma):
    """C1, C2: for data equal to m, eps = (x - signal m) / sigma and x0 = m."""
    point = np.array([0.4, -1.1])
    oracle = oracles.point_mass(point)
    assert roundings(oracle.eps(x, signal, sigma), (x - signal * point) / sigma) <= IDENTITY
    assert roundings(oracle.x0(x, signal, sigma), np.broadcast_to(point, x.shape)) <= IDENTITY
    assert roundings(oracle.score(x, signal, sigma), -(x - signal * point) / sigma**2) <= IDENTITY


@given(x=strategies.arrays((4, 2)), signal=st.floats(0, 1), sigma=st.floats(0.2, 1))
def test_data_set_is_a_softmax_over_its_points(x, signal, sigma):
    """C2, M3: the ideal denoiser averages the points by softmax(log w - ||x - signal point||^2 / 2 sigma^2)."""
    points = numbers(6, 2, step=5)
    distances = ((x[:, None] - signal * points) ** 2).sum(axis=2) / (2 * sigma**2)
    for weights in (np.arange(1, 7), None):
        logits = -distances + (0 if weights is None else np.log(weights))
        share = np.exp(logits - logsumexp(logits, axis=1)[:, None])
        mean = oracles.data_set(points, weights, [0, 0, 0, 1, 1, 1]).x0(x, signal, sigma)
        assert roundings(mean, share @ points, abs(logits).max()) <= MIXTURE_DENSITY
        images = oracles.data_set(points.reshape(6, 1, 2, 1), weights)
        assert np.array_equal(images.x0(x.reshape(4, 1, 2, 1), signal, sigma), mean.reshape(4, 1, 2, 1))


# Expectations

LINE = oracles.mixture([[-1.0], [0.8], [2.5]], [[[0.36]], [[0.5]], [[0.0]]], [0.3, 0.5, 0.2])


def integral(f, signal, sigma):
    """E f(x_t) in 50 digits, component by component; f is given the state and the density of x_t, both as mpmath numbers."""
    with mpmath.workdps(50):
        parts = [
            (mpmath.mpf(w), mpmath.mpf(signal) * m, mpmath.sqrt(mpmath.mpf(signal) ** 2 * c + mpmath.mpf(sigma) ** 2))
            for w, m, c in zip(np.exp(LINE.log_weights).tolist(), LINE.means[:, 0].tolist(), LINE.spreads[:, 0].tolist(), strict=True)
        ]

        def density(x):
            return mpmath.fsum(w * mpmath.npdf(x, m, s) for w, m, s in parts)

        ends = [-12, -4, -2, -1, 0, 1, 2, 4, 12]
        return float(mpmath.fsum(w * mpmath.quad(lambda z, m=m, s=s: f(m + s * z, density) * mpmath.npdf(z), ends) for w, m, s in parts))


@pytest.mark.parametrize("name", ["sine", "entropy", "score squared"])
def test_expectations_to_thirteen_digits(name):
    """G4: E f(x_t) with 200 nodes against an integral in 50 digits: of a sine, of the log-density, and of the squared score."""
    signal, sigma = 0.6, 0.8
    ours, exact = {
        "sine": (lambda x: np.sin(2 * x[:, 0] + 0.3), lambda x, density: mpmath.sin(2 * x + mpmath.mpf(0.3))),
        "entropy": (lambda x: LINE.log_density(x, signal, sigma), lambda x, density: mpmath.log(density(x))),
        "score squared": (
            lambda x: LINE.score(x, signal, sigma)[:, 0] ** 2,
            lambda x, density: (mpmath.diff(density, x) / density(x)) ** 2,
        ),
    }[name]
    if name == "score squared":  # by parts: E s^2 = -E s'
        found = oracles.expectation(LINE, ours, signal, sigma)
        slope = oracles.expectation(LINE, lambda x: LINE.score(x + 1e-30j, signal, sigma)[:, 0].imag / 1e-30, signal, sigma)
        assert abs(found + slope) <= 1e-13 * found
    else:
        assert abs(oracles.expectation(LINE, ours, signal, sigma) - integral(exact, signal, sigma)) <= 1e-13


@pytest.mark.parametrize("d", [0.5, 1.0])
def test_rate_of_expectations(d):
    """G4: with a pole at d standard deviations, 1 / (x^2 + d^2), the error is a constant times exp(-2 d sqrt(nodes))."""
    exact = np.sqrt(np.pi / 2) / d * erfcx(d / np.sqrt(2))
    normal = oracles.gaussian([0.0], [[1.0]])
    errors = {n: abs(oracles.expectation(normal, lambda x: 1 / (x[:, 0] ** 2 + d**2), nodes=n) - exact) for n in (25, 50, 100)}
    ratios = [error / np.exp(-2 * d * np.sqrt(n)) for n, error in errors.items()]
    assert 3 < min(ratios) <= max(ratios) < 1.1 * min(ratios)


def test_expectations_of_polynomials():
    """G4: n nodes are exact up to degree 2 n - 1 and not beyond; values of any shape; the data itself, a point mass, and complex values."""
    oracle = oracles.gaussian([0.5], [[2.0]])
    moments = [1.0, 0.5, 2.25, 3.125, 15.0625]  # E x^k of N(1/2, 2)
    found = oracles.expectation(oracle, lambda x: x ** np.arange(5), nodes=3)
    assert found.shape == (5,) and roundings(found, np.array(moments)) <= IDENTITY
    assert abs(oracles.expectation(oracle, lambda x: x[:, 0] ** 4, nodes=2) - moments[4]) > 1
    assert roundings(oracles.expectation(oracle, lambda x: x[:, 0] ** 2, 0.5, 2.0), 0.25 * 2.25 + 4) <= IDENTITY
    assert roundings(oracles.expectation(LINE, lambda x: x[:, 0]), 0.3 * -1 + 0.5 * 0.8 + 0.2 * 2.5) <= IDENTITY
    assert oracles.expectation(oracles.point_mass([1.5]), lambda x: np.exp(x)).tolist() == pytest.approx([np.exp(1.5)], rel=1e-14)
    characteristic = oracles.expectation(oracle, lambda x: np.exp(1.5j * x[:, 0]))
    assert abs(characteristic - np.exp(0.75j - 2.25)) <= 1e-14


# Transport


@given(st.data(), st.sampled_from(strategies.PATHS), st.floats(0, 1), st.floats(0, 1))
def test_transport_solves_the_probability_flow_ode(data, path, t, s):
    """C1, M1: transport has the velocity oracle as derivative (complex step in s), starts at x, and is inverted by the
    reverse transport.
    """
    oracle = oracles.gaussian(data.draw(strategies.arrays((2,))), data.draw(strategies.covariance(2)))
    x = data.draw(strategies.arrays((3, 2)))
    moved = oracles.transport(oracle, x, t, s, path)
    slope = oracles.transport(oracle, x, t, s + 1e-30j, path).imag / 1e-30
    velocity = oracle.model(path, "velocity")(moved, s)
    (signal_t, sigma_t), (signal_s, sigma_s) = path.signal_sigma(t), path.signal_sigma(s)
    low_t, low_s = ((a**2 * oracle.spreads.min() + b**2) for a, b in ((signal_t, sigma_t), (signal_s, sigma_s)))
    scale = (1 + abs(x).max() + abs(moved).max() + abs(oracle.means).max()) * np.pi / min(low_t, low_s)
    assert abs(slope - velocity).max() <= COMPLEX_STEP * scale
    assert roundings(oracles.transport(oracle, x, t, t, path), x, oracle.means) <= TRANSPORT
    assert roundings(oracles.transport(oracle, moved, s, t, path), x, scale * abs(moved).max(), oracle.means) <= TRANSPORT


@pytest.mark.parametrize(
    ("path", "t", "s"), [(flow.straight, 0.0, 1.0), (flow.trigonometric, 0.9, 0.2), (SCHEDULE, 80, 10), (SCHEDULE, 0, 100)]
)
def test_transport_maps_marginals_to_marginals(path, t, s):
    """C1: transport is affine, x -> mean_s + J (x - mean_t), and J S_t J' = S_s; J is symmetric where all S share their axes."""
    mean, C = MEANS[0], COVARIANCES[0]
    oracle = oracles.gaussian(mean, C)
    (signal_t, sigma_t), (signal_s, sigma_s) = path.signal_sigma(t), path.signal_sigma(s)
    start = signal_t * mean + np.concatenate([np.zeros((1, 2)), np.eye(2)])
    moved = oracles.transport(oracle, start, t, s, path)
    J = (moved[1:] - moved[0]).T
    assert roundings(moved[0], signal_s * mean, 1.0) <= IDENTITY
    S_t, S_s = signal_t**2 * C + sigma_t**2 * np.eye(2), signal_s**2 * C + sigma_s**2 * np.eye(2)
    assert roundings(J @ S_t @ J.T, S_s, 1.0) <= MIXTURE_DENSITY and roundings(J, J.T, 1.0) <= IDENTITY


def test_transport_per_example_images_and_precision():
    """C1: times (B,), images and float32."""
    oracle, x = oracles.gaussian(MEANS[0], COVARIANCES[0]), numbers(3, 2)
    t, s = np.array([0.1, 0.5, 0.9]), np.array([1.0, 0.2, 0.3])
    together = oracles.transport(oracle, x, t, s, flow.straight)
    assert roundings(together, strategies.rows(lambda x, t, s: oracles.transport(oracle, x, t, s, flow.straight), x, t, s)) <= TRANSPORT
    assert np.array_equal(oracles.transport(oracle, x.reshape(3, 1, 2, 1), t, s, flow.straight), together.reshape(3, 1, 2, 1))
    single = oracles.transport(oracle, x.astype(np.float32), t, s, flow.straight)
    assert single.dtype == np.float32 and roundings(single, together) <= 2 * TRANSPORT
    with pytest.raises(ValueError, match=r"^oracle has 3 components; allowed: 1"):
        oracles.transport(PLANE, x, 0.1, 0.2, flow.straight)


# Reverse kernels


@given(st.data())
def test_exact_reverse_is_bayes_and_preserves_the_marginals(data):
    """R5, E5: the true reverse kernel is the product of prior and likelihood, and maps the marginal at t to that at s."""
    schedule = data.draw(strategies.schedule(max_T=20))
    t, s = data.draw(strategies.times(schedule))
    mean, variance = data.draw(strategies.arrays((2,))), data.draw(strategies.arrays((2,))) ** 2 + 0.1
    x_t = data.draw(strategies.arrays((3, 2)))
    result, width = oracles.exact_reverse(mean, variance, schedule)(x_t, t, s)
    alpha, beta = schedule.transition(t, s)
    marginal_t, marginal_s = (schedule.alpha_bar[i] * variance + schedule.one_minus_alpha_bar[i] for i in (t, s))
    precision = 1 / marginal_s + alpha / beta  # of N(x_s; signal_s m, S_s) N(x_t; sqrt(alpha) x_s, beta)
    by_bayes = (schedule.signal[s] * mean / marginal_s + np.sqrt(alpha) * x_t / beta) / precision
    assert roundings(width, 1 / precision) <= IDENTITY
    assert roundings(result, by_bayes, x_t, mean) <= 2 * IDENTITY
    reverse = oracles.exact_reverse(mean, variance, schedule)
    center, _ = reverse(np.broadcast_to(schedule.signal[t] * mean, x_t.shape), t, s)
    gain = reverse(schedule.signal[t] * mean + np.ones_like(x_t), t, s)[0] - center
    assert roundings(center, np.broadcast_to(schedule.signal[s] * mean, x_t.shape), mean) <= IDENTITY
    assert (
        roundings(gain**2 * marginal_t + width, np.broadcast_to(marginal_s, x_t.shape), (1 + abs(mean).max()) * gain * marginal_t)
        <= IDENTITY
    )


def test_exact_reverse_of_batches_and_precisions():
    """R5: per-example times, and float32 is preserved."""
    reverse, x = oracles.exact_reverse(np.array([0.7, -0.2]), np.array([0.25, 0.4]), SCHEDULE), numbers(3, 2)
    t, s = np.array([90, 50, 2]), np.array([3, 49, 0])
    for part in (0, 1):
        assert (
            roundings(reverse(x, t, s)[part], strategies.rows(lambda x, t, s, part=part: reverse(x, t, s)[part] * np.ones((1, 1)), x, t, s))
            <= IDENTITY
        )
    single = oracles.exact_reverse(np.float32([0.7, -0.2]), np.float32([0.25, 0.4]), SCHEDULE)(x.astype(np.float32), t, s)
    assert single[0].dtype == single[1].dtype == np.float32
    assert roundings(single[0], reverse(x, t, s)[0]) <= IDENTITY and roundings(single[1], reverse(x, t, s)[1]) <= IDENTITY


# Errors

X = np.ones((2, 2))
POINT = oracles.point_mass([1.5])
ERRORS = {
    "no means": (ValueError, r"^means has shape \(1, 0\); allowed: \(K, d\), not empty", lambda: oracles.mixture([], np.zeros((1, 0, 0)))),
    "reverse mean": (ValueError, "^mean = nan; allowed: finite", lambda: oracles.exact_reverse(np.nan, X[0], SCHEDULE)),
    "reverse variance": (ValueError, "^variance = -1.0; allowed: finite, in .0,", lambda: oracles.exact_reverse(X[0], -1.0, SCHEDULE)),
    "means with NaN": (ValueError, "^means = .*; allowed: finite", lambda: oracles.gaussian([np.nan, 0], np.eye(2))),
    "point with infinity": (ValueError, "^means = .*; allowed: finite", lambda: oracles.point_mass([np.inf, 0])),
    "covariance with NaN": (ValueError, "^covariances = ", lambda: oracles.gaussian([0, 0], np.eye(2) * np.nan)),
    "covariances of another shape": (
        ValueError,
        r"^covariances have shape \(1, 3, 3\); allowed: \(1, 2, 2\)",
        lambda: oracles.gaussian([0, 0], np.eye(3)),
    ),
    "one covariance for two": (ValueError, r"^covariances have shape \(2, 2\); allowed", lambda: oracles.mixture(MEANS, np.eye(2))),
    "asymmetric": (ValueError, "^covariances are not symmetric", lambda: oracles.gaussian([0, 0], [[1, 0.5], [0.4, 1]])),
    "indefinite": (
        ValueError,
        "^covariances have an eigenvalue -0.5.*; allowed: positive semidefinite",
        lambda: oracles.gaussian([0, 0], [[0.5, 1], [1, 0.5]]),
    ),
    "infinite weight": (ValueError, "^weights = .*; allowed: 3 positive", lambda: oracles.data_set(MEANS, [1, np.inf, 1])),
    "too few weights": (ValueError, "^weights = .*; allowed: 3 positive", lambda: oracles.data_set(MEANS, [1, 1])),
    "too few labels": (ValueError, "^labels = .*; allowed: 3 integers from 0 up", lambda: oracles.data_set(MEANS, None, [0, 1])),
    "negative label": (ValueError, "^labels = .*; allowed: 3 integers", lambda: oracles.data_set(MEANS, None, [0, 1, -1])),
    "fractional label": (
        ValueError,
        "^labels = .*; allowed: 3 integers",
        lambda: oracles.mixture(MEANS, COVARIANCES, None, [0.0, 1.0, 1.0]),
    ),
    "expectation in the plane": (ValueError, "^oracle has 2 dimensions; allowed: 1", lambda: oracles.expectation(PLANE, np.sin)),
    "expectation of one value": (ValueError, r"^f\(x\) has shape \(\); allowed: \(200, ...\)", lambda: oracles.expectation(POINT, np.sum)),
    "expectation of infinity": (ValueError, r"^f\(x\) = .*; allowed: finite", lambda: oracles.expectation(POINT, lambda x: x * np.inf)),
    "no nodes": (ValueError, "^nodes = 0; allowed: 1..300", lambda: oracles.expectation(POINT, np.sin, nodes=0)),
    "reverse order": (ValueError, "^s = .*is not below t = ", lambda: oracles.exact_reverse(X[0], X[0], SCHEDULE)(X, 3, 5)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_arguments_are_named(case):
    """C1, G4: errors name the argument, its value, and what is allowed."""
    error, message, call = ERRORS[case]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


def test_almost_semidefinite_covariances_are_accepted():
    """G4: eigenvalues and asymmetries of 1e-16 from rounding are accepted; a rank-one covariance has a zero eigenvalue."""
    oracle = oracles.gaussian([0, 0], np.outer([1, 3], [1, 3]) + np.array([[0, 1e-16], [0, -1e-16]]))
    assert oracle.spreads.min() >= 0 and roundings(covariances(oracle)[0], np.outer([1.0, 3.0], [1.0, 3.0])) <= IDENTITY


def test_tables_are_double_and_points_may_be_covariances_of_zero():
    """G4: means, spreads and weights are float64 for any input dtype; covariances of zero make a data set."""
    for kind in (np.float32, np.int64):
        for oracle in (
            oracles.mixture(MEANS.astype(kind), np.tile(np.eye(2), (3, 1, 1)).astype(kind), np.arange(1, 4).astype(kind)),
            oracles.data_set(MEANS.astype(kind), np.arange(1, 4).astype(kind)),
        ):
            assert {oracle.means.dtype, oracle.spreads.dtype, oracle.log_weights.dtype} == {np.dtype(np.float64)}
    points = oracles.mixture(MEANS, np.zeros((3, 2, 2)), PRIOR)
    assert roundings(points.x0(numbers(4, 2), 0.6, 0.8), oracles.data_set(MEANS, PRIOR).x0(numbers(4, 2), 0.6, 0.8)) <= IDENTITY
