"""The affine Gaussian oracle: for data N(m, C) every sampler is an affine map, so its final mean and covariance are exact numbers.

The sampler runs once on a batch of probes: x = 0, each unit vector as the start, and each unit vector as one step's noise. That
gives the whole map x_0 = A x_T + b + sum_i N_i z_i, and with x_T ~ N(0, I) the mean b and the covariance A A' + sum_i N_i N_i'.
The expected moments come from the papers' formulas, step by step: DDPM eq. 11 for means, DDIM eq. 12, and products of Runge-Kutta
stages, with alpha_bar multiplied up from the betas, the scalar ones in 30-digit arithmetic.
"""

from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest

from refdiff import ddim_step, ddpm_step, flow, oracles, sample, samplers, schedules
from tests.tolerances import AFFINE_MOMENTS

MEAN, VARIANCE = 0.7, 0.25
PLANE_MEAN, PLANE_COVARIANCE = np.array([0.7, -0.4]), np.array([[0.25, 0.12], [0.12, 0.4]])
KINDS = schedules.GRIDS
BETAS = {20: np.linspace(1e-4, 0.3, 20), 1000: np.linspace(1e-4, 0.02, 1000)}
MIX = 0.3

SAMPLERS = {
    "ddpm posterior": (ddpm_step, {"variance": "posterior"}),
    "ddpm beta": (ddpm_step, {"variance": "beta"}),
    "ddpm learned": (ddpm_step, {"variance": "learned"}),
    "ddim 0": (ddim_step, {"eta": 0.0}),
    "ddim 0.5": (ddim_step, {"eta": 0.5}),
    "ddim 1": (ddim_step, {"eta": 1.0}),
}


# The code


class Probes:
    """Noise for step i: zero except for unit vectors in the d rows that belong to that step."""

    def __init__(self, steps, d):
        self.shape, self.d = (1 + d + steps * d, d), d

    def start(self):
        x = np.zeros(self.shape)
        x[1 : 1 + self.d] = np.eye(self.d)
        return x

    def __getitem__(self, i):
        z = np.zeros(self.shape)
        z[1 + self.d * (i + 1) : 1 + self.d * (i + 2)] = np.eye(self.d)
        return z


def moments(model, step, grid, d=1):
    """Mean and covariance of the sampler's output for x_T ~ N(0, I), from its affine map."""
    probes = Probes(len(grid) - 1, d)
    final = samplers.last(sample(model, step, grid, probes.start(), probes))
    columns = (final[1:] - final[0]).T
    return final[0], columns @ columns.T


def by_code(name, schedule, grid, mean, covariance):
    """Moments of a diffusion sampler with the exact eps-oracle."""
    formula, options = SAMPLERS[name]
    d = len(mean)
    if name == "ddpm learned":
        options = options | {"mix": np.full(Probes(len(grid) - 1, d).shape, MIX)}
    model = oracles.gaussian(mean, covariance).model(schedule)
    return moments(model, samplers.stepper(formula, schedule, **options), grid, d)


# The papers' formulas in one dimension: x_s = (weight of x) x_t + (weight of eps) eps(x_t) + noise


def ddpm_weights(a_t, a_s, name):
    """DDPM eq. 11 with the variances of section 3.2, between levels alpha_bar_t and alpha_bar_s: weights of x and eps, variance of the noise."""
    alpha, beta = a_t / a_s, 1 - a_t / a_s
    tilde = (1 - a_s) / (1 - a_t) * beta
    if name == "ddpm learned" and a_s < 1:
        noise = beta ** mp.mpf(MIX) * tilde ** (1 - mp.mpf(MIX))
    else:
        noise = beta if name == "ddpm beta" and a_s < 1 else tilde
    return 1 / mp.sqrt(alpha), -beta / mp.sqrt(1 - a_t) / mp.sqrt(alpha), noise


def ddim_weights(a_t, a_s, name):
    """DDIM eq. 12 with the sigma of eq. 16."""
    noise = mp.mpf(float(name.split()[1])) ** 2 * (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)
    x_weight = mp.sqrt(a_s / a_t)
    return x_weight, mp.sqrt(1 - a_s - noise) - x_weight * mp.sqrt(1 - a_t), noise


