"""Singlestep solvers with noise, the start of multistep solvers, and the Runge-Kutta start of PNDM."""

import re
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from refdiff import generate, maps, oracles, orders, rng, samplers, schedules, sde, solvers

PATH = sde.vp()
MEAN, VARIANCE = 0.7, 0.25
GAUSS = oracles.gaussian([MEAN], [[VARIANCE]]).model(PATH, "x0")
ETA = 0.5


def law_at_the_end(step, steps, parts=2):
    """The factor of the mean's deviation and the variance after a run whose steps are affine, from the exact variance."""
    grid = solvers.solver_grid(*orders.ENDS, steps, PATH)
    signal, sigma = PATH.signal_sigma(grid[0])
    factor, variance = 1.0, signal**2 * VARIANCE + sigma**2
    for t, s in pairwise(grid):
        x, z = np.zeros((parts + 2, 1)), np.zeros((parts, parts + 2, 1))
        x[1] = 1.0
        z[np.arange(parts), np.arange(parts) + 2] = 1.0
        offset, one, *noisy = step(GAUSS, x, t, s, list(z))[:, 0]
        factor *= one - offset
        variance = (one - offset) ** 2 * variance + sum((each - offset) ** 2 for each in noisy)
    return factor, variance


def errors(step, steps, eta, parts=2):
    """Errors of the mean's factor and of the variance."""

    def rate(t):  # the deviation d of the mean obeys d' = (f + (1 + eta) g^2 / 2 S) d
        (f, square), (signal, sigma) = PATH.drift_diffusion(t), PATH.signal_sigma(t)
        return f + (1 + eta) / 2 * square / (signal**2 * VARIANCE + sigma**2)

    factor, variance = law_at_the_end(step, steps, parts)
    signal, sigma = PATH.signal_sigma(orders.ENDS[1])
    exact = np.exp(quad(rate, *orders.ENDS, epsrel=1e-12, limit=200)[0])
    return np.array([abs(factor - exact), abs(variance - signal**2 * VARIANCE - sigma**2)])


@pytest.mark.parametrize("formula", [solvers.dpmpp_step, solvers.dpm_solver_step])
def test_orders_of_the_sde(formula):
    """K7: with noise that the stages share, the mean and the variance of singlestep solvers of order 2 have order 2."""
    step = solvers.singlestep(formula, 2, PATH, "x0", eta=ETA)
    measured = np.log2(errors(step, 80, ETA) / errors(step, 160, ETA))
    assert abs(measured[0] - 2) < 0.05 and measured[1] > 1.9


def test_independent_noise_costs_an_order():
    """K7: if the noise of the stage is not part of the noise of the step, the variance has order 1."""

    def step(model, x, t, s, noise):
        u, first = solvers.time_between(t, s, 0.5, PATH), model(x, t)
        x_u = solvers.dpmpp_step(x, [first], [t], u, PATH, eta=1.0, noise=noise[0])
        return solvers.dpmpp_step(x, [first, model(x_u, u)], [t, u], s, PATH, eta=1.0, noise=noise[1])

    shared = solvers.singlestep(solvers.dpmpp_step, 2, PATH, "x0", eta=1.0)
    for each, expected in ((step, 1), (shared, 2)):
        assert abs(np.log2(errors(each, 80, 1.0)[1] / errors(each, 160, 1.0)[1]) - expected) < 0.08


@pytest.mark.parametrize("formula", [solvers.dpmpp_step, solvers.dpm_solver_step])
def test_noise_of_stages(formula):
    """K7: two steps with constant predictions equal one step to their end, with the noise of its stages."""
    x, z = rng.normal(0, 3, (2,)), [rng.normal(1 + i, 3, (2,)) for i in range(2)]
    t, u, s = 0.8, 0.6, 0.35
    to_u, to_s = solvers.noise_of_stages(formula, ETA, z, t, [u, s], PATH)
    x_u = formula(x, [x], [t], u, PATH, eta=ETA, noise=z[0])
    assert np.allclose(x_u, formula(x, [x], [t], u, PATH, eta=ETA, noise=to_u), rtol=0, atol=1e-14)
    once = formula(x, [x], [t], s, PATH, eta=ETA, noise=to_s)
    assert np.allclose(formula(x_u, [x], [u], s, PATH, eta=ETA, noise=z[1]), once, rtol=0, atol=1e-13)


def test_a_start_of_higher_order_keeps_the_order():
    """K6, K9: a first step of order 2 gives 3M its order 3, and two of order 3 give LMS-4 its order 4."""
    second, third = (solvers.singlestep(f, p, PATH) for f, p in ((solvers.dpmpp_step, 2), (solvers.dpm_solver_step, 3)))
    assert abs(orders.order("dpmpp_3m", 160, False, start=second) - 3) < 0.15
    assert abs(orders.order("lms_4", 160, False, start=third) - 4) < 0.15


def test_a_start_calls_the_model_once_at_each_state():
    """K6: the prediction at the beginning of a step serves the starting step and the history."""
    calls = []

    def model(x, t):
        calls.append(t)
        return GAUSS(x, t)

    start = solvers.singlestep(solvers.dpmpp_step, 2, PATH, "x0")
    grid = np.array([0.8, 0.6, 0.5, 0.4])
    x = rng.normal(0, 2, (1,))
    states = list(samplers.sample(model, solvers.solver("dpmpp_3m", PATH, "x0", start=start), grid, x))
    assert calls == [0.8, solvers.time_between(0.8, 0.6, 0.5, PATH), 0.6, 0.5]
    assert np.array_equal(states[1], start(GAUSS, x, 0.8, 0.6))
    known = [GAUSS(states[1], 0.6), GAUSS(x, 0.8)]
    assert np.array_equal(states[2], solvers.dpmpp_step(states[1], known, [0.6, 0.8], 0.5, PATH))


