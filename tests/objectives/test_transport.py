"""Entropic couplings: marginals, optimality, both limits of eps, and the closed form for Gaussians against a quadrature of them."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import flow, rng, transport

from ..tolerances import relative

NOISE, DATA = rng.normal(0, 6, (2,)), rng.normal(1, 6, (2,)) + 1
A, B = np.array([[1.5, 0.4], [0.4, 0.5]]), np.array([[0.3, -0.2], [-0.2, 2.0]])


def cost(data, noise):
    return ((noise[:, None] - data[None]) ** 2).sum(axis=2)


def weights(count, seed):
    found = 0.1 + rng.uniform(seed, count, 1)[:, 0]
    return found / found.sum()


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.05, 0.3, 1.0, 30.0]))
def test_marginals_and_form(seed, n, m, eps):
    """B2: rows and columns of the plan are the weights, and log(plan / a b) is (f + g - cost) / eps: these two properties define it."""
    noise, data = rng.normal(seed, n, (2,)), rng.normal(seed, m, (2,), 1)
    a, b = weights(n, seed), weights(m, seed + 1)
    plan, f, g = transport.couple_entropic(data, noise, eps, b, a)
    size = 1 + cost(data, noise).max() / eps
    assert relative(plan.sum(axis=1), a) <= 1e-15 * 10 * size and relative(plan.sum(axis=0), b) <= 1e-11
    exponent = (f[:, None] + g - cost(data, noise)) / eps
    assert np.allclose(plan, np.outer(a, b) * np.exp(exponent), rtol=1e-14 * size, atol=0)
    assert abs(b @ g) <= 1e-13 * (1 + abs(g).max())
    assert np.array_equal(transport.couple_entropic(data, noise, eps, 8 * b, 4 * a).plan, plan)


def test_the_plan_minimizes():
    """B2: along every direction that keeps the marginals, the objective has the slope 0 and grows: its value is sum a f + sum b g."""
    eps = 0.7
    plan, f, g = transport.couple_entropic(DATA, NOISE, eps)

    def objective(p):
        return (p * cost(DATA, NOISE)).sum() + eps * (p * np.log(p * 36)).sum()

    assert relative(objective(plan), (f.mean() + g.mean())) <= 1e-12
    for i, j, k, m in ((0, 1, 2, 3), (0, 5, 4, 1), (2, 3, 5, 0)):
        turn = np.zeros((6, 6))
        turn[i, k] = turn[j, m] = 1
        turn[i, m] = turn[j, k] = -1
        assert abs(objective(plan + 1e-30j * turn).imag / 1e-30) <= 1e-11
        h = 0.5 * plan[[i, j, i, j], [k, m, m, k]].min()
        assert min(objective(plan + h * turn), objective(plan - h * turn)) > objective(plan)


def test_small_eps_is_optimal_transport():
    """B2, M4: the plan tends to the permutation of `couple_optimally`, and what is off it vanishes exponentially in 1 / eps."""
    order = flow.couple_optimally(DATA, NOISE)
    off = []
    for eps in (0.08, 0.04, 0.02):
        plan = transport.couple_entropic(DATA, NOISE, eps).plan
        off.append(1 - plan[np.arange(6), order].sum())
        assert np.array_equal(plan.argmax(axis=1), order)
    assert 0.02 > off[0] > 1e-4 and off[1] < off[0] ** 1.9 * 4 and off[2] < off[1] ** 1.9 * 4


@pytest.mark.parametrize("eps", [0.1, 1.0, 20.0])
def test_two_points(eps):
    """B2: of two points each, the pairs have the ratio exp(-gap / 2 eps), the gap being the cost of exchanging the partners."""
    noise, data = NOISE[:2], DATA[:2]
    c = cost(data, noise)
    ratio = np.exp(-(c[0, 1] + c[1, 0] - c[0, 0] - c[1, 1]) / (2 * eps))
    expected = np.array([[1, ratio], [ratio, 1]]) / (2 + 2 * ratio)
    assert relative(transport.couple_entropic(data, noise, eps).plan, expected) <= 1e-11


def test_few_rounds_for_small_eps():
    """B2: twenty points and an eps of a hundredth of the cost take some hundred rounds, where Sinkhorn's formula alone takes more than 10^4."""
    for seed, eps in ((5, 0.05), (0, 0.01), (2, 0.01)):
        noise, data = rng.normal(seed, 20, (2,)), rng.normal(seed, 20, (2,), 1)
        plan = transport.couple_entropic(data, noise, eps, steps=400).plan
        assert relative(plan.sum(axis=0), 1 / 20) <= 1e-11


