"""Continuous-time diffusion loss: closed forms of Gaussian data, the chain of T steps, mixtures by quadrature; stratified and drawn times."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import elbo, forward, gaussian, learned_schedule, oracles, predict, reverse, rng, samplers, schedules, vdm
from refdiff.arrays import sigmoid
from tests.tolerances import IDENTITY, ORDER, QUADRATURE, in_eps, roundings

LOW, HIGH, C = -np.log(1e4), np.log(1e4), 0.25
NODES, WEIGHTS = (np.polynomial.legendre.leggauss(200)[i] for i in (0, 1))
TIMES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
CURVES = {
    "straight": lambda t: (LOW + (HIGH - LOW) * t, HIGH - LOW + 0 * t),
    "cubic": lambda t: (LOW + (HIGH - LOW) * (t + t**3) / 2, (HIGH - LOW) * (1 + 3 * t**2) / 2),
    "network": lambda t: learned_schedule.gamma(learned_schedule.init(4, LOW, HIGH), t)[0],
}
GRID = [np.linspace(LOW, HIGH, 3 * 2**k + 1) for k in range(9)]
X0, EPS, GUESS = (rng.normal(seed, 3, (2, 2)) for seed in (1, 2, 3))
AT = np.array([0.2, 0.5, 0.9])


def losses(grid, variance=C):
    return vdm.gaussian_step_loss(variance, grid[1:], grid[:-1]).sum()


def mmse_eps(gamma, variance=C):
    return vdm.gaussian_mmse(variance, gamma) * np.exp(-gamma)


@pytest.mark.parametrize("name", CURVES)
def test_kinds_have_the_same_term(name):
    """V1: one prediction as eps, x0 and v has one term, in continuous time and of a step."""
    path = vdm.path(CURVES[name])
    x_t = forward_state(path)
    gamma, rate = CURVES[name](AT)
    terms, steps = [], []
    for kind in vdm.KINDS:
        target, guess = predict.target(kind, X0, EPS, AT, path), predict.convert(GUESS, x_t, AT, path, "eps", kind)
        terms.append(vdm.continuous_term(target, guess, gamma, rate, kind))
        steps.append(vdm.finite_term(target, guess, gamma, gamma - 0.5, 7, kind))
    square = ((EPS - GUESS) ** 2).sum(axis=(1, 2))
    for term, step in zip(terms, steps, strict=True):
        assert np.allclose(term, rate / 2 * square, rtol=1e-11, atol=0)
        assert np.allclose(step, 3.5 * (np.exp(0.5) - 1) * square, rtol=1e-11, atol=0)


def forward_state(path):
    signal, sigma = (each[:, None, None] for each in path.signal_sigma(AT))
    return signal * X0 + sigma * EPS


def test_a_step_tends_to_the_rate():
    """V1: the term of a step of width 1 / T tends to that of continuous time, with an error proportional to 1 / T."""
    gamma, rate = CURVES["cubic"](AT)
    exact = vdm.continuous_term(X0, GUESS, gamma, rate, "x0")
    errors = [abs(vdm.finite_term(X0, GUESS, gamma, CURVES["cubic"](AT - 1 / T)[0], T, "x0") - exact).max() for T in (10**4, 2 * 10**4)]
    assert abs(np.log2(errors[0] / errors[1]) - 1) <= ORDER


def test_weights_are_those_of_the_elbo():
    """V1, E6: T-th parts of the term of a step are the ELBO's weights of the squared errors of eps and of x0."""
    table = schedules.linear(50)
    gamma, t, s = -table.log_snr, np.array([2, 20, 50]), np.array([1, 10, 3])
    one, zero = np.ones((3, 1)), np.zeros((3, 1))
    found = vdm.finite_term(one, zero, gamma[t], gamma[s], 1)
    assert np.allclose(found, elbo.weight_eps(t, s, table), rtol=1e-12, atol=0)
    found = vdm.finite_term(one, zero, gamma[t], gamma[s], 1, "x0")
    assert np.allclose(found, elbo.weight_x0(t, s, table), rtol=1e-12, atol=0)


