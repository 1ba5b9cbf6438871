"""Oracles: every closed form against scipy, quadrature, complex step, 50 digits, or another closed form."""

from dataclasses import FrozenInstanceError

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from refdiff import flow, oracles, predict, rng, schedules
from tests import strategies
from tests.tolerances import COMPLEX_STEP, IDENTITY, MIXTURE_DENSITY, QUADRATURE, TRANSPORT, roundings

SCHEDULE = schedules.linear(100)
MEANS, COVARIANCES, PRIOR = (
    np.array([[1.0, 0.3], [-0.5, 0.2], [0.1, 2.0]]),
    np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.2, -0.1], [-0.1, 0.4]], [[0.5, 0.2], [0.2, 0.1]]]),
    np.array([0.2, 0.3, 0.5]),
)
PLANE = oracles.mixture(MEANS, COVARIANCES, PRIOR, [0, 1, 1])
LINE = oracles.mixture([[-1.0], [0.4], [1.5]], [[[0.2]], [[0.05]], [[0.4]]], [0.5, 0.2, 0.3], [0, 1, 0])
EPS = np.finfo(float).eps


def numbers(*shape, step=0):
    """Generic numbers."""
    return rng.normal(41, shape[0], shape[1:], step)


def covariances(oracle):
    """The covariance matrices (K, d, d) behind spreads and axes."""
    axes = np.eye(oracle.means.shape[1]) if oracle.axes is None else oracle.axes
    return axes @ (oracle.spreads[:, :, None] * np.swapaxes(axes * np.ones((len(oracle.means), 1, 1)), 1, 2))


def joint(oracle, x, signal, sigma):
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


# Densities


@given(cases())
def test_log_density_by_scipy(case):
    """G4, C1: the noised mixture's log-density, with and without a label, and the class posterior by Bayes' rule."""
    oracle, x, signal, sigma, y = case
    parts = joint(oracle, x, signal, sigma)
    total, largest = logsumexp(parts, axis=1), max(abs(parts).max(), 1)
    assert roundings(oracle.log_density(x, signal, sigma), total, largest) <= MIXTURE_DENSITY
    chosen = np.where((y[:, None] == oracle.labels) | (y[:, None] == oracle.classes), 0, -np.inf)
    conditional = logsumexp(parts + chosen, axis=1) - logsumexp(oracle.log_weights + chosen, axis=1)
    assert roundings(oracle.log_density(x, signal, sigma, y), conditional, largest) <= MIXTURE_DENSITY
    for k, column in enumerate(oracle.log_class(x, signal, sigma).T):
        assert roundings(column, logsumexp(parts[:, oracle.labels == k], axis=1) - total, largest) <= MIXTURE_DENSITY


def test_log_density_in_the_tails_to_many_digits():
    """G4: 60 widths away, where every density underflows, the log-density on a line still agrees with 50 digits."""
    x, signal, sigma = np.array([[60.0], [-45.0], [0.3]]), 0.8, 0.1
    with mp.workdps(50):
        spread = [mp.mpf(signal) ** 2 * mp.mpf(c) + mp.mpf(sigma) ** 2 for c in (0.2, 0.05, 0.4)]
        for row, value in zip(x[:, 0], LINE.log_density(x, signal, sigma), strict=True):
            parts = zip((0.5, 0.2, 0.3), (-1.0, 0.4, 1.5), spread, strict=True)
            total = sum(mp.mpf(w) * mp.npdf(mp.mpf(row), mp.mpf(signal) * mp.mpf(m), mp.sqrt(S)) for w, m, S in parts)
            assert roundings(value, float(mp.log(total)), 1.0) <= MIXTURE_DENSITY


def test_log_density_integrates_to_one():
    """G4: over the plane, at clean data, at half noise, and given a class."""
    axis = np.linspace(-7, 7, 281)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    cell = (axis[1] - axis[0]) ** 2
    for signal, sigma, y in ((1.0, 0.0, None), (0.7, 0.7, None), (0.7, 0.7, 1)):
        label = None if y is None else np.full(len(x), y)
        assert abs(np.exp(PLANE.log_density(x, signal, sigma, label)).sum() * cell - 1) < QUADRATURE


