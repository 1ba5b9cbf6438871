"""Exact maps: distribution functions of mixtures in both tails, their flow, the affine maps of samplers, and conditioned mixtures."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from refdiff import flow, maps, oracles, samplers, schedules, sde
from tests import strategies

LINE = oracles.mixture([[-1.0], [0.5], [2.0]], [[[0.04]], [[0.25]], [[0.01]]], [0.3, 0.5, 0.2])
PLANE = oracles.mixture([[0.0, 1.0], [2.0, -1.0]], [[[1.0, 0.6], [0.6, 0.5]], [[0.3, -0.1], [-0.1, 0.4]]], [0.4, 0.6], [1, 0])
POINTS = np.array([[-40.0], [-8.0], [-1.2], [0.3], [1.9], [7.0], [38.0]])
CUBIC = flow.Path("cubic", lambda t: t**3, lambda t: 1 - t**3, lambda t: 3 * t**2, lambda t: -3 * t**2)
WIDE = flow.Path("wide", lambda t: t, lambda t: 1 - 0.9 * t, lambda t: np.ones_like(t), lambda t: -0.9 * np.ones_like(t))
PATHS = {"straight": flow.straight, "trigonometric": flow.trigonometric, "cubic": CUBIC, "wide": WIDE}


def exact_log_cdf(x, signal, sigma, side):
    """The logarithm of F, or of 1 - F for side -1, at 150 digits."""
    with mpmath.workdps(150):
        total = mpmath.mpf(0)
        for mean, spread, weight in zip(LINE.means[:, 0], LINE.spreads[:, 0], (0.3, 0.5, 0.2), strict=True):
            width = mpmath.sqrt(mpmath.mpf(signal) ** 2 * mpmath.mpf(spread) + mpmath.mpf(sigma) ** 2)
            z = side * (mpmath.mpf(x) - mpmath.mpf(signal) * mpmath.mpf(mean)) / width
            total += mpmath.mpf(weight) * mpmath.erfc(-z / mpmath.sqrt(2)) / 2
        return float(mpmath.log(total))


@pytest.mark.parametrize("signal, sigma", [(1.0, 0.5), (0.6, 0.8), (0.0, 1.0), (1.0, 0.01)])
def test_log_cdf_is_accurate_in_both_tails(signal, sigma):
    """G4: both logarithms against 150 digits, 40 units away from the data too."""
    for found, side in zip(maps.log_cdf(LINE, POINTS, signal, sigma), (1, -1), strict=True):
        want = np.array([[exact_log_cdf(x, signal, sigma, side)] for x in POINTS[:, 0]])
        assert np.allclose(found, want, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_flow_map_solves_the_ode(path):
    """C1, M1: it ends where the probability-flow ODE of a mixture of three Gaussians does, on every path and in both directions."""
    velocity = LINE.model(path, "velocity")
    for t, s in ((0.15, 0.95), (0.9, 0.2)):
        for start in (-2.5, -0.6, 0.4, 1.7):
            solved = solve_ivp(lambda u, y: velocity(y.reshape(1, 1), u).ravel(), (t, s), [start], method="DOP853", rtol=1e-13, atol=1e-14)
            moved = maps.flow_map(LINE, np.array([[start]]), t, s, path)[0, 0]
            assert abs(moved - solved.y[0, -1]) < 2e-12


@given(t=st.floats(0, 0.99), s=st.floats(0, 0.99), u=st.floats(0, 0.99))
def test_flow_maps_compose(t, s, u):
    """C1: from t to s to u is from t to u, order is kept, and tails stay finite."""
    moved = maps.flow_map(LINE, POINTS, t, s, flow.straight)
    assert np.all(np.isfinite(moved)) and np.all(np.diff(moved[:, 0]) > 0)
    direct = maps.flow_map(LINE, POINTS, t, u, flow.straight)
    assert np.allclose(maps.flow_map(LINE, moved, s, u, flow.straight), direct, rtol=1e-9, atol=1e-9)


@given(t=st.integers(1, 50), s=st.integers(0, 50))
def test_flow_map_of_a_gaussian_is_its_transport(t, s):
    """C1: for one Gaussian, and on a schedule; each number of an image is moved by itself."""
    oracle, schedule = oracles.gaussian([0.7], [[0.3]]), schedules.linear(50)
    moved = maps.flow_map(oracle, POINTS, t, s, schedule)
    assert np.allclose(moved, oracles.transport(oracle, POINTS, t, s, schedule), rtol=1e-12, atol=1e-12)
    images = maps.flow_map(oracle, POINTS[1:].reshape(3, 1, 2, 1), t, s, schedule)
    assert np.array_equal(images.reshape(-1, 1), moved[1:])


def test_flow_map_takes_a_time_for_each_example():
    """C1: as for the states one by one; float32 stays float32."""
    t, s = np.array([0.2, 0.5]), np.array([0.9, 0.1])
    x = np.array([[0.3, -1.0], [1.5, 0.2]], dtype=np.float32)
    together = maps.flow_map(LINE, x, t, s, flow.straight)
    alone = [maps.flow_map(LINE, x[i : i + 1], t[i], s[i], flow.straight) for i in range(2)]
    assert together.dtype == np.float32 and np.array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("spread", [0.01, 1e-6])
def test_states_between_separated_modes(spread):
    """C1: where F is 1/2 to all its digits, the tails of both modes still say where the state goes; DOP853 agrees, and no time is no move."""
    modes, path = oracles.mixture([[-1.0], [1.0]], [[[spread]], [[spread]]], [0.5, 0.5]), sde.edm(1.0)
    x = np.array([[-0.6], [0.0], [0.05], [0.1], [0.2], [0.9]])
    assert np.allclose(maps.flow_map(modes, x, 0.02, 0.02, path), x, rtol=1e-12, atol=1e-15)
    if spread == 0.01:
        velocity = modes.model(path, "velocity")
        solved = solve_ivp(lambda u, y: velocity(y[:, None], u)[:, 0], (0.02, 0.01), x[:, 0], method="DOP853", rtol=1e-12, atol=1e-13)
        assert np.allclose(maps.flow_map(modes, x, 0.02, 0.01, path), solved.y[:, -1:], rtol=1e-8, atol=1e-10)
    far = oracles.mixture([[-1000.0], [1000.0]], [[[1e-6]], [[1e-6]]], [0.3, 0.7])
    there = maps.flow_map(far, x, 0.5, 0.9, flow.straight)
    assert np.allclose(maps.flow_map(far, there, 0.9, 0.5, flow.straight), x, rtol=1e-7, atol=1e-7)


def test_what_has_no_flow_is_refused():
    """Two dimensions, and data without width at sigma = 0."""
    with pytest.raises(ValueError, match="oracle has 2 dimensions; allowed: 1"):
        maps.flow_map(PLANE, np.zeros((1, 2)), 0.5, 0.6, flow.straight)
    with pytest.raises(ValueError, match="sigma = 0 with data of no width"):
        maps.flow_map(oracles.point_mass([1.0]), POINTS, 0.5, 1.0, flow.straight)


# Affine maps


MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[1.0, 0.6], [0.6, 0.5]])
GAUSSIAN, SCHEDULE = oracles.gaussian(MEAN, COVARIANCE), schedules.cosine(30)


def step(t, s, eta=None):
    """DDIM with this eta, or DDPM, on the exact model of the Gaussian."""
    model = GAUSSIAN.model(SCHEDULE, "eps")
    if eta is None:
        return lambda x, noise: samplers.ddpm_step(model(x, t), x, t, s, SCHEDULE, noise)
    return lambda x, noise: samplers.ddim_step(model(x, t), x, t, s, SCHEDULE, noise, eta)


@pytest.mark.parametrize("t, s", [(30, 20), (12, 11), (2, 1)])
def test_ancestral_step_is_the_exact_gain(t, s):
    """C1, S1: the matrix and the offset are those of p(x_s | x_t); the noise has the variance beta-tilde in all directions."""
    found = maps.affine_of(step(t, s), 2)
    (a, b), (c, d) = SCHEDULE.signal_sigma(t), SCHEDULE.signal_sigma(s)
    S_t, S_s = (u**2 * COVARIANCE + v**2 * np.eye(2) for u, v in ((a, b), (c, d)))
    gain = SCHEDULE.signal_between(t, s) * S_s @ np.linalg.inv(S_t)
    assert np.allclose(found.matrix, gain, rtol=1e-12) and np.allclose(found.offset, c * MEAN - gain @ (a * MEAN), rtol=1e-11, atol=1e-13)
    tilde = (1 - c**2) / (1 - a**2) * (1 - (a / c) ** 2)
    assert np.allclose(found.noise_matrix @ found.noise_matrix.T, tilde * np.eye(2), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_moments_of_a_chain(eta):
    """C1, S2: the moments pushed through the steps of DDIM tend to those of the data, with order 1 in the length of the steps."""
    gaps = []
    for T in (50, 100, 200):
        schedule = schedules.cosine(T)
        model = GAUSSIAN.model(schedule, "eps")
        signal, sigma = schedule.signal_sigma(T)
        mean, covariance = signal * MEAN, signal**2 * COVARIANCE + sigma**2 * np.eye(2)
        for t in range(T, 0, -1):

            def once(x, noise, t=t, model=model, schedule=schedule):
                return samplers.ddim_step(model(x, t), x, t, t - 1, schedule, noise, eta)

            mean, covariance = maps.affine_of(once, 2).moments(mean, covariance)
        gaps.append(abs(covariance - COVARIANCE).max())
        assert np.allclose(mean, MEAN, atol=1e-9)
    ratios = np.array(gaps[:-1]) / gaps[1:]
    assert np.all((ratios > 1.7) & (ratios < 2.3))


@given(numbers=strategies.arrays((3, 3), bound=2), offset=strategies.arrays((3,), bound=2))
def test_an_affine_step_is_found(numbers, offset):
    """C1: the matrices are those of the step, also where they are not symmetric; independent parts of the moments add up."""
    noise_matrix = numbers[::-1] / 2
    found = maps.affine_of(lambda x, noise: x @ numbers.T + noise @ noise_matrix.T + offset, 3)
    assert np.allclose(found.matrix, numbers, atol=1e-14) and np.allclose(found.noise_matrix, noise_matrix, atol=1e-14)
    direction = np.array([1.0, -2.0, 0.5])
    mean, covariance = found.moments(direction, np.outer(direction, direction))
    assert np.allclose(mean, numbers @ direction + offset, atol=1e-13)
    moved = numbers @ direction
    assert np.allclose(covariance, np.outer(moved, moved) + noise_matrix @ noise_matrix.T, atol=1e-12)


def test_what_is_not_affine_is_refused():
    """A step with a square, and the message has the step."""
    for step in (lambda x, noise: x**2 + noise, lambda x, noise: x * np.nan):
        with pytest.raises(ValueError, match="is not affine: at a third point"):
            maps.affine_of(step, 3)


# Conditioned mixtures


@settings(max_examples=30)
@given(signal=st.floats(0.05, 1), sigma=st.floats(0.05, 1), x=st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_the_state_is_an_observation(signal, sigma, x):
    """G4, C2: given x_t = signal x0 + sigma eps, the mean of the mixture is Tweedie's, and its classes are those of log_class."""
    y = np.array(x)
    given_state = maps.condition(PLANE, signal * np.eye(2), y, sigma**2)
    weights = np.exp(given_state.log_weights)
    mean = weights @ given_state.means
    assert np.allclose(mean, PLANE.x0(y[None], signal, sigma)[0], rtol=1e-9, atol=1e-9)
    classes = [weights[given_state.labels == label].sum() for label in range(2)]
    assert np.allclose(classes, np.exp(PLANE.log_class(y[None], signal, sigma)[0]), rtol=1e-8, atol=1e-12)


