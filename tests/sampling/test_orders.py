"""Orders of convergence: how fast the error falls when the steps double, against a reference solution."""

import mpmath as mp
import numpy as np
import pytest

from refdiff import ddim_step, flow, oracles, rng, sample, samplers, schedules
from tests.tolerances import ADAPTIVE, ORDER, TRANSPORT, roundings

GAUSSIAN = oracles.gaussian([0.7, -0.4], [[0.5, 0.2], [0.2, 0.8]])
MIXTURE = oracles.mixture([[1.0, 0.5], [-0.8, 0.2]], [[[0.3, 0.1], [0.1, 0.2]], [[0.25, 0.0], [0.0, 0.5]]], [0.4, 0.6])
START = rng.normal(5, 16, (2,), stream=rng.START)
# steps, few enough that rounding stays far below the error, and many enough that the leading term dominates
METHODS = {samplers.euler_step: (1, 64), samplers.heun_step: (2, 128), samplers.rk4_step: (4, 160)}
PATHS = {path.name: path for path in (flow.straight, flow.trigonometric)}


def order(run, solution, steps):
    """log2 of the ratio of the errors with `steps` and twice as many steps, in the root mean square over the batch."""
    coarse, fine = (np.sqrt(np.mean((run(S) - solution) ** 2)) for S in (steps, 2 * steps))
    return np.log2(coarse / fine)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_order_on_a_gaussian(method, path, backwards):
    """M1: Euler has order 1, Heun 2, RK4 4, from noise to data and back, against the exact transport of a Gaussian."""
    expected, steps = METHODS[method]
    field, ends = GAUSSIAN.model(PATHS[path], "velocity"), (1.0, 0.0) if backwards else (0.0, 1.0)
    solution = oracles.transport(GAUSSIAN, START, *ends, PATHS[path])
    measured = order(lambda S: samplers.last(sample(field, method, np.linspace(*ends, S + 1), START)), solution, steps)
    assert abs(measured - expected) < ORDER


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_order_on_a_mixture(method, path):
    """M1: the orders 1, 2 and 4 on a curved velocity field, against the adaptive solver at its tightest tolerance."""
    expected, _ = METHODS[method]
    field = MIXTURE.model(PATHS[path], "velocity")
    solution = samplers.solve_adaptive(field, START, 0.0, 1.0, rtol=1e-13, atol=1e-14)
    measured = order(lambda S: samplers.last(sample(field, method, np.linspace(0, 1, S + 1), START)), solution, 64)
    assert abs(measured - expected) < ORDER


LEVELS = {  # alpha_bar as one smooth function of u in [0, 1], whose sigma is smooth too
    "cosine": lambda u: np.cos(0.45 * np.pi * u) ** 2,
    "straight": lambda u: (1 - 0.95 * u) ** 2 / ((1 - 0.95 * u) ** 2 + (0.95 * u) ** 2),
}


@pytest.mark.parametrize("oracle", [GAUSSIAN, MIXTURE], ids=["gaussian", "mixture"])
@pytest.mark.parametrize("levels", LEVELS)
def test_order_of_ddim(levels, oracle):
    """S2, M5: deterministic DDIM has order 1 in the number of steps of one smooth alpha_bar; it solves the probability-flow ODE."""

    def schedule(T):
        return schedules.from_alpha_bars(LEVELS[levels](np.arange(1, T + 1) / T))

    def run(T):
        return samplers.last(sample(oracle.model(schedule(T)), samplers.stepper(ddim_step, schedule(T)), np.arange(T, -1, -1), START))

    if oracle is GAUSSIAN:
        solution = oracles.transport(oracle, START, 64, 0, schedule(64))
    else:  # on the straight path, between the flow times of the two ends
        signal, sigma = schedule(64).signal_sigma(64)
        start = flow.to_flow(START, signal, sigma)
        solution = samplers.solve_adaptive(oracle.model(flow.straight, "velocity"), start, signal / (signal + sigma), 1.0, 1e-13, 1e-14)
    assert abs(order(run, solution, 128) - 1) < ORDER


@pytest.mark.parametrize("path", PATHS)
def test_reference_solution_by_the_adaptive_solver(path):
    """M1, C1: transport solves the probability-flow ODE: the adaptive solver, given only the velocity, has the same end point."""
    field = GAUSSIAN.model(PATHS[path], "velocity")
    for t, s in ((0.0, 1.0), (0.2, 0.9), (0.9, 0.1)):
        solved = samplers.solve_adaptive(field, START, t, s, rtol=1e-13, atol=1e-14)
        assert roundings(oracles.transport(GAUSSIAN, START, t, s, PATHS[path]), solved) * np.finfo(float).eps <= ADAPTIVE * 1e-13


def test_reference_solution_to_many_digits():
    """M1, C1: in one dimension, transport against a Taylor-series solution of the ODE to 30 digits."""
    mean, variance = mp.mpf("0.7"), mp.mpf("0.25")

    def velocity(t, x):  # E[data - noise | x] on the straight path, by the regression of each on x
        width = t**2 * variance + (1 - t) ** 2
        return mean + (t * variance - (1 - t)) / width * (x - t * mean)

    solution = mp.odefun(velocity, mp.mpf(0), mp.mpf("1.3"))
    oracle, x = oracles.gaussian([0.7], [[0.25]]), np.array([[1.3]])
    for s in (0.25, 0.5, 1.0):
        assert roundings(oracles.transport(oracle, x, 0.0, s, flow.straight), float(solution(mp.mpf(s)))) <= TRANSPORT
