"""The reverse process: the mean implied by a prediction, its three variances, and the density of a chain."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refdiff import forward, gaussian, oracles, predict, reverse, schedules

from .. import exact
from ..strategies import case, chain, each
from ..tolerances import DENSITY, FLOAT32, IDENTITY, in_eps

TABLE4 = schedules.from_betas([0.1, 0.2, 0.3, 0.05])  # alpha_bar 0.9, 0.72, 0.504, 0.4788
X0 = np.array([[1.0, -2.0], [0.5, 3.0]])
XT = np.array([[0.25, 1.0], [-1.5, 2.0]])
EPS = np.array([[0.3, -0.7], [1.1, 0.2]])
ZERO_TERMINAL = schedules.zero_terminal_snr(TABLE4)


def coefficients(drawn):
    """(alpha_{t|s}, beta_{t|s}, signal_t, sigma_t), shaped to multiply the arrays."""
    table, t, s, *_ = drawn
    return [drawn.column(v) for v in (*table.transition(t, s), table.signal[t], table.sigma[t])]


# --- the mean ------------------------------------------------------------------------------------------------------------


@given(case(2))
def test_mean_by_eps_is_the_posterior_mean(drawn):
    """R3: (x_t - beta / sigma_t eps) / sqrt(alpha) is the posterior mean at the x0 that x_t and eps determine."""
    table, t, s, x0, eps = drawn
    alpha, beta, _, sigma = coefficients(drawn)
    assume(np.min(alpha) > 1e-30)
    x_t = forward.q_sample(x0, t, table, eps)
    actual = reverse.mean_from_eps(eps, x_t, t, s, table)
    expected, _ = forward.posterior(x_t, x0, t, s, table)
    assert actual.dtype == x0.dtype and actual.shape == x0.shape
    # rounding x_t = signal x0 + sigma eps is a term of its own once it is divided by sqrt(alpha)
    terms = (abs(x_t) + abs(drawn.column(table.signal[t]) * x0) + abs(sigma * eps) + beta / sigma * abs(eps)) / np.sqrt(alpha)
    assert in_eps(actual, expected, terms, x0) <= IDENTITY


def test_mean_by_eps_of_generic_numbers():
    """R3: alpha_{3|1} = 0.56, beta_{3|1} = 0.44, 1 - alpha_bar_3 = 0.496 by hand, and DDPM's s = t - 1."""
    np.testing.assert_allclose(reverse.mean_from_eps(EPS, XT, 3, 1, TABLE4), (XT - 0.44 / np.sqrt(0.496) * EPS) / np.sqrt(0.56), rtol=1e-13)
    np.testing.assert_allclose(reverse.mean_from_eps(EPS, XT, 3, 2, TABLE4), (XT - 0.3 / np.sqrt(0.496) * EPS) / np.sqrt(0.7), rtol=1e-13)
    np.testing.assert_allclose(reverse.mean_from_eps(EPS, XT, 4, 0, TABLE4), (XT - np.sqrt(0.5212) * EPS) / np.sqrt(0.4788), rtol=1e-13)


@given(case(2, zero_terminal=True), st.sampled_from(predict.KINDS))
def test_kernel_mean_is_the_posterior_at_the_implied_data(drawn, kind):
    """R4: for every kind of prediction the mean is the posterior mean at the implied data; an exact prediction implies the true data."""
    table, t, s, x0, eps = drawn
    assume(kind not in ("eps", "score") or np.min(table.signal[t]) > 1e-15)
    x_t = forward.q_sample(x0, t, table, eps)
    prediction = predict.target(kind, x0, eps, t, table)
    mean, variance = reverse.kernel(prediction, x_t, t, s, table, kind)
    implied = predict.to_x0(prediction, x_t, t, table, kind)
    expected, expected_variance = forward.posterior(x_t, implied, t, s, table)
    np.testing.assert_array_equal(mean, expected)
    np.testing.assert_array_equal(variance, expected_variance)
    _, _, signal, sigma = coefficients(drawn)
    lost = (abs(signal * x0) + abs(sigma * eps)) / signal if kind in ("eps", "score") else abs(x0) + abs(eps)
    truth, _ = forward.posterior(x_t, x0, t, s, table)
    weight = forward.posterior(np.zeros_like(x0), np.ones_like(x0), t, s, table)[0]
    assert in_eps(mean, truth, truth, weight * lost, x_t) <= IDENTITY


