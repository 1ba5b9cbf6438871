"""Classifier guidance, classifier-free guidance, and their agreement on exact models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import flow, guidance, layers, mlp, optim, oracles, predict, q_sample, rng, schedules
from tests import strategies
from tests.tolerances import COMPLEX_STEP, EXCESS, EXPLAINED, IDENTITY, relative, roundings

SCHEDULE = schedules.linear(100)
scales = st.floats(-2, 8)


def numbers(*shape, step=0):
    """Normal random numbers of a fixed seed."""
    return rng.normal(31, shape[0], shape[1:], step)


@st.composite
def labelled(draw):
    """A mixture, states x (3, d), a path with a time, and labels of which some may be "no label"."""
    oracle = draw(strategies.mixture())
    x = draw(strategies.arrays((3, oracle.means.shape[1])))
    path, t = draw(
        st.sampled_from([(path, draw(st.floats(0.1, 0.9))) for path in strategies.PATHS] + [(SCHEDULE, draw(st.integers(1, 100)))])
    )
    y = np.array([draw(st.integers(0, oracle.classes)) for _ in range(3)])
    return oracle, x, path, t, y


def convert_terms(path, t):
    """Bound of the factor by which conversions between kinds amplify their arguments: 1 / (signal sigma), and rates up to pi."""
    signal, sigma = path.signal_sigma(t)
    return np.pi / (signal * sigma)


# The two kinds of guidance, exact on a mixture


@given(labelled(), scales)
def test_classifier_and_classifier_free_guidance_agree(case, gamma):
    """G1, G3, G4: on a mixture classifier guidance and classifier-free guidance give the same score, for any scale."""
    oracle, x, path, t, y = case
    levels = path.signal_sigma(t)
    unconditional, conditional, gradient = oracle.score(x, *levels), oracle.score(x, *levels, y), oracle.class_gradient(x, *levels, y)
    by_classifier = guidance.classifier_score(unconditional, gradient, gamma)
    without = guidance.classifier_free(unconditional, conditional, gamma)
    assert roundings(without, by_classifier, gamma * unconditional, gamma * conditional, unconditional) <= IDENTITY


@given(labelled(), scales)
def test_guidance_agrees_in_every_kind(case, gamma):
    """G1, G3, R6: guidance commutes with conversion: eps, x0, v and velocity are affine in the score."""
    oracle, x, path, t, y = case
    levels = path.signal_sigma(t)
    score = guidance.classifier_score(oracle.score(x, *levels), oracle.class_gradient(x, *levels, y), gamma)
    eps = guidance.classifier_eps(oracle.eps(x, *levels), oracle.class_gradient(x, *levels, y), gamma, t, path)
    terms = (
        (1 + abs(gamma))
        * convert_terms(path, t)
        * np.array([abs(a).max() for a in (x, *both(oracle, x, t, path, "x0", y), *both(oracle, x, t, path, "eps", y))])
    )
    assert roundings(eps, -levels[1] * score, terms) <= IDENTITY
    for kind in predict.KINDS:
        free = guidance.classifier_free(*both(oracle, x, t, path, kind, y), gamma)
        assert roundings(predict.convert(free, x, t, path, kind, "eps"), eps, terms) <= 2 * IDENTITY, kind


def both(oracle, x, t, path, kind, y):
    """The unconditional and the conditional prediction."""
    model = oracle.model(path, kind)
    return model(x, t), model(x, t, y)


@given(labelled(), st.floats(0, 1))
def test_guided_score_is_that_of_the_sharpened_density(case, gamma):
    """G1, G3: the guided score is the gradient of log p(x) + gamma log p(y | x), by complex step."""
    oracle, x, path, t, y = case
    levels = path.signal_sigma(t)

    def log_density(x):
        return (1 - gamma) * oracle.log_density(x, *levels) + gamma * oracle.log_density(x, *levels, y)

    guided = guidance.classifier_free(oracle.score(x, *levels), oracle.score(x, *levels, y), gamma)
    terms = oracle.score(x, *levels), oracle.score(x, *levels, y), 1.0
    assert roundings(strategies.complex_gradient(log_density, x), guided, *terms) * np.finfo(float).eps <= COMPLEX_STEP


@given(st.data())
def test_scales_zero_and_one(data):
    """G1, G3: gamma = 0 is the unconditional model, gamma = 1 the conditional one, bit for bit, in both precisions."""
    dtype = data.draw(st.sampled_from(strategies.DTYPES))
    u, c = (data.draw(strategies.arrays((3, 2), dtype)) for _ in range(2))
    assert np.array_equal(guidance.classifier_free(u, c, 0), u) and np.array_equal(guidance.classifier_free(u, c, 1), c)
    assert np.array_equal(guidance.classifier_score(u, c, 0), u) and np.array_equal(guidance.classifier_score(u, c, 1), u + c)
    assert np.array_equal(guidance.classifier_eps(u, c, 0, 30, SCHEDULE), u)
    for result in (
        guidance.classifier_free(u, c, 2.5),
        guidance.classifier_score(u, c, 2.5),
        guidance.classifier_eps(u, c, 2.5, 30, SCHEDULE),
    ):
        assert result.dtype == dtype


def test_guidance_by_hand():
    """G1, G3: the formulas at generic numbers, with one scale for each example."""
    u, c = numbers(3, 2), numbers(3, 2, step=1)
    assert roundings(guidance.classifier_free(u, c, 3.5), -2.5 * u + 3.5 * c) <= IDENTITY
    assert roundings(guidance.classifier_score(u, c, 3.5), u + 3.5 * c) <= IDENTITY
    assert roundings(guidance.classifier_eps(u, c, 3.5, 0.75, flow.straight), u - 3.5 * 0.25 * c) <= IDENTITY
    each = np.array([0.5, 1.5, 3.0])
    assert roundings(guidance.classifier_free(u, c, each), (1 - each[:, None]) * u + each[:, None] * c, 3 * c) <= IDENTITY
    assert roundings(guidance.classifier_score(u, c, each), u + each[:, None] * c, 3 * c) <= IDENTITY
    t = np.array([10, 50, 90])
    assert roundings(guidance.classifier_eps(u, c, each, t, SCHEDULE), u - (each * SCHEDULE.sigma[t])[:, None] * c, 3 * c) <= IDENTITY
    assert roundings(guidance.classifier_eps(u, c, 3.5, t, SCHEDULE), u - 3.5 * SCHEDULE.sigma[t][:, None] * c) <= IDENTITY


@given(st.floats(-1, 10))
def test_the_two_conventions_of_the_scale(w):
    """G3: gamma = 1 + w converts (1 + w) conditional - w unconditional into this package's form; w_from_scale inverts it."""
    u, c = numbers(3, 2), numbers(3, 2, step=1)
    assert roundings(guidance.classifier_free(u, c, guidance.scale_from_w(w)), (1 + w) * c - w * u, (1 + w) * c, u) <= IDENTITY
    assert abs(guidance.w_from_scale(guidance.scale_from_w(w)) - w) <= IDENTITY * np.finfo(float).eps
    assert guidance.scale_from_w(0) == 1 and guidance.w_from_scale(1) == 0 and guidance.w_from_scale(3.5) == 2.5


