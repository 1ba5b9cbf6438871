"""The table of edge cases: at every end of every range there is a number, or an error that names the argument; no warning, no silent NaN.

A row is (id, call, expected): numbers, or an exception with the beginning of its message.
"""

import numpy as np
import pytest

from refdiff import data as toy
from refdiff import (
    elbo,
    flow,
    forward,
    gaussian,
    guidance,
    latent,
    layers,
    metrics,
    mlp,
    optim,
    oracles,
    predict,
    reverse,
    rng,
    samplers,
    schedules,
    training,
)
from refdiff.objectives.flow import interpolate, straight
from refdiff.process.forward import posterior, q_sample
from refdiff.process.schedules import check_grid, from_alpha_bars, from_betas, from_log_snr, grid
from refdiff.sampling.samplers import ddim_step, ddpm_step

from .tolerances import IDENTITY, roundings

X = np.array([[0.5, -1.5], [2.0, 0.25]])
Z = np.array([[1.0, 0.5], [-0.75, 2.0]])
HALF, ONE, NAN, INF = np.full((2, 2), 0.5), np.ones((2, 2)), np.full((2, 2), np.nan), np.full((2, 2), np.inf)
NONE = np.zeros((0, 2))  # an empty batch
X32 = X.astype(np.float32)
SINGLE = from_betas([0.36])  # T = 1: signal 0.8, sigma 0.6
DARK = from_betas([0.36, 1.0])  # zero-terminal: signal 0 and sigma 1 at t = T = 2
LINEAR = schedules.linear(100)
MIXTURE = oracles.mixture([[0.0, 0.0], [2.0, 1.0]], [np.eye(2)] * 2, labels=[0, 1])
POINTS = oracles.data_set([[0.0, 0.0], [2.0, 1.0]])
NET = mlp.init(0, width=8, depth=1, features=4, classes=2)
PARAMS = {"w": X}
CHAIN = [X, X, Z]


def fixed(value):
    """A model that answers the same for every x and t."""
    return lambda x, t: value


def kernel(x, t, s):
    """A reverse kernel of variance 0.1."""
    return x, np.float64(0.1)


def step(formula, schedule, **options):
    """The states of a run over a whole schedule with a model that answers x."""
    return lambda grid, x, noise=None: list(samplers.sample(lambda x, t: x, samplers.stepper(formula, schedule, **options), grid, x, noise))