def test_prk_is_the_classical_method_in_rho():
    """K9: where the time is rho and signal is 1, a step of PRK is the classical Runge-Kutta method of order 4."""
    path, law = sde.edm(), orders.LAW
    x = rng.normal(0, 4, (1,))
    found = solvers.prk(path)(law.model(path), x, 1.5, 1.1)
    want = samplers.rk4_step(lambda x, t: law.model(path)(x, t), x, 1.5, 1.1)
    assert np.allclose(found, want, rtol=0, atol=1e-14)


def measured(name, path, grid):
    """The order of a solver on a grid, which is a function of the number of steps, with its usual start."""
    error = []
    for steps in (160, 320):
        times = grid(steps)
        end = samplers.last(samplers.sample(orders.LAW.model(path), solvers.solver(name, path), times, orders.STATES))
        error.append(abs(end - maps.flow_map(orders.LAW, orders.STATES, times[0], times[-1], path)).max())
    return np.log2(error[0] / error[1])


def test_order_of_pndm():
    """K9: with equal steps of rho, PLMS has its order 4 after PRK, and a lower one after a start of order 1; with other steps it has order 2."""
    equal = [measured(name, sde.edm(), lambda steps: np.linspace(3.0, 0.5, steps + 1)) for name in ("pndm_4", "ipndm_4")]
    assert abs(equal[0] - 4) < 0.15 and equal[1] < 3
    assert abs(measured("pndm_4", PATH, lambda steps: np.linspace(*orders.ENDS, steps + 1)) - 2) < 0.05


def test_prk_from_nearly_no_signal():
    """K9: with very unequal steps of rho, as at the start of a cosine schedule, the mean of the predictions is far from the right one."""
    schedule = schedules.cosine(1000)
    pndm, ipndm = (generate(orders.LAW.model(schedule), schedule, (4, 1), 20, name, dtype=np.float64) for name in ("pndm_4", "ipndm_4"))
    assert abs(ipndm).max() < 2 and abs(pndm).max() > 100


def test_prk_on_a_schedule():
    """K9: the middle of two times of a schedule is a time; none is left between neighbours; a step to data is DDIM's."""
    schedule, x = schedules.cosine(50), rng.normal(0, 3, (1,))
    model = orders.LAW.model(schedule)
    states = list(samplers.sample(model, solvers.prk(schedule), [40, 31, 20, 0], x))
    assert np.allclose(states[3], samplers.ddim_step(model(states[2], 20), states[2], 20, 0, schedule), rtol=0, atol=1e-12)
    asked = []
    solvers.prk(schedule)(lambda x, t: asked.append(int(t)) or x, x, 40, 31)
    assert asked == [40, 35, 35, 31]
    with pytest.raises(ValueError, match=r"t = 40 and s = 39 have no time between them; allowed: fewer steps"):
        solvers.prk(schedule)(model, x, 40, 39)


def test_generate_gives_a_noise_for_each_part():
    """K7: `generate` draws two arrays of noise for a step of order 2; `Parts` does it by hand."""
    x = rng.normal(0, indices := np.arange(2**20, 2**20 + 3), (1,), stream=rng.START)
    grid = solvers.solver_grid(1.0, 0.0, 5, PATH, "angle")
    noise = solvers.Parts(rng.Normals(0, indices, (1,)), 2)
    step = solvers.solver("sde_dpmpp_2s", PATH, "x0")
    by_hand = samplers.last(samplers.sample(GAUSS, step, grid, x * PATH.signal_sigma(1.0)[1], noise))
    found = generate(GAUSS, PATH, (3, 1), 5, "sde_dpmpp_2s", kind="x0", dtype=np.float64)
    assert np.array_equal(found, by_hand)
    assert np.array_equal(noise[2][1], rng.normal(0, indices, (1,), 5))


X = np.zeros((2, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: solvers.singlestep(solvers.deis_step, 2, PATH), "formula = "),
        (
            lambda: solvers.singlestep(solvers.dpmpp_step, 2, PATH, "x0", eta=1.0)(GAUSS, X, 0.8, 0.5, X),
            "allowed: a list of arrays, one for each part",
        ),
        (lambda: solvers.singlestep(solvers.dpmpp_step, 2, PATH, "x0", eta=1.0)(GAUSS, X, 0.8, 0.5, [X]), "allowed for eta > 0: 2 arrays"),
        (lambda: solvers.singlestep(solvers.dpmpp_step, 2, PATH, "x0", eta=1.0)(GAUSS, X, 0.8, 0.5, [X, 1]), "noise[1] is 1; allowed: "),
        (lambda: solvers.solver("dpmpp_2s", PATH, start=solvers.prk(PATH)), "start = "),
        (lambda: solvers.solver("unipc_2", PATH, start=solvers.prk(PATH)), "allowed: None with a corrector"),
        (lambda: solvers.prk(PATH, "epsilon"), "kind = 'epsilon'; allowed: "),
    ],
)
def test_wrong_arguments(call, message):
    """K7, K9: errors name the argument, its value and what is allowed."""
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        call()