# One network with and without labels


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_labels_are_dropped_below_the_probability(seed, probability):
    """G3: an example keeps its label if and only if its uniform number is at least the probability."""
    uniform, y = rng.uniform(seed, 50)[:, 0], np.arange(50) % 4
    dropped = guidance.drop_labels(y, uniform, probability, 4)
    assert np.array_equal(dropped, [4 if u < probability else label for u, label in zip(uniform, y, strict=True)])
    assert dropped.dtype == y.dtype
    assert np.array_equal(guidance.drop_labels(y, uniform, 0, 4), y) and np.array_equal(
        guidance.drop_labels(y, uniform, 1, 4), np.full(50, 4)
    )


def test_uniform_at_the_threshold_keeps_the_label():
    """G3: at uniform = probability the label is kept, so probability 0 drops nothing; the dropped share is the probability."""
    assert np.array_equal(guidance.drop_labels(np.array([3, 3, 3]), np.array([0.25, 0.5, 0.75]), 0.5, 7), [7, 3, 3])
    assert np.array_equal(guidance.drop_labels(np.array([3]), np.array([0.0]), 0.0, 7), [3])
    even = (np.arange(1000) + 0.5) / 1000
    assert (guidance.drop_labels(np.zeros(1000, int), even, 0.1, 1) == 1).mean() == 0.1


