"""Kinds of prediction: conversions between them, where they are determined and where not, and Tweedie's formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import flow, forward, oracles, schedules
from refdiff.process.predict import KINDS, clip_x0, convert, row, target, to_eps, to_x0, tweedie_covariance, tweedie_mean

from ..strategies import DTYPES, PATHS, Case, arrays, case, covariance, each, mixture, shapes
from ..tolerances import IDENTITY, TWEEDIE, in_eps

TABLE = schedules.from_betas([0.1, 0.2, 0.3, 0.05])  # alpha_bar 0.9, 0.72, 0.504, 0.4788
ZERO_TERMINAL = schedules.zero_terminal_snr(TABLE)
SIGNAL, SIGMA = np.sqrt(0.504), np.sqrt(0.496)
X0 = np.array([[1.0, -2.0], [0.5, 3.0]])
EPS = np.array([[0.3, -0.7], [1.1, 0.2]])
BY_HAND = {  # at t = 3 of TABLE
    "x0": X0,
    "eps": EPS,
    "v": SIGNAL * EPS - SIGMA * X0,
    "score": -EPS / SIGMA,
    "velocity": X0 - EPS,
    "edm": SIGMA * X0 - SIGNAL * EPS,  # the variance is preserved, and sigma_data is 1
}


@st.composite
def flow_case(draw, count=2, dtypes=DTYPES):
    """A `Case` on a flow path, t strictly inside (0, 1)."""
    path, shape, dtype = draw(st.sampled_from(PATHS)), draw(shapes), draw(st.sampled_from(dtypes))
    inside = st.floats(0.001, 0.999)
    t = np.array([draw(inside) for _ in range(shape[0])]) if draw(st.booleans()) else draw(inside)
    return Case(path, t, None, [draw(arrays(shape, dtype)) for _ in range(count)])


def away_from_the_ends(drawn):
    """Whether signal and sigma are at least 1e-6: conversions divide by them, and products of them must be float32 numbers."""
    return np.min(drawn.schedule.signal_sigma(drawn.t)) > 1e-6


cases = st.one_of(case(2, zero_terminal=True).filter(away_from_the_ends), flow_case())
pairs = st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS))


def rows_by_definition(drawn):
    """kind -> (a, b) in p = a x0 + b eps, shaped to multiply the arrays."""
    signal, sigma = (drawn.column(value) for value in drawn.schedule.signal_sigma(drawn.t))
    rates = [drawn.column(value) for value in drawn.schedule.rates(drawn.t)]
    edm = np.array([sigma, -signal]) / np.sqrt(signal**2 + sigma**2)
    return {"x0": (1, 0), "eps": (0, 1), "v": (-sigma, signal), "score": (0, -1 / sigma), "velocity": rates, "edm": edm}


def noised(drawn):
    """x_t in float64, rounded to no other precision, and the size of its terms."""
    signal, sigma = (drawn.column(value) for value in drawn.schedule.signal_sigma(drawn.t))
    x0, eps = (value.astype(np.float64) for value in drawn.arrays)
    return signal * x0 + sigma * eps, abs(signal * x0) + abs(sigma * eps)


def term_sizes(f, prediction, x_t):
    """Sizes of the terms of a conversion, which is linear in prediction and x_t."""
    p, x = abs(prediction.astype(np.float64)), abs(x_t.astype(np.float64))
    zero = np.zeros_like(p)
    return abs(f(p, zero)) + abs(f(zero, x))


# --- the rows ------------------------------------------------------------------------------------------------------------


@given(cases, st.sampled_from(KINDS))
def test_target_is_its_row_times_data_and_noise(drawn, kind):
    """R6: p = a x0 + b eps with the row of the definition, for diffusion and flow alike, in every shape and precision."""
    path, t, _, x0, eps = drawn
    a, b = rows_by_definition(drawn)[kind]
    actual = target(kind, x0, eps, t, path)
    assert actual.dtype == x0.dtype and actual.shape == x0.shape
    assert in_eps(actual, a * x0.astype(np.float64) + b * eps.astype(np.float64), a * x0, b * eps) <= 2
    got = row(kind, t, path)
    assert np.shape(got[0]) == np.shape(got[1]) == np.shape(t)


def test_rows_of_generic_numbers():
    """R6: rows at alpha_bar = 0.504 by hand; the velocity of a schedule is data - noise, that of a path its own."""
    for kind, expected in BY_HAND.items():
        np.testing.assert_allclose(target(kind, X0, EPS, 3, TABLE), expected, rtol=1e-14)
    np.testing.assert_allclose(target("velocity", X0, EPS, 0.3, flow.straight), X0 - EPS, rtol=1e-14)
    angle = np.pi / 2 * 0.3
    np.testing.assert_allclose(
        target("velocity", X0, EPS, 0.3, flow.trigonometric), np.pi / 2 * (np.cos(angle) * X0 - np.sin(angle) * EPS), rtol=1e-14
    )
    np.testing.assert_allclose(target("velocity", X0, EPS, 0.3, flow.optimal_transport(0.1)), X0 - 0.9 * EPS, rtol=1e-14)
    np.testing.assert_allclose(target("v", X0, EPS, 0.25, flow.straight), 0.25 * EPS - 0.75 * X0, rtol=1e-14)
    assert KINDS == ("x0", "eps", "v", "score", "velocity", "edm")


# --- conversions ---------------------------------------------------------------------------------------------------------


@given(cases, pairs)
def test_a_perfect_prediction_converts_to_a_perfect_prediction(drawn, kinds):
    """R6: the target of one kind converts to the target of any other kind."""
    path, t, _, x0, eps = drawn
    x_t, terms = noised(drawn)
    source, to = kinds
    prediction = target(source, x0.astype(np.float64), eps.astype(np.float64), t, path)
    a, b = rows_by_definition(drawn)[source]
    sizes = abs(a * x0) + abs(b * eps)  # of the terms of the prediction, as `terms` of x_t
    actual = convert(prediction.astype(x0.dtype), x_t.astype(x0.dtype), t, path, source, to)
    expected = target(to, x0.astype(np.float64), eps.astype(np.float64), t, path)
    assert actual.dtype == x0.dtype
    assert in_eps(actual, expected, expected, term_sizes(lambda p, x: convert(p, x, t, path, source, to), sizes, terms)) <= IDENTITY


@given(cases, pairs)
def test_conversions_round_trip(drawn, kinds):
    """R6: source -> to -> source returns any prediction, also one that no data explains."""
    path, t, _, x_t, prediction = drawn
    source, to = kinds
    there = convert(prediction, x_t, t, path, source, to)
    back = convert(there, x_t, t, path, to, source)
    sizes = term_sizes(lambda p, x: convert(p, x, t, path, source, to), prediction, x_t)
    terms = term_sizes(lambda p, x: convert(p, x, t, path, to, source), sizes, x_t)
    assert in_eps(back, prediction, prediction, terms) <= IDENTITY


@given(cases, st.sampled_from(KINDS), st.sampled_from(KINDS))
def test_conversions_through_data_and_noise(drawn, source, to):
    """R6: `convert` combines to_x0 and to_eps by the other kind's row; to_x0 and to_eps reproduce x_t and the prediction."""
    path, t, _, x_t, prediction = drawn
    x0, eps = to_x0(prediction, x_t, t, path, source), to_eps(prediction, x_t, t, path, source)
    assert x0.dtype == eps.dtype == x_t.dtype
    sizes = [term_sizes(lambda p, x, f=f: f(p, x, t, path, source), prediction, x_t) for f in (to_x0, to_eps)]
    signal, sigma = (drawn.column(value) for value in path.signal_sigma(t))
    for (a, b), value in ((rows_by_definition(drawn)[source], prediction), ((signal, sigma), x_t)):
        assert in_eps((a * x0 + b * eps).astype(x_t.dtype), value, value, abs(a) * sizes[0], abs(b) * sizes[1]) <= IDENTITY
    a, b = rows_by_definition(drawn)[to]
    expected = a * x0.astype(np.float64) + b * eps.astype(np.float64)
    assert in_eps(convert(prediction, x_t, t, path, source, to), expected, abs(a) * sizes[0], abs(b) * sizes[1]) <= IDENTITY


