"""Predictions of a Gaussian mixture: the score and what follows from it, in every kind, shape and precision."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import logsumexp

from refdiff import flow, oracles, predict, schedules
from tests import strategies
from tests.tolerances import COMPLEX_STEP, IDENTITY, MIXTURE_DENSITY, QUADRATURE, roundings

from .test_mixture import COVARIANCES, MEANS, PRIOR, cases, covariances, log_joint, numbers

SCHEDULE = schedules.linear(100)
PLANE = oracles.mixture(MEANS, COVARIANCES, PRIOR, [0, 1, 1])
LINE = oracles.mixture([[-1.0], [0.4], [1.5]], [[[0.2]], [[0.05]], [[0.4]]], [0.5, 0.2, 0.3], [0, 1, 0])


@given(cases())
def test_score_is_the_gradient_of_the_log_density(case):
    """C1, G4: the score is the gradient of the log-density by complex step in x, with and without a label."""
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


@pytest.mark.parametrize("kind", ["x0", "eps", "v", "velocity", "score"])
@pytest.mark.parametrize("where", ["straight", "trigonometric", "schedule"])
def test_predictions_are_posterior_means(where, kind):
    """G4, R6, C2: in one dimension every prediction is the mean over the data weighted by p(x0) N(x; signal x0, sigma^2), by quadrature."""
    path, t = (SCHEDULE, 40) if where == "schedule" else (getattr(flow, where), 0.6)
    x0 = np.linspace(-9, 9, 9001)
    signal, sigma = path.signal_sigma(t)
    a, b = predict.row(kind, t, path)
    density = sum(w * np.exp(-((x0 - m) ** 2) / (2 * c)) / np.sqrt(c) for w, m, c in ((0.5, -1, 0.2), (0.2, 0.4, 0.05), (0.3, 1.5, 0.4)))
    only_first = density - 0.2 * np.exp(-((x0 - 0.4) ** 2) / 0.1) / np.sqrt(0.05)
    x, model = np.array([[-1.3], [0.2], [2.0]]), LINE.model(path, kind)
    for prior, prediction in ((density, model(x, t)), (only_first, model(x, t, np.zeros(3, int)))):
        for state, value in zip(x[:, 0], prediction[:, 0], strict=True):
            eps = (state - signal * x0) / sigma
            weight = prior * np.exp(-(eps**2) / 2)
            mean = ((a * x0 + b * eps) * weight).sum() / weight.sum()
            assert abs(value - mean) <= QUADRATURE * max(1, abs(mean))


@given(cases(), st.sampled_from([*strategies.PATHS, SCHEDULE]))
def test_models_of_all_kinds_are_conversions_of_one(case, path):
    """G4, R6: model(path, kind) is the converted eps-model, at scalar times and times (B,); eps is the default."""
    oracle, x, _, _, y = case
    t = 30 if path is SCHEDULE else 0.6
    eps, levels = oracle.model(path)(x, t, y), path.signal_sigma(t)
    terms = abs(x).max() / np.prod(levels) * 4, abs(eps).max() / np.prod(levels) * 4
    assert roundings(eps, oracle.eps(x, *levels, y), *terms) <= MIXTURE_DENSITY
    assert roundings(oracle.model(path)(x, t), oracle.eps(x, *levels), *terms) <= MIXTURE_DENSITY
    for kind in predict.KINDS:
        prediction = oracle.model(path, kind)(x, t, y)
        assert roundings(prediction, predict.convert(eps, x, t, path, "eps", kind), *terms) <= MIXTURE_DENSITY, kind
        assert roundings(oracle.model(path, kind)(x, np.full(3, t), y), prediction, *terms) <= MIXTURE_DENSITY, kind


METHODS = {
    "log_density": lambda o, x, a, s, y: o.log_density(x, a, s),
    "log_density y": lambda o, x, a, s, y: o.log_density(x, a, s, y),
    "log_class": lambda o, x, a, s, y: o.log_class(x, a, s),
    "class_gradient": lambda o, x, a, s, y: o.class_gradient(x, a, s, y),
    "score": lambda o, x, a, s, y: o.score(x, a, s, y),
    "x0": lambda o, x, a, s, y: o.x0(x, a, s, y),
    "eps": lambda o, x, a, s, y: o.eps(x, a, s, y),
    "v": lambda o, x, a, s, y: o.v(x, a, s, y),
}


@pytest.mark.parametrize("name", METHODS)
def test_levels_per_example_and_images(name):
    """G4: signal, sigma and labels (B,) give each row the result of its scalars; images (B, H, W, C) are vectors in another shape."""
    x, y = numbers(3, 2), np.array([0, 1, 1])
    signal, sigma = np.array([0.9, 0.5, 0.1]), np.array([0.3, 0.8, 0.9])
    method = METHODS[name]
    together = method(PLANE, x, signal, sigma, y)
    assert (
        roundings(together, strategies.rows(lambda x, a, s, y: method(PLANE, x, a, s, np.array([y])), x, signal, sigma, y), 1.0)
        <= MIXTURE_DENSITY
    )
    images = method(PLANE, x.reshape(3, 1, 2, 1), signal, sigma, y)
    assert np.array_equal(images.reshape(together.shape), together) and images.shape in ((3,), (3, 2), (3, 1, 2, 1))
    assert method(PLANE, x[:0], 0.9, 0.3, y[:0]).shape[0] == 0
    assert np.array_equal(method(PLANE, x, 0.9, 0.3, np.ones(3, int)), method(PLANE, x, 0.9, 0.3, 1))
    kept = x.copy()
    method(PLANE, x, 0.9, 0.3, y)
    assert np.array_equal(x, kept)


@pytest.mark.parametrize("name", ["class_gradient", "score", "x0", "eps", "v"])
def test_float32_is_preserved(name):
    """G4: float32 states give float32 predictions, within float32 rounding of the float64 ones."""
    x, y = numbers(3, 2), np.array([0, 1, 1])
    double, single = METHODS[name](PLANE, x, 0.9, 0.4, y), METHODS[name](PLANE, x.astype(np.float32), 0.9, 0.4, y)
    assert single.dtype == np.float32 and roundings(single, double, 1.0) <= 4 * IDENTITY
    point = oracles.data_set(MEANS)
    assert point.x0(x.astype(np.float32), np.full(3, 0.9), np.full(3, 0.4)).dtype == np.float32


@pytest.mark.parametrize("name", ["score", "x0", "eps", "v"])
def test_predictions_accept_complex_steps(name):
    """C1, G4: derivatives of predictions in x and in the level, by complex step, are those of finite differences."""
    x, a, s, y = numbers(3, 2), 0.8, 0.5, np.array([0, 1, 2])
    method = METHODS[name]
    h = 1e-5  # central differences: truncation h^2 f''' / 6 ~ 1e-10, rounding u / h ~ 1e-11
    along = method(PLANE, x + 1e-30j, a, s, y).imag / 1e-30
    assert abs(along - (method(PLANE, x + h, a, s, y) - method(PLANE, x - h, a, s, y)) / (2 * h)).max() < 1e-7
    level = method(PLANE, x, a + 1e-30j, s, y).imag / 1e-30
    assert abs(level - (method(PLANE, x, a + h, s, y) - method(PLANE, x, a - h, s, y)) / (2 * h)).max() < 1e-7


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
    """C2: sigma^2 / signal^2 (I + sigma^2 Hessian) equals the total variance over the components' posteriors."""
    oracle, x, _, _, _ = case
    t = 30 if path is SCHEDULE else 0.6
    signal, sigma = path.signal_sigma(t)
    C, identity = covariances(oracle), np.eye(x.shape[1])
    parts = log_joint(oracle, x, signal, sigma)
    share = np.exp(parts - logsumexp(parts, axis=1)[:, None])
    gain = [signal * c @ np.linalg.inv(signal**2 * c + sigma**2 * identity) for c in C]
    within = np.array([c - signal * g @ c for c, g in zip(C, gain, strict=True)])
    centers = np.stack([m + (x - signal * m) @ g.T for m, g in zip(oracle.means, gain, strict=True)], axis=1)
    apart = centers - (share[:, :, None] * centers).sum(axis=1, keepdims=True)
    expected = np.einsum("bk,kij->bij", share, within) + np.einsum("bk,bki,bkj->bij", share, apart, apart)
    scale = np.array([(1 / signal) ** 2, 1.0, abs(apart).max() ** 2]) * max(1, abs(parts).max())
    assert roundings(predict.tweedie_covariance(hessian(oracle, x, signal, sigma), t, path), expected, scale) <= MIXTURE_DENSITY
