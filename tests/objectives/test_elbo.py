"""The evidence lower bound (ELBO): its three forms, its terms and its decoders."""

from itertools import product

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import elbo, forward, gaussian, oracles, schedules

from .. import exact
from ..strategies import arrays, chain
from ..tolerances import DENSITY, in_eps, log_density_size

TABLE4 = schedules.from_betas([0.1, 0.2, 0.3, 0.05])  # alpha_bar 0.9, 0.72, 0.504, 0.4788
X0 = np.array([[1.0, -2.0], [0.5, 3.0]])
XT = np.array([[0.25, 1.0], [-1.5, 2.0]])
EPS = np.array([[0.3, -0.7], [1.1, 0.2]])
floats = st.floats(-2, 2)


@st.composite
def affine_model(draw):
    """Reverse kernels N(a x + b, v) whose a, b and v depend on t and s, unlike the true ones."""
    a, b, log_v = draw(floats), draw(floats), draw(floats)

    def model(x_t, t, s):
        dtype = x_t.dtype.type
        return dtype(a) * x_t + dtype(b * t / (1 + s)), dtype(np.exp(log_v / t))

    return model


def sizes(states, grid, table, model):
    """Sizes of all log-densities in the three forms."""
    x0 = states[-1]
    total = log_density_size(states[0], 0, 1) + log_density_size(states[0], *forward.q_marginal(x0, grid[0], table))
    for t, s, x_t, x_s in zip(grid[:-1], grid[1:], states[:-1], states[1:], strict=True):
        total = total + log_density_size(x_s, *model(x_t, t, s)) + log_density_size(x_t, *forward.q_step(x_s, t, s, table))
        if s > 0:
            total = total + log_density_size(x_s, *forward.posterior(x_t, x0, t, s, table))
    return total


# --- three forms ---------------------------------------------------------------------------------------------------------


@given(chain(dtypes=(np.float32, np.float64), zero_terminal=True), affine_model(), st.booleans())
def test_joint_ratio_equals_the_form_after_bayes(drawn, model, sampled):
    """E5: for any model, any grid and any chain, drawn from q or arbitrary, the first two forms are equal."""
    table, grid, x0, noises = drawn
    states = forward.trajectory(x0, grid, table, noises) if sampled else [*noises, x0]
    joint, bayes = elbo.elbo_joint(states, grid, table, model), elbo.elbo_bayes(states, grid, table, model)
    assert joint.shape == bayes.shape == x0.shape[:1] and joint.dtype == bayes.dtype == x0.dtype
    assert in_eps(joint, bayes, sizes(states, grid, table, model)) <= DENSITY


def every_sign(steps):
    """All 2^steps combinations of -1 and 1: two Gauss-Hermite nodes for each noise, exact for polynomials of degree 3 in each noise."""
    return np.array(list(product([-1.0, 1.0], repeat=steps))).T


@given(chain(max_T=6, whole=True), affine_model(), floats)
def test_mean_of_the_joint_ratio_is_the_sum_of_terms(drawn, model, data_point):
    """E5: E_q of the first form is minus the sum of L_T, the divergences and L_0; the quadrature over all noises is
    exact because chains are affine.
    """
    table, grid, _, _ = drawn
    steps = len(grid) - 1
    noises = every_sign(steps)
    x0 = np.full(2**steps, data_point)
    states = forward.trajectory(x0, grid, table, list(noises))
    forms = [f(states, grid, table, model).mean() for f in (elbo.elbo_joint, elbo.elbo_bayes)]
    terms = elbo.elbo_terms(np.full(2, data_point), grid, table, model, [np.array([-1.0, 1.0])] * steps)
    assert terms.shape == (steps + 1, 2)
    scale = sizes(states, grid, table, model).max()
    assert in_eps(forms[0], -terms.mean(axis=1).sum(), scale) <= 2 * DENSITY
    assert in_eps(forms[1], -terms.mean(axis=1).sum(), scale) <= 2 * DENSITY