def test_conversions_of_generic_numbers():
    """R6: all 25 conversions at alpha_bar = 0.504 by hand."""
    x_t = SIGNAL * X0 + SIGMA * EPS
    for source, prediction in BY_HAND.items():
        np.testing.assert_allclose(to_x0(prediction, x_t, 3, TABLE, source), X0, rtol=1e-13)
        np.testing.assert_allclose(to_eps(prediction, x_t, 3, TABLE, source), EPS, rtol=1e-12)
        for to, expected in BY_HAND.items():
            np.testing.assert_allclose(convert(prediction, x_t, 3, TABLE, source, to), expected, rtol=1e-12)
    np.testing.assert_allclose(to_x0(EPS, x_t, 3, TABLE), X0, rtol=1e-13)  # eps is the default kind
    np.testing.assert_array_equal(to_eps(EPS, x_t, 3, TABLE), EPS)


def test_a_prediction_read_as_itself_is_returned():
    """R6: converting a prediction to its own kind returns it unchanged."""
    for kind in KINDS:
        assert convert(EPS, X0, 3, TABLE, kind, kind) is EPS
    assert to_x0(EPS, X0, 3, TABLE, "x0") is EPS and to_eps(EPS, X0, 3, TABLE, "eps") is EPS


@given(case(2).filter(lambda drawn: np.ndim(drawn.t) and away_from_the_ends(drawn)), pairs)
def test_times_per_example_are_the_scalar_times(drawn, kinds):
    """R6: a batch with times (B,) equals its single examples with scalar times, bit for bit."""
    path, t, s, x_t, prediction = drawn
    source, to = kinds
    for f in (
        lambda t, s, x, p: convert(p, x, t, path, source, to),
        lambda t, s, x, p: target(source, p, x, t, path),
        lambda t, s, x, p: to_x0(p, x, t, path, source),
        lambda t, s, x, p: to_eps(p, x, t, path, source),
        lambda t, s, x, p: tweedie_mean(x, p, t, path),
    ):
        np.testing.assert_array_equal(f(t, s, x_t, prediction), each(f, t, s, x_t, prediction))