# a table has a row on each line
# fmt: off
NUMBERS = [
    # T = 1, S = 1, S = T
    ("T = 1: noised", lambda: q_sample(X, 1, SINGLE, Z), 0.8 * X + 0.6 * Z),
    ("T = 1: posterior is the data", lambda: posterior(X, Z, 1, 0, SINGLE)[0], Z),
    ("T = 1: posterior variance", lambda: posterior(X, Z, 1, 0, SINGLE)[1], 0.0),
    ("T = 1: DDPM returns its x0", lambda: ddpm_step(Z, X, 1, 0, SINGLE), (X - 0.6 * Z) / 0.8),
    ("T = 1: DDIM returns its x0", lambda: ddim_step(Z, X, 1, 0, SINGLE, eta=1.0), (X - 0.6 * Z) / 0.8),
    ("T = 1: every grid is [1, 0]", lambda: [grid(kind, 1, 1) for kind in schedules.GRIDS], [[1, 0]] * 4),
    ("T = 1: cosine clips its beta", lambda: schedules.cosine(1).beta, [0, 0.999]),
    ("T = 1: linear takes beta_start", lambda: schedules.linear(1).beta, [0, 0.1]),
    ("T = 1: elbo terms, L_T and L_0", lambda: elbo.elbo_terms(X, [1, 0], SINGLE, kernel, [Z]).shape, [2, 2]),
    ("T = 1: a beta of 1", lambda: from_betas([1.0]).alpha_bar, [1, 0]),
    ("T = 20: linear ends in a beta of 1", lambda: schedules.linear(20).alpha_bar[-1], 0.0),
    ("S = 1: from T to 0, but for leading", lambda: [grid(kind, 10, 1) for kind in schedules.GRIDS], [[10, 0], [1, 0], [10, 0], [10, 0]]),
    ("S = T: every time", lambda: [grid(kind, 3, 3) for kind in schedules.GRIDS], [[3, 2, 1, 0]] * 4),
    ("S = 1: DDIM with eta 1 adds no noise", lambda: ddim_step(X, Z, 2, 0, DARK, eta=1.0, kind="x0"), X),
    # zero-terminal SNR, each kind of prediction at t = T: x_T = eps, v = -x0, velocity = x0 - eps
    ("zero SNR: x0 of x0", lambda: predict.to_x0(X, Z, 2, DARK, "x0"), X),
    ("zero SNR: x0 of v", lambda: predict.to_x0(X, Z, 2, DARK, "v"), -X),
    ("zero SNR: x0 of velocity", lambda: predict.to_x0(X, Z, 2, DARK, "velocity"), X + Z),
    ("zero SNR: eps of eps", lambda: predict.to_eps(X, Z, 2, DARK, "eps"), X),
    ("zero SNR: eps of score", lambda: predict.to_eps(X, Z, 2, DARK, "score"), -X),
    ("zero SNR: eps of v is x_T", lambda: predict.to_eps(X, Z, 2, DARK, "v"), Z),
    ("zero SNR: score of eps", lambda: predict.convert(X, Z, 2, DARK, "eps", "score"), -X),
    ("zero SNR: DDIM by v", lambda: ddim_step(X, Z, 2, 1, DARK, kind="v"), -0.8 * X + 0.6 * Z),
    ("zero SNR: DDPM by x0", lambda: ddpm_step(X, X, 2, 1, DARK, Z, kind="x0"), 0.8 * X + 0.6 * Z),
    ("zero SNR: nothing left over", lambda: forward.prior_kl(X, DARK), [0, 0]),
    ("zero SNR: weight of x0, half of SNR(1)", lambda: elbo.weight_x0(2, 1, DARK), 0.64 / 0.36 / 2),
    ("zero SNR: once more changes nothing", lambda: schedules.zero_terminal_snr(DARK).alpha_bar, [1, 0.64, 0]),
    ("zero SNR: log-SNR at both ends", lambda: np.isinf(DARK.log_snr) * np.sign(DARK.log_snr), [1, 0, -1]),
    # t = 0
    ("t = 0: q_sample gives the data back", lambda: q_sample(X, 0, LINEAR, Z), X),
    ("t = 0 beside t = 1", lambda: q_sample(X, np.array([0, 1]), SINGLE, Z), [X[0], 0.8 * X[1] + 0.6 * Z[1]]),
    ("t = 0: variance", lambda: forward.q_marginal(X, 0, LINEAR)[1], 0.0),
    ("t = 0: x0 of eps is x_t", lambda: predict.to_x0(X, Z, 0, LINEAR, "eps"), Z),
    ("t = 0: x0 of v is x_t", lambda: predict.to_x0(X, Z, 0, LINEAR, "v"), Z),
    ("t = 0: eps of velocity", lambda: predict.to_eps(X, Z, 0, LINEAR, "velocity"), Z - X),
    ("t = 0: min-SNR weights", lambda: [elbo.min_snr_weight(0, DARK, 5, kind) for kind in ("x0", "eps", "v")], [5, 0, 0]),
    ("t = T: min-SNR weights", lambda: [elbo.min_snr_weight(2, DARK, 5, kind) for kind in ("x0", "eps", "v")], [0, 1, 0]),
    ("t = 0: oracle with width expects no noise", lambda: MIXTURE.model(LINEAR)(X, 0), 0 * X),
    ("s = 0 for one example of two: no noise there", lambda: ddpm_step(X, X, np.array([1, 2]), np.array([0, 1]), DARK, Z, "x0")[0], X[0]),
    ("last uniform number", lambda: LINEAR.draw_time(np.array([0.0, 1.0])), [1, 100]),
    # empty batches
    ("empty: q_sample", lambda: q_sample(NONE, 5, LINEAR, NONE), NONE),
    ("empty: posterior", lambda: posterior(NONE, NONE, 5, 3, LINEAR)[0], NONE),
    ("empty: DDIM", lambda: ddim_step(NONE, NONE, 5, 3, LINEAR, NONE, 0.5), NONE),
    ("empty: DDPM", lambda: ddpm_step(NONE, NONE, 5, 3, LINEAR, NONE), NONE),
    ("empty: a whole run", lambda: step(ddim_step, LINEAR)([100, 50, 0], NONE), [NONE] * 3),
    ("empty: an adaptive solver", lambda: samplers.solve_adaptive(lambda x, t: x, NONE, 0.0, 1.0), NONE),
    ("empty: slerp", lambda: samplers.slerp(NONE, NONE, 0.5), NONE),
    ("empty: divergence", lambda: gaussian.kl_diagonal(NONE, np.float64(1), NONE, np.float64(2)), []),
    ("empty: loss", lambda: elbo.l_simple(NONE, NONE), []),
    ("empty: oracle's eps", lambda: MIXTURE.eps(NONE, 0.8, 0.6), NONE),
    ("empty: oracle's classes", lambda: MIXTURE.log_class(NONE, 0.8, 0.6), NONE),
    ("empty: oracle's labels", lambda: MIXTURE.score(NONE, 0.8, 0.6, np.zeros(0, int)), NONE),
    ("empty: transport", lambda: oracles.transport(oracles.gaussian([0, 0], np.eye(2)), NONE, 0.0, 1.0, straight), NONE),
    ("empty: coupling", lambda: flow.couple_optimally(NONE, NONE), []),
    ("empty: network", lambda: mlp.mlp(NET, X32[:0], 5.0)[0], NONE),
    ("empty: noise", lambda: rng.normal(0, 0, (2,)), NONE),
    ("empty: points", lambda: toy.load("two_moons", 0)[0], NONE),
    # batch 1, and other smallest sizes
    ("batch 1: coupling", lambda: flow.couple_optimally(X[:1], Z[:1]), [0]),
    ("batch 1: an untrained network answers 0", lambda: mlp.mlp(NET, X32[:1], 5.0, np.array([1]))[0], [[0, 0]]),
    ("batch 1: energy distance of a point to itself", lambda: metrics.energy_distance(X[:1], X[:1]), 0.0),
    ("no batch: a lone number", lambda: q_sample(np.float64(2), 1, SINGLE, np.float64(-1)), 1.0),
    ("one time: nothing to do", lambda: step(ddim_step, LINEAR)([0], X), [X]),
    # ends of ranges
    ("eta = 0 and 1 where nothing is left to add", lambda: ddim_step(X, X, 1, 0, SINGLE, eta=1.0, kind="x0"), X),
    ("gamma = 0: unconditional, bit for bit", lambda: guidance.classifier_free(X, Z, 0), X),
    ("gamma = 1: conditional, bit for bit", lambda: guidance.classifier_free(X, Z, 1), Z),
    ("gamma for each example", lambda: guidance.classifier_free(X, Z, np.array([0.0, 1.0])), [X[0], Z[1]]),
    ("gamma for each example, by a classifier", lambda: guidance.classifier_score(X, Z, np.array([0.0, 2.0])), [X[0], X[1] + 2 * Z[1]]),
    ("labels never dropped", lambda: guidance.drop_labels(np.array([0, 1]), np.array([0.0, 1.0]), 0.0, 2), [0, 1]),
    ("labels always dropped", lambda: guidance.drop_labels(np.array([0, 1]), np.array([0.0, 0.99]), 1.0, 2), [2, 2]),
    ("mix = 0: beta-tilde", lambda: reverse.model_variance(X, 2, 1, DARK, "learned", 0 * X), 0.36 * ONE),
    ("mix = 1: beta", lambda: reverse.model_variance(X, 2, 1, DARK, "learned", ONE), ONE),
    ("slerp of equal noises", lambda: samplers.slerp(X, X, 0.3), X),
    ("slerp at weight 1", lambda: samplers.slerp(X, Z, 1.0), Z),
    ("ODE step of no length", lambda: samplers.rk4_step(lambda x, t: x, X, 0.5, 0.5), X),
    ("adaptive solver of no length", lambda: samplers.solve_adaptive(lambda x, t: x, X, 1.0, 1.0), X),
    ("flow at t = 0: noise", lambda: interpolate(X, Z, 0), Z),
    ("flow at t = 1: data", lambda: interpolate(X, Z, 1), X),
    ("flow of no width ends without noise", lambda: flow.optimal_transport(0.0).signal_sigma(1.0), [1, 0]),
    ("flow time of pure data and pure noise", lambda: flow.flow_time(np.array([np.inf, -np.inf])), [1, 0]),
    ("log-SNR of flow time 0 and 1", lambda: np.exp(flow.flow_log_snr(np.array([0.0, 1.0])) / [1, -1]), [0, 0]),
    ("divergence of equals", lambda: gaussian.kl_diagonal(X, HALF, X, HALF), [0, 0]),
    ("far pixel", lambda: gaussian.discretized_log_likelihood(np.array([[0.0]]), np.array([[-1e9]]), 1e-3), [-((1e9 - 1 / 255) ** 2) / 2e-6]),
    ("point mass without noise to tell it from", lambda: oracles.point_mass([2.0, 1.0]).x0(1e9 * X, 0.8, 0.6), [[2, 1]] * 2),
    ("nearest of two points, far away", lambda: POINTS.x0(1e9 * ONE, 0.8, 0.6), [[2, 1]] * 2),
    ("no label, in words and as the last entry", lambda: MIXTURE.eps(X, 0.8, 0.6) - MIXTURE.eps(X, 0.8, 0.6, np.array([2, 2])), 0 * X),
    ("silu far out", lambda: layers.silu({}, np.array([1e300, -1e300]))[0], [1e300, 0]),
    ("cross-entropy far out", lambda: layers.cross_entropy(np.array([[1e300, -1e300]]), np.array([0]))[0], [0]),
    ("importance weights far out", lambda: latent.log_mean_exp(np.array([[1000.0], [-1000.0]])), [1000 - np.log(2)]),
    ("smallest betas", lambda: from_betas([0.5, 1e-20]).beta, [0, 0.5, 1e-20]),
    ("largest seed", lambda: rng.normal(2**64 - 1, 2, (0,)), np.zeros((2, 0))),
    ("clipping a gradient of 0", lambda: optim.clip({"w": 0 * X}, 1.0)[0]["w"], 0 * X),
    ("the learning rate's last step", lambda: optim.learning_rate(10**6, 1.0, 10, 100, 0.125), 0.125),
]