@given(chain(max_T=6, whole=True, zero_terminal=True), affine_model(), floats)
def test_every_term_has_its_closed_form(drawn, model, data_point):
    """E5: each divergence averaged over x_t is that of the variances plus the mean's expected squared distance, in closed form."""
    table, grid, _, _ = drawn
    terms = elbo.elbo_terms(np.full(2, data_point), grid, table, model, [np.array([-1.0, 1.0])] * (len(grid) - 1)).mean(axis=1)
    assert in_eps(terms[0], forward.prior_kl(np.array([data_point]), table)[0]) <= 1
    for term, t, s in zip(terms[1:], grid[:-1], grid[1:], strict=True):
        mean, spread = table.signal[t] * data_point, table.sigma[t]
        at_mean, above = (model(np.array([value]), t, s) for value in (mean, mean + spread))
        if s > 0:
            true, true_above = (
                forward.posterior(np.array([value]), np.array([data_point]), t, s, table) for value in (mean, mean + spread)
            )
            ratio = true[1] / at_mean[1]
            expected = (ratio - 1 - np.log(ratio)) / 2
            distance, distance_above = true[0] - at_mean[0], true_above[0] - above[0]
        else:
            expected = np.log(2 * np.pi * at_mean[1]) / 2
            ratio, distance, distance_above = 0.0, data_point - at_mean[0], data_point - above[0]
        expected = expected + (distance**2 + (distance_above - distance) ** 2) / (2 * at_mean[1])
        scale = ratio + abs(np.log(at_mean[1])) + 40 + (abs(at_mean[0]) + abs(above[0]) + abs(data_point) + 4) ** 2 / at_mean[1]
        scale = scale + (abs(np.log(ratio)) if s > 0 else 0)
        assert in_eps(term, expected[0], scale[0]) <= 2 * DENSITY


@given(chain(zero_terminal=True), st.booleans())
def test_exact_kernels_give_the_likelihood_chain_by_chain(drawn, sampled):
    """E5: for data N(0, I) and the true reverse kernels, every chain of every schedule gives log p(x_0)."""
    table, grid, x0, noises = drawn
    states = forward.trajectory(x0, grid, table, noises) if sampled else [*noises, x0]
    model = oracles.exact_reverse(np.zeros_like(x0), np.ones_like(x0), table)
    expected = gaussian.log_density(x0, np.zeros_like(x0), np.float64(1))
    scale = sizes(states, grid, table, model)
    assert in_eps(elbo.elbo_joint(states, grid, table, model), expected, scale) <= DENSITY
    assert in_eps(elbo.elbo_bayes(states, grid, table, model), expected, scale) <= DENSITY


@given(chain(zero_terminal=True), floats, st.floats(0.05, 4))
def test_exact_kernels_of_any_gaussian_differ_only_by_the_prior(drawn, mean, variance):
    """E5, F6: for data N(m, v) the first form is log p(x_0) + log N(x_T; 0, I) - log p_T(x_T); without signal at T that is log p(x_0)."""
    table, grid, x0, noises = drawn
    states = forward.trajectory(x0, grid, table, noises)
    model = oracles.exact_reverse(np.full_like(x0, mean), np.full_like(x0, variance), table)
    likelihood = gaussian.log_density(x0, np.full_like(x0, mean), np.float64(variance))
    signal, sigma = table.signal_sigma(grid[0])
    end = np.full_like(x0, signal * mean), np.float64(signal**2 * variance + sigma**2)
    missed = gaussian.log_density(states[0], np.zeros_like(x0), np.float64(1)) - gaussian.log_density(states[0], *end)
    scale = sizes(states, grid, table, model) + log_density_size(states[0], *end)
    assert in_eps(elbo.elbo_joint(states, grid, table, model), likelihood + missed, scale) <= 2 * DENSITY
    if signal == 0:
        assert in_eps(elbo.elbo_bayes(states, grid, table, model), likelihood, scale) <= 2 * DENSITY