# --- the two ends --------------------------------------------------------------------------------------------------------

NOISE_END = {  # signal = 0: x_t = sigma eps determines the noise; these kinds determine the data too
    (source, to) for source in ("x0", "v", "velocity", "edm") for to in KINDS
} | {(source, to) for source in ("eps", "score") for to in ("eps", "score")}
DATA_END = {(source, to) for source in ("eps", "v", "velocity", "edm") for to in KINDS if to != "score"} | {
    ("x0", "x0")
}  # sigma = 0: x_t determines the data


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize(
    "path, t, determined",
    [
        (ZERO_TERMINAL, 4, NOISE_END),
        (flow.straight, 0.0, NOISE_END),
        (flow.optimal_transport(0.1), 0.0, NOISE_END),
        (TABLE, 0, DATA_END),
        (flow.straight, 1.0, DATA_END),
    ],
    ids=["zero-terminal T", "straight 0", "optimal transport 0", "t = 0", "straight 1"],
)
def test_conversions_at_the_ends(path, t, determined, source, to):
    """R6: without signal or without noise a conversion is exact where it is determined, and raises where it is not."""
    signal, sigma = path.signal_sigma(t)
    assert signal * sigma == 0
    for time in (t, np.array([t, t])):
        if source == "score" and sigma == 0:
            with pytest.raises(ValueError, match=r"^the score at t = .*, where sigma is 0, does not exist$"):
                target("score", X0, EPS, time, path)
            prediction = EPS
        else:
            prediction = target(source, X0, EPS, time, path)
        x_t = signal * X0 + sigma * EPS
        if (source, to) in determined:
            np.testing.assert_allclose(convert(prediction, x_t, time, path, source, to), target(to, X0, EPS, time, path), rtol=1e-14)
        elif sigma == 0 and "score" in (source, to):
            with pytest.raises(ValueError, match=r"^the score at t = .*, where sigma is 0, does not exist$"):
                convert(prediction, x_t, time, path, source, to)
        else:
            with pytest.raises(
                ValueError, match=rf"^{source}-prediction at t = .* does not determine {to}; allowed there: another kind, such as v$"
            ):
                convert(prediction, x_t, time, path, source, to)