def weights_of(name):
    """The weights of a sampler: of DDPM or of DDIM."""
    return ddpm_weights if name.startswith("ddpm") else ddim_weights


def products(T):
    """alpha_bar_0..T as products of 1 - beta."""
    table = [mp.mpf(1)]
    for beta in BETAS[T]:
        table.append(table[-1] * (1 - mp.mpf(float(beta))))
    return table


ALPHA_BAR = {T: products(T) for T in BETAS}


def affine_moments(name, pairs, table, weights=None):
    """Mean and variance after the steps (t, s) from N(0, 1); the best eps is the regression Cov(eps, x) / Var(x) (x - E x)."""
    mean, variance = mp.mpf(0), mp.mpf(1)
    for t, s in pairs:
        a_t, a_s = table[int(t)], table[int(s)]
        x_weight, eps_weight, noise = (weights or weights_of(name))(a_t, a_s, name)
        slope = mp.sqrt(1 - a_t) / (a_t * mp.mpf(VARIANCE) + 1 - a_t)
        gain = x_weight + eps_weight * slope
        mean, variance = gain * mean - eps_weight * slope * mp.sqrt(a_t) * mp.mpf(MEAN), gain**2 * variance + noise
    return float(mean), float(variance)


def by_papers(name, T, grid):
    """Mean and variance after the last step of a grid, from the papers' formulas."""
    return affine_moments(name, pairwise(grid), ALPHA_BAR[T])


def error(actual, expected, data=(MEAN, VARIANCE)):
    """The larger of the errors of mean and (co)variance, relative to the largest entry of theirs or of the data's.

    The data's moments are included because few steps leave variances as small as 1e-6, the square of a slope between two outputs
    of the size of the mean.
    """
    triples = zip(actual, expected, data, strict=True)
    return max(float(np.max(abs(np.ravel(a) - np.ravel(e))) / max(np.max(np.abs(e)), np.max(np.abs(d)))) for a, e, d in triples)


def assert_moments(name, kind, T, S):
    """Assert that a sampler with S steps has the mean and variance of the papers' formulas."""
    grid = schedules.grid(kind, T, S)
    actual = by_code(name, schedules.from_betas(BETAS[T]), grid, [MEAN], [[VARIANCE]])
    assert error(actual, by_papers(name, T, grid)) <= AFFINE_MOMENTS, S


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_steps_at_T_20(kind, name):
    """S1, S2, R4: all S from 1 to T = 20, every grid, every sampler: mean and variance of the samples."""
    for S in range(1, 21):
        assert_moments(name, kind, 20, S)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("S", [1, 2, 3, 7, 10, 20, 50, 60, 61, 103])
def test_many_numbers_of_steps_at_T_1000(S, kind, name):
    """S1, S2, R4: S from 1 to T = 1000, including divisors of T, their neighbours, and values that published spacing rules get wrong."""
    assert_moments(name, kind, 1000, S)


@pytest.mark.parametrize(
    ("name", "kind", "S"), [*((name, "leading", 1000) for name in SAMPLERS), ("ddim 0.5", "trailing", 501), ("ddpm beta", "linspace", 999)]
)
def test_long_runs_at_T_1000(name, kind, S):
    """S1, S2, R4: with all times, all but one, or half of them."""
    assert_moments(name, kind, 1000, S)


@pytest.mark.parametrize("T", [1, 2, 5])
def test_shortest_schedules(T):
    """S1, S2: T = 1, 2 and 5, with as many steps."""
    schedule, grid = schedules.from_betas(BETAS[20][:T]), np.arange(T, -1, -1)
    for name in SAMPLERS:
        assert error(by_code(name, schedule, grid, [MEAN], [[VARIANCE]]), by_papers(name, 20, grid)) <= AFFINE_MOMENTS


@pytest.mark.parametrize(("name", "order"), [("ddpm posterior", 1), ("ddpm beta", 1), ("ddim 0", 1), ("ddim 1", 1)])
def test_more_steps_approach_the_data(name, order):
    """S1, S2: the variance given by the formulas tends to the data's; the error halves when the steps double."""
    variances = {}
    for S in (250, 500, 1000):  # one smooth alpha_bar from 1 to 1e-6, which leaves nothing of the data, at S points
        table = [mp.exp(-mp.mpf(14) * (mp.mpf(i) / S) ** 2) for i in range(S + 1)]
        variances[S] = affine_moments(name, pairwise(range(S, -1, -1)), table)[1]
    errors = [abs(variances[S] - VARIANCE) for S in (250, 500, 1000)]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.1 and abs(np.log2(errors[1] / errors[2]) - order) < 0.1