@given(st.integers(2, 6).flatmap(lambda T: st.lists(st.floats(0.01, 0.9), min_size=T, max_size=T)), floats, st.floats(0.05, 4), floats)
def test_zero_terminal_snr_makes_the_elbo_tight(betas, mean, variance, data_point):
    """E5: with no signal at T and the true kernels of N(m, v), minus the sum of the terms is log p(x_0): the ELBO has no gap."""
    table = schedules.zero_terminal_snr(schedules.from_betas(betas))
    grid = np.arange(table.T, -1, -1)
    x0, nodes = np.full(2, data_point), [np.array([-1.0, 1.0])] * table.T
    model = oracles.exact_reverse(np.full(2, mean), np.full(2, variance), table)
    terms = elbo.elbo_terms(x0, grid, table, model, nodes).mean(axis=1)
    expected = gaussian.log_density(x0, np.full(2, mean), np.float64(variance))[0]
    last = model(x0, 1, 0)[1].min()
    scale = 64 * (1 + 1 / variance + 1 / last) + abs(np.log(last)) + np.abs(terms).sum()
    assert in_eps(-terms.sum(), expected, scale) <= 2 * DENSITY
    for coarse in ([table.T, 0], [table.T, 1, 0]):
        again = elbo.elbo_terms(x0, np.array(coarse), table, model, nodes[: len(coarse) - 1])
        assert in_eps(-again.mean(axis=1).sum(), expected, scale) <= 2 * DENSITY


@given(floats, st.floats(0.05, 4), floats, affine_model())
def test_elbo_is_a_lower_bound(mean, variance, data_point, other):
    """E5: with an exact prior, ELBO <= log p(x_0) of the model's own marginal for any kernels, by exact quadrature at T = 1."""
    table = schedules.from_betas([1.0])
    model = oracles.exact_reverse(np.full(2, mean), np.full(2, variance), table)
    x0, grid, nodes = np.full(2, data_point), np.array([1, 0]), [np.array([-1.0, 1.0])]
    right = -elbo.elbo_terms(x0, grid, table, model, nodes).mean(axis=1).sum()
    assert right == pytest.approx(gaussian.log_density(x0, np.full(2, mean), np.float64(variance))[0], rel=1e-12, abs=1e-12)
    a, v = (other(np.array([1.0]), 1, 0)[0] - other(np.array([0.0]), 1, 0)[0])[0], other(np.zeros(1), 1, 0)[1]
    marginal = gaussian.log_density(x0[:1], other(np.zeros(1), 1, 0)[0], np.float64(a**2 + v))[0]
    bound = -elbo.elbo_terms(x0, grid, table, other, nodes).mean(axis=1).sum()
    assert bound <= marginal + 1e-12 * (1 + abs(marginal))


def test_terms_of_generic_numbers():
    """E5: L_T, one divergence for each inner step, and L_0, each evaluated with its own noise and its own (x_t, t, s)."""
    calls = []

    def model(x_t, t, s):
        calls.append((x_t.copy(), t, s))
        return 0.5 * x_t + t, np.float64(1 + s)

    grid, noises = np.array([4, 2, 0]), [EPS, XT]
    terms = elbo.elbo_terms(X0, grid, TABLE4, model, noises)
    x4, x2 = forward.q_sample(X0, 4, TABLE4, EPS), forward.q_sample(X0, 2, TABLE4, XT)
    np.testing.assert_allclose(calls[0][0], x4, rtol=1e-15)
    np.testing.assert_allclose(calls[1][0], x2, rtol=1e-15)
    assert [call[1:] for call in calls] == [(4, 2), (2, 0)]
    mean, variance = forward.posterior(x4, X0, 4, 2, TABLE4)
    divergence = 0.5 * (2 * (variance / 3 - 1 - np.log(variance / 3)) + ((mean - 0.5 * x4 - 4) ** 2).sum(axis=1) / 3)
    likelihood = -0.5 * ((X0 - 0.5 * x2 - 2) ** 2).sum(axis=1) - np.log(2 * np.pi)
    np.testing.assert_allclose(terms, [forward.prior_kl(X0, TABLE4), divergence, -likelihood], rtol=1e-13)