@pytest.mark.parametrize("t", [40, np.array([5, 40, 90])])
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1, 1)])
def test_guided_equals_two_calls(shape, t):
    """G3: the guided model is the extrapolation of the two separate calls, made as one call on a doubled batch."""
    oracle, calls = oracles.mixture([[1.0, 0.3], [-0.5, 0.2], [0.1, 2.0]], [np.eye(2) * 0.2] * 3, [0.2, 0.3, 0.5], [0, 1, 1]), []
    model, x, y = oracle.model(SCHEDULE), numbers(*shape), np.array([0, 1, 1])

    def recorded(x, t, y):
        calls.append((x, t, y))
        return model(x, t, y)

    result = guidance.guided(recorded, y, 3.0, oracle.classes)(x, t)
    expected = guidance.classifier_free(model(x, t), model(x, t, y), 3.0)
    assert roundings(result, expected, 3 * expected) <= IDENTITY and result.shape == shape
    ((doubled, times, labels),) = calls
    assert np.array_equal(doubled, np.concatenate([x, x])) and np.array_equal(labels, [2, 2, 2, 0, 1, 1])
    assert np.array_equal(times, np.concatenate([t, t]) if np.ndim(t) else t)
    assert roundings(guidance.guided(model, list(y), 0.0, 2)(x, t), model(x, t)) <= IDENTITY


# A classifier's gradient


def log_softmax(logits):
    """log p(y | x) for all classes."""
    shifted = logits - logits.real.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def classifier(seed=1, classes=3, dtype=np.float64, **sizes):
    """Parameters of an MLP with one logit per class, its last layer no longer zero."""
    p = mlp.init(seed, inputs=2, outputs=classes, dtype=dtype, **sizes)
    last = sorted(p)[-1]
    p[last]["w"] = (0.3 * rng.normal(seed, len(p[last]["w"]), (classes,), step=99)).astype(dtype)
    return p


@given(x=strategies.arrays((4, 2)), seed=st.integers(0, 100), t=st.floats(0, 1000))
def test_classifier_gradient_by_complex_step(x, seed, t):
    """G2: the hand-written backward pass gives the gradient of log softmax(z)_y through the network."""
    p, y = classifier(seed, width=16, depth=2, features=8), np.array([0, 1, 2, 1])
    logits, vjp = mlp.mlp(p, x, t)
    gradient = guidance.classifier_gradient(logits, vjp, y)
    by_step = strategies.complex_gradient(lambda x: log_softmax(mlp.mlp(p, x, t)[0])[np.arange(4), y], x)
    scale = relative(gradient, by_step) * np.max(np.abs(by_step))
    assert scale <= COMPLEX_STEP * max(np.max(np.abs(by_step)), 1)