@pytest.mark.parametrize("kind", ["data set", "mixed"])
def test_components_without_width(kind):
    """G4: points, alone or beside a component of some width or of rank one, have a density as soon as there is noise."""
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


# Scores and predictions


@given(cases())
def test_score_is_the_gradient_of_the_log_density(case):
    """C1, G4: by complex step in x, with and without a label."""
    oracle, x, signal, sigma, y = case
    for label in (None, y):
        gradient = strategies.complex_gradient(lambda x, label=label: oracle.log_density(x, signal, sigma, label), x)
        scale = abs(gradient).max() + 1 + abs(x).max() / sigma**2
        assert abs(oracle.score(x, signal, sigma, label) - gradient).max() <= COMPLEX_STEP * scale


@given(cases())
def test_eps_x0_and_v_by_the_score(case):
    """C1, C2, R6: eps = -sigma score, x0 by Tweedie's formula, v = signal eps - sigma x0."""
    oracle, x, signal, sigma, y = case
    assume(signal > 0.05)
    for label in (None, y):
        score, x0, eps = (f(x, signal, sigma, label) for f in (oracle.score, oracle.x0, oracle.eps))
        terms = np.array([abs(x).max(), abs(score).max(), 1]) / signal
        assert roundings(eps, -sigma * score) <= IDENTITY
        assert roundings(x0, (x + sigma**2 * score) / signal, terms, 10 / sigma**2) <= MIXTURE_DENSITY
        assert roundings(oracle.v(x, signal, sigma, label), signal * eps - sigma * x0, eps, x0) <= IDENTITY


@given(x=strategies.arrays((3, 2)), signal=st.floats(0, 1), sigma=st.floats(0.1, 1))
def test_a_gaussian_by_matrices(x, signal, sigma):
    """C1: for N(m, C) the score is -S^-1 (x - signal m), and x0 = m + signal C S^-1 (x - signal m), with S = signal^2 C + sigma^2 I."""
    mean, C = MEANS[0], COVARIANCES[0]
    oracle, S = oracles.gaussian(mean, C), signal**2 * C + sigma**2 * np.eye(2)
    pull = np.linalg.solve(S, (x - signal * mean).T).T
    assert roundings(oracle.score(x, signal, sigma), -pull, 1 / sigma**2) <= MIXTURE_DENSITY
    assert roundings(oracle.x0(x, signal, sigma), mean + signal * pull @ C, 1 / sigma**2) <= MIXTURE_DENSITY


@pytest.mark.parametrize("kind", ["x0", "eps", "v", "velocity", "score"])
@pytest.mark.parametrize("where", ["straight", "trigonometric", "schedule"])
def test_predictions_are_posterior_means(where, kind):
    """G4, R6, C2: on a line every kind of prediction is its mean over the data, weighted by p(x0) N(x; signal x0, sigma^2), by quadrature."""
    path, t = (SCHEDULE, 40) if where == "schedule" else (getattr(flow, where), 0.6)
    x0 = np.linspace(-9, 9, 9001)
    signal, sigma = path.signal_sigma(t)
    a, b = predict.row(kind, t, path)
    density = sum(w * np.exp(-((x0 - m) ** 2) / (2 * c)) / np.sqrt(c) for w, m, c in ((0.5, -1, 0.2), (0.2, 0.4, 0.05), (0.3, 1.5, 0.4)))
    only_first = density - 0.2 * np.exp(-((x0 - 0.4) ** 2) / 0.1) / np.sqrt(0.05)
    x, model = np.array([[-1.3], [0.2], [2.0]]), LINE.model(path, kind)
    for prior, answer in ((density, model(x, t)), (only_first, model(x, t, np.zeros(3, int)))):
        for state, value in zip(x[:, 0], answer[:, 0], strict=True):
            eps = (state - signal * x0) / sigma
            weight = prior * np.exp(-(eps**2) / 2)
            mean = ((a * x0 + b * eps) * weight).sum() / weight.sum()
            assert abs(value - mean) <= QUADRATURE * max(1, abs(mean))