@pytest.mark.parametrize("kind", KINDS)
def test_data_and_noise_at_the_ends(kind):
    """R6: to_x0 and to_eps at both ends are exact where they are determined, and raise elsewhere."""
    for f, name, values in ((to_x0, "x0", X0), (to_eps, "eps", EPS)):
        if (kind, name) in NOISE_END:
            np.testing.assert_allclose(f(target(kind, X0, EPS, 4, ZERO_TERMINAL), EPS, 4, ZERO_TERMINAL, kind), values, rtol=1e-14)
        else:
            with pytest.raises(
                ValueError, match=rf"^{kind}-prediction at t = 4 does not determine {name}; allowed there: another kind, such as v$"
            ):
                f(EPS, EPS, 4, ZERO_TERMINAL, kind)
        if (kind, name) in DATA_END:
            np.testing.assert_allclose(f(target(kind, X0, EPS, 0, TABLE), X0, 0, TABLE, kind), values, rtol=1e-14)
        else:
            with pytest.raises(ValueError, match=r"at t = 0"):
                f(EPS, X0, 0, TABLE, kind)


def test_one_undetermined_example_raises():
    """R6: one time without signal makes the whole batch raise; there is no NaN in one row."""
    with pytest.raises(ValueError, match=r"^eps-prediction at t = array\(\[1, 4\]\) does not determine x0"):
        to_x0(EPS, X0, np.array([1, 4]), ZERO_TERMINAL)
    with pytest.raises(ValueError, match=r"^the score at t = array\(\[1, 0\]\), where sigma is 0, does not exist$"):
        row("score", np.array([1, 0]), TABLE)


# --- Tweedie -------------------------------------------------------------------------------------------------------------


@st.composite
def gaussian_case(draw, d_max=3):
    """A path and t with some signal, a Gaussian N(m, C), and states x (4, d)."""
    if draw(st.booleans()):
        drawn = draw(case(1).filter(lambda drawn: np.ndim(drawn.t) == 0 and drawn.schedule.signal[drawn.t] > 1e-3))
        path, t = drawn.schedule, drawn.t
    else:
        path, t = draw(st.sampled_from(PATHS)), draw(st.floats(0.01, 0.99))
    d = draw(st.integers(1, d_max))
    return path, t, draw(arrays((d,), bound=2.0)), draw(covariance(d)), draw(arrays((4, d)))