def test_classifier_gradient_by_hand():
    """G2: for z = x W it is W (e_y - softmax(z)); logits of 1e4 do not overflow; gradients over all classes average to zero."""
    w, x, y = numbers(2, 3), numbers(4, 2, step=1), np.array([2, 0, 1, 1])
    logits, vjp = layers.linear({"w": w, "b": np.zeros(3)}, x)
    p = np.exp(log_softmax(logits))
    assert roundings(guidance.classifier_gradient(logits, vjp, y), (np.eye(3)[y] - p) @ w.T) <= IDENTITY
    mean = sum(p[:, k : k + 1] * guidance.classifier_gradient(logits, vjp, np.full(4, k)) for k in range(3))
    assert roundings(mean, np.zeros_like(mean), w) <= IDENTITY
    huge = guidance.classifier_gradient(np.array([[1e4, 0.0], [0.0, -1e4]]), lambda dz: ({}, dz), np.array([0, 1]))
    assert np.array_equal(huge, [[0, 0], [-1, 1]])
    single = guidance.classifier_gradient(logits.astype(np.float32), lambda dz: ({}, dz), y)
    assert single.dtype == np.float32


def test_classifier_trained_on_noised_data_learns_the_gradient():
    """G2, G4: trained by cross-entropy on noised mixture data, an MLP's gradient approaches the exact one of log p(y | x_t).

    The measure is the share of the exact gradient's mean square that is explained: 0 for a network with zero gradient,
    negative for a wrong sign, time or noise level, 1 for the exact one. Cross-entropy is at least that of the exact posterior.
    """
    oracle = oracles.mixture([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.2]], [np.eye(2) * 0.1] * 3, None, [0, 1, 2])

    def batch(step, size):
        u = rng.uniform(7, size, 2, step)
        y = np.minimum((3 * u[:, 0]).astype(int), 2)
        x0 = oracle.means[y] + np.sqrt(0.1) * rng.normal(7, size, (2,), step, rng.DATA)
        t = SCHEDULE.draw_time(u[:, 1])
        return q_sample(x0, t, SCHEDULE, rng.normal(7, size, (2,), step)), t, y

    p = mlp.init(3, inputs=2, outputs=3, width=64, depth=2, features=16, dtype=np.float64)
    state = optim.init(p)
    for step in range(1, 301):
        x, t, y = batch(step, 256)
        logits, vjp = mlp.mlp(p, x, SCHEDULE.clock(t))
        _, loss_vjp = layers.cross_entropy(logits, y)
        p, state = optim.adam(p, vjp(loss_vjp(np.full(256, 1 / 256)))[0], state, step, rate=5e-3 * (1 - step / 301))
    x, t, y = batch(1000, 2000)
    logits, vjp = mlp.mlp(p, x, SCHEDULE.clock(t))
    levels = SCHEDULE.signal_sigma(t)
    exact, learned = oracle.class_gradient(x, *levels, y), guidance.classifier_gradient(logits, vjp, y)
    explained = 1 - ((learned - exact) ** 2).sum() / (exact**2).sum()
    least, reached = -oracle.log_class(x, *levels)[np.arange(2000), y].mean(), layers.cross_entropy(logits, y)[0].mean()
    assert explained > EXPLAINED and least - EXCESS < reached < least + EXCESS


# Errors