@given(cases(), st.sampled_from([*strategies.PATHS, SCHEDULE]))
def test_models_of_all_kinds_are_conversions_of_one(case, path):
    """G4, R6: model(path, kind) answers what predict makes of the eps-model, at scalar times and times (B,); eps is the default."""
    oracle, x, _, _, y = case
    t = 30 if path is SCHEDULE else 0.6
    eps, levels = oracle.model(path)(x, t, y), path.signal_sigma(t)
    terms = abs(x).max() / np.prod(levels) * 4, abs(eps).max() / np.prod(levels) * 4
    assert roundings(eps, oracle.eps(x, *levels, y), *terms) <= MIXTURE_DENSITY
    assert roundings(oracle.model(path)(x, t), oracle.eps(x, *levels), *terms) <= MIXTURE_DENSITY
    for kind in predict.KINDS:
        answer = oracle.model(path, kind)(x, t, y)
        assert roundings(answer, predict.convert(eps, x, t, path, "eps", kind), *terms) <= MIXTURE_DENSITY, kind
        assert roundings(oracle.model(path, kind)(x, np.full(3, t), y), answer, *terms) <= MIXTURE_DENSITY, kind


# Labels


@given(cases())
def test_a_label_picks_its_sub_mixture(case):
    """G4: conditioning on a class is the mixture of its components alone; the entry `classes` is no condition at all."""
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
    """G4: one class unless labelled; a label without weight cannot be, and the mixture is normalized."""
    assert PLANE.classes == 2 and LINE.classes == 2 and oracles.data_set(MEANS).classes == 1
    assert oracles.mixture(MEANS, COVARIANCES, 7 * PRIOR).log_weights == pytest.approx(np.log(PRIOR), rel=IDENTITY * EPS)
    assert np.array_equal(oracles.mixture(MEANS, COVARIANCES).log_weights, np.log(np.ones(3) / 3))
    assert np.array_equal(oracles.data_set(MEANS).labels, [0, 0, 0]) and np.array_equal(PLANE.labels, [0, 1, 1])
    assert oracles.mixture(MEANS, COVARIANCES, PRIOR, [0, 1, 1]) != PLANE  # compared as objects, not array by array
    with pytest.raises(FrozenInstanceError):
        PLANE.labels = np.zeros(3, int)


# Limits


@given(x=strategies.arrays((3, 2)), signal=st.floats(0, 1), sigma=st.floats(0.01, 1))
def test_a_point_mass_knows_the_noise(x, signal, sigma):
    """C1, C2: for data that is always m, eps = (x - signal m) / sigma and x0 = m."""
    point = np.array([0.4, -1.1])
    oracle = oracles.point_mass(point)
    assert roundings(oracle.eps(x, signal, sigma), (x - signal * point) / sigma) <= IDENTITY
    assert roundings(oracle.x0(x, signal, sigma), np.broadcast_to(point, x.shape)) <= IDENTITY
    assert roundings(oracle.score(x, signal, sigma), -(x - signal * point) / sigma**2) <= IDENTITY


@given(x=strategies.arrays((4, 2)), signal=st.floats(0, 1), sigma=st.floats(0.2, 1))
def test_a_data_set_is_a_softmax_over_its_points(x, signal, sigma):
    """C2, M3: the ideal denoiser averages the points by softmax(log w - ||x - signal point||^2 / 2 sigma^2)."""
    points = numbers(6, 2, step=5)
    distances = ((x[:, None] - signal * points) ** 2).sum(axis=2) / (2 * sigma**2)
    for weights in (np.arange(1, 7), None):
        logits = -distances + (0 if weights is None else np.log(weights))
        share = np.exp(logits - logsumexp(logits, axis=1)[:, None])
        answer = oracles.data_set(points, weights, [0, 0, 0, 1, 1, 1]).x0(x, signal, sigma)
        assert roundings(answer, share @ points, abs(logits).max()) <= MIXTURE_DENSITY
        images = oracles.data_set(points.reshape(6, 1, 2, 1), weights)
        assert np.array_equal(images.x0(x.reshape(4, 1, 2, 1), signal, sigma), answer.reshape(4, 1, 2, 1))