@pytest.mark.parametrize("T", [1, 4, 32])
def test_inner_terms_of_the_elbo(T):
    """V1, E5: with a schedule through gamma(0), ..., gamma(1), the inner terms of the ELBO are T-th parts of the terms of T steps."""
    grid = np.linspace(-6.0, 3.0, T + 1)
    table, steps = schedules.from_log_snr(-grid), np.arange(T + 1, -1, -1)
    model = oracles.gaussian(np.zeros(2), C * np.eye(2)).model(table, "eps")
    x0, noise = rng.normal(1, 3, (2,)), [rng.normal(5, 3, (2,), step=i) for i in range(T + 1)]
    step = kernel(model, table)
    terms = elbo.elbo_terms(x0, steps, table, step, noise)[1:-1]
    for i in range(T):
        t = T + 1 - i
        prediction = model(forward.q_sample(x0, t, table, noise[i]), t)
        expected = vdm.finite_term(noise[i], prediction, grid[t - 1], grid[t - 2], T) / T
        assert roundings(terms[i], expected, np.ones(1)) < 8 * IDENTITY


def kernel(model, table):
    return lambda x, t, s: reverse.kernel(model(x, t), x, t, s, table, variance="posterior" if s > 0 else "beta")


def test_gaps_of_finite_chains():
    """V1: the loss of T steps lies above that of infinitely many, by .333, .162, .0797, .0396 for T = 100, 200, 400, 800; order 1."""
    limit = vdm.gaussian_loss(C, HIGH, LOW)
    gaps = [losses(np.linspace(LOW, HIGH, T + 1)) - limit for T in (100, 200, 400, 800)]
    assert np.allclose(gaps, [0.333, 0.162, 0.0797, 0.0396], rtol=0.002)
    fine = [losses(grid) - limit for grid in GRID[-2:]]
    assert abs(np.log2(fine[0] / fine[1]) - 1) <= ORDER
    assert limit == pytest.approx(np.log((1 + C * 1e4) / (1 + C / 1e4)) / 2, rel=1e-14)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6, unique=True), st.floats(0.001, 1000), st.floats(0.05, 0.95))
def test_more_steps_lower_the_loss(levels, variance, share):
    """V1: another step between two lowers the loss, and no chain is below the limit."""
    grid = np.sort(levels)
    finer = np.sort(np.append(grid, grid[0] + share * (grid[1] - grid[0])))
    limit = vdm.gaussian_loss(variance, grid[-1], grid[0])
    assert limit <= losses(finer, variance) * (1 + 1e-12) and losses(finer, variance) <= losses(grid, variance) * (1 + 1e-12)
    if grid[1] - grid[0] > 0.01 and mmse_eps(grid[1], variance) > 1e-3:
        assert losses(finer, variance) < losses(grid, variance)


@pytest.mark.parametrize("name", CURVES)
def test_the_schedule_does_not_matter(name):
    """V1: the mean over the time of the exact model's term is the closed form, for every schedule between the same ends."""
    gamma, rate = CURVES[name](TIMES)
    root = np.sqrt(mmse_eps(gamma))[:, None]
    found = WEIGHTS @ vdm.continuous_term(root, 0 * root, gamma, rate)
    assert abs(found - vdm.gaussian_loss(C, HIGH, LOW)) <= QUADRATURE * found * (10 if name == "network" else 1)