# Two correlated dimensions


def plane_by_papers(name, T, grid):
    """Mean and covariance by the same formulas, with matrices for the best eps."""
    mean, covariance, identity = np.zeros(2), np.eye(2), np.eye(2)
    for t, s in pairwise(grid):
        a_t, a_s = (ALPHA_BAR[T][int(i)] for i in (t, s))
        x_weight, eps_weight, noise = (float(value) for value in weights_of(name)(a_t, a_s, name))
        slope = float(mp.sqrt(1 - a_t)) * np.linalg.inv(float(a_t) * PLANE_COVARIANCE + float(1 - a_t) * identity)
        A = x_weight * identity + eps_weight * slope
        mean = A @ mean - eps_weight * slope @ PLANE_MEAN * float(mp.sqrt(a_t))
        covariance = A @ covariance @ A.T + noise * identity
    return mean, covariance


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("kind", "T", "S"), [("linspace", 20, 7), ("trailing", 20, 20), ("leading", 1000, 37), ("quadratic", 1000, 64)])
def test_correlated_data_in_the_plane(name, kind, T, S):
    """S1, S2, R4: mean and covariance of two correlated coordinates."""
    grid = schedules.grid(kind, T, S)
    actual = by_code(name, schedules.from_betas(BETAS[T]), grid, PLANE_MEAN, PLANE_COVARIANCE)
    assert error(actual, plane_by_papers(name, T, grid), (PLANE_MEAN, PLANE_COVARIANCE)) <= AFFINE_MOMENTS


# Flow


COEFFICIENTS = {  # signal, sigma and their derivatives, written out again
    "straight": lambda t: (t, 1 - t, mp.mpf(1), mp.mpf(-1)),
    "optimal_transport": lambda t: (t, 1 - (1 - mp.mpf(0.1)) * t, mp.mpf(1), -(1 - mp.mpf(0.1))),
    "trigonometric": lambda t: (
        mp.sin(t * mp.pi / 2),
        mp.cos(t * mp.pi / 2),
        mp.pi / 2 * mp.cos(t * mp.pi / 2),
        -mp.pi / 2 * mp.sin(t * mp.pi / 2),
    ),
}
FLOW_PATHS = {"straight": flow.straight, "optimal_transport": flow.optimal_transport(0.1), "trigonometric": flow.trigonometric}
FLOW_STEPS = {
    "euler": (samplers.euler_step, ([[]], [1])),
    "heun": (samplers.heun_step, ([[], [1]], [mp.mpf(1) / 2] * 2)),
    "rk4": (
        samplers.rk4_step,
        ([[], [mp.mpf(1) / 2], [0, mp.mpf(1) / 2], [0, 0, 1]], [mp.mpf(1) / 6, mp.mpf(1) / 3, mp.mpf(1) / 3, mp.mpf(1) / 6]),
    ),
}


def velocity_line(path, t):
    """(slope, offset) of E[velocity | x] for data N(m, C): d/dt m_t + (d/dt S_t / 2 S_t) (x - m_t)."""
    signal, sigma, signal_rate, sigma_rate = COEFFICIENTS[path](t)
    slope = (signal * signal_rate * mp.mpf(VARIANCE) + sigma * sigma_rate) / (signal**2 * mp.mpf(VARIANCE) + sigma**2)
    return slope, signal_rate * mp.mpf(MEAN) - slope * signal * mp.mpf(MEAN)