def test_pure_noise_says_nothing():
    """G4, F6: at signal 0 and sigma 1 the score is -x, eps is x, x0 the data's mean, and the class posterior the prior."""
    x = numbers(4, 2)
    assert roundings(PLANE.score(x, 0.0, 1.0), -x) <= IDENTITY and roundings(PLANE.eps(x, 0.0, 1.0), x) <= IDENTITY
    assert roundings(PLANE.x0(x, 0.0, 1.0), np.broadcast_to(PRIOR @ MEANS, (4, 2))) <= IDENTITY
    assert roundings(np.exp(PLANE.log_class(x, 0.0, 1.0)), np.broadcast_to([0.2, 0.8], (4, 2))) <= IDENTITY
    assert roundings(PLANE.log_density(x, 0.0, 1.0), -(x**2).sum(axis=1) / 2 - np.log(2 * np.pi)) <= IDENTITY


def test_clean_data_with_width_and_without():
    """G4: at sigma = 0 data with width is its own answer: x0 = x, eps = 0, the density the data's; data without width has none."""
    x = numbers(4, 2)
    assert roundings(PLANE.x0(x, 1.0, 0.0), x) <= MIXTURE_DENSITY and np.array_equal(PLANE.eps(x, 1.0, 0.0), np.zeros((4, 2)))
    assert roundings(PLANE.log_density(x, 1.0, 0.0), logsumexp(joint(PLANE, x, 1.0, 0.0), axis=1), 1.0) <= MIXTURE_DENSITY
    assert np.array_equal(PLANE.model(SCHEDULE, "eps")(x, 0), np.zeros((4, 2)))
    flat = oracles.mixture(MEANS[:2], [np.eye(2), [[1.0, 1.0], [1.0, 1.0]]])  # the second lives on a line
    for oracle in (oracles.point_mass([0.0, 0.0]), flat):
        for ask in (oracle.log_density, oracle.score, oracle.x0, oracle.eps, oracle.v, oracle.log_class):
            with pytest.raises(ValueError, match=r"^sigma = 0 with data of no width: x_t has no density; allowed: sigma > 0"):
                ask(x, 1.0, 0.0)


# Batches, shapes, precisions

ASKED = {
    "log_density": lambda o, x, a, s, y: o.log_density(x, a, s),
    "log_density y": lambda o, x, a, s, y: o.log_density(x, a, s, y),
    "log_class": lambda o, x, a, s, y: o.log_class(x, a, s),
    "class_gradient": lambda o, x, a, s, y: o.class_gradient(x, a, s, y),
    "score": lambda o, x, a, s, y: o.score(x, a, s, y),
    "x0": lambda o, x, a, s, y: o.x0(x, a, s, y),
    "eps": lambda o, x, a, s, y: o.eps(x, a, s, y),
    "v": lambda o, x, a, s, y: o.v(x, a, s, y),
}


@pytest.mark.parametrize("name", ASKED)
def test_levels_per_example_and_images(name):
    """G4: signal, sigma and labels (B,) do to each row what scalars do alone; images (B, H, W, C) are vectors in another shape."""
    x, y = numbers(3, 2), np.array([0, 1, 1])
    signal, sigma = np.array([0.9, 0.5, 0.1]), np.array([0.3, 0.8, 0.9])
    ask = ASKED[name]
    together = ask(PLANE, x, signal, sigma, y)
    assert (
        roundings(together, strategies.rows(lambda x, a, s, y: ask(PLANE, x, a, s, np.array([y])), x, signal, sigma, y), 1.0)
        <= MIXTURE_DENSITY
    )
    images = ask(PLANE, x.reshape(3, 1, 2, 1), signal, sigma, y)
    assert np.array_equal(images.reshape(together.shape), together) and images.shape in ((3,), (3, 2), (3, 1, 2, 1))
    assert ask(PLANE, x[:0], 0.9, 0.3, y[:0]).shape[0] == 0
    assert np.array_equal(ask(PLANE, x, 0.9, 0.3, np.ones(3, int)), ask(PLANE, x, 0.9, 0.3, 1))
    kept = x.copy()
    ask(PLANE, x, 0.9, 0.3, y)
    assert np.array_equal(x, kept)


