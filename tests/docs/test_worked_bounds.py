"""W6: what lecture slides print of likelihoods, the ELBO and losses, beside the right forms; docs/errata.md has a row for each test that names W6.

A formula that is wrong as printed comes out as another number: every test computes both forms. A test that does not name W6 shows what a claim
in words leaves out.
"""

import numpy as np
import pytest

from refdiff import elbo, forward, gaussian, latent, oracles, reverse, schedules
from refdiff.arrays import sum_event

from ..lecture_example import BETA, CHAIN, EXAMPLE, NOISE, STEPS, X0, X1, X2, X3, differ, same
from ..tolerances import QUADRATURE, relative

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(8)  # expectation over N(0, 1), exact for polynomials up to degree 15
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def exact_model(factor=1.0):
    """The true reverse kernels of data N(0, 1), their variance multiplied by a factor."""
    kernel = oracles.exact_reverse(np.float64(0), np.float64(1), EXAMPLE)

    def reverse_kernel(x_t, t, s):
        mean, variance = kernel(x_t, t, s)
        return mean, variance * factor

    return reverse_kernel


# --- W6, the ELBO ---


def expected_terms(model):
    """[L_T, ..., L_0] for one number x0 = 0.9, their expectations over the noise taken by quadrature."""
    x0 = np.full(len(NODES), 0.9)
    return elbo.elbo_terms(x0, STEPS, EXAMPLE, model, [NODES] * 3) @ WEIGHTS


def log_p():
    """log p(0.9) of the data N(0, 1), which the forward process does not change: the prior of the model is exact as well."""
    return gaussian.log_density(np.array([0.9]), np.array([0.0]), np.array([1.0]))


def test_the_elbo_is_not_the_likelihood():
    """E5, W6: the ELBO is log p(x0) for exact reverse kernels and less for others: it does not give the exact log-likelihood."""
    assert relative(-expected_terms(exact_model()).sum(), log_p()) <= QUADRATURE
    for factor in (0.5, 2.0):
        assert -expected_terms(exact_model(factor)).sum() < log_p() - 0.1


def test_the_sum_of_divergences_is_the_negative_elbo():
    """E5, W6: L_T + sum L_{t-1} + L_0 is an upper bound of -log p(x0), which is minimized; the ELBO is its negative, which is maximized."""
    total = expected_terms(exact_model(2.0)).sum()
    assert total > -log_p() and differ(total, -total)


def test_the_first_and_last_terms_of_the_elbo():
    """E5, W6: without L_T and L_0 the divergences do not add up to the ELBO, and L_0 depends on the model."""
    L_T, *inner, L_0 = expected_terms(exact_model(2.0))
    assert L_T > 0 and differ(sum(inner), L_T + sum(inner) + L_0)
    assert differ(L_0, expected_terms(exact_model(3.0))[-1])


def test_no_divergence_at_t_1():
    """E5, W6: q(x_0 | x_1, x_0) is a point: its divergence from a Gaussian is infinite, and refused."""
    _, variance = forward.posterior(X1, X0, 1, 0, EXAMPLE)
    with pytest.raises(ValueError, match=r"^variance1 = .*0\.0.*; allowed"):
        gaussian.kl_diagonal(X0, variance, X0, np.float64(0.1))


def test_which_terms_are_summed():
    """E5, W6: with L_t the divergence of the step from t, the sum is over t = 2..T; over 1..T-1 the first term is undefined and the last is missing."""
    model = exact_model(2.0)
    by_t = dict(zip((3, 2), expected_terms(model)[1:3], strict=True))
    assert differ(by_t[2], by_t[3] + by_t[2])
    with pytest.raises(ValueError, match=r"^s = 0; allowed: s > 0"):
        elbo.weight_mean(1, 0, EXAMPLE)


def test_two_quantities_named_L_T():
    """E5, W6: the divergence of the step from T is not the divergence of x_T from pure noise."""
    terms = expected_terms(exact_model(2.0))
    assert differ(terms[1], terms[0])