def test_large_eps_is_independent():
    """B2: the plan is a b (1 - (c_ij - row mean - column mean + mean) / eps) + O(eps^-2)."""
    a, b = weights(6, 3), weights(6, 4)
    c = cost(DATA, NOISE)
    centred = c - (c @ b)[:, None] - a @ c + a @ c @ b
    errors = [
        abs(transport.couple_entropic(DATA, NOISE, eps, b, a).plan - np.outer(a, b) * (1 - centred / eps)).max() for eps in (1e3, 1e4)
    ]
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.05) and errors[0] < 1e-4


def test_symmetry_images_and_precision():
    """B2: exchanging the sets transposes the plan; images are vectors; float32 points are widened; one point takes all."""
    plan = transport.couple_entropic(DATA, NOISE[:4], 1.0).plan
    assert np.allclose(transport.couple_entropic(NOISE[:4], DATA, 1.0).plan, plan.T, rtol=1e-11, atol=0)
    assert np.array_equal(transport.couple_entropic(DATA.reshape(6, 1, 2, 1), NOISE[:4].reshape(4, 2, 1), 1.0).plan, plan)
    narrow = transport.couple_entropic(DATA.astype(np.float32), NOISE[:4].astype(np.float32), 1.0).plan
    assert narrow.dtype == np.float64 and relative(narrow, plan) < 1e-5
    assert np.allclose(transport.couple_entropic(DATA[:1], NOISE, 1.0).plan, 1 / 6, rtol=1e-14)


def test_gaussian_coupling_by_sinkhorn():
    """B2: in one dimension the covariance of the pair is that of the plan between two quadratures of 40 nodes."""
    nodes, share = np.polynomial.hermite_e.hermegauss(40)
    for a, b, eps in ((1.5, 0.4, 1.28), (0.3, 0.2, 0.5), (1.0, 1.0, 8.0)):
        noise, data = np.sqrt(a) * nodes[:, None] + 0.7, np.sqrt(b) * nodes[:, None] - 1.2
        plan = transport.couple_entropic(data, noise, eps, share, share).plan
        covariance = (plan * np.outer(noise - 0.7, data + 1.2)).sum()
        assert relative(transport.gaussian_coupling([[a]], [[b]], eps), covariance) <= 1e-11


@pytest.mark.parametrize("eps", [0.01, 1.0, 50.0])
def test_gaussian_coupling_is_entropic(eps):
    """B2: the precision of the pair has -2 / eps I off the diagonal, as exp((f(x) + g(y) - |x - y|^2) / eps) has; exchanged, it is transposed."""
    K = transport.gaussian_coupling(A, B, eps)
    precision = np.linalg.inv(np.block([[A, K], [K.T, B]]))
    assert np.allclose(precision[:2, 2:], -2 / eps * np.eye(2), rtol=0, atol=1e-11 * abs(precision).max())
    assert np.allclose(transport.gaussian_coupling(B, A, eps), K.T, rtol=0, atol=1e-14)
    assert abs(K - K.T).max() > 1e-3