X, Y, NAN = np.ones((2, 3)), np.ones((2, 2)), np.full((2, 3), np.nan)
ERRORS = {
    "score": (ValueError, "^score holds NaN", lambda: guidance.classifier_score(NAN, X, 1)),
    "gradient": (ValueError, r"^gradient has shape \(2, 2\)", lambda: guidance.classifier_score(X, Y, 1)),
    "gamma": (ValueError, "^gamma = nan; allowed: finite", lambda: guidance.classifier_score(X, X, np.nan)),
    "eps": (ValueError, "^eps holds NaN", lambda: guidance.classifier_eps(NAN, X, 1, 5, SCHEDULE)),
    "eps gradient": (ValueError, "^gradient holds NaN", lambda: guidance.classifier_eps(X, NAN, 1, 5, SCHEDULE)),
    "eps gamma": (ValueError, "^gamma = inf; allowed: finite", lambda: guidance.classifier_eps(X, X, np.inf, 5, SCHEDULE)),
    "eps time": (ValueError, "^t = 101; allowed: 0..100", lambda: guidance.classifier_eps(X, X, 1, 101, SCHEDULE)),
    "unconditional": (ValueError, "^unconditional holds NaN", lambda: guidance.classifier_free(NAN, X, 1)),
    "conditional": (ValueError, "^conditional holds NaN", lambda: guidance.classifier_free(X, NAN, 1)),
    "free gamma": (ValueError, "^gamma = nan; allowed: finite", lambda: guidance.classifier_free(X, X, np.nan)),
    "w": (ValueError, "^w = nan; allowed: finite", lambda: guidance.scale_from_w(np.nan)),
    "gamma of w": (ValueError, "^gamma = inf; allowed: finite", lambda: guidance.w_from_scale(np.inf)),
    "probability above": (
        ValueError,
        "^probability = 1.5; allowed: finite, in .0, 1.",
        lambda: guidance.drop_labels(np.array([0]), np.array([0.5]), 1.5, 1),
    ),
    "probability below": (
        ValueError,
        "^probability = -0.5; allowed",
        lambda: guidance.drop_labels(np.array([0]), np.array([0.5]), -0.5, 1),
    ),
    "gammas of another batch": (ValueError, r"^gamma has shape \(3,\)", lambda: guidance.classifier_free(X, X, np.ones(3))),
    "score gammas of another batch": (ValueError, r"^gamma has shape \(3,\)", lambda: guidance.classifier_score(X, X, np.ones(3))),
    "uniform": (
        ValueError,
        "^uniform = .*1.5.*; allowed: finite, in .0, 1.",
        lambda: guidance.drop_labels(np.array([0]), np.array([1.5]), 0.5, 1),
    ),
    "uniform below": (ValueError, "^uniform = .*-0.5.*; allowed", lambda: guidance.drop_labels(np.array([0]), np.array([-0.5]), 0.5, 1)),
    "uniform of another batch": (
        ValueError,
        r"^uniform has shape \(2,\); allowed: \(1,\)",
        lambda: guidance.drop_labels(np.array([0]), np.zeros(2), 0.5, 1),
    ),
    "labels of another batch": (
        ValueError,
        r"^y has shape \(3,\); allowed: \(2,\)",
        lambda: guidance.guided(lambda x, t, y: x, np.zeros(3, int), 1.0, 1)(X, 5),
    ),
    "label above": (
        ValueError,
        r"^y = array\(\[0, 3\]\); allowed: 0..2",
        lambda: guidance.classifier_gradient(X, lambda dz: ({}, dz), np.array([0, 3])),
    ),
    "label below": (ValueError, r"^y = .*; allowed: 0..2", lambda: guidance.classifier_gradient(X, lambda dz: ({}, dz), np.array([0, -1]))),
    "label of floats": (TypeError, "^y = ", lambda: guidance.classifier_gradient(X, lambda dz: ({}, dz), np.array([0.0, 1.0]))),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_arguments_are_named(case):
    """G1, G2, G3: errors name the argument, its value, and what is allowed."""
    error, message, call = ERRORS[case]
    with pytest.raises(error, match=message):
        call()


def test_many_labels():
    """G3: labels are any whole numbers from 0, such as those of a thousand classes or of a hash."""
    y = np.array([0, 124, 999, 2**40])
    np.testing.assert_array_equal(guidance.drop_labels(y, np.array([0.9, 0.05, 0.9, 0.9]), 0.1, 2**41), [0, 2**41, 999, 2**40])
    model = guidance.guided(lambda x, t, y: x * 0 + y[:, None], y, 1.0, 2**41)
    np.testing.assert_array_equal(model(np.zeros((4, 1)), 1.0)[:, 0], y)
    assert (guidance.drop_labels(y, np.zeros(4), 0.5, 0) == 0).all()