def flow_by_papers(path, method, grid):
    """Mean and variance at data time from affine maps through the stages of a Runge-Kutta tableau."""
    weights, b = FLOW_STEPS[method][1]
    gain, offset = mp.mpf(1), mp.mpf(0)
    for t, s in pairwise(grid):
        h, stages = mp.mpf(float(s)) - mp.mpf(float(t)), []
        for row in weights:  # the stage's slope as an affine function of x_t
            slope, shift = velocity_line(path, mp.mpf(float(t)) + sum(row) * h)
            inner_gain = 1 + h * sum(a * k[0] for a, k in zip(row, stages, strict=True))
            inner_shift = h * sum(a * k[1] for a, k in zip(row, stages, strict=True))
            stages.append((slope * inner_gain, slope * inner_shift + shift))
        step_gain = 1 + h * sum(w * k[0] for w, k in zip(b, stages, strict=True))
        step_shift = h * sum(w * k[1] for w, k in zip(b, stages, strict=True))
        gain, offset = step_gain * gain, step_gain * offset + step_shift
    return float(offset), float(gain**2)


def flow_grids():
    """Times from noise to data: even, squared, and every kind of diffusion grid through the map to flow time."""
    log_snr = schedules.from_betas(BETAS[20]).log_snr
    yield from (np.linspace(0, 1, S + 1) for S in (1, 2, 5, 20, 100))
    yield np.linspace(0, 1, 31) ** 2
    yield from (np.append(0, flow.flow_time(log_snr[schedules.grid(kind, 20, S)])) for kind in KINDS for S in (1, 7, 20))


@pytest.mark.parametrize("method", FLOW_STEPS)
@pytest.mark.parametrize("path", FLOW_PATHS)
def test_ode_samplers_on_flow_paths(path, method):
    """M1, M2, M5: Euler, Heun and RK4 along each path and grid: mean and variance of the samples."""
    model = oracles.gaussian([MEAN], [[VARIANCE]]).model(FLOW_PATHS[path], "velocity")
    for grid in flow_grids():
        actual = moments(model, FLOW_STEPS[method][0], grid)
        assert error(actual, flow_by_papers(path, method, grid)) <= AFFINE_MOMENTS, len(grid)


# Known mistakes, which must exceed the tolerance

TABLE = ALPHA_BAR[1000]
GRID = schedules.grid("linspace", 1000, 10)


def flipped(a_t, a_s, name):
    """DDIM eq. 12 with the wrong sign of the eps term."""
    x_weight, _, noise = ddim_weights(a_t, a_s, name)
    return x_weight, -mp.sqrt(1 - a_s - noise) - x_weight * mp.sqrt(1 - a_t), noise


def undivided(a_t, a_s, name):
    """The posterior variance without division by 1 - alpha_bar_t."""
    x_weight, eps_weight, noise = ddpm_weights(a_t, a_s, name)
    return x_weight, eps_weight, noise * (1 - a_t)


BY_SUBTRACTION = [(t, max(t - 1000 // 10, 0)) for t in GRID[:-1].tolist()]
SHIFTED = [mp.mpf(1), 1 - mp.mpf("1e-9"), *TABLE[1:-1]]  # the level of t = 1 would be 1 itself, and divide by 0
MISTAKES = {
    "D1 next time t - T // S": (BY_SUBTRACTION, TABLE, None),
    "D7 last step to alpha_bar_1": (list(pairwise(GRID)), [TABLE[1], *TABLE[1:]], None),
    "D40 index one too low": (list(pairwise(GRID)), SHIFTED, None),
    "D35 sign of eps": (list(pairwise(GRID)), TABLE, flipped),
    "D41 undivided variance": (list(pairwise(GRID)), TABLE, undivided),
    "D41 beta for beta-tilde": (list(pairwise(GRID)), TABLE, lambda a_t, a_s, name: ddpm_weights(a_t, a_s, "ddpm beta")),
}


def applies(mistake, name):
    """Whether this mistake applies to a sampler."""
    return (
        name.startswith("ddim")
        if mistake.startswith("D35")
        else name == "ddpm posterior"
        if mistake.startswith("D41")
        else name != "ddpm learned"
    )


@pytest.mark.parametrize(("mistake", "name"), [(mistake, name) for mistake in MISTAKES for name in SAMPLERS if applies(mistake, name)])
def test_known_mistakes_miss_the_moments(mistake, name):
    """S1, S2: each mistake found in published code changes mean or variance by at least a million tolerances."""
    pairs, table, weights = MISTAKES[mistake]
    actual = by_code(name, schedules.from_betas(BETAS[1000]), GRID, [MEAN], [[VARIANCE]])
    assert error(actual, affine_moments(name, pairs, table, weights)) >= 1e6 * AFFINE_MOMENTS