@given(gaussian_case())
def test_tweedie_on_gaussian_data(drawn):
    """C2: mean m + s C S^-1 (x - s m) and covariance C - s^2 C S^-1 C of x0 given x_t, S = s^2 C + sigma^2 I, by conditioning."""
    path, t, mean, C, x = drawn
    signal, sigma = path.signal_sigma(t)
    S = signal**2 * C + sigma**2 * np.eye(len(mean))
    whitened = np.linalg.solve(S, (x - signal * mean).T).T
    gain = signal * np.linalg.solve(S, C).T
    condition = np.linalg.cond(S)
    actual = tweedie_mean(x, -whitened, t, path)
    size, pull = (abs(a).sum(axis=1, keepdims=True) for a in (x, whitened))  # of the whole row: conditioning mixes coordinates
    scale = (size + sigma**2 * pull) / signal + abs(mean).sum()
    assert in_eps(actual, mean + (x - signal * mean) @ gain.T, scale) <= TWEEDIE * condition
    hessian = np.broadcast_to(-np.linalg.inv(S), (4, *S.shape))
    actual = tweedie_covariance(hessian, t, path)
    assert actual.shape == (4, *S.shape)
    # the covariance C is what is left when sigma^2 / s^2 and almost as much are subtracted
    assert (
        in_eps(actual, np.broadcast_to(C - signal * gain @ C, actual.shape), (sigma / signal) ** 2 + np.linalg.norm(C))
        <= TWEEDIE * condition
    )


@given(mixture(), st.data())
def test_tweedie_on_a_mixture(oracle, data):
    """C2: on a Gaussian mixture Tweedie's formula gives the mean of the data given x_t, computed from the responsibilities."""
    path = data.draw(st.sampled_from(PATHS))
    t = data.draw(st.floats(0.05, 0.95))
    x = data.draw(arrays((3, oracle.means.shape[1])))
    signal, sigma = path.signal_sigma(t)
    score, expected = oracle.score(x, signal, sigma), oracle.x0(x, signal, sigma)
    # rotations into the components' axes and back mix the coordinates: roundings are relative to a whole row
    terms = ((abs(x) + abs(sigma**2 * score)) / signal + abs(x)).sum(axis=1, keepdims=True)
    scale = terms + abs(oracle.means).sum()
    assert in_eps(tweedie_mean(x, score, t, path), expected, scale) <= TWEEDIE * np.max(oracle.spreads) / np.min(oracle.spreads)


def test_tweedie_of_generic_numbers():
    """C2: (x + sigma^2 score) / signal and sigma^2 / signal^2 (1 + sigma^2 hessian) at alpha_bar = 0.504; float32 is preserved."""
    np.testing.assert_allclose(tweedie_mean(X0, EPS, 3, TABLE), (X0 + 0.496 * EPS) / SIGNAL, rtol=1e-14)
    hessian = np.array([[[-0.5, 0.1], [0.1, -0.25]]])
    expected = 0.496 / 0.504 * (np.eye(2) + 0.496 * hessian)
    np.testing.assert_allclose(tweedie_covariance(hessian, 3, TABLE), expected, rtol=1e-14)
    per_example = tweedie_covariance(np.concatenate([hessian, hessian]), np.array([3, 1]), TABLE)
    np.testing.assert_allclose(per_example, np.concatenate([expected, 0.1 / 0.9 * (np.eye(2) + 0.1 * hessian)]), rtol=1e-14)
    assert tweedie_covariance(hessian.astype(np.float32), 3, TABLE).dtype == np.float32
    x_t = forward.q_sample(X0, 3, TABLE, EPS)
    np.testing.assert_allclose(tweedie_mean(x_t, -EPS / SIGMA, 3, TABLE), X0, rtol=1e-13)  # a point mass: the score of q(x_t | x_0)
    point = oracles.point_mass([1.0, -2.0])
    np.testing.assert_allclose(tweedie_mean(X0, point.score(X0, SIGNAL, SIGMA), 3, TABLE), [[1, -2]] * 2, rtol=1e-13)


# --- errors --------------------------------------------------------------------------------------------------------------