def test_kernel_defaults_are_eps_and_the_posterior_variance():
    """R4: the defaults are those of DDPM: eps-prediction and the posterior variance."""
    mean, variance = reverse.kernel(EPS, XT, 3, 1, TABLE4)
    np.testing.assert_allclose(mean, reverse.mean_from_eps(EPS, XT, 3, 1, TABLE4), rtol=1e-13)
    np.testing.assert_allclose(variance, 0.1 / 0.496 * 0.44, rtol=1e-14)
    assert reverse.kernel(EPS, XT, 3, 1, TABLE4, variance="beta")[1] == pytest.approx(0.44, rel=1e-14)
    learned = reverse.kernel(EPS, XT, 3, 1, TABLE4, "x0", "learned", np.full_like(XT, 0.25))
    np.testing.assert_allclose(learned[0], (np.sqrt(0.9) * 0.44 * EPS + np.sqrt(0.56) * 0.1 * XT) / 0.496, rtol=1e-14)
    np.testing.assert_allclose(learned[1], 0.44**0.25 * (0.1 / 0.496 * 0.44) ** 0.75, rtol=1e-14)


def test_without_signal_eps_raises_and_v_and_x0_work():
    """R3, R4: at alpha_bar_T = 0 eps-prediction raises; v, x0 and velocity give the mean of q(x_s | x_0)."""
    x_t = forward.q_sample(X0, 4, ZERO_TERMINAL, EPS)
    np.testing.assert_array_equal(x_t, EPS)
    expected, _ = forward.q_marginal(X0, 2, ZERO_TERMINAL)
    for kind in ("v", "x0", "velocity"):
        mean, _ = reverse.kernel(predict.target(kind, X0, EPS, 4, ZERO_TERMINAL), x_t, 4, 2, ZERO_TERMINAL, kind)
        np.testing.assert_allclose(mean, expected, rtol=1e-14)
    for kind in ("eps", "score"):
        with pytest.raises(ValueError, match=f"^{kind}-prediction at t = 4 does not determine x0; allowed there: another kind, such as v$"):
            reverse.kernel(EPS, x_t, 4, 2, ZERO_TERMINAL, kind)
    with pytest.raises(
        ValueError, match=r"^eps-prediction at t = 4, where alpha_bar is 0, does not determine the mean; allowed there: v or x0$"
    ):
        reverse.mean_from_eps(EPS, x_t, 4, 2, ZERO_TERMINAL)


# --- the variance --------------------------------------------------------------------------------------------------------


@given(case(1, low=1, zero_terminal=True), st.data())
def test_learned_variance_interpolates_logarithms(drawn, data):
    """R4: exp(v log beta + (1 - v) log beta-tilde) against 50 digits, element by element, in both precisions."""
    table, t, s, x_t = drawn
    mix = data.draw(hnp.arrays(x_t.dtype, x_t.shape, elements=st.floats(0, 1, width=32)))
    beta, beta_tilde = table.transition(t, s)[1], forward.posterior_variance(t, s, table)
    logs = [exact.apply(mp.log, exact.numbers(np.broadcast_to(drawn.column(v), x_t.shape))) for v in (beta, beta_tilde)]
    wide = exact.numbers(mix)
    expected = exact.floats(exact.apply(mp.exp, wide * logs[0] + (1 - wide) * logs[1]))
    actual = reverse.model_variance(x_t, t, s, table, "learned", mix)
    assert actual.dtype == x_t.dtype and actual.shape == x_t.shape
    between = 1 + abs(np.log(beta / beta_tilde)).max()  # a rounding of the exponent counts as often as its size
    assert in_eps(actual, expected) <= FLOAT32 * between
    assert np.all(actual >= reverse.model_variance(x_t, t, s, table, "posterior") * (1 - 2 * np.finfo(x_t.dtype).eps))


@given(case(1, low=1, zero_terminal=True))
def test_the_three_variances(drawn):
    """R4: beta-tilde, beta, and a learned variance between them: v = 0 is beta-tilde bit for bit, v = 1 is beta."""
    table, t, s, x_t = drawn
    beta, beta_tilde = drawn.column(table.transition(t, s)[1]), drawn.column(forward.posterior_variance(t, s, table))
    assert in_eps(reverse.model_variance(x_t, t, s, table, "beta"), beta) <= 1
    low = reverse.model_variance(x_t, t, s, table, "posterior")
    assert low.dtype == x_t.dtype and in_eps(low, beta_tilde) <= 1
    np.testing.assert_array_equal(reverse.model_variance(x_t, t, s, table), low)
    bottom = reverse.model_variance(x_t, t, s, table, "learned", np.zeros_like(x_t))
    np.testing.assert_array_equal(bottom, np.broadcast_to(low, x_t.shape))
    top = reverse.model_variance(x_t, t, s, table, "learned", np.ones_like(x_t))
    assert in_eps(top, np.broadcast_to(beta, x_t.shape)) <= FLOAT32 * (1 + abs(np.log(beta / beta_tilde)).max())