VALUE, TYPE = ValueError, TypeError
ERRORS = [
    # schedules
    ("no betas", lambda: from_betas([]), VALUE, r"betas has shape \(0,\); allowed: \(T,\) with T >= 1"),
    ("betas in two dimensions", lambda: from_betas([[0.1]]), VALUE, r"betas has shape \(1, 1\); allowed"),
    ("beta of 0", lambda: from_betas([0.1, 0.0]), VALUE, r"beta_2 = 0.0; allowed: inside \(0, 1\)"),
    ("beta of 1 in the middle", lambda: from_betas([0.1, 1.0, 0.2]), VALUE, r"beta_2 = 1.0; allowed: inside \(0, 1\), or 1 for the last"),
    ("negative beta", lambda: from_betas([-0.1]), VALUE, "beta_1 = -0.1; allowed"),
    ("beta of NaN", lambda: from_betas([0.1, np.nan]), VALUE, "beta_2 = nan; allowed"),
    ("infinite beta", lambda: from_betas([np.inf]), VALUE, "beta_1 = inf; allowed"),
    ("T = 10: linear", lambda: schedules.linear(10), VALUE, "beta_6 = 1.1155.*; allowed"),
    ("T = 10: quadratic", lambda: schedules.quadratic(10), VALUE, "beta_8 = 1.259.*; allowed"),
    ("T = 0", lambda: schedules.cosine(0), VALUE, "T = 0; allowed: 1..10000000"),
    ("fractional T", lambda: schedules.cosine(1.5), TYPE, "T = 1.5; allowed: an integer"),
    ("T = 1 without signal", lambda: schedules.zero_terminal_snr(SINGLE), VALUE, "schedule has T = 1; allowed: T >= 2"),
    ("beta_start of NaN", lambda: schedules.linear(100, np.nan), VALUE, "beta_start = nan; allowed"),
    ("negative beta_start", lambda: schedules.quadratic(100, -1e-4), VALUE, "beta_start = -0.0001; allowed"),
    ("negative beta_end", lambda: schedules.linear(100, 1e-4, -0.02), VALUE, "beta_end = -0.02; allowed"),
    ("beta_end of 0", lambda: schedules.quadratic(100, 1e-4, 0), VALUE, r"beta_end = 0; allowed: finite, in \(0, inf\]"),
    ("offset of -1", lambda: schedules.cosine(10, -1.0), VALUE, r"offset = -1.0; allowed: finite, in \[0, inf\]"),
    ("cosine's beta_max of 1.5", lambda: schedules.cosine(10, beta_max=1.5), VALUE, r"beta_max = 1.5; allowed: finite, in \(0, 1\]"),
    ("cosine's beta_max of 0", lambda: schedules.cosine(10, beta_max=0), VALUE, r"beta_max = 0; allowed: finite, in \(0, 1\]"),
    ("sigmoid's beta_max of NaN", lambda: schedules.sigmoid(10, beta_max=np.nan), VALUE, "beta_max = nan; allowed"),
    ("sigmoid's beta_max of 0", lambda: schedules.sigmoid(10, beta_max=0), VALUE, r"beta_max = 0; allowed: finite, in \(0, 1\]"),
    ("tau of 0", lambda: schedules.sigmoid(10, tau=0), VALUE, r"tau = 0; allowed: finite, in \(0, inf\]"),
    ("start too low", lambda: schedules.sigmoid(10, -1401, 3, 2), VALUE, r"start = -1401; allowed: finite, in \[-1400, 1400\]"),
    ("end too high", lambda: schedules.sigmoid(10, -3, 1401, 2), VALUE, r"end = 1401; allowed: finite, in \[-1400, 1400\]"),
    ("start = end", lambda: schedules.sigmoid(10, 1, 1), VALUE, r"\|end - start\| = 0; allowed"),
    ("alpha_bar of NaN", lambda: from_alpha_bars([np.nan]), VALUE, "alpha_bars = .*nan.*; allowed"),
    ("alpha_bar above 1", lambda: from_alpha_bars([1.5]), VALUE, r"alpha_bars = .*; allowed: finite, in \[0, 1\]"),
    ("alpha_bars that rise", lambda: from_alpha_bars([0.5, 0.6]), VALUE, "log_alpha_bar does not decrease strictly at t = 2"),
    ("alpha_bar of 0 twice", lambda: from_alpha_bars([0.5, 0, 0]), VALUE, "log_alpha_bar does not decrease strictly at t = 3"),
    ("log-SNR of NaN", lambda: from_log_snr([np.nan]), VALUE, "log_snr = .*nan.*; allowed: finite"),
    ("infinite log-SNR", lambda: from_log_snr([np.inf]), VALUE, "log_snr = .*inf.*; allowed: finite"),
    # grids
    ("S = 0", lambda: grid("linspace", 10, 0), VALUE, "S = 0; allowed: 1..10"),
    ("S > T", lambda: grid("trailing", 10, 11), VALUE, "S = 11; allowed: 1..10"),
    ("fractional S", lambda: grid("leading", 10, 2.5), TYPE, "S = 2.5; allowed: an integer"),
    ("kind of grid", lambda: grid("karras", 10, 2), VALUE, "kind = 'karras'; allowed: linspace, leading, trailing, quadratic"),
    ("grid that does not end in 0", lambda: check_grid([10, 5], 10), VALUE, r"grid = .*; allowed: .*, the last of them 0"),
    ("grid that rises", lambda: check_grid([0, 5], 10), VALUE, r"grid = .*; allowed: strictly decreasing"),
    ("grid with a time twice", lambda: check_grid([5, 5, 0], 10), VALUE, r"grid = .*; allowed: strictly decreasing"),
    ("grid from above T", lambda: check_grid([11, 0], 10), VALUE, r"grid = .*; allowed: 0..10"),
    ("grid of fractions", lambda: check_grid([5.5, 0.0], 10), TYPE, "grid = .*; allowed: an integer or an array"),
    ("grid of one time", lambda: check_grid([0], 10), VALUE, r"grid = .*; allowed: strictly decreasing"),
    ("grid of none", lambda: check_grid([], 10), TYPE, r"grid = array\(\[\]"),
    # times
    ("t = T + 1", lambda: q_sample(X, 101, LINEAR, Z), VALUE, "t = 101; allowed: 0..100"),
    ("negative t", lambda: q_sample(X, -1, LINEAR, Z), VALUE, "t = -1; allowed: 0..100"),
    ("fractional t", lambda: q_sample(X, 1.5, LINEAR, Z), TYPE, "t = 1.5; allowed: an integer"),
    ("boolean t", lambda: q_sample(X, True, LINEAR, Z), TYPE, "t = True; allowed: an integer"),
    ("t in a list", lambda: q_sample(X, [1, 2], LINEAR, Z), TYPE, r"t = \[1, 2\]; allowed: an integer or an array"),
    ("t of NaN", lambda: q_sample(X, np.nan, LINEAR, Z), TYPE, "t = nan; allowed: an integer"),
    ("t of another batch", lambda: q_sample(X, np.array([1, 2, 3]), LINEAR, Z), VALUE, r"t has shape \(3,\); allowed: \(\) or \(B,\)"),
    ("t = 0 has no earlier time", lambda: posterior(X, Z, 0, 0, LINEAR), VALUE, "t = 0; allowed: 1..100"),
    ("s = t", lambda: posterior(X, Z, 5, 5, LINEAR), VALUE, r"s = .*5.* is not below t = .*5.*; allowed: 0 <= s < t <= T = 100"),
    ("s > t", lambda: ddim_step(X, Z, 5, 6, LINEAR), VALUE, r"s = .*6.* is not below t = .*5"),
    ("negative s", lambda: ddpm_step(X, Z, 5, -1, LINEAR, Z), VALUE, "s = -1; allowed: 0..100"),
    ("s of another batch than t", lambda: forward.q_step(X, np.array([5, 6]), np.array([1, 2, 3]), LINEAR), VALUE, r"s has shape \(3,\); allowed"),
    ("t above T where it is not needed", lambda: predict.to_x0(X, Z, 101, LINEAR, "x0"), VALUE, "t = 101; allowed: 0..100"),
    ("t above T for eps", lambda: predict.to_eps(X, Z, 101, LINEAR, "eps"), VALUE, "t = 101; allowed: 0..100"),
    ("uniform number above 1", lambda: LINEAR.draw_time(np.array([1.5])), VALUE, r"uniform = .*1.5.*; allowed: finite, in \[0, 1\]"),
    ("uniform number below 0", lambda: LINEAR.draw_time(np.array([-0.5])), VALUE, r"uniform = .*; allowed: finite, in \[0, 1\]"),
    ("clock of T + 1", lambda: LINEAR.clock(101), VALUE, "t = 101; allowed: 0..100"),
    ("flow t above 1", lambda: interpolate(X, Z, 1.1), VALUE, r"t = 1.1; allowed: finite, in \[0, 1\]"),
    ("flow t below 0", lambda: interpolate(X, Z, -0.1), VALUE, r"t = -0.1; allowed: finite, in \[0, 1\]"),
    ("flow t of NaN", lambda: interpolate(X, Z, np.nan), VALUE, "t = nan; allowed: finite"),
    ("flow t of a boolean", lambda: interpolate(X, Z, True), TYPE, "t = True; allowed: a number"),
    ("flow t of another batch", lambda: interpolate(X, Z, np.array([0.1, 0.2, 0.3])), VALUE, r"t has shape \(3,\); allowed"),
    ("tau above 1", lambda: flow.flow_log_snr(1.5), VALUE, r"tau = 1.5; allowed: finite, in \[0, 1\]"),
    ("log-SNR of NaN, to flow time", lambda: flow.flow_time(np.array([0.0, np.nan])), VALUE, "log_snr = .*nan.*; allowed"),
    ("negative sigma_min", lambda: flow.optimal_transport(-0.1), VALUE, r"sigma_min = -0.1; allowed: finite, in \[0, 1\]"),
    ("negative width", lambda: flow.conditional_path(X, Z, 0.5, -1), VALUE, r"width = -1; allowed: finite, in \[0, inf\]"),
    # arrays
    ("NaN in x0", lambda: q_sample(NAN, 5, LINEAR, Z), VALUE, "x0 holds NaN or infinity; allowed: finite numbers"),
    ("infinity in the noise", lambda: q_sample(X, 5, LINEAR, INF), VALUE, "noise holds NaN or infinity"),
    ("NaN in x_t", lambda: posterior(NAN, X, 5, 3, LINEAR), VALUE, "x_t holds NaN"),
    ("NaN in the prediction", lambda: ddim_step(NAN, X, 5, 3, LINEAR), VALUE, "prediction holds NaN"),
    ("NaN in the target", lambda: elbo.l_simple(NAN, X), VALUE, "target holds NaN"),
    ("integers", lambda: q_sample(np.ones((2, 2), int), 5, LINEAR, Z), TYPE, "x0 is .*; allowed: a floating-point array"),
    ("a list", lambda: q_sample([[0.5, 1.0]], 5, LINEAR, Z), TYPE, r"x0 is \[\[0.5, 1.0\]\]; allowed: a floating-point array"),
    ("shapes that differ", lambda: q_sample(X, 5, LINEAR, Z[:1]), VALUE, r"noise has shape \(1, 2\); allowed: \(2, 2\), the shape of x0"),
    ("precisions that differ", lambda: q_sample(X, 5, LINEAR, X32), TYPE, "noise has dtype float32; allowed: float64, the dtype of x0"),
    ("no noise", lambda: q_sample(X, 5, LINEAR, None), TYPE, "noise is None; allowed: a floating-point array"),
    ("NaN in the Hessian", lambda: predict.tweedie_covariance(NAN[None], 5, LINEAR), VALUE, "hessian holds NaN"),
    ("NaN in a flow's state", lambda: flow.to_flow(NAN, 0.8, 0.6), VALUE, "x_t holds NaN"),
    ("a flow's state in a list", lambda: flow.from_flow([[0.5]], 0.5), TYPE, r"x_tau is \[\[0.5\]\]; allowed"),
    ("neither signal nor noise", lambda: flow.to_flow(X, 0.0, 0.0), VALUE, r"signal \+ sigma = .*0.*; allowed: finite, in \(0, inf\]"),
    ("velocity of another shape", lambda: flow.conditional_loss(X[:1], X, Z, 0.5), VALUE, r"prediction has shape \(1, 2\); allowed: \(2, 2\)"),
    # predictions
    ("kind of prediction", lambda: predict.to_x0(X, Z, 5, LINEAR, "noise"), VALUE, "kind = 'noise'; allowed: x0, eps, v, score, velocity"),
    ("zero SNR: x0 of eps", lambda: predict.to_x0(X, Z, 2, DARK), VALUE, "eps-prediction at t = 2 does not determine x0; allowed there: another"),
    ("zero SNR: x0 of score", lambda: predict.to_x0(X, Z, 2, DARK, "score"), VALUE, "score-prediction at t = 2 does not determine x0"),
    ("zero SNR: v of eps", lambda: predict.convert(X, Z, 2, DARK, "eps", "v"), VALUE, "eps-prediction at t = 2 does not determine v"),
    ("zero SNR: mean of eps", lambda: reverse.mean_from_eps(X, Z, 2, 1, DARK), VALUE, "eps-prediction at t = 2, where alpha_bar is 0"),
    ("zero SNR: DDPM by eps", lambda: ddpm_step(X, Z, 2, 1, DARK, Z), VALUE, "eps-prediction at t = 2 does not determine x0"),
    ("zero SNR: DDIM by score", lambda: ddim_step(X, Z, 2, 1, DARK, kind="score"), VALUE, "score-prediction at t = 2 does not determine x0"),
    ("zero SNR in one example of two", lambda: predict.to_x0(X, Z, np.array([2, 1]), DARK), VALUE, r"eps-prediction at t = array\(\[2, 1\]\)"),
    ("zero SNR: Bayes", lambda: forward.posterior_by_bayes(X, Z, 2, 1, DARK), VALUE, "t = 2 has alpha_bar 0, .*; allowed: t with alpha_bar > 0"),
    ("zero SNR: Tweedie", lambda: predict.tweedie_mean(X, Z, 2, DARK), VALUE, "Tweedie's formula at t = 2, where signal is 0"),
    ("zero SNR: weight of eps", lambda: elbo.weight_eps(2, 1, DARK), VALUE, "t = 2 has alpha_bar 0, .*; allowed: t with alpha_bar > 0"),
    ("t = 0: eps of x0", lambda: predict.to_eps(X, Z, 0, LINEAR, "x0"), VALUE, "x0-prediction at t = 0 does not determine eps"),
    ("t = 0: score", lambda: predict.convert(X, Z, 0, LINEAR, "eps", "score"), VALUE, "the score at t = 0, where sigma is 0, does not exist"),
    ("flow t = 0: velocity of eps", lambda: predict.convert(X, Z, 0.0, straight, "eps", "velocity"), VALUE, "eps-prediction at t = 0.0 does not"),
    # samplers
    ("eta above 1", lambda: ddim_step(X, Z, 5, 3, LINEAR, Z, 1.1), VALUE, r"eta = 1.1; allowed: finite, in \[0, 1\]"),
    ("eta below 0", lambda: ddim_step(X, Z, 5, 3, LINEAR, Z, -0.1), VALUE, r"eta = -0.1; allowed: finite, in \[0, 1\]"),
    ("eta of NaN", lambda: ddim_step(X, Z, 5, 3, LINEAR, Z, np.nan), VALUE, "eta = nan; allowed"),
    ("eta for each example", lambda: ddim_step(X, Z, 5, 3, LINEAR, Z, np.array([0.1, 0.2])), VALUE, r"eta = array\(.*; allowed: one number"),
    ("no noise for DDPM", lambda: ddpm_step(X, Z, 5, 3, LINEAR), VALUE, "noise = None; allowed: an array of x_t's shape, unless the step adds no noise"),
    ("no noise for eta > 0", lambda: ddim_step(X, Z, 5, 3, LINEAR, eta=0.5), VALUE, "noise = None; allowed: an array of x_t's shape"),
    ("variance", lambda: ddpm_step(X, Z, 5, 3, LINEAR, Z, variance="fixed"), VALUE, "variance = 'fixed'; allowed: posterior, beta, learned"),
    ("no mix", lambda: reverse.model_variance(X, 5, 3, LINEAR, "learned"), VALUE, "mix = None; allowed with variance = 'learned'"),
    ("mix above 1", lambda: reverse.model_variance(X, 5, 3, LINEAR, "learned", 2 * ONE), VALUE, r"mix = .*; allowed: finite, in \[0, 1\]"),
    ("mix of another shape", lambda: reverse.model_variance(X, 5, 3, LINEAR, "learned", ONE[:1]), VALUE, r"mix has shape \(1, 2\); allowed: \(2, 2\)"),
    ("mix at s = 0", lambda: reverse.model_variance(X, 5, 0, LINEAR, "learned", HALF), VALUE, "variance = 'learned' with s = 0; allowed: s > 0"),
    ("inversion beyond T", lambda: samplers.ddim_inversion_step(X, Z, 100, 101, LINEAR), VALUE, "t = 101; allowed: 1..100"),
    ("inversion from clean data by x0", lambda: samplers.ddim_inversion_step(X, Z, 0, 5, LINEAR, kind="x0"), VALUE, "x0-prediction at t = .*0"),
    ("weight above 1", lambda: samplers.shared_noise_interpolation(X, Z, 1.5, 5, LINEAR, Z), VALUE, r"weight = 1.5; allowed: finite, in \[0, 1\]"),
    ("weight of another batch", lambda: samplers.shared_noise_interpolation(X, Z, np.ones(3), 5, LINEAR, Z), VALUE, r"weight has shape \(3,\)"),
    ("slerp of opposite noises", lambda: samplers.slerp(X, -X, 0.5), VALUE, "angle between a and b = .*; allowed: finite, in"),
    ("slerp of nothing", lambda: samplers.slerp(X, 0 * X, 0.5), VALUE, r"length of b = .*; allowed: finite, in \(0, inf\]"),
    ("noise too short", lambda: step(ddpm_step, LINEAR)([5, 3, 0], X, [Z]), VALUE, "noise has 1 entries; allowed: one for each of the 2 steps"),
    ("no noise for a run", lambda: step(ddpm_step, LINEAR)([5, 3, 0], X), VALUE, "noise = None; allowed"),
    ("run from above T", lambda: step(ddim_step, LINEAR)([101, 0], X), VALUE, "t = 101; allowed: 1..100"),
    ("run that goes up", lambda: step(ddim_step, LINEAR)([5, 7], X), VALUE, r"s = .*7.* is not below t = .*5"),
    ("run from NaN", lambda: step(ddim_step, LINEAR)([5, 0], NAN), VALUE, "x holds NaN"),
    ("slope of another shape", lambda: samplers.euler_step(fixed(X[:1]), X, 0.0, 0.5), VALUE, r"f\(x, t\) has shape \(1, 2\); allowed: \(2, 2\)"),
    ("slope of NaN", lambda: samplers.heun_step(fixed(NAN), X, 0.0, 0.5), VALUE, r"f\(x, t\) holds NaN"),
    ("slope of another precision", lambda: samplers.rk4_step(fixed(X32), X, 0.0, 0.5), TYPE, r"f\(x, t\) has dtype float32; allowed: float64"),
    ("ODE of a schedule", lambda: samplers.velocity_field(fixed(X), LINEAR, "eps"), TYPE, "path is a Schedule, T = 100; allowed: a flow's path"),
    ("ODE from a list", lambda: samplers.euler_step(fixed(X), [0.5], 0.0, 0.5), TYPE, r"x is \[0.5\]; allowed: a floating-point array"),
    ("ODE to NaN", lambda: samplers.euler_step(fixed(X), X, 0.0, np.nan), VALUE, "s = nan; allowed: finite"),
    ("ODE from NaN", lambda: samplers.heun_step(fixed(X), X, np.nan, 0.5), VALUE, "t = nan; allowed: finite"),
    ("adaptive slope of NaN", lambda: samplers.solve_adaptive(fixed(NAN), X, 0.0, 1.0), VALUE, r"f\(x, t\) = .*nan.*; allowed: finite"),
    ("adaptive to NaN", lambda: samplers.solve_adaptive(fixed(X), X, 0.0, np.nan), VALUE, "s = nan; allowed: finite"),
    ("adaptive from NaN", lambda: samplers.solve_adaptive(fixed(X), X, np.nan, 1.0), VALUE, "t = nan; allowed: finite"),
    ("rtol below precision", lambda: samplers.solve_adaptive(fixed(X), X, 0.0, 1.0, 1e-15), VALUE, r"rtol = 1e-15; allowed: finite, in \[1e-13, inf\]"),
    ("negative atol", lambda: samplers.solve_adaptive(fixed(X), X, 0.0, 1.0, atol=-1), VALUE, r"atol = -1; allowed: finite, in \[0, inf\]"),
    # chains
    ("chain with too little noise", lambda: forward.trajectory(X, [5, 3, 0], LINEAR, [Z]), VALUE, "noise has 1 entries; allowed: 2, one for each step"),
    ("chain not from clean data", lambda: forward.trajectory(X, [5, 3], LINEAR, [Z]), VALUE, "grid = .*; allowed: .*, the last of them 0"),
    ("chain from above T", lambda: forward.trajectory(X, [101, 0], LINEAR, [Z]), VALUE, "grid = .*; allowed: 0..100"),
    ("states for another grid", lambda: forward.trajectory_log_density(CHAIN[1:], [5, 3, 0], LINEAR), VALUE, "states has 2 entries; allowed: 3, one for"),
    ("states that do not end at 0", lambda: forward.trajectory_log_density(CHAIN, [5, 3, 1], LINEAR), VALUE, "grid = .*, the last of them 0"),
    ("the same, backwards", lambda: forward.trajectory_log_density_reversed(CHAIN, [5, 3, 1], LINEAR), VALUE, "grid = .*, the last of them 0"),
    ("the same, of the model", lambda: reverse.trajectory_log_density(CHAIN, [5, 3, 1], kernel), VALUE, "grid = .*, the last of them 0"),
    ("the same, of the bound", lambda: elbo.elbo_bayes(CHAIN, [5, 3, 1], LINEAR, kernel), VALUE, "grid = .*, the last of them 0"),
    ("kernel of NaN", lambda: reverse.trajectory_log_density(CHAIN, [5, 3, 0], lambda x, t, s: (NAN, HALF)), VALUE, "mean = .*nan.*; allowed: finite"),
    ("kernel of no width", lambda: reverse.trajectory_log_density(CHAIN, [5, 3, 0], lambda x, t, s: (x, 0 * x)), VALUE, "variance = .*; allowed"),
    ("bound from below T", lambda: elbo.elbo_terms(X, [50, 0], LINEAR, kernel, [Z]), VALUE, "grid starts at 50; allowed: T = 100"),
    ("bound that does not end at 0", lambda: elbo.elbo_terms(X, [100, 50], LINEAR, kernel, [Z]), VALUE, "grid = .*, the last of them 0"),
    # bounds and losses
    ("weight of the mean at s = 0", lambda: elbo.weight_mean(5, 0, LINEAR), VALUE, "s = 0; allowed: s > 0, since beta-tilde is 0 at s = 0"),
    ("weight of eps at s = 0", lambda: elbo.weight_eps(5, 0, LINEAR), VALUE, "s = 0; allowed: s > 0"),
    ("weight of x0 at s = 0", lambda: elbo.weight_x0(5, 0, LINEAR), VALUE, "s = 0; allowed: s > 0"),
    ("min-SNR gamma of 0", lambda: elbo.min_snr_weight(5, LINEAR, 0), VALUE, r"gamma = 0; allowed: finite, in \(0, inf\]"),
    ("min-SNR of scores", lambda: elbo.min_snr_weight(5, LINEAR, 5, "score"), VALUE, "kind = 'score'; allowed: x0, eps, v"),
    ("hybrid of NaN", lambda: elbo.hybrid(NAN[0], X[0]), VALUE, "simple = .*nan.*; allowed: finite"),
    ("hybrid with NaN", lambda: elbo.hybrid(X[0], NAN[0]), VALUE, "vlb = .*nan.*; allowed: finite"),
    ("hybrid of negative weight", lambda: elbo.hybrid(X[0], X[0], -1), VALUE, r"weight = -1; allowed: finite, in \[0, inf\]"),
    ("weighted NaN", lambda: elbo.weighted(NAN[0], 1.0), VALUE, "loss = .*nan.*; allowed: finite"),
    ("weight of NaN", lambda: elbo.weighted(X[0], np.nan), VALUE, "weight = nan; allowed: finite"),
    ("weights of another batch", lambda: elbo.weighted(np.ones(2), np.ones(3)), VALUE, r"weight has shape \(3,\); allowed: \(\) or \(B,\)"),
    ("bits of NaN", lambda: elbo.bits_per_dim(np.nan, 2), VALUE, "nats = nan; allowed: finite"),
    ("bits of no dimension", lambda: elbo.bits_per_dim(np.ones(2), 0), VALUE, r"dimensions = 0; allowed: finite, in \[1, inf\]"),
    ("pixels outside", lambda: elbo.discretized_decoder(X, X, HALF), VALUE, r"x = .*; allowed: finite, in \[-1, 1\]"),
    ("pixels of negative variance", lambda: elbo.discretized_decoder(HALF, X, -HALF), VALUE, r"variance = .*; allowed: finite, in \(0, inf\]"),
    ("pixels of no width", lambda: elbo.discretized_decoder(HALF, X, 0 * X), VALUE, r"variance = .*; allowed: finite, in \(0, inf\]"),
    ("pixels of integers", lambda: gaussian.discretized_log_likelihood(np.array([[0]]), 0.0, 1.0), TYPE, r"x is array\(\[\[0\]\]\); allowed"),
    # Gaussians
    ("density of NaN", lambda: gaussian.log_density(NAN, X, HALF), VALUE, "x holds NaN"),
    ("density at a mean of NaN", lambda: gaussian.log_density(X, NAN, HALF), VALUE, "mean = .*nan.*; allowed: finite"),
    ("density of no width", lambda: gaussian.log_density(X, X, 0 * X), VALUE, r"variance = .*; allowed: finite, in \(0, inf\]"),
    ("mean of another shape", lambda: gaussian.log_density(X, np.zeros((2, 3)), HALF), VALUE, r"mean has shape \(2, 3\); allowed: .* to \(2, 2\), the shape of x"),
    ("mean of a larger batch", lambda: gaussian.log_density(X[:1], X, np.float64(1)), VALUE, r"mean has shape \(2, 2\); allowed: .* to \(1, 2\)"),
    ("mean of more dimensions", lambda: gaussian.log_density(X, X[None], HALF), VALUE, r"mean has shape \(1, 2, 2\); allowed"),
    ("score at NaN", lambda: gaussian.score(NAN, X, HALF), VALUE, "x holds NaN"),
    ("score with an infinite mean", lambda: gaussian.score(X, INF, HALF), VALUE, "mean = .*inf.*; allowed: finite"),
    ("full density of NaN", lambda: gaussian.log_density_full(NAN, X[0], np.eye(2)), VALUE, "x holds NaN"),
    ("full mean of another length", lambda: gaussian.log_density_full(X, np.zeros(3), np.eye(2)), VALUE, r"mean has shape \(3,\); allowed"),
    ("divergence from no width", lambda: gaussian.kl_diagonal(X, 0 * X, X, HALF), VALUE, r"variance1 = .*; allowed: finite, in \(0, inf\]"),
    ("divergence to no width", lambda: gaussian.kl_isotropic(X, np.float64(1), X, np.float64(0)), VALUE, "variance2 = .*0.0.*; allowed"),
    ("divergence of a mean of NaN", lambda: gaussian.kl_diagonal(NAN, HALF, X, HALF), VALUE, "mean1 holds NaN"),
    ("divergence to a mean of NaN", lambda: gaussian.kl_isotropic(X, np.float64(1), NAN, np.float64(1)), VALUE, "mean2 = .*nan.*; allowed"),
    ("divergence of other shapes", lambda: gaussian.kl_diagonal(X, HALF, X, np.ones((2, 3))), VALUE, r"variance2 has shape \(2, 3\); allowed"),
    ("divergence from other shapes", lambda: gaussian.kl_diagonal(X, np.ones(3), X, HALF), VALUE, r"variance1 has shape \(3,\); allowed"),
    ("full divergence of NaN", lambda: gaussian.kl_full(X[0], np.eye(2), NAN[0], np.eye(2)), VALUE, "mean2 = .*nan.*; allowed"),
    ("singular covariance", lambda: gaussian.kl_full(X[0], 0 * X, X[0], np.eye(2)), VALUE, "covariance1 = .*; allowed: symmetric positive definite"),
    ("product of NaN", lambda: gaussian.product(np.nan, 1.0, 0.0, 1.0), VALUE, "mean1 = nan; allowed: finite"),
    ("product with NaN", lambda: gaussian.product(0.0, 1.0, np.nan, 1.0), VALUE, "mean2 = nan; allowed: finite"),
    ("product of two points", lambda: gaussian.product(0.0, 0.0, 1.0, 0.0), VALUE, r"variance1 \+ variance2 = 0.0; allowed"),
    ("quotient of NaN", lambda: gaussian.quotient(np.nan, 1.0, 0.0, 2.0), VALUE, "mean1 = nan; allowed: finite"),
    ("quotient by NaN", lambda: gaussian.quotient(0.0, 1.0, np.nan, 2.0), VALUE, "mean2 = nan; allowed: finite"),
    ("quotient by a narrower one", lambda: gaussian.quotient(0.0, 1.0, 0.0, 0.5), VALUE, "variance2 - variance1 = -0.5; allowed"),
    # guidance
    ("gamma of NaN", lambda: guidance.classifier_free(X, Z, np.nan), VALUE, "gamma = nan; allowed: finite"),
    ("infinite gamma", lambda: guidance.classifier_score(X, Z, np.inf), VALUE, "gamma = inf; allowed: finite"),
    ("no gamma", lambda: guidance.classifier_free(X, Z, None), TYPE, "gamma = None; allowed: a number"),
    ("gamma of another batch", lambda: guidance.classifier_free(X, Z, np.ones(3)), VALUE, r"gamma has shape \(3,\); allowed: \(\) or \(B,\)"),
    ("classifier's gamma of another batch", lambda: guidance.classifier_score(X, Z, np.ones(3)), VALUE, r"gamma has shape \(3,\); allowed"),
    ("label of the classifier", lambda: guidance.classifier_gradient(X, lambda d: ({}, d), np.array([0, 2])), VALUE, r"y = .*; allowed: 0..1"),
    ("labels of another batch", lambda: guidance.guided(lambda x, t, y: x, np.array([0, 1, 1]), 2.0, 2)(X, 5), VALUE, r"y has shape \(3,\); allowed: \(2,\)"),
    ("label without a batch", lambda: guidance.guided(lambda x, t, y: x, 1, 2.0, 2)(X, 5), VALUE, r"y has shape \(\); allowed: \(2,\), one label for each"),
    ("dropping more than all", lambda: guidance.drop_labels(np.array([0]), np.array([0.5]), 1.5, 2), VALUE, r"probability = 1.5; allowed"),
    ("dropping by NaN", lambda: guidance.drop_labels(np.array([0]), np.array([np.nan]), 0.5, 2), VALUE, r"uniform = .*nan.*; allowed: finite, in \[0, 1\]"),
    ("dropping by another batch", lambda: guidance.drop_labels(np.array([0]), HALF[0], 0.5, 2), VALUE, r"uniform has shape \(2,\); allowed: \(1,\)"),
    # oracles
    ("data set without width or noise", lambda: POINTS.eps(X, 1.0, 0.0), VALUE, "sigma = 0 with data of no width: x_t has no density; allowed: sigma > 0"),
    ("the same as a model at t = 0", lambda: POINTS.model(LINEAR)(X, 0), VALUE, "sigma = 0 with data of no width"),
    ("the same at the end of a flow", lambda: POINTS.model(straight, "velocity")(X, 1.0), VALUE, "sigma = 0 with data of no width"),
    ("sigma of NaN", lambda: MIXTURE.score(X, 0.8, np.nan), VALUE, r"sigma = nan; allowed: finite, in \[0, inf\]"),
    ("negative sigma", lambda: MIXTURE.log_density(X, 0.8, -0.6), VALUE, r"sigma = -0.6; allowed: finite, in \[0, inf\]"),
    ("infinite signal", lambda: MIXTURE.x0(X, np.inf, 0.6), VALUE, "signal = inf; allowed: finite"),
    ("oracle of NaN", lambda: MIXTURE.score(NAN, 0.8, 0.6), VALUE, "x holds NaN"),
    ("oracle's eps of a list", lambda: MIXTURE.eps([[0.5, 1.0]], 0.8, 0.6), TYPE, "x is .*; allowed: a floating-point array"),
    ("oracle's v of a list", lambda: MIXTURE.v([[0.5, 1.0]], 0.8, 0.6), TYPE, "x is .*; allowed: a floating-point array"),
    ("oracle in another dimension", lambda: MIXTURE.score(np.ones((2, 3)), 0.8, 0.6), VALUE, "x has 3 numbers per example; allowed: 2"),
    ("oracle's label above", lambda: MIXTURE.score(X, 0.8, 0.6, np.array([0, 3])), VALUE, "y = .*; allowed: integers 0..2, the last for no label"),
    ("oracle's label below", lambda: MIXTURE.score(X, 0.8, 0.6, np.array([0, -1])), VALUE, "y = .*; allowed: integers 0..2"),
    ("oracle's labels of another batch", lambda: MIXTURE.x0(X, 0.8, 0.6, np.array([0, 1, 1])), VALUE, r"y has shape \(3,\); allowed: \(\) or \(2,\)"),
    ("oracle's kind", lambda: MIXTURE.model(LINEAR, "noise")(X, 5), VALUE, "kind = 'noise'; allowed"),
    ("no points", lambda: oracles.data_set(NONE), VALUE, r"points has shape \(0, 2\); allowed: \(N, ...\), not empty"),
    ("a number for points", lambda: oracles.data_set(3.0), VALUE, r"points has shape \(\); allowed: \(N, ...\), not empty"),
    ("no components", lambda: oracles.mixture(NONE, np.zeros((0, 2, 2))), VALUE, r"means has shape \(0, 2\); allowed: \(K, d\), not empty"),
    ("negative covariance", lambda: oracles.gaussian([0.0], [[-1.0]]), VALUE, "covariances have an eigenvalue -1.0; allowed: positive semidefinite"),
    ("weight of 0", lambda: oracles.data_set(X, [1.0, 0.0]), VALUE, "weights = .*; allowed: 2 positive, finite numbers"),
    ("class left out", lambda: oracles.data_set(X, labels=[0, 2]), VALUE, "labels = .*; allowed: 2 integers from 0 up, with no class left out"),
    ("transport of a mixture", lambda: oracles.transport(MIXTURE, X, 0.0, 1.0, straight), VALUE, "oracle has 2 components; allowed: 1"),
    ("sampling by NaN", lambda: MIXTURE.sample(np.array([np.nan, 0.5]), Z), VALUE, r"choice = .*nan.*; allowed: finite, in \[0, 1\]"),
    ("sampling by a number above 1", lambda: MIXTURE.sample(np.array([1.5, 0.5]), Z), VALUE, r"choice = .*; allowed: finite, in \[0, 1\]"),
    ("reverse kernels of negative variance", lambda: oracles.exact_reverse(X[0], -HALF[0], LINEAR), VALUE, "variance = .*; allowed: finite, in"),
    ("reverse kernels of NaN", lambda: oracles.exact_reverse(NAN[0], HALF[0], LINEAR), VALUE, "mean = .*nan.*; allowed: finite"),
    ("latent noise of 0", lambda: latent.LinearGaussian(ONE, X[0], 0.0), VALUE, r"noise = 0.0; allowed: finite, in \(0, inf\]"),
    # networks, randomness, training, metrics
    ("network's label above", lambda: mlp.mlp(NET, X32, 5.0, np.array([0, 3])), VALUE, r"y = .*; allowed: 0..2"),
    ("network's label below", lambda: mlp.mlp(NET, X32, 5.0, np.array([0, -1])), VALUE, r"y = .*; allowed: 0..2"),
    ("network's times of another batch", lambda: mlp.mlp(NET, X32, np.zeros(3)), VALUE, r"t has shape \(3,\); allowed: \(\) or \(2,\)"),
    ("network of no inputs", lambda: mlp.init(0, inputs=0), VALUE, "inputs = 0, classes = 0; allowed: inputs 1 or more"),
    ("network of negative classes", lambda: mlp.init(0, classes=-1), VALUE, "inputs = 2, classes = -1; allowed: .*classes 0 or more"),
    ("odd features", lambda: layers.time_features(np.zeros(2), 5), VALUE, "features = 5; allowed: even, 4 or more"),
    ("negative seed", lambda: rng.normal(-1, 2), VALUE, r"seed = -1; allowed: 0..2\^64 - 1"),
    ("seed too large", lambda: rng.normal(2**64, 2), VALUE, r"seed = 18446744073709551616; allowed: 0..2\^64 - 1"),
    ("fractional seed", lambda: rng.normal(1.5, 2), TYPE, "seed = 1.5; allowed: an integer"),
    ("boolean seed", lambda: rng.normal(True, 2), TYPE, "seed = True; allowed: an integer"),
    ("negative samples", lambda: rng.normal(0, -1), VALUE, "samples = -1; allowed: 0..4294967296"),
    ("negative shape", lambda: rng.normal(0, 2, (-2,)), VALUE, "elements = -2; allowed: 0..17179869184"),
    ("negative step", lambda: rng.normal(0, 2, step=-1), VALUE, "step = -1; allowed: 0..4294967295"),
    ("steps of another batch", lambda: rng.normal(0, 3, step=np.array([1, 2])), VALUE, r"step has shape \(2,\); allowed: \(\) or \(3,\)"),
    ("negative stream", lambda: rng.normal(0, 2, stream=-1), VALUE, "stream = -1; allowed: 0..4294967295"),
    ("stream too large", lambda: rng.normal(0, 2, stream=2**32), VALUE, "stream = 4294967296; allowed: 0..4294967295"),
    ("training on nothing", lambda: training.draw(1, NONE, None, LINEAR, training.Config()), VALUE, "data has 0 examples, labels 0; allowed: 1 or more"),
    ("labels for other data", lambda: training.draw(1, X, np.zeros(3, int), LINEAR, training.Config()), VALUE, "data has 2 examples, labels 3; allowed"),
    ("training of another kind", lambda: training.draw(1, X, None, LINEAR, training.Config(kind="mean")), VALUE, "kind = 'mean'; allowed"),
    ("step 0 of Adam", lambda: optim.adam(PARAMS, PARAMS, optim.init(PARAMS), 0), VALUE, "step = 0; allowed"),
    ("beta1 of 1", lambda: optim.adam(PARAMS, PARAMS, optim.init(PARAMS), 1, beta1=1.0), VALUE, r"1 - beta1 = 0.0; allowed: finite, in \(0, 1\]"),
    ("beta2 of 1", lambda: optim.adam(PARAMS, PARAMS, optim.init(PARAMS), 1, beta2=1.0), VALUE, r"1 - beta2 = 0.0; allowed: finite, in \(0, 1\]"),
    ("negative beta1", lambda: optim.adam(PARAMS, PARAMS, optim.init(PARAMS), 1, beta1=-0.5), VALUE, r"1 - beta1 = 1.5; allowed"),
    ("negative beta2", lambda: optim.adam(PARAMS, PARAMS, optim.init(PARAMS), 1, beta2=-0.5), VALUE, r"1 - beta2 = 1.5; allowed"),
    ("average that never moves", lambda: optim.ema_debiased(PARAMS, 1, 1.0), VALUE, r"1 - decay = 0.0; allowed: finite, in \(0, 1\]"),
    ("average of negative decay", lambda: optim.ema_debiased(PARAMS, 1, -0.5), VALUE, r"1 - decay = 1.5; allowed: finite, in \(0, 1\]"),
    ("clipping to nothing", lambda: optim.clip(PARAMS, 0), VALUE, "limit = 0; allowed: above 0, inf for no limit"),
    ("warm-up that never ends", lambda: optim.learning_rate(1, 1.0, 100, 100), VALUE, "warmup = 100; allowed: 0..total - 1 = 99"),
    ("distance to no points", lambda: metrics.energy_distance(X, NONE), VALUE, r"y has shape \(0, 2\); allowed: \(N, ...\), not empty"),
    ("distance of NaN", lambda: metrics.energy_distance(NAN, X), VALUE, "x = .*nan.*; allowed: finite"),
    ("unbiased distance of one point", lambda: metrics.energy_distance(X[:1], X, True), VALUE, "x, y have 1, 2 points; allowed: 2 or more"),
    ("bandwidth of equal points", lambda: metrics.mmd(ONE, ONE), VALUE, r"bandwidth = 0.0; allowed: finite, in \(0, inf\]"),
    ("covariance of one point", lambda: metrics.sample_moments(X[:1]), VALUE, "x has 1 point; allowed: 2 or more"),
    ("name of a data set", lambda: toy.load("moons", 3), VALUE, "dataset = 'moons'; allowed: two_moons"),
    ("negative count", lambda: toy.load("two_moons", -1), VALUE, "count = -1; allowed: 0..4294967295"),
]
# fmt: on


@pytest.mark.parametrize("call, expected", [pytest.param(*row[1:], id=row[0]) for row in NUMBERS])
def test_there_is_a_number(call, expected):
    """At the ends of what is allowed the answer is exact, or right to rounding; never NaN."""
    actual, expected = np.asarray(call()), np.asarray(expected, dtype=np.float64)
    assert actual.shape == expected.shape
    assert roundings(actual.astype(np.float64), expected) <= IDENTITY


@pytest.mark.parametrize("call, error, message", [pytest.param(*row[1:], id=row[0]) for row in ERRORS])
def test_there_is_a_named_error(call, error, message):
    """Beyond the ends the error says which argument it is, its value, and what is allowed."""
    with pytest.raises(error, match=f"(?s)^{message}"):
        call()


def test_no_row_stands_twice():
    """The table has the rows that it seems to have."""
    names = [row[0] for row in NUMBERS + ERRORS]
    assert len(names) == len(set(names)) >= 40