def test_terms_with_other_decoders():
    """E7: the decoder replaces the density of the last kernel only."""
    pixels = np.array([[127 / 127.5 - 1, 1.0], [-1.0, 60 / 127.5 - 1]])

    def model(x_t, t, s):
        return 0.9 * x_t, np.float64(0.04)

    grid, noises = np.array([4, 1, 0]), [EPS, XT]
    default = elbo.elbo_terms(pixels, grid, TABLE4, model, noises)
    x1 = forward.q_sample(pixels, 1, TABLE4, XT)
    for decoder, expected in [
        (elbo.squared_decoder, 0.5 * ((pixels - 0.9 * x1) ** 2).sum(axis=1) + np.log(2 * np.pi)),
        (elbo.discretized_decoder, -gaussian.discretized_log_likelihood(pixels, 0.9 * x1, np.float64(0.2))),
    ]:
        terms = elbo.elbo_terms(pixels, grid, TABLE4, model, noises, decoder)
        np.testing.assert_array_equal(terms[:-1], default[:-1])
        np.testing.assert_allclose(terms[-1], expected, rtol=1e-13)


# --- decoders ------------------------------------------------------------------------------------------------------------


@given(arrays((3, 2)), arrays((3, 2)), st.floats(0.01, 5))
def test_squared_decoder_is_half_the_squared_loss(x0, mean, variance):
    """E7: log N(x_0; mu, I) = -|x_0 - mu|^2 / 2 - d/2 log 2 pi, whatever the kernel's variance."""
    expected = -((x0 - mean) ** 2).sum(axis=1) / 2 - np.log(2 * np.pi)
    for given_variance in (np.float64(variance), np.full((3, 2), variance)):
        assert in_eps(elbo.squared_decoder(x0, mean, given_variance), expected, abs(expected) + 1) <= DENSITY


@pytest.mark.parametrize("x0, mean, variance", [(0.0, 0.1, 0.01), (60 / 127.5 - 1, -0.5, 0.0004), (254 / 127.5 - 1, 0.9, 0.09)])
def test_discretized_decoder_is_the_integral_over_the_bin(x0, mean, variance):
    """E7: the Gaussian integrated over a pixel's bin by quadrature in 50 digits; the decoder takes a variance, not a standard deviation."""
    x0 = round((x0 + 1) * 127.5) / 127.5 - 1
    density = lambda x: mp.exp(exact.log_normal(x, mp.mpf(mean), mp.mpf(variance)))  # noqa: E731
    expected = mp.log(mp.quad(density, mp.linspace(mp.mpf(x0) - mp.mpf(1) / 255, mp.mpf(x0) + mp.mpf(1) / 255, 5)))
    actual = elbo.discretized_decoder(np.array([[x0]]), np.array([[mean]]), np.float64(variance))
    assert exact.relative(actual[0], expected) <= 1e-12


# --- errors --------------------------------------------------------------------------------------------------------------

MODEL = oracles.exact_reverse(np.zeros_like(X0), np.ones_like(X0), TABLE4)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: elbo.elbo_terms(X0, np.array([4, 2, 0]), TABLE4, MODEL, [EPS]),
            ValueError,
            r"^noise has 1 entries; allowed: 2, one for each step of the grid$",
        ),
        (
            lambda: elbo.elbo_joint([XT, X0], np.array([2, 1, 0]), TABLE4, MODEL),
            ValueError,
            r"^states has 2 entries; allowed: 3, one for each time of the grid$",
        ),
        (
            lambda: elbo.elbo_bayes([XT, X0], np.array([2, 1, 0]), TABLE4, MODEL),
            ValueError,
            r"^states has 2 entries; allowed: 3, one for each time of the grid$",
        ),
        (lambda: elbo.l_simple(X0, X0[:1]), ValueError, r"^prediction has shape \(1, 2\); allowed: \(2, 2\), the shape of target$"),
        (lambda: elbo.min_snr_weight(5, TABLE4), ValueError, r"^t = 5; allowed: 0\.\.4$"),
        (lambda: elbo.weight_mean(2, 3, TABLE4), ValueError, r"^s = .* is not below t"),
        (lambda: elbo.weight_x0(2, 2, TABLE4), ValueError, r"^s = .* is not below t"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    """E5, E8: errors of grids, shapes, weights and unknown names."""
    with pytest.raises(error, match=message):
        call()