def test_the_prior_has_no_parameters():
    """R5, E5, W6: p(x_T) is N(0, I) for every theta: another model changes all terms but L_T."""
    one, other = (expected_terms(exact_model(factor)) for factor in (1.0, 2.0))
    assert one[0] == other[0] and np.all(one[1:] != other[1:])


def test_the_expectation_is_over_all_terms():
    """E5, W6: outside of the expectation the logarithms are random numbers: they differ from chain to chain."""
    model = exact_model(2.0)
    chains = [forward.trajectory(X0, STEPS, EXAMPLE, [scale * e for e in NOISE[::-1]]) for scale in (1, 2)]
    one, other = (elbo.elbo_bayes(states, STEPS, EXAMPLE, model) for states in chains)
    assert differ(one, other)


def test_the_whole_chain_is_the_latent_variable():
    """E4, E5, W6: for T > 1 the ELBO divides by q(x_1..x_T | x_0), and not by q(x_1 | x_0)."""
    model = exact_model()
    printed = reverse.trajectory_log_density(CHAIN, STEPS, model) - gaussian.log_density(X1, *forward.q_step(X0, 1, 0, EXAMPLE))
    right = elbo.elbo_joint(CHAIN, STEPS, EXAMPLE, model)
    assert differ(printed, right) and relative(right, gaussian.log_density(X0, np.zeros(4), np.ones(4))) <= QUADRATURE


def test_divergence_with_one_logarithm_for_all_dimensions():
    """E1, W6: the logarithm in the divergence is taken d times, once for each dimension; the printed form is right for d = 1 only."""
    for d in (1, 4):
        mean1, mean2, v1, v2 = X0[:, :d], NOISE[0][:, :d], np.float64(0.3), np.float64(0.7)
        gap = sum_event((mean1 - mean2) ** 2)
        printed = np.log(v2 / v1) / 2 - d / 2 + (d * v1 + gap) / (2 * v2)
        right = gaussian.kl_isotropic(mean1, v1, mean2, v2)
        assert same(d * np.log(v2 / v1) / 2 - d / 2 + (d * v1 + gap) / (2 * v2), right, float(d))
        assert same(printed, right, 1.0) if d == 1 else differ(printed, right)


def test_divergence_has_an_order():
    """E1, W6: D(q || p) is not D(p || q)."""
    v1, v2 = np.float64(0.3), np.float64(0.7)
    assert differ(gaussian.kl_isotropic(X0, v1, NOISE[0], v2), gaussian.kl_isotropic(NOISE[0], v2, X0, v1))


def test_constant_of_the_unit_variance_decoder():
    """E7, W6: log p(x0 | x1) with variance 1 is minus half the squared error, minus d/2 log 2 pi."""
    printed = -sum_event((X0 - X1) ** 2) / 2
    right = elbo.squared_decoder(X0, X1, np.float64(0.1))
    assert differ(printed, right) and same(printed - 2 * np.log(2 * np.pi), right)


def test_variance_of_the_last_step_is_not_1():
    """E7: the first term of the loss has the weight 1 / (2 variance): with beta_1 = 1e-4 it weighs 10^4 times as much as with 1."""
    variance = schedules.linear().beta[1]
    gaps = [gaussian.log_density(X0, X0, v) - gaussian.log_density(X0, X1, v) for v in (variance, np.float64(1))]
    assert same(variance * gaps[0], gaps[1], gaussian.log_density(X0, X1, np.float64(1)))
    assert differ(gaps[1], gaps[0])


def test_variances_of_the_divergence_are_no_constants():
    """E1, R4, W6: with equal means the divergence still depends on the model's variance; a learned variance may not be left out."""
    _, variance = forward.posterior(X3, X0, 3, 2, EXAMPLE)
    one, other = (gaussian.kl_isotropic(X0, variance, X0, variance * factor) for factor in (2, 3))
    assert same(one, 2 * (1 / 2 - 1 + np.log(2)), 1.0) and same(other, 2 * (1 / 3 - 1 + np.log(3)), 1.0)
    assert differ(other, one)


