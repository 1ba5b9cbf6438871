"""The page on notation: formulas of other papers against refdiff's conversions."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit

from docs.build.inventory import ROOT
from refdiff import elbo, flow, forward, ode, oracles, predict, rng, samplers, schedules
from refdiff.conformance.dialects.table import DIALECTS
from refdiff.objectives.flow import Path, straight

from ..tolerances import IDENTITY, LOG_SNR, relative, roundings

PAGE = (ROOT / "docs" / "notation.md").read_text()
T = 1000
LINEAR = schedules.linear(T)
ALL = np.arange(1, T + 1)
SIGNAL, SIGMA = LINEAR.signal_sigma(ALL)
RATIO = SIGMA / SIGNAL  # EDM's sigma
GAMMA = -LINEAR.log_snr[1:]
TAU = SIGNAL / (SIGNAL + SIGMA)
X0, EPS = rng.normal(0, T, (3,)), rng.normal(1, T, (3,))
X_T = forward.q_sample(X0, ALL, LINEAR, EPS)
X_EDM = X_T / SIGNAL[:, None]
X_TAU = X_T / (SIGNAL + SIGMA)[:, None]


def same(actual, expected, *terms):
    assert roundings(actual, expected, *terms) <= IDENTITY


def column(values):
    return values[:, None]


def test_edm_and_ddpm():
    """sigma-tilde from alpha_bar and back, with the states."""
    same(np.sqrt(LINEAR.one_minus_alpha_bar[1:] / LINEAR.alpha_bar[1:]), RATIO)
    same(1 / (1 + RATIO**2), LINEAR.alpha_bar[1:])
    same(1 / RATIO**2, LINEAR.alpha_bar[1:] / LINEAR.one_minus_alpha_bar[1:])
    same(X_EDM, X0 + column(RATIO) * EPS)
    same(X_EDM / np.sqrt(1 + column(RATIO) ** 2), X_T, X0)


def test_vdm():
    """gamma is minus the log-SNR; signal and sigma are roots of its sigmoid."""
    same(1 / (1 + np.exp(GAMMA)), LINEAR.alpha_bar[1:], abs(GAMMA))
    same(np.sqrt(expit(-GAMMA)), SIGNAL, abs(GAMMA))
    same(np.sqrt(expit(GAMMA)), SIGMA, abs(GAMMA))
    same(np.exp(GAMMA / 2), RATIO, abs(GAMMA) * RATIO)
    assert np.max(abs(np.log(RATIO) / 4 - GAMMA / 8)) <= LOG_SNR


def test_flow_time():
    """M5: flow time from either notation, and the states."""
    same(TAU, flow.flow_time(LINEAR.log_snr[1:]))
    same(1 / (1 + RATIO), TAU)
    same((1 - TAU) / TAU, RATIO, 1 / TAU)
    same(column(TAU) * X_EDM, X_TAU)
    same(X_TAU, flow.to_flow(X_T, SIGNAL, SIGMA))
    same(X_TAU / column(TAU), X_EDM)
    same(flow.interpolate(X0, EPS, TAU), X_TAU)
    same(straight.signal_sigma(TAU)[0] ** 2 / straight.signal_sigma(TAU)[1] ** 2, np.exp(-GAMMA), np.exp(-GAMMA) / (1 - TAU))


def vp(t):
    """The integral of beta, and beta, of the variance-preserving SDE."""
    return 0.1 * t + 19.9 * t**2 / 2, 0.1 + 19.9 * t


def test_the_vp_sde_is_the_limit_of_the_linear_schedule():
    """The error of log alpha_bar falls tenfold with ten times the steps."""
    errors = []
    for steps in (1000, 10_000, 100_000):
        t = np.linspace(0.1, 1, 10)
        errors.append(np.max(abs(-schedules.linear(steps).log_alpha_bar[np.rint(t * steps).astype(int)] - vp(t)[0])))
    assert errors[0] < 0.1 and all(9 < before / after < 11 for before, after in pairwise(errors))


def test_the_vp_ode():
    """dx/dt = -beta (x + s) / 2 is the velocity of the process read as a path."""
    t = np.linspace(0.01, 1, len(X0))
    signal, sigma = (lambda t: np.exp(-vp(t)[0] / 2)), (lambda t: np.sqrt(-np.expm1(-vp(t)[0])))
    path = Path("vp", signal, sigma, lambda t: -vp(t)[1] / 2 * signal(t), lambda t: vp(t)[1] / 2 * signal(t) ** 2 / sigma(t))
    x_t = column(signal(t)) * X0 + column(sigma(t)) * EPS
    score = predict.target("score", X0, EPS, t, path)
    velocity = column(path.rates(t)[0]) * X0 + column(path.rates(t)[1]) * EPS
    same(-column(vp(t)[1]) / 2 * (x_t + score), velocity, column(vp(t)[1]) * score)
    same(sigma(t) ** 2, 1 - np.exp(-vp(t)[0]))
    same(1 / np.expm1(vp(t)[0]), signal(t) ** 2 / sigma(t) ** 2)


def test_the_ve_process_is_edms():
    """The variance-exploding process is EDM's: noises of increments of sigma(t)^2 add up from sigma(0)^2."""
    levels = 0.01 * 5000 ** np.linspace(0, 1, 50)
    same(np.sqrt(np.cumsum(np.diff(levels**2))), np.sqrt(levels[1:] ** 2 - levels[0] ** 2))


