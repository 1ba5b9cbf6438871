"""Edge cases with a value: at every end of every range the result is finite and correct, without a warning.

A row is (id, call, expected numbers)."""

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
)
from refdiff.objectives.flow import interpolate, straight
from refdiff.process.forward import posterior, q_sample
from refdiff.process.schedules import from_betas, grid
from refdiff.sampling.samplers import ddim_step, ddpm_step

from .tolerances import IDENTITY, roundings

X = np.array([[0.5, -1.5], [2.0, 0.25]])
Z = np.array([[1.0, 0.5], [-0.75, 2.0]])
HALF, ONE = np.full((2, 2), 0.5), np.ones((2, 2))
NONE = np.zeros((0, 2))  # an empty batch
X32 = X.astype(np.float32)
SINGLE = from_betas([0.36])  # T = 1: signal 0.8, sigma 0.6
DARK = from_betas([0.36, 1.0])  # zero-terminal: signal 0 and sigma 1 at t = T = 2
LINEAR = schedules.linear(100)
MIXTURE = oracles.mixture([[0.0, 0.0], [2.0, 1.0]], [np.eye(2)] * 2, labels=[0, 1])
POINTS = oracles.data_set([[0.0, 0.0], [2.0, 1.0]])
NET = mlp.init(0, width=8, depth=1, features=4, classes=2)


def kernel(x, t, s):
    """A reverse kernel of variance 0.1."""
    return x, np.float64(0.1)


def step(formula, schedule, **options):
    """A run of a sampler over a whole schedule, with a model that returns x."""
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
    ("batch 1: an untrained network outputs 0", lambda: mlp.mlp(NET, X32[:1], 5.0, np.array([1]))[0], [[0, 0]]),
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
    ("point mass far from the state", lambda: oracles.point_mass([2.0, 1.0]).x0(1e9 * X, 0.8, 0.6), [[2, 1]] * 2),
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
# fmt: on


@pytest.mark.parametrize("call, expected", [pytest.param(*row[1:], id=row[0]) for row in NUMBERS])
def test_value_at_the_edge(call, expected):
    """At the ends of the allowed ranges the result is exact or correct up to rounding; never NaN."""
    actual, expected = np.asarray(call()), np.asarray(expected, dtype=np.float64)
    assert actual.shape == expected.shape
    assert roundings(actual.astype(np.float64), expected) <= IDENTITY


def test_no_row_is_repeated():
    """Row names are unique."""
    names = [row[0] for row in NUMBERS]
    assert len(names) == len(set(names)) >= 40