def test_sign_of_the_x0_term():
    """R2, W6: the whole posterior mean is subtracted, the x0 term included."""
    mean, _ = forward.posterior(X3, X0, 3, 2, EXAMPLE)
    at_zero, _ = forward.posterior(X3, 0 * X0, 3, 2, EXAMPLE)  # the x_t term alone
    answer = 0.9 * mean
    assert differ(sum_event((answer - at_zero + (mean - at_zero)) ** 2), elbo.l_simple(mean, answer))


def test_the_term_of_t_1():
    """R2, W6: at t = 1 the posterior mean is x0, so the sum from t = 1 includes the first term, but without its factor 1/2."""
    mean, _ = forward.posterior(X1, X0, 1, 0, EXAMPLE)
    assert same(mean, X0, X1)
    assert differ(elbo.l_simple(mean, X1), elbo.l_simple(X0, X1) / 2)
    assert elbo.l_simple(forward.posterior(X2, X0, 2, 1, EXAMPLE)[0], X1) > 0  # a sum over i with t inside would repeat one term


def test_weights_of_the_means():
    """E6, W6: the squared error of the mean is weighted by 1 / (2 beta-tilde_t), which is not the same for all t."""
    weights = elbo.weight_mean(np.array([2, 3]), np.array([1, 2]), EXAMPLE)
    assert differ(weights[0], weights[1]) and differ(1.0, weights[0])
    mean, variance = forward.posterior(X3, X0, 3, 2, EXAMPLE)
    assert same(weights[1] * elbo.l_simple(mean, X2), gaussian.kl_isotropic(mean, variance, X2, variance))


def test_the_weight_takes_the_variance_of_the_model():
    """E6, W6: 1 / (2 beta-tilde) is the divergence for a model of variance beta-tilde; with beta there is another weight and a constant."""
    mean, variance = forward.posterior(X3, X0, 3, 2, EXAMPLE)
    right = gaussian.kl_isotropic(mean, variance, X2, np.float64(BETA[3]))
    assert differ(elbo.weight_mean(3, 2, EXAMPLE) * elbo.l_simple(mean, X2), right)


@pytest.mark.parametrize("weight", [elbo.weight_mean, elbo.weight_eps])
def test_the_weighted_squares_begin_at_t_2(weight):
    """E6, W6: both weights have beta-tilde_t in the denominator; it is 0 at t = 1, where they do not exist."""
    assert weight(2, 1, EXAMPLE) > 0
    with pytest.raises(ValueError, match=r"^s = 0; allowed: s > 0"):
        weight(1, 0, EXAMPLE)


def test_the_simple_loss_is_not_the_elbo():
    """E6, E8, W6: both are called L_DDPM; the simple loss leaves out weights that differ from step to step."""
    weights = elbo.weight_eps(np.array([2, 3]), np.array([1, 2]), EXAMPLE)
    assert differ(weights[0], weights[1]) and differ(elbo.l_simple(NOISE[0], NOISE[1]), weights[0] * elbo.l_simple(NOISE[0], NOISE[1]))


def test_mean_and_sum_of_squares():
    """E8, W6: |eps - eps_theta|^2 is the sum of squares, d times the mean that the name MSE means."""
    error = NOISE[0] - NOISE[1]
    assert same(elbo.l_simple(NOISE[0], NOISE[1]), 4 * np.mean(error**2)) and differ(np.mean(error**2), elbo.l_simple(NOISE[0], NOISE[1]))


def test_norm_without_its_square():
    """E8, W6: the gradient of |error| is error / |error|, that of its square 2 error: another weight for every example."""
    error = NOISE[0] - NOISE[1]
    assert differ(np.linalg.norm(error), elbo.l_simple(NOISE[0], NOISE[1]))
    assert differ(error / np.linalg.norm(error), 2 * error)