def test_limits_of_the_gaussian_coupling():
    """B2: for eps to 0 the optimal map x -> T x with T A T = B, of cost equal to the Frechet distance; for eps to infinity 2 A B / eps."""
    K = transport.gaussian_coupling(A, B, 1e-12)
    T = np.linalg.solve(A, K)
    assert np.allclose(T, T.T, atol=1e-11) and np.allclose(T @ A @ T, B, atol=1e-10)
    assert np.allclose(transport.gaussian_coupling(A, B, 1e8) * 1e8, 2 * A @ B, atol=1e-6)
    point, line = np.zeros((2, 2)), np.diag([1.0, 0.0])
    assert np.array_equal(transport.gaussian_coupling(point, B, 1.0), point) and np.array_equal(
        transport.gaussian_coupling(B, point, 1.0), point
    )
    assert np.allclose(transport.gaussian_coupling(line, B, 1.0)[1], 0, atol=1e-15)


def test_draws_follow_the_plan():
    """B2: on a grid of uniform numbers each pair is drawn as often as the plan says; at the ends never a pair of probability 0."""
    plan = np.array([[0.0, 0.125, 0.125], [0.25, 0.25, 0.0], [0.0, 0.25, 0.0]])
    draws = np.array([transport.draw_pairs(plan, np.full(3, u)) for u in (np.arange(1000) + 0.5) / 1000])
    counts = np.stack([(draws == j).mean(axis=0) for j in range(3)], axis=1)
    assert np.array_equal(counts, plan / plan.sum(axis=1, keepdims=True))
    assert transport.draw_pairs(plan, np.zeros(3)).tolist() == [1, 0, 1] and transport.draw_pairs(plan, np.ones(3)).tolist() == [2, 1, 1]


ERRORS = {
    "eps": (lambda: transport.couple_entropic(DATA, NOISE, 0.0), "eps = 0.0; allowed: finite, in (0, inf]"),
    "small eps": (
        lambda: transport.couple_entropic(DATA, NOISE, 1e-9),
        "eps = 1e-09; allowed: at least 1e-8 of the largest squared distance, ",
    ),
    "dimensions": (lambda: transport.couple_entropic(DATA[:, :1], NOISE, 1.0), "data has 1 numbers per example; allowed: 2, as noise has"),
    "empty": (lambda: transport.couple_entropic(DATA[:0], NOISE, 1.0), "data has shape (0, 2); allowed: (N, ...), not empty"),
    "NaN": (lambda: transport.couple_entropic(DATA, NOISE * np.nan, 1.0), "noise holds NaN"),
    "weights": (lambda: transport.couple_entropic(DATA, NOISE, 1.0, np.ones(5)), "data_weights has shape (5,); allowed: (6,)"),
    "weight 0": (lambda: transport.couple_entropic(DATA, NOISE, 1.0, None, np.arange(6.0)), "noise_weights = "),
    "steps": (lambda: transport.couple_entropic(DATA, NOISE, 0.1, steps=3), "steps = 3; allowed: more, for eps = 0.1"),
    "no plan": (lambda: transport.draw_pairs(np.eye(2), np.zeros(2)), "plan has the sum 2.0; allowed: 1"),
    "row of zeros": (lambda: transport.draw_pairs(np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros(2)), "plan has a row of zeros"),
    "uniform": (lambda: transport.draw_pairs(np.eye(2) / 2, np.zeros(3)), "uniform has shape (3,); allowed: (2,)"),
    "covariance": (lambda: transport.gaussian_coupling(A, np.diag([1.0, -1.0]), 1.0), "cov_data = "),
    "asymmetric": (lambda: transport.gaussian_coupling(np.array([[1.0, 0.5], [0.0, 1.0]]), A, 1.0), "cov_noise = "),
    "shapes": (lambda: transport.gaussian_coupling(A, np.eye(3), 1.0), "cov_data has shape (3, 3); allowed: (d, d), of both covariances"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_wrong_arguments(name):
    """B2: a wrong argument is named, with its value and what is allowed."""
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