@pytest.mark.parametrize("name", ["class_gradient", "score", "x0", "eps", "v"])
def test_single_precision_stays_single(name):
    """G4: float32 states give float32 predictions, within single roundings of the double ones."""
    x, y = numbers(3, 2), np.array([0, 1, 1])
    double, single = ASKED[name](PLANE, x, 0.9, 0.4, y), ASKED[name](PLANE, x.astype(np.float32), 0.9, 0.4, y)
    assert single.dtype == np.float32 and roundings(single, double, 1.0) <= 4 * IDENTITY
    point = oracles.data_set(MEANS)
    assert point.x0(x.astype(np.float32), np.full(3, 0.9), np.full(3, 0.4)).dtype == np.float32


@pytest.mark.parametrize("name", ["score", "x0", "eps", "v"])
def test_complex_steps_pass_through_every_prediction(name):
    """C1, G4: derivatives of predictions in x and in the level, by complex step, are those of finite differences."""
    x, a, s, y = numbers(3, 2), 0.8, 0.5, np.array([0, 1, 2])
    ask = ASKED[name]
    h = 1e-5  # central differences: truncation h^2 f''' / 6 ~ 1e-10, rounding u / h ~ 1e-11
    along = ask(PLANE, x + 1e-30j, a, s, y).imag / 1e-30
    assert abs(along - (ask(PLANE, x + h, a, s, y) - ask(PLANE, x - h, a, s, y)) / (2 * h)).max() < 1e-7
    level = ask(PLANE, x, a + 1e-30j, s, y).imag / 1e-30
    assert abs(level - (ask(PLANE, x, a + h, s, y) - ask(PLANE, x, a - h, s, y)) / (2 * h)).max() < 1e-7


# Samples


def test_samples_by_their_parts():
    """G4: uniform numbers pick the components at the edges of their weights, and noise is carried by a root of the covariance."""
    edges = np.array([0.0, 0.1999, 0.2, 0.4999, 0.5, 0.9999, 1.0])
    expected = np.array([0, 0, 1, 1, 2, 2, 2])
    assert np.array_equal(PLANE.sample(edges, np.zeros((7, 2))), MEANS[expected])
    roots = np.stack([PLANE.sample(edges, np.tile(unit, (7, 1))) - MEANS[expected] for unit in np.eye(2)], axis=2)
    assert roundings(roots @ np.swapaxes(roots, 1, 2), COVARIANCES[expected]) <= IDENTITY
    points = oracles.data_set(MEANS, PRIOR)
    assert np.array_equal(points.sample(edges, numbers(7, 2)), MEANS[expected])


def test_many_samples_have_the_mixture_s_moments():
    """G4: mean and covariance of 40,000 samples lie within five standard errors of the exact ones."""
    n = 40_000
    x = PLANE.sample(rng.uniform(3, n)[:, 0], rng.normal(3, n, (2,)))
    mean = PRIOR @ MEANS
    covariance = np.einsum("k,kij->ij", PRIOR, COVARIANCES + np.einsum("ki,kj->kij", MEANS - mean, MEANS - mean))
    centered = x - mean
    assert (abs(centered.mean(axis=0)) < 5 * np.sqrt(np.diag(covariance) / n)).all()
    products = centered[:, :, None] * centered[:, None]
    assert (abs(products.mean(axis=0) - covariance) < 5 * products.std(axis=0) / np.sqrt(n)).all()


# Transport


@given(st.data(), st.sampled_from(strategies.PATHS), st.floats(0, 1), st.floats(0, 1))
def test_transport_solves_the_probability_flow_ode(data, path, t, s):
    """C1, M1: transport moves with the velocity oracle (complex step in s), starts where it is, and is undone by the way back."""
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
def test_transport_carries_marginals_into_marginals(path, t, s):
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
def test_exact_reverse_is_bayes_and_gives_back_the_marginals(data):
    """R5, E5: the true reverse kernel is the product of prior and likelihood, and carries the marginal at t into that at s."""
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