@given(case(1))
def test_when_each_variance_is_right(drawn):
    """R4: the true reverse variance is beta for data N(0, I), beta-tilde for a point mass, and between them for every other Gaussian."""
    table, t, s, x_t = drawn
    alpha, beta, _, _ = coefficients(drawn)
    normal = oracles.exact_reverse(np.zeros_like(x_t), np.ones_like(x_t), table)(x_t, t, s)
    point = oracles.exact_reverse(np.zeros_like(x_t), np.zeros_like(x_t), table)(x_t, t, s)
    assert in_eps(normal[1], np.broadcast_to(beta, x_t.shape)) <= IDENTITY
    assert in_eps(normal[0], np.sqrt(alpha) * x_t) <= IDENTITY
    assert in_eps(point[1], np.broadcast_to(drawn.column(forward.posterior_variance(t, s, table)), x_t.shape)) <= IDENTITY


def test_variances_of_generic_numbers():
    """R4: s > 0 and s = 0, where beta-tilde is 0 and beta is not."""
    assert reverse.model_variance(XT, 3, 1, TABLE4, "posterior") == pytest.approx(0.1 / 0.496 * 0.44, rel=1e-14)
    assert reverse.model_variance(XT, 2, 0, TABLE4) == 0
    assert reverse.model_variance(XT, 2, 0, TABLE4, "beta") == pytest.approx(0.28, rel=1e-14)
    per_example = reverse.model_variance(XT, np.array([3, 2]), np.array([1, 1]), TABLE4, "beta")
    np.testing.assert_allclose(per_example, [[0.44], [0.2]], rtol=1e-14)


@given(case(3, low=1, zero_terminal=True).filter(lambda drawn: np.ndim(drawn.t)))
def test_times_per_example_are_the_scalar_times(drawn):
    """R3, R4: a batch with times (B,) equals its single examples with scalar times, bit for bit."""
    table, t, s, prediction, x_t, mix = drawn
    mix = abs(mix) / 4
    means = [lambda t, s, p, x, mix: reverse.kernel(p, x, t, s, table, "v")[0]]
    if np.min(table.signal[t]) > 0:
        means.append(lambda t, s, p, x, mix: reverse.mean_from_eps(p, x, t, s, table))
    for f in [*means, lambda t, s, p, x, mix: reverse.model_variance(x, t, s, table, "learned", mix)]:
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(f(t, s, prediction, x_t, mix), each(f, t, s, prediction, x_t, mix))


# --- chains --------------------------------------------------------------------------------------------------------------


@given(chain(dtypes=(np.float32, np.float64)), st.data())
def test_joint_density_is_the_forward_one_for_exact_kernels(drawn, data):
    """R5: for data N(0, I) and exact kernels log p(x_{0:T}) = log p(x_0) + log q(x_{1:T} | x_0), for any chain."""
    table, grid, x0, noises = drawn
    states = forward.trajectory(x0, grid, table, noises) if data.draw(st.booleans()) else [*noises, x0]
    zero, one = np.zeros_like(x0), np.ones_like(x0)
    kernels = oracles.exact_reverse(zero, one, table)
    actual = reverse.trajectory_log_density(states, grid, kernels)
    expected = gaussian.log_density(x0, zero, one) + forward.trajectory_log_density(states, grid, table)
    scale = (sum(abs(state.astype(np.float64)) ** 2 + 2 for state in (states[0], x0))).sum(axis=tuple(range(1, x0.ndim)))
    for t, s, x_t, x_s in zip(grid[:-1], grid[1:], states[:-1], states[1:], strict=True):
        beta = table.transition(t, s)[1]
        term = (abs(x_t.astype(np.float64)) + abs(x_s)) ** 2 / beta + abs(np.log(beta)) + 2
        scale = scale + 2 * term.sum(axis=tuple(range(1, x0.ndim)))
    assert actual.shape == x0.shape[:1] and actual.dtype == x0.dtype
    assert in_eps(actual, expected, scale) <= DENSITY