NAN = np.full((2, 2), np.nan)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: row("mean", 1, TABLE), ValueError, r"^kind = 'mean'; allowed: x0, eps, v, score, velocity, edm$"),
        (lambda: row("eps", 5, TABLE), ValueError, r"^t = 5; allowed: 0\.\.4$"),
        (lambda: row("velocity", 1.5, flow.straight), ValueError, r"^t = .*1.5.*; allowed: finite, in \[0, 1\]$"),
        (lambda: target("eps", NAN, EPS, 1, TABLE), ValueError, r"^x0 holds NaN"),
        (lambda: target("eps", X0, EPS[:1], 1, TABLE), ValueError, r"^noise has shape \(1, 2\); allowed: \(2, 2\), the shape of x0$"),
        (lambda: to_x0(NAN, X0, 1, TABLE), ValueError, r"^prediction holds NaN"),
        (lambda: to_x0(EPS, NAN, 1, TABLE, "x0"), ValueError, r"^x_t holds NaN"),
        (lambda: to_eps(EPS, NAN, 1, TABLE), ValueError, r"^x_t holds NaN"),
        (
            lambda: to_eps(EPS.astype(np.float32), X0, 1, TABLE),
            TypeError,
            r"^prediction has dtype float32; allowed: float64, the dtype of x_t$",
        ),
        (lambda: to_eps(EPS, X0, 1, TABLE, "noise"), ValueError, r"^kind = 'noise'; allowed"),
        (lambda: convert(NAN, X0, 1, TABLE, "eps", "v"), ValueError, r"^prediction holds NaN"),
        (lambda: convert(EPS, X0, 1, TABLE, "eps", "u"), ValueError, r"^kind = 'u'; allowed"),
        (lambda: convert(EPS, X0, 1, TABLE, "u", "u"), ValueError, r"^kind = 'u'; allowed"),
        (lambda: tweedie_mean(NAN, X0, 1, TABLE), ValueError, r"^x_t holds NaN"),
        (lambda: tweedie_mean(X0, NAN, 1, TABLE), ValueError, r"^score holds NaN"),
        (
            lambda: tweedie_covariance(X0[None], 4, ZERO_TERMINAL),
            ValueError,
            r"^Tweedie's formula at t = 4, where signal is 0, is undefined$",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    """R6, C2: errors of unknown kinds, NaN, shapes, precisions, and times without signal."""
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("kind", KINDS)
def test_clipped_predictions_imply_a_clipped_x0(kind):
    """R6: x0 is clipped and eps is the noise that gives x_t with it; a prediction whose x0 is within the limit is unchanged."""
    x_t = SIGNAL * X0 + SIGMA * EPS
    clipped = clip_x0(BY_HAND[kind], x_t, 3, TABLE, kind, limit=1.5)
    x0, eps = to_x0(clipped, x_t, 3, TABLE, kind), to_eps(clipped, x_t, 3, TABLE, kind)
    np.testing.assert_allclose(x0, [[1.0, -1.5], [0.5, 1.5]], rtol=1e-12)
    np.testing.assert_allclose(eps, (x_t - SIGNAL * x0) / SIGMA, rtol=1e-12)
    np.testing.assert_allclose(clip_x0(BY_HAND[kind], x_t, 3, TABLE, kind, limit=3.0), BY_HAND[kind], rtol=1e-12)


def test_clipping_keeps_precision_and_inputs():
    """`clip_x0` preserves float32, has a default limit of 1, and modifies nothing in place."""
    x_t, eps = (SIGNAL * X0 + SIGMA * EPS).astype(np.float32), EPS.astype(np.float32)
    before = eps.copy()
    clipped = clip_x0(eps, x_t, 3, TABLE)
    assert clipped.dtype == np.float32 and abs(to_x0(clipped, x_t, 3, TABLE)).max() <= 1 + 1e-6
    np.testing.assert_array_equal(eps, before)


@pytest.mark.parametrize("limit", [0, -1.0, np.nan])
def test_invalid_limits_are_refused(limit):
    with pytest.raises(ValueError, match="limit = "):
        clip_x0(EPS, X0, 3, TABLE, limit=limit)