def test_the_exact_model_has_the_smallest_error():
    """V1: mean squared error of the oracle's x0, by Gauss-Hermite quadrature over data and noise."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    path, t = vdm.path(CURVES["straight"]), 0.45
    (x0, eps), (a, b) = np.meshgrid(nodes * np.sqrt(C), nodes), path.signal_sigma(t)
    model = oracles.gaussian([0.0], [[C]]).model(path, "x0")
    guess = model((a * x0 + b * eps).reshape(-1, 1), t).reshape(x0.shape)
    assert weights @ (x0 - guess) ** 2 @ weights == pytest.approx(vdm.gaussian_mmse(C, CURVES["straight"](t)[0]), rel=1e-12)


def test_the_parts_sum_to_the_negative_log_likelihood():
    """V1: with the exact decoder, decoder + loss + prior is the entropy of Gaussian data plus the divergence of the last state from N(0, 1)."""
    one, (kept, noise) = np.zeros((1, 1)), (sigmoid(-HIGH), sigmoid(HIGH))
    decoder = gaussian.entropy(one, vdm.gaussian_mmse(C, LOW))
    prior = gaussian.kl_isotropic(np.sqrt(kept * C) + one, noise, one, 1.0)  # the mean over x0 is that at x0^2 = C
    total = decoder + vdm.gaussian_loss(C, HIGH, LOW) + prior
    expected = gaussian.entropy(one, C) + gaussian.kl_isotropic(one, kept * C + noise, one, 1.0)
    assert roundings(total, expected, decoder, np.full(1, 4.0)) < IDENTITY


def test_the_loss_of_a_mixture_is_mutual_information():
    """V1: the exact model's loss is the mutual information of the data with the first state, less that with the last, by quadrature."""
    data, path = oracles.mixture([[-1.0], [0.7]], [[[0.05]], [[0.2]]], [0.3, 0.7]), vdm.path(lambda t: (8 * t - 4, 8 + 0 * t))
    second, x = 0.3 * 1.05 + 0.7 * 0.69, np.linspace(-9, 9, 6001)[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def moments(t):
        a, b = path.signal_sigma(t)
        log = data.log_density(x, a, b)
        density = np.exp(log) * (x[1] - x[0])
        error = second - density @ data.model(path, "x0")(x, t)[:, 0] ** 2
        return error, -density @ log - np.log(2 * np.pi * np.e * b**2) / 2

    errors = np.array([moments(t)[0] for t in (nodes + 1) / 2])
    root = np.sqrt(errors)[:, None]
    found = weights / 2 @ vdm.continuous_term(root, 0 * root, 4 * nodes, 8.0, "x0")
    assert found == pytest.approx(moments(0.0)[1] - moments(1.0)[1], abs=1e-11)


@pytest.mark.parametrize("name", CURVES)
def test_path(name):
    """V1: the path preserves the variance, has the SNR of the curve, and its rates are its derivatives, by complex step."""
    path, t = vdm.path(CURVES[name]), AT
    signal, sigma = path.signal_sigma(t)
    assert np.allclose(signal**2 + sigma**2, 1, rtol=1e-15) and np.allclose(2 * np.log(sigma / signal), CURVES[name](t)[0], rtol=1e-12)
    stepped = path.signal_sigma(t + 1e-30j)
    for rate, each in zip(path.rates(t), stepped, strict=True):
        assert np.allclose(rate, each.imag / 1e-30, rtol=1e-11)
    f, square = path.drift_diffusion(t)
    assert np.allclose(square, sigma**2 * CURVES[name](t)[1], rtol=1e-12) and np.allclose(f, -square / 2, rtol=1e-12)


def test_samplers_take_a_learned_schedule():
    """V1, V2: the probability-flow ODE along a learned schedule is the exact transport of a Gaussian."""
    path, data = vdm.path(CURVES["network"]), oracles.gaussian([0.5], [[C]])
    x = np.array([[-1.5], [0.0], [2.0]])
    moved = samplers.solve_adaptive(data.model(path, "velocity"), x, 1.0, 0.2, 1e-10, 1e-12)
    assert np.allclose(moved, oracles.transport(data, x, 1.0, 0.2, path), atol=1e-8)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 50))
def test_stratified_times_are_evenly_spaced(u, count):
    """V3: one time in each of B equal parts, evenly spaced, in [0, 1)."""
    t = vdm.stratified_times(u, count)
    assert t.shape == (count,) and np.all((t >= 0) & (t < 1))
    assert np.allclose(np.diff(np.sort(t)), 1 / count, atol=1e-15) and t[0] == u
    assert np.allclose(np.mod(np.diff(t), 1), 1 / count, atol=1e-15)


def test_each_stratified_time_is_uniform():
    """V3: over u = (j + 1/2) / n every time runs through the same n midpoints, those of the unit interval."""
    n, count = 60, 12
    t = np.stack([vdm.stratified_times((j + 0.5) / n, count) for j in range(n)])
    assert np.allclose(np.sort(t, axis=0), ((np.arange(n) + 0.5) / n)[:, None], atol=1e-14)


@given(st.lists(st.floats(0, 1), min_size=24, max_size=24), st.sampled_from([2, 3, 4, 6]))
def test_stratified_times_have_the_smaller_variance(steps, count):
    """V3: the variance of the mean of a monotone function, constant on 24 cells, is at most that of independent times; exactly."""
    values, u = np.cumsum(steps), (np.arange(24) + 0.5) / 24
    means = [values[(vdm.stratified_times(each, count) * 24).astype(int)].mean() for each in u]
    assert np.mean(means) == pytest.approx(values.mean(), rel=1e-12)
    assert np.var(means) <= values.var() / count + 1e-12 * (1 + values[-1] ** 2)