def test_joint_density_of_generic_numbers():
    """R5: log N(x_T; 0, I) plus one term for each step, each evaluated at its own (x_t, t, s)."""
    calls = []

    def kernels(x_t, t, s):
        calls.append((t, s))
        return 0.5 * x_t + t, np.float64(1 + s)

    states, grid = [EPS, XT, X0], np.array([3, 1, 0])
    expected = gaussian.log_density(EPS, np.float64(0), np.float64(1))
    expected = expected + gaussian.log_density(XT, 0.5 * EPS + 3, np.float64(2)) + gaussian.log_density(X0, 0.5 * XT + 1, np.float64(1))
    np.testing.assert_allclose(reverse.trajectory_log_density(states, grid, kernels), expected, rtol=1e-14)
    assert calls == [(3, 1), (1, 0)]


# --- errors --------------------------------------------------------------------------------------------------------------

HALF, NAN = np.full_like(XT, 0.5), np.full_like(XT, np.nan)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: reverse.mean_from_eps(NAN, XT, 3, 1, TABLE4), ValueError, r"^eps holds NaN"),
        (lambda: reverse.mean_from_eps(EPS, NAN, 3, 1, TABLE4), ValueError, r"^x_t holds NaN"),
        (
            lambda: reverse.mean_from_eps(EPS[:1], XT, 3, 1, TABLE4),
            ValueError,
            r"^eps has shape \(1, 2\); allowed: \(2, 2\), the shape of x_t$",
        ),
        (lambda: reverse.mean_from_eps(EPS, XT, 3, 3, TABLE4), ValueError, r"^s = .* is not below t"),
        (lambda: reverse.kernel(NAN, XT, 3, 1, TABLE4), ValueError, r"^prediction holds NaN"),
        (lambda: reverse.kernel(EPS, XT, 3, 1, TABLE4, "mean"), ValueError, r"^kind = 'mean'; allowed: x0, eps, v, score, velocity, edm$"),
        (
            lambda: reverse.kernel(EPS, XT, 3, 1, TABLE4, "eps", "small"),
            ValueError,
            r"^variance = 'small'; allowed: posterior, beta, learned$",
        ),
        (
            lambda: reverse.kernel(EPS, XT, 3, 1, TABLE4, variance="learned"),
            ValueError,
            r"^mix = None; allowed with variance = 'learned': an array of x_t's shape$",
        ),
        (lambda: reverse.model_variance(XT, 3, 1, TABLE4, "learned", 0.5), TypeError, r"^mix is 0.5; allowed: a floating-point array$"),
        (lambda: reverse.model_variance(XT, 3, 1, TABLE4, "learned", -HALF), ValueError, r"(?s)^mix = .*; allowed: finite, in \[0, 1\]$"),
        (lambda: reverse.model_variance(XT, 3, 1, TABLE4, "learned", NAN), ValueError, r"^mix holds NaN"),
        (lambda: reverse.model_variance(XT, 1, 3, TABLE4), ValueError, r"^s = .* is not below t"),
        (
            lambda: reverse.trajectory_log_density([XT, X0], np.array([2, 1, 0]), lambda x, t, s: (x, 1.0)),
            ValueError,
            r"^states has 2 entries; allowed: 3, one for each time of the grid$",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    """R3, R4, R5: errors of NaN, shapes, unknown names, and a mix that is missing, out of range or at s = 0."""
    with pytest.raises(error, match=message):
        call()


def test_one_undetermined_example_raises():
    """R3, R4: one time without signal, or one step to s = 0, makes the whole batch raise; there is no NaN in one row."""
    with pytest.raises(ValueError, match=r"^eps-prediction at t = array\(\[3, 4\]\), where alpha_bar is 0, does not determine the mean"):
        reverse.mean_from_eps(EPS, XT, np.array([3, 4]), np.array([1, 2]), ZERO_TERMINAL)
    with pytest.raises(ValueError, match=r"^variance = 'learned' with s = array\(\[1, 0\]\); allowed: s > 0"):
        reverse.model_variance(XT, 3, np.array([1, 0]), TABLE4, "learned", HALF)


def test_names_of_variances():
    """R4: the names of the variances are posterior, beta and learned."""
    assert reverse.VARIANCES == ("posterior", "beta", "learned")