def test_conversions_between_networks():
    """R6: conversions between predictions as rows of one linear system."""
    score, v = (predict.target(kind, X0, EPS, ALL, LINEAR) for kind in ("score", "v"))
    velocity = predict.target("velocity", X0, EPS, TAU, straight)
    ratio, tau, signal, sigma = map(column, (RATIO, TAU, SIGNAL, SIGMA))
    same(-EPS / sigma, score)
    same((X_EDM - X0) / ratio, EPS, X_EDM / ratio)
    same((X0 - X_EDM) / ratio**2 / signal, score, X_EDM / ratio**2 / signal)
    same(X0 - (X_EDM - X0) / ratio, velocity, X_EDM / ratio)
    same(X_TAU + (1 - tau) * velocity, X0)
    same((tau * velocity - X_TAU) / (1 - tau), predict.target("score", X0, EPS, TAU, straight), velocity / (1 - tau))
    same(signal * X_T - sigma * v, X0, X_T)
    same(predict.to_x0(v, X_T, ALL, LINEAR, "v"), X0, X_T)


def test_edms_inner_network_predicts_minus_v():
    """With data of variance 1, F = (D - c_skip x) / c_out = -v, and lambda is 1 / c_out^2."""
    ratio = column(RATIO)
    c_skip, c_out, c_in = 1 / (ratio**2 + 1), ratio / np.sqrt(ratio**2 + 1), 1 / np.sqrt(ratio**2 + 1)
    v = predict.target("v", X0, EPS, ALL, LINEAR)
    same((X0 - c_skip * X_EDM) / c_out, -v, X0 / c_out)
    same(c_in * X_EDM, X_T, X0)
    for width in (0.5, 1.0):
        c_out = RATIO * width / np.sqrt(RATIO**2 + width**2)
        same(1 / c_out**2, (RATIO**2 + width**2) / (RATIO * width) ** 2)