def test_a_function_that_gains_nothing():
    """V3: the inequality is tight: f = -1, 0, 1 with jumps in the middle of the first and the last part."""
    count, fine = 4, (np.arange(80) + 0.5) / 80
    f = lambda t: (t > 0.5 / count) * 1.0 + (t > 1 - 0.5 / count) - 1.0  # noqa: E731
    means = [f(vdm.stratified_times(u, count)).mean() for u in fine]
    assert np.var(means) == pytest.approx(f(fine).var() / count, rel=1e-12)


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=8), st.floats(0.001, 1), st.integers(0, 5))
def test_importance_weights_are_unbiased(roots, floor, seed):
    """V3: over the probabilities of the steps, the reweighted losses have the mean over all steps; other probabilities have more variance."""
    losses, T = np.array(roots), len(roots)
    p = vdm.importance_probabilities(losses**2, floor)
    assert p.sum() == pytest.approx(1, abs=1e-14) and p @ (vdm.importance_weights(p) * losses) == pytest.approx(losses.mean(), rel=1e-13)
    best = vdm.importance_probabilities(losses**2, 0.0)
    least = best @ (vdm.importance_weights(best) * losses) ** 2
    assert least == pytest.approx(losses.mean() ** 2, rel=1e-12)
    other = rng.uniform(seed, 1, T)[0]
    other = other / other.sum()
    for each in (p, other, np.full(T, 1 / T)):
        assert each @ (vdm.importance_weights(each) * losses) ** 2 >= least * (1 - 1e-12)
    assert in_eps(vdm.importance_probabilities(losses**2, 1.0), np.full(T, 1 / T)) <= 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=7), st.floats(0, 1, exclude_max=True), st.integers(1, 40))
def test_drawn_indices(counts, u, batch):
    """V3: an index is drawn in the share of its probability: with stratified numbers B p times, rounded up or down."""
    p = (np.array(counts) + 1) / (sum(counts) + len(counts))
    drawn = vdm.draw_index(vdm.stratified_times(u, batch), p)
    found = np.bincount(drawn, minlength=len(p))
    assert drawn.shape == (batch,) and np.all(abs(found - batch * p) < 1 + 1e-9)
    assert vdm.draw_index(np.array([0.0, 0.25, 0.5, 0.75]), np.array([0.0, 0.5, 0.5, 0.0])).tolist() == [1, 1, 2, 2]


def test_precision():
    """V1: float32 data give float32 terms; a batch of 0 gives none."""
    x = X0.astype(np.float32)
    assert vdm.continuous_term(x, x + 1, AT, AT, "v").dtype == vdm.finite_term(x, x + 1, AT, AT - 1, 5).dtype == np.float32
    assert vdm.continuous_term(x[:0], x[:0], 0.5, 1.0).shape == (0,) and vdm.continuous_term(x[:1], x[:1] + 1, 0.5, 1.0).shape == (1,)


def test_wrong_arguments():
    """V1, V3: each wrong argument is named, with its value and what is allowed."""
    for call, error, message in (
        (lambda: vdm.continuous_term(X0, EPS, 0.0, -1.0), ValueError, "rate = -1.0; allowed: "),
        (lambda: vdm.continuous_term(X0, EPS, np.zeros(2), 1.0), ValueError, "gamma has shape (2,); allowed: "),
        (lambda: vdm.continuous_term(X0, EPS, 301.0, 1.0), ValueError, "gamma = 301.0; allowed: "),
        (lambda: vdm.continuous_term(X0, EPS, 0.0, 1.0, "score"), ValueError, "kind = 'score'; allowed: eps, x0, v"),
        (lambda: vdm.finite_term(X0, EPS, 0.0, 1.0, 4), ValueError, "gamma_s = 1.0, gamma_t = 0.0; allowed: "),
        (lambda: vdm.finite_term(X0, EPS, 1.0, 0.0, 0), ValueError, "T = 0; allowed: "),
        (lambda: vdm.gaussian_mmse(-1.0, 0.0), ValueError, "variance = -1.0; allowed: "),
        (lambda: vdm.gaussian_loss(1.0, np.inf, 0.0), ValueError, "gamma_t = inf; allowed: "),
        (lambda: vdm.gaussian_step_loss(1.0, 0.0, 1.0), ValueError, "gamma_s = 1.0, gamma_t = 0.0; allowed: "),
        (lambda: vdm.path(0.5), TypeError, "curve = 0.5; allowed: "),
        (lambda: vdm.stratified_times(1.5, 4), ValueError, "uniform = 1.5; allowed: "),
        (lambda: vdm.stratified_times(0.5, 0), ValueError, "count = 0; allowed: "),
        (lambda: vdm.importance_probabilities(np.zeros(3)), ValueError, "second_moments = array([0., 0., 0.]); allowed: "),
        (lambda: vdm.importance_probabilities(np.ones((2, 2))), ValueError, "second_moments = array([[1., 1.],"),
        (lambda: vdm.importance_weights(np.array([0.0, 1.0])), ValueError, "probabilities = array([0., 1.]); allowed: above 0"),
        (lambda: vdm.draw_index(np.array([0.5]), np.array([0.5, 0.25])), ValueError, "probabilities = array([0.5 , 0.25]); allowed: "),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()
