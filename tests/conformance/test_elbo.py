"""Gaussians, the ELBO and latent models in the conformance kit: identities at 50 digits, refdiff's own answers, and all mutants killed."""

import ast
from functools import cache

import mpmath as mp
import numpy as np
import pytest

from refdiff.conformance import adapter, compare, models, operations, own
from refdiff.conformance.cases import numbers
from refdiff.conformance.cases.gaussian import covariance
from refdiff.conformance.formulas import elbo, forward, gaussian, latent
from refdiff.conformance.known.elbo import KNOWN
from refdiff.conformance.known.equivalent_elbo import EQUIVALENT
from refdiff.conformance.mutations import catalogue, kills, mutants
from refdiff.conformance.numbers import exact, identity, log_det, solve, trace
from refdiff.conformance.run import runner
from refdiff.conformance.vectors.files import load

AREAS = ("gaussian", "elbo", "latent")
BETAS = exact(np.array([0.1, 0.2, 0.3]))
CLOSE = mp.mpf(10) ** -40  # of 50 digits, what a few dozen operations leave


@cache
def mine():
    """The vectors of these areas."""
    found = [v for v in load() if operations.operations()[v.operation].area in AREAS]
    assert found, "no vectors: run python -m refdiff.conformance.generate"
    return found


def near(a, b):
    """Equal but for rounding at 50 digits."""
    return bool(np.all(abs(a - b) <= CLOSE * (1 + abs(b))))


def data(shape, seed):
    return exact(numbers(shape, seed))


@pytest.mark.parametrize("implementation", [own.Adapter, own.Float32])
def test_refdiff_answers_every_vector(implementation):
    """In float64 and in float32, refdiff passes every vector of these areas, and offers every operation."""
    results = list(runner.run(adapter.Adapter(implementation), mine()))
    assert [(r.vector.id, r.status, r.difference, r.message) for r in results if r.status != "passed"] == []


@pytest.mark.parametrize("minimal", [False, True])
def test_every_mutant_is_killed(minimal):
    """Each mutant of these areas' formulas is killed by a vector, also of the minimal set; equivalent mutants are listed."""
    functions = {f.__name__ for area in AREAS for f in operations.functions(area)}
    mutants = {mutant.name for mutant in catalogue.all_mutants().values() if mutant.functions <= functions}
    killed = {name for vector in mine() if vector.minimal or not minimal for name in vector.kills}
    assert mutants - killed == set(EQUIVALENT)


@pytest.mark.parametrize(("edits", "text"), KNOWN, ids=[f"{edits[0][0]}: {text}" for edits, text in KNOWN])
def test_known_mistakes_are_found(edits, text):
    """Each known mistake is an edit of one expression of a formula, and a minimal vector kills it."""
    found = [
        mutants.Edit(name, position, old, new)
        for name, old, new in edits
        for position, node in enumerate(ast.walk(ast.parse(ast.unparse(mutants.syntax_trees()[name])).body[0]))
        if isinstance(node, ast.expr) and ast.unparse(node) == old
    ]
    assert len(found) == len(edits)
    mutant = mutants.Mutant(text, tuple(found), text=text)
    vectors = [v for v in mine() if v.minimal and v.expected and mutants.affects(mutant, v.operation)]
    assert any(
        compare.difference(kills.outcome(operations.operations()[v.operation], mutant, given(v)) or {}, v.expected, v.tolerance)
        for v in vectors
    )


def given(vector):
    return {name: models.build(value) if isinstance(value, dict) else value for name, value in vector.inputs.items()}


def test_every_operation_has_vectors_and_errors_are_asked():
    """No operation is without a minimal vector, and each area has vectors that require errors."""
    for area in AREAS:
        names = {name for name, operation in operations.operations().items() if operation.area == area}
        assert names == {v.operation for v in mine() if v.minimal} & names
        assert any(v.expected is None for v in mine() if v.operation in names)


def test_elimination():
    """Solving, determinant and trace at 50 digits, against mpmath's own."""
    matrix, right = exact(covariance(4, 2)), data((4, 2), 3)
    assert near(matrix @ solve(matrix, right), right)
    assert near(solve(matrix, matrix), identity(matrix))
    assert near(log_det(matrix), mp.log(mp.det(mp.matrix(matrix.tolist()))))
    assert trace(identity(matrix)) == 4


def test_divergences_agree():
    """E1: isotropic, diagonal and full divergences of the same Gaussians, at 50 digits; cross-entropy minus entropy."""
    a, b = data((2, 3), 1), data((2, 3), 2)
    one, two = mp.mpf(3) / 4, mp.mpf(5) / 2
    diagonal = gaussian.kl_diagonal(a, one + 0 * a, b, two + 0 * b)
    assert near(gaussian.kl_isotropic(a, one, b, two), diagonal)
    full = [gaussian.kl_full(m, one * _eye(3), n, two * _eye(3)) for m, n in zip(a, b, strict=True)]
    assert near(np.array(full), diagonal)
    cross = -forward.log_density(a, b, two) + 3 * one / (2 * two)
    assert near(cross - gaussian.entropy(a, one), diagonal)