SNR = LINEAR.snr[1:]
ERROR = rng.normal(2, T, (3,))
WEIGHTS = {  # each loss, for a network whose x0 is off by ERROR, and the weight of the page
    "DDPM, noise": (lambda wrong: ("eps", wrong("eps", LINEAR)), SNR),
    "score SDE": (lambda wrong: ("score", SIGMA**2 * wrong("score", LINEAR)), SNR),
    "v": (lambda wrong: ("v", wrong("v", LINEAR)), SNR + 1),
    "flow matching": (lambda wrong: ("velocity", wrong("velocity", straight)), (1 + np.sqrt(SNR)) ** 2),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_loss_weights(name):
    """E8, M3: each loss over the squared error of x0 is the weight of the page."""

    def wrong(kind, path):
        """The squared error of a prediction whose x0 is off by ERROR and whose noise follows from x_t."""
        t, x = (ALL, X_T) if path is LINEAR else (TAU, X_TAU)
        signal, sigma = map(column, path.signal_sigma(t))
        right, missed = (predict.target(kind, x0, (x - signal * x0) / sigma, t, path) for x0 in (X0, X0 + ERROR))
        return ((right - missed) ** 2).sum(axis=1)

    loss = WEIGHTS[name][0](wrong)[1]
    weight = loss / (ERROR**2).sum(axis=1)
    np.testing.assert_allclose(
        weight, WEIGHTS[name][1], rtol=1e-9
    )  # the perturbed predictions are differences, of which up to six digits cancel


@pytest.mark.parametrize("width", [0.5, 1.0])
def test_edms_coefficients(width):
    """c_in x and F's output for D = y, (y - c_skip x) / c_out, have variance 1 where the data has variance width^2."""
    c_skip, c_out, c_in = width**2 / (RATIO**2 + width**2), RATIO * width / np.sqrt(RATIO**2 + width**2), 1 / np.sqrt(RATIO**2 + width**2)
    same(c_in**2 * (width**2 + RATIO**2), 1.0)
    same(((1 - c_skip) ** 2 * width**2 + c_skip**2 * RATIO**2) / c_out**2, 1.0)


def test_edms_weight():
    """lambda(sigma) = SNR + 1 / sigma_d^2 weights the error of D."""
    for width in (0.5, 1.0):
        same((RATIO**2 + width**2) / (RATIO * width) ** 2, SNR + 1 / width**2, abs(GAMMA) * SNR)


def test_vdms_weight():
    """E6: the weight expm1(gamma_t - gamma_s) / 2 of the noise is the weight (SNR(s) - SNR(t)) / 2 of the data."""
    t, s = ALL[1:], ALL[:-1]
    gained = np.expm1(GAMMA[1:] - GAMMA[:-1]) / 2
    np.testing.assert_allclose(gained, elbo.weight_eps(t, s, LINEAR), rtol=LOG_SNR * 1e3)  # a difference of gammas, down to 1e-2
    np.testing.assert_allclose(elbo.weight_eps(t, s, LINEAR) * SNR[1:], elbo.weight_x0(t, s, LINEAR), rtol=LOG_SNR)
    np.testing.assert_allclose((SNR[:-1] - SNR[1:]) / 2, elbo.weight_x0(t, s, LINEAR), rtol=1e-10)


def test_one_step_in_three_notations():
    """S2, M1: DDIM, Euler on EDM's ODE and Euler on the flow end in the same state."""
    t, s = np.array([900, 500, 20, 3]), np.array([700, 499, 1, 2])
    x, eps = X_T[t - 1], oracles.gaussian([0.5, 0, -1], np.eye(3) / 4).eps(X_T[t - 1], *LINEAR.signal_sigma(t))
    (signal, sigma), (signal_s, sigma_s) = (map(column, LINEAR.signal_sigma(each)) for each in (t, s))
    there = samplers.ddim_step(eps, x, t, s, LINEAR)
    D = predict.to_x0(eps, x, t, LINEAR)
    edm = x / signal + (sigma_s / signal_s - sigma / signal) * (x / signal - D) / (sigma / signal)
    terms = [x / signal, D, eps]
    same(edm * signal_s, there, *terms)
    tau, tau_s = signal / (signal + sigma), signal_s / (signal_s + sigma_s)
    for row in range(len(t)):
        moved = ode.euler_step(lambda x, t, row=row: (D - eps)[[row]], (x / (signal + sigma))[[row]], tau[row, 0], tau_s[row, 0], None)
        same(moved * (signal_s + sigma_s)[row], there[[row]], *terms)


def edms_levels(count):
    """[EDM eq. 5] as EDM prints it, and the 0 that ends it."""
    return np.append((80 ** (1 / 7) + np.arange(count) / (count - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, 0)


def test_edms_grid_and_sampler():
    """M1: EDM's levels have equal steps of sigma^(1/7); [EDM alg. 1] on them, Heun with a final Euler step, samples the
    data with order 2.
    """
    same(edms_levels(18)[:-1] ** (1 / 7), np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), 18))
    assert "rho = 7, sigma from 80 to 0.002, then 0" in DIALECTS["edm"].note
    mean, width, start = np.array([0.5, 0, -1]), 0.5, 80 * EPS[:5]
    end, errors = mean + width / np.hypot(80, width) * (start - mean), []  # deviations shrink as the width of p(x; sigma) does

    def slope(x, sigma):
        return (x - oracles.gaussian(mean, width**2 * np.eye(3)).x0(x, np.float64(1), np.float64(sigma))) / sigma

    for count in (18, 36):
        x = start
        for t, s in pairwise(edms_levels(count)):
            there = x + (s - t) * slope(x, t)
            if s > 0:
                there = x + (s - t) * (slope(x, t) + slope(there, s)) / 2
            same((ode.heun_step if s > 0 else ode.euler_step)(slope, x, t, s), there, x)
            x = there
        errors.append(relative(x, end))
    assert errors[0] < 0.05 and 3.5 < errors[0] / errors[1] < 6  # 4 in the limit


def test_sd3_time():
    """M2: SD3's z_t = (1 - t) x0 + t eps, with velocity eps - x0, is the straight path with t = 1 - tau, in reverse."""
    t = column(1 - TAU)
    same((1 - t) * X0 + t * EPS, X_TAU, X0)
    same(EPS - X0, -predict.target("velocity", X0, EPS, TAU, straight))
    same(ode.euler_step(lambda x, t: EPS - X0, X_TAU, 0.6, 0.2), ode.euler_step(lambda x, t: X0 - EPS, X_TAU, 0.4, 0.8), X0)


def test_flow_matching_keeps_a_width():
    """M2: [Flow Matching eq. 22]'s noise level falls from 1 to sigma_min."""
    same(flow.optimal_transport(0.1).signal_sigma(TAU)[1], 1 - (1 - 0.1) * TAU)


def test_training_draws_uniform_times():
    """T1: training times: uniform numbers of [0, 1) become 1..T, each equally often, or stay as they are."""
    parts = (np.arange(3 * T) + 0.5) / (3 * T)
    assert np.all(np.bincount(LINEAR.draw_time(parts))[1:] == 3) and np.array_equal(straight.draw_time(parts), parts)


def test_vdms_ancestral_step_is_ddpms():
    """S1: sqrt(alpha_s^2 / alpha_t^2) (z - sigma_t c eps) and variance sigma_s^2 c, with c = -expm1(gamma_s - gamma_t)."""
    t, s = ALL[1:], ALL[:-1]
    x, eps, noise = X_T[1:], EPS[1:], rng.normal(3, T - 1, (3,))
    c = -np.expm1(GAMMA[:-1] - GAMMA[1:])
    step = column(np.sqrt(expit(-GAMMA[:-1]) / expit(-GAMMA[1:]))) * (x - column(np.sqrt(expit(GAMMA[1:])) * c) * eps)
    step = step + column(np.sqrt((1 - expit(-GAMMA[:-1])) * c)) * noise
    np.testing.assert_allclose(step, samplers.ddpm_step(eps, x, t, s, LINEAR, noise), rtol=0, atol=LOG_SNR * 1e2)


def test_every_row_has_its_formula():
    """The page contains the formulas that are tested here."""
    for formula in (
        r"1 / (1 + \tilde\sigma^2)",
        r"1 / (1 + e^{\gamma_t})",
        r"(1 + \sqrt{\mathrm{SNR}})^2",
        "$F = -v$",
        r"0.1 + 19.9\, t",
        "from 80 to 0.002",
        "t = 1 - \\tau",
    ):
        assert formula in PAGE