def test_exact_reverse_in_numbers():
    """R5: per-example times, and float32 stays float32."""
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


# Tweedie's covariance


def hessian(oracle, x, signal, sigma):
    """The Hessian (B, d, d) of the log-density: the derivative of the score by complex step."""
    columns = []
    for i in range(x.shape[1]):
        shifted = x.astype(np.complex128)
        shifted[:, i] += 1e-30j
        columns.append(oracle.score(shifted, signal, sigma).imag / 1e-30)
    return np.stack(columns, axis=2)


@given(cases(low=0.2), st.sampled_from([flow.straight, SCHEDULE]))
def test_tweedie_covariance_of_a_mixture(case, path):
    """C2: sigma^2 / signal^2 (I + sigma^2 Hessian) equals the law of total variance over the components' posteriors."""
    oracle, x, _, _, _ = case
    t = 30 if path is SCHEDULE else 0.6
    signal, sigma = path.signal_sigma(t)
    C, identity = covariances(oracle), np.eye(x.shape[1])
    parts = joint(oracle, x, signal, sigma)
    share = np.exp(parts - logsumexp(parts, axis=1)[:, None])
    gain = [signal * c @ np.linalg.inv(signal**2 * c + sigma**2 * identity) for c in C]
    within = np.array([c - signal * g @ c for c, g in zip(C, gain, strict=True)])
    centers = np.stack([m + (x - signal * m) @ g.T for m, g in zip(oracle.means, gain, strict=True)], axis=1)
    apart = centers - (share[:, :, None] * centers).sum(axis=1, keepdims=True)
    expected = np.einsum("bk,kij->bij", share, within) + np.einsum("bk,bki,bkj->bij", share, apart, apart)
    scale = np.array([(1 / signal) ** 2, 1.0, abs(apart).max() ** 2]) * max(1, abs(parts).max())
    assert roundings(predict.tweedie_covariance(hessian(oracle, x, signal, sigma), t, path), expected, scale) <= MIXTURE_DENSITY


# Refusals