def test_the_shape_of_the_schedule_does_not_count_in_the_limit():
    """E6, W6: between the same end points all schedules have one sum of losses in the limit of many steps, and different spreads of its terms."""

    def losses(log_snr):
        """Terms of t = 2..T for data N(0, 1), whose best squared error at t is 1 - alpha_bar_t, and the same with the error at t - 1."""
        schedule, t = schedules.from_log_snr(log_snr), np.arange(2, len(log_snr) + 1)
        weight = elbo.weight_x0(t, t - 1, schedule)
        return weight * schedule.one_minus_alpha_bar[t], weight * schedule.one_minus_alpha_bar[t - 1]

    shapes = (
        lambda u: 8 - 16 * u,
        lambda u: 8 - 16 * u**2 * (3 - 2 * u),
        lambda u: np.log(np.expm1((1 - u) * np.log1p(np.exp(8)) + u * np.log1p(np.exp(-8)))),  # 1 + SNR in equal ratios
    )
    limit = np.log((1 + np.exp(8)) / (1 + np.exp(-8))) / 2  # the integral of half the error over the SNR
    sums, spreads = [], []
    for shape in shapes:
        assert same(shape(np.array([0.0, 1.0])), np.array([8.0, -8.0]), 100.0)
        above, below = (terms.sum() for terms in losses(shape(np.linspace(0, 1, 2001))))
        assert below < limit < above < 1.01 * below
        terms = 2000 * losses(shape(np.linspace(0, 1, 2001)))[0]
        sums.append(losses(shape(np.linspace(0, 1, 9)))[0].sum())
        spreads.append(terms.std())
    assert same(limit, 4.0) and differ(sums[0], sums[1]) and differ(sums[1], sums[2])  # 8 steps: the shape counts
    assert spreads[1] > 1.1 * spreads[0] > 100 * spreads[2]


# --- W6, latent variables ---

LINEAR = latent.LinearGaussian(np.array([[0.8], [-0.5], [0.3], [1.1]]), np.array([0.1, 0.2, 0.0, -0.3]), 0.5)


def test_the_log_of_a_monte_carlo_mean_is_biased():
    """E2, W6: by Jensen the logarithm of the estimate is too low on average, for one draw and less so for two: E log < log E."""
    log_likelihood = LINEAR.log_likelihood(np.repeat(X0, len(NODES), axis=0), NODES[:, None])
    one = WEIGHTS @ log_likelihood
    pairs = np.stack(np.meshgrid(log_likelihood, log_likelihood))
    two = WEIGHTS @ latent.marginal_likelihood(pairs.reshape(2, -1)).reshape(pairs.shape[1:]) @ WEIGHTS
    assert one < two < LINEAR.log_marginal(X0)


def test_q_is_not_the_posterior():
    """E3, W6: q(z | x) is an approximation of the posterior; the ELBO is log p(x) only if q is the posterior."""
    mean, covariance = LINEAR.posterior(X0)
    assert LINEAR.elbo(X0, mean, 2 * covariance) < LINEAR.log_marginal(X0)
    assert relative(LINEAR.elbo(X0, mean, covariance), LINEAR.log_marginal(X0)) <= QUADRATURE


def test_the_true_posterior_depends_on_theta():
    """E3, W6: the posterior p(z | x) depends on the decoder's parameters, so it has their index."""
    other = latent.LinearGaussian(2 * LINEAR.weights, LINEAR.bias, LINEAR.noise)
    assert differ(other.posterior(X0)[0], LINEAR.posterior(X0)[0])


def test_step_two_raises_the_elbo():
    """E3, W6: for a fixed q, the parameters with the highest ELBO are not those with the highest log p(x)."""
    mean, covariance = np.array([[1.3]]), np.array([[0.4]])
    for_bound, for_log_p = (latent.LinearGaussian(LINEAR.weights, b, 0.5) for b in (X0[0] - mean[0] @ LINEAR.weights.T, X0[0]))
    assert for_bound.elbo(X0, mean, covariance) > for_log_p.elbo(X0, mean, covariance)
    assert for_bound.log_marginal(X0) < for_log_p.log_marginal(X0)


def test_a_latent_may_be_as_large_as_the_data():
    """E4: the ELBO does not require fewer latent dimensions than the data has."""
    for k in (1, 4, 6):
        model = latent.LinearGaussian(np.arange(4 * k).reshape(4, k) / 10, LINEAR.bias, 0.5)
        assert relative(model.elbo(X0, *model.posterior(X0)), model.log_marginal(X0)) <= QUADRATURE