def test_observations_one_after_the_other():
    """G4: two observations together, or the second given the first, are the same; so is a noise with a covariance."""
    A, y, R = np.array([[1.0, 0.5], [-0.25, 1.0]]), np.array([0.3, -0.7]), np.diag([0.2, 0.5])
    together = maps.condition(PLANE, A, y, R)
    first = maps.condition(PLANE, A[:1], y[:1], 0.2)
    second = maps.condition(first, A[1:], y[1:], 0.5)
    assert np.allclose(together.means, second.means, rtol=1e-12) and np.allclose(together.log_weights, second.log_weights, rtol=1e-12)
    spread = [(m.axes * m.spreads[:, None]) @ m.axes.mT for m in (together, second)]
    assert np.allclose(*spread, rtol=1e-12, atol=1e-14) and np.array_equal(together.labels, PLANE.labels)


def test_bayes_on_a_grid():
    """G4: p(x0 | y) is p(x0) p(y | x0), normalized, at points of the plane."""
    A, y, noise = np.array([[1.0, -2.0]]), np.array([0.8]), 0.3
    points = np.stack(np.meshgrid(np.linspace(-1, 3, 5), np.linspace(-2, 2, 5)), axis=-1).reshape(-1, 2)
    observed = maps.condition(PLANE, A, y, noise)
    joint = PLANE.log_density(points, 1.0, 0.0) - (points @ A[0] - y) ** 2 / (2 * noise) - np.log(2 * np.pi * noise) / 2
    evidence = oracles.mixture(PLANE.means @ A.T, A @ ((PLANE.axes * PLANE.spreads[:, None]) @ PLANE.axes.mT) @ A.T, [0.4, 0.6])
    log_evidence = evidence.log_density(y[None], 1.0, noise**0.5)
    assert np.allclose(observed.log_density(points, 1.0, 0.0), joint - log_evidence, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "A, y, noise, says",
    [
        (np.eye(3), np.zeros(3), 1.0, r"A has shape \(3, 3\), y \(3,\), noise \(\); allowed: \(m, 2\), \(m,\), and \(\) or \(m, m\)"),
        (np.eye(2), np.zeros(3), 1.0, "A has shape"),
        (np.eye(2), np.zeros(2), np.ones(2), "A has shape"),
        (np.zeros((1, 2)), np.zeros(1), 0.0, r"noise = 0.0 leaves A C A\^T \+ noise singular"),
        (np.eye(2), np.array([0.0, np.nan]), 1.0, "y = .*nan"),
        (np.eye(2), np.zeros(2), -0.005, "noise = .*-0.005.*; allowed: finite, in"),
        (np.eye(2), np.zeros(2), np.array([[1.0, 5.0], [0.0, 1.0]]), "(?s)noise = .*; allowed: a variance, or a matrix that is symmetric"),
        (np.array([[0.1, 0.7], [0.1, 0.7]]), np.array([0.3, 0.9]), 0.0, "leaves A C A"),
    ],
)
def test_observations_that_are_none_are_refused(A, y, noise, says):
    """Shapes, singular observations, NaN: each by name."""
    with pytest.raises(ValueError, match=says):
        maps.condition(PLANE, A, y, noise)