X = np.ones((2, 2))
REFUSED = {
    "numbers per example": (ValueError, "^x has 3 numbers per example; allowed: 2", lambda: PLANE.score(np.ones((2, 3)), 0.5, 0.5)),
    "x with NaN": (ValueError, "^x holds NaN", lambda: PLANE.x0(np.full((2, 2), np.nan), 0.5, 0.5)),
    "x of integers": (TypeError, "^x is ", lambda: PLANE.log_density(np.ones((2, 2), int), 0.5, 0.5)),
    "levels of another batch": (ValueError, r"has shape \(3,\); allowed", lambda: PLANE.score(X, np.ones(3), 0.5)),
    "label above": (
        ValueError,
        "^y = .*; allowed: integers 0..2, the last for no label",
        lambda: PLANE.score(X, 0.5, 0.5, np.array([0, 3])),
    ),
    "label below": (ValueError, "^y = .*; allowed: integers 0..2", lambda: PLANE.log_density(X, 0.5, 0.5, np.array([0, -1]))),
    "label of floats": (ValueError, "^y = .*; allowed: integers", lambda: PLANE.x0(X, 0.5, 0.5, np.array([0.0, 1.0]))),
    "labels of another batch": (
        ValueError,
        r"^y has shape \(3,\); allowed: \(\) or \(2,\)",
        lambda: PLANE.score(X, 0.5, 0.5, np.zeros(3, int)),
    ),
    "signal": (ValueError, "^signal = nan; allowed: finite", lambda: PLANE.score(X, np.nan, 0.5)),
    "sigma": (ValueError, "^sigma = -0.5; allowed: finite, in .0, inf", lambda: PLANE.score(X, 0.5, -0.5)),
    "choice above": (ValueError, "^choice = .*; allowed: finite, in .0, 1.", lambda: PLANE.sample(np.array([0.5, 1.5]), X)),
    "choice below": (ValueError, "^choice = .*; allowed: finite, in .0, 1.", lambda: PLANE.sample(np.array([0.5, -0.5]), X)),
    "no means": (ValueError, r"^means has shape \(1, 0\); allowed: \(K, d\), not empty", lambda: oracles.mixture([], np.zeros((1, 0, 0)))),
    "no points": (ValueError, r"^points has shape \(0, 2\); allowed: \(N, ...\), not empty", lambda: oracles.data_set(np.zeros((0, 2)))),
    "one number": (ValueError, r"^points has shape \(\); allowed", lambda: oracles.data_set(np.array(3.0))),
    "reverse mean": (ValueError, "^mean = nan; allowed: finite", lambda: oracles.exact_reverse(np.nan, X[0], SCHEDULE)),
    "reverse variance": (ValueError, "^variance = -1.0; allowed: finite, in .0,", lambda: oracles.exact_reverse(X[0], -1.0, SCHEDULE)),
    "kind": (ValueError, "^kind = 'noise'; allowed: x0", lambda: PLANE.model(SCHEDULE, "noise")(X, 5)),
    "time": (ValueError, "^t = 101; allowed: 0..100", lambda: PLANE.model(SCHEDULE)(X, 101)),
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
    "weight of zero": (ValueError, "^weights = .*; allowed: 3 positive, finite numbers", lambda: oracles.data_set(MEANS, [1, 0, 1])),
    "infinite weight": (ValueError, "^weights = .*; allowed: 3 positive", lambda: oracles.data_set(MEANS, [1, np.inf, 1])),
    "too few weights": (ValueError, "^weights = .*; allowed: 3 positive", lambda: oracles.data_set(MEANS, [1, 1])),
    "too few labels": (ValueError, "^labels = .*; allowed: 3 integers from 0 up", lambda: oracles.data_set(MEANS, None, [0, 1])),
    "negative label": (ValueError, "^labels = .*; allowed: 3 integers", lambda: oracles.data_set(MEANS, None, [0, 1, -1])),
    "label left out": (ValueError, "^labels = .*with no class left out", lambda: oracles.mixture(MEANS, COVARIANCES, None, [0, 2, 2])),
    "fractional label": (
        ValueError,
        "^labels = .*; allowed: 3 integers",
        lambda: oracles.mixture(MEANS, COVARIANCES, None, [0.0, 1.0, 1.0]),
    ),
    "reverse order": (ValueError, "^s = .*is not below t = ", lambda: oracles.exact_reverse(X[0], X[0], SCHEDULE)(X, 3, 5)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_named(case):
    """C1, G4: what is wrong, its value and what is allowed."""
    error, message, call = REFUSED[case]
    with pytest.raises(error, match=f"(?s){message}"):
        call()


def test_almost_semidefinite_covariances_are_taken():
    """G4: rounding may leave an eigenvalue or an asymmetry of 1e-16; rank one is a width of zero across."""
    oracle = oracles.gaussian([0, 0], np.outer([1, 3], [1, 3]) + np.array([[0, 1e-16], [0, -1e-16]]))
    assert oracle.spreads.min() >= 0 and roundings(covariances(oracle)[0], np.outer([1.0, 3.0], [1.0, 3.0])) <= IDENTITY


def test_tables_are_double_and_points_may_be_covariances_of_zero():
    """G4: means, spreads and weights are float64 whatever comes in; covariances of zero make a data set."""
    for kind in (np.float32, np.int64):
        for oracle in (
            oracles.mixture(MEANS.astype(kind), np.tile(np.eye(2), (3, 1, 1)).astype(kind), np.arange(1, 4).astype(kind)),
            oracles.data_set(MEANS.astype(kind), np.arange(1, 4).astype(kind)),
        ):
            assert {oracle.means.dtype, oracle.spreads.dtype, oracle.log_weights.dtype} == {np.dtype(np.float64)}
    points = oracles.mixture(MEANS, np.zeros((3, 2, 2)), PRIOR)
    assert roundings(points.x0(numbers(4, 2), 0.6, 0.8), oracles.data_set(MEANS, PRIOR).x0(numbers(4, 2), 0.6, 0.8)) <= IDENTITY