def _eye(d):
    return np.array([[mp.mpf(int(i == j)) for j in range(d)] for i in range(d)])


def test_density_with_full_covariance():
    """E1: a diagonal covariance gives the density of independent coordinates."""
    x, mean, variance = data((2, 3), 1), data((3,), 2), data((3,), 4) ** 2 + 1
    assert near(gaussian.log_density_full(x, mean, _eye(3) * variance), forward.log_density(x, mean + 0 * x, variance + 0 * x))


def test_quotient_undoes_product():
    """R1: dividing a product by one factor leaves the other."""
    a, b, one, two = data((2, 3), 1), data((2, 3), 2), mp.mpf(3) / 4, mp.mpf(5) / 2
    mean, variance = gaussian.product(a, one, b, two)
    back, spread = gaussian.quotient(mean, variance, b, two)
    assert near(back, a) and near(spread, one)


@pytest.mark.parametrize("levels", [2, 3, 256])
def test_levels_sum_to_one(levels):
    """E7: all levels together have probability 1, at 50 digits."""
    x = np.array([[mp.mpf(2 * k) / (levels - 1) - 1] for k in range(levels)])
    logs = gaussian.discretized_log_likelihood(x, x * 0 + mp.mpf(3) / 16, mp.mpf(1) / 8, levels)
    assert near(sum(mp.exp(value) for value in logs), mp.mpf(1))


def test_worked_pixel():
    """E7: sigma 0.5 / 255, 3 / 255 away from the middle of a bin: 10.360 nats, where a tanh in place of the CDF gives 10.950."""
    std = mp.mpf(1) / 510
    (value,) = gaussian.discretized_log_likelihood(np.array([[mp.mpf(1) / 255]]), np.array([[mp.mpf(4) / 255]]), std, 256)
    assert abs(value + mp.mpf("10.360")) < mp.mpf("0.0005")


@pytest.mark.parametrize("grid", [[3, 2, 1, 0], [3, 1, 0], [1, 0]])
def test_bound_before_and_after_bayes(grid):
    """E5: both forms of the ELBO are the same number for every chain and every model."""
    states = data((len(grid), 2, 2), 5)
    arguments = (states, np.array(grid), BETAS, lambda x, t: x**2 / (1 + t), "posterior")
    assert near(elbo.elbo_joint(*arguments), elbo.elbo_bayes(*arguments))


@pytest.mark.parametrize(("t", "s"), [(2, 1), (3, 2), (3, 1)])
def test_inner_terms_are_weighted_squares(t, s):
    """E6: with beta-tilde in both kernels the divergence is the weighted square of the mean, of eps, and of x0."""
    x_t, x0, eps = data((2, 3), 1), data((2, 3), 2), data((2, 3), 3)
    ab = forward.alpha_bar(BETAS)[t]
    kl = elbo.inner_kl(eps, x_t, x0, t, s, BETAS, "eps", "posterior")
    true = (x_t - mp.sqrt(ab) * x0) / mp.sqrt(1 - ab)
    guess = (x_t - mp.sqrt(1 - ab) * eps) / mp.sqrt(ab)
    means = [forward.posterior(x_t, each, t, s, BETAS)[0] for each in (x0, guess)]
    for weight, a, b in ((elbo.weight_mean, *means), (elbo.weight_eps, true, eps), (elbo.weight_x0, x0, guess)):
        assert near(weight(t, s, BETAS) * elbo.l_simple(a, b), kl)


def test_terms_of_an_exact_model_of_one_point():
    """E5: where the data is one point and the model knows it, all inner terms vanish."""
    x0, grid = data((2, 2), 4), np.array([3, 2, 1, 0])

    def model(x, t):
        ab = forward.alpha_bar(BETAS)[t]
        return (x - mp.sqrt(ab) * x0) / mp.sqrt(1 - ab)

    terms = elbo.elbo_terms(x0, grid, BETAS, model, data((3, 2, 2), 6), "posterior", "gaussian")
    assert near(terms[1:3], 0 * terms[1:3])
    assert near(terms[3], -forward.log_density(x0, x0, BETAS[0]))


def test_latent_bound_and_gap():
    """E3, E4: log p(x) is the bound plus the gap, and the gap of the exact posterior is 0."""
    x, loading, bias, variance = data((2, 3), 1), data((3, 2), 2), data((3,), 3), mp.mpf(3) / 8
    mean, q_covariance = data((2, 2), 4), exact(covariance(2, 5))
    total = latent.latent_elbo(x, mean, q_covariance, loading, bias, variance)
    total = total + latent.latent_gap(x, mean, q_covariance, loading, bias, variance)
    assert near(total, latent.latent_log_marginal(x, loading, bias, variance))
    exact_q = latent.latent_posterior(x, loading, bias, variance)
    assert near(latent.latent_gap(x, *exact_q, loading, bias, variance), 0 * total)


def test_importance_weights_of_the_exact_posterior():
    """E2: every weight is p(x) itself, so that the estimate is exact for any number of draws."""
    log_q = data((4, 2), 1)
    assert near(latent.importance_weighted(log_q - 3, log_q), -3 + 0 * log_q[0])
    assert near(latent.marginal_likelihood(0 * log_q), 0 * log_q[0])
