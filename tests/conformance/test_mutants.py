"""Mutants that survived the other tests: one test for each."""

import mpmath as mp
import numpy as np
import pytest

from refdiff import elbo, flow, forward, gaussian, latent, oracles, predict, samplers, schedules

from .. import exact
from ..tolerances import IDENTITY, TABLE, in_eps

LINEAR = schedules.linear(1000)
ROW = np.array([[0.3, -0.7]])
ONE = np.ones((1, 2))
NAN = np.full((1, 2), np.nan)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian.kl_isotropic(NAN, np.array(1.0), ROW, np.array(1.0)), "^mean1 holds NaN"),
        (lambda: gaussian.kl_full(NAN[0], np.eye(2), ROW[0], np.eye(2)), "^mean1 holds NaN"),
        (lambda: gaussian.kl_diagonal(ROW, ONE, np.ones((3, 2)), ONE), r"^mean2 has shape \(3, 2\)"),
        (lambda: gaussian.kl_diagonal(ROW, ONE, ROW, -ONE), "^variance2 = .* allowed: finite, in "),
        (lambda: gaussian.log_density(ROW, ROW, np.ones((3, 2))), r"^variance has shape \(3, 2\)"),
        (lambda: gaussian.score(ROW, ROW, np.ones((3, 2))), r"^variance has shape \(3, 2\)"),
        (lambda: gaussian.discretized_log_likelihood(ROW, np.ones((3, 2)), ONE), r"^mean has shape \(3, 2\)"),
        (lambda: gaussian.discretized_log_likelihood(ROW, ROW, np.ones((3, 2))), r"^std has shape \(3, 2\)"),
        (lambda: predict.convert(ROW, NAN, 1, LINEAR, "eps", "v"), "^x_t holds NaN"),
        (lambda: samplers.euler_step(lambda x, t: np.ones((3, 2)), ROW, 0.0, 1.0), r"^f\(x, t\) has shape .* the shape of x$"),
        (lambda: schedules.linear(1000, beta_start=0.0), "^beta_start = 0.0; allowed"),
        (lambda: forward.trajectory_log_density([ROW, ROW], [1001, 0], LINEAR), "^grid = "),
        (lambda: forward.trajectory_log_density_reversed([ROW, ROW], [1001, 0], LINEAR), "^grid = "),
        (lambda: elbo.elbo_bayes([ROW, ROW], [1001, 0], LINEAR, lambda x, t, s: (x, ONE)), "^grid = "),
    ],
)
def test_errors_name_the_argument(call, message):
    """The first wrong argument is the one that the error names."""
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", ["v", "score", "velocity"])
def test_inversion_reads_its_kind(kind):
    """S2: DDIM inversion takes a prediction of any kind for what it is."""
    eps = np.array([[1.1, 0.2]])
    prediction = predict.convert(eps, ROW, 300, LINEAR, "eps", kind)
    actual = samplers.ddim_inversion_step(prediction, ROW, 300, 400, LINEAR, kind=kind)
    assert in_eps(actual, samplers.ddim_inversion_step(eps, ROW, 300, 400, LINEAR), 8 * np.abs(ROW) + 8) <= IDENTITY


def test_slerp_of_a_wide_angle():
    """S2: noises 3 radians apart are not yet opposite."""
    a, b = np.array([[1.0, 0.0]]), np.array([[np.cos(3.0), np.sin(3.0)]])
    assert in_eps(samplers.slerp(a, b, 0.5), np.array([[np.cos(1.5), np.sin(1.5)]]), np.full((1, 2), 1 / np.sin(3.0))) <= IDENTITY


def test_score_of_data_with_width():
    """C1: at t = 0 a Gaussian has a score, though it has no eps to be read from."""
    model = oracles.gaussian([1.0, 2.0], np.diag([0.25, 4.0])).model(LINEAR, "score")
    assert in_eps(model(ROW, 0), np.array([[0.7 / 0.25, 2.7 / 4.0]])) <= IDENTITY


def test_samples_of_a_mixture_are_mean_plus_spread():
    """G4: the noise is added to the mean, along the axes of the covariance."""
    oracle = oracles.gaussian([1.0, 2.0], np.diag([0.25, 4.0]))
    axes = oracle.axes[0]
    actual = oracle.sample(np.array([0.5]), np.array([[1.0, -3.0]]))
    assert in_eps(actual, np.array([1.0, 2.0]) + axes @ np.array([0.5, -6.0]), np.full((1, 2), 8.0)) <= IDENTITY


def test_complex_levels_keep_single_precision():
    """C1: float32 points at complex levels give complex64."""
    oracle = oracles.gaussian([1.0, 2.0], np.diag([0.25, 4.0]))
    assert oracle.score(ROW.astype(np.float32), np.complex64(0.5 + 0.1j), np.complex64(0.5)).dtype == np.complex64


def test_narrow_sigmoid():
    """F5: a sigmoid schedule over less than one unit is allowed, and nearly linear in alpha_bar."""
    table = schedules.sigmoid(10, start=-0.25, end=0.25)
    assert abs(table.alpha_bar[5] - 0.5) < 1e-3


@pytest.mark.parametrize(
    ("make", "values"),
    [(schedules.from_alpha_bars, [0.9, 0.3]), (schedules.from_log_snr, [0.9, 0.3]), (schedules.from_betas, [0.1, 0.3])],
)
def test_tables_are_double(make, values):
    """F5: single-precision input is widened before anything is computed from it."""
    values = np.array(values, dtype=np.float32)
    assert np.array_equal(make(values).log_alpha_bar, make(values.astype(np.float64)).log_alpha_bar)


def test_log_mean_exp_of_columns_far_apart():
    """E2: each column has its own peak, so that none underflows for another."""
    assert np.array_equal(latent.log_mean_exp(np.array([[0.0, -2000.0], [0.0, -2000.0]])), [0.0, -2000.0])


@pytest.mark.parametrize("path", [flow.straight, flow.optimal_transport(0.1)], ids=lambda path: path.name)
def test_rates_have_the_shape_of_time(path):
    """M2: a rate for every time in the argument."""
    assert all(rate.shape == (3,) for rate in path.rates(np.array([0.0, 0.5, 1.0])))


@pytest.mark.parametrize("kind", predict.KINDS[:-1])
def test_rows_have_the_shape_of_time(kind):
    """R6: coefficients for every time in the argument."""
    assert all(weight.shape == (3,) for weight in predict.row(kind, np.array([1, 2, 3]), LINEAR))


def test_zero_terminal_snr_to_the_last_digits():
    """F5: 1 - alpha_bar of the shifted schedule near t = 1, where the plain logarithm would lose it."""
    bars = [mp.sqrt(bar) for bar in exact.alpha_bars(np.linspace(1e-4, 0.02, 1000))]
    shifted = [((bars[t] - bars[1000]) * bars[1] / (bars[1] - bars[1000])) ** 2 for t in range(2, 20)]
    actual = schedules.zero_terminal_snr(LINEAR).one_minus_alpha_bar[2:20]
    assert exact.ulps(actual, 1 - np.array(shifted)) <= 2 * TABLE
