"""Parallel sampling: the states of the sequential sampler bit for bit, the error of every sweep in closed form, and one call per step."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import brownian, oracles, picard, rng, samplers, schedules, sde, solvers
from tests.tolerances import roundings

SCHEDULE, PATH = schedules.cosine(40), sde.vp()
DATA = oracles.mixture([[-1.0, 0.3], [0.8, -0.5]], [np.eye(2) * 0.05] * 2, [0.4, 0.6])
X = rng.normal(0, 5, (2,))
GRID, TIMES = np.array([40, 33, 30, 21, 12, 11, 5, 1, 0]), np.arange(16, 0, -1) / 16
RUNS = {
    "ddim": (DATA.model(SCHEDULE), samplers.stepper(samplers.ddim_step, SCHEDULE), GRID, None),
    "ddpm": (DATA.model(SCHEDULE), samplers.stepper(samplers.ddpm_step, SCHEDULE), GRID, rng.Normals(1, 5, (2,))),
    "heun": (DATA.model(PATH, "velocity"), samplers.heun_step, TIMES, None),
    "dpm_solver_2": (DATA.model(PATH), solvers.solver("dpm_solver_2", PATH), TIMES, None),
    "euler_maruyama": (
        DATA.model(PATH, "score"),
        lambda f, x, t, s, z: sde.euler_maruyama_step(x, t, s, f(x, t), PATH, z),
        TIMES,
        brownian.Increments(1, 5, TIMES, (2,)),
    ),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", RUNS)
def test_the_first_steps_are_those_of_the_sampler(name, dtype):
    """B3, S1, S2: after j sweeps the first j states equal the sequential ones to the last bit, and after all sweeps every state does."""
    model, step, grid, noise = RUNS[name]
    noise = None if noise is None else [noise[i].astype(dtype) for i in range(len(grid) - 1)]
    wanted = list(samplers.sample(model, step, grid, X.astype(dtype), noise))
    swept = list(picard.sample(model, step, grid, X.astype(dtype), noise))
    for j, states in enumerate(swept):
        assert len(states) == len(grid) and all(np.array_equal(states[i], wanted[i]) for i in range(j + 1))
    assert len(swept) <= len(grid) and all(a.dtype == dtype and np.array_equal(a, b) for a, b in zip(swept[-1], wanted, strict=True))
    assert not np.array_equal(swept[1][2], wanted[2])


@given(st.lists(st.integers(0, 6), min_size=5, max_size=5), st.integers(0, 3))
def test_the_fixed_point_is_the_trajectory(seeds, first):
    """B3: a sweep leaves a sequential trajectory as it is, and from any other states the first one after `first` is exact."""
    model, step, grid, noise = RUNS["ddpm"]
    grid = grid[:5]
    wanted = list(samplers.sample(model, step, grid, X, noise))
    again = picard.sweep(model, step, grid, wanted, noise, first)
    assert all(np.array_equal(a, b) for a, b in zip(again, wanted, strict=True))
    others = [*wanted[: first + 1], *(rng.normal(seed, 5, (2,)) for seed in seeds)][:5]
    found = picard.sweep(model, step, grid, others, noise, first)
    assert all(np.array_equal(a, b) for a, b in zip(found[: first + 2], wanted[: first + 2], strict=True))


@pytest.mark.parametrize("rate", [-0.3, 0.25, -1.5])
def test_the_error_series_of_a_linear_model(rate):
    """B3: for steps x -> (1 + rate) x, sweep j has the first j + 1 terms of the binomial series of (1 + rate)^i, so the error is its rest."""
    n, x = 12, np.array([[1.0], [-2.0]])
    grid = np.arange(n + 1) / n
    model = lambda x, t: n * rate * x  # noqa: E731
    for j, states in enumerate(picard.sample(model, samplers.euler_step, grid, x)):
        for i, state in enumerate(states):
            terms = [comb(i, m) * rate**m for m in range(j + 1)]
            assert roundings(state, sum(terms) * x, max(map(abs, terms)) * x) < 60


def test_the_error_series_of_an_affine_model():
    """B3: for steps x -> A_i x + b_i the errors obey e'_i = sum over k < i of (A_k - I) e_k, in every sweep."""
    data = oracles.gaussian([0.5, -1.0], [[2.0, 0.5], [0.5, 1.0]])
    model, step, grid = data.model(SCHEDULE), samplers.stepper(samplers.ddim_step, SCHEDULE), GRID
    wanted = list(samplers.sample(model, step, grid, X))
    maps = [step(model, np.eye(2), t, s, None) - step(model, np.zeros((2, 2)), t, s, None) for t, s in pairwise(grid)]
    errors = [X - state for state in wanted]
    for states in picard.sample(model, step, grid, X):
        for i, state in enumerate(states):
            assert np.allclose(state - wanted[i], errors[i], rtol=0, atol=1e-12)
        moves = [error @ (matrix - np.eye(2)) for error, matrix in zip(errors[:-1], maps, strict=True)]
        errors = [0 * X, *np.cumsum(moves, axis=0)]


def test_fewer_sweeps_than_steps():
    """B3: 200 DDIM steps come within 1e-3 of the sequential states after at most 9 sweeps, and the run ends with its last change below the tolerance."""
    schedule = schedules.linear(1000)
    grid, step, model = schedules.grid("linspace", 1000, 200), samplers.stepper(samplers.ddim_step, schedule), DATA.model(schedule)
    wanted = list(samplers.sample(model, step, grid, X))
    far = lambda states: max(abs(a - b).max() for a, b in zip(states, wanted, strict=True))  # noqa: E731
    swept = list(picard.sample(model, step, grid, X, tolerance=1e-3))
    errors = [far(states) for states in swept]
    assert min(j for j, error in enumerate(errors) if error < 1e-3) <= 9 and errors[3] > 0.1 and len(swept) < 15
    changes = [max(abs(a - b).max() for a, b in zip(*pair, strict=True)) for pair in pairwise(swept)]
    assert changes[-1] <= 1e-3 < min(changes[:-1]) and len(list(picard.sample(model, step, grid, X, sweeps=4))) == 5


def test_each_sweep_takes_its_steps_independently():
    """B3: with threads the numbers are the same; a sweep calls the model once for each step that is left, at the states before it."""
    model, step, grid, noise = RUNS["ddpm"]
    calls = []

    def counted(x, t):
        calls.append(int(t))
        return model(x, t)

    plain = list(picard.sample(counted, step, grid, X, noise))
    assert calls == [t for j in range(len(plain) - 1) for t in grid[j:-1].tolist()]
    tasks = []
    ran = picard.sample(model, step, grid, X, noise, run=lambda f, steps: tasks.append(len(steps)) or map(f, steps))
    assert len(list(ran)) == len(plain) and tasks == [8 - j for j in range(len(plain) - 1)]
    with ThreadPoolExecutor(4) as pool:
        threaded = list(picard.sample(model, step, grid, X, noise, run=pool.map))
    assert all(np.array_equal(a, b) for one, other in zip(plain, threaded, strict=True) for a, b in zip(one, other, strict=True))


def test_edges():
    """B3: one step, one time, no sweeps, a batch of 0; inputs and earlier states stay as they are."""
    model, step, grid, noise = RUNS["ddim"]
    still = picard.sample(lambda x, t: 0 * x, samplers.euler_step, TIMES, X)
    assert len(list(still)) == 2  # nothing changes in the first sweep, and a tolerance of 0 is met
    assert len(list(picard.sample(model, step, grid[:2], X))) == 2 and len(list(picard.sample(model, step, grid[:1], X))) == 1
    assert [len(states) for states in picard.sample(model, step, grid, X, sweeps=0)] == [9]
    assert list(picard.sample(model, step, grid, X[:0]))[-1][-1].shape == (0, 2)
    states = np.stack([X] * 9)
    kept = states.copy()
    found = picard.sweep(model, step, grid, states, noise)
    assert np.array_equal(states, kept) and len(found) == 9


def test_wrong_arguments():
    """B3: each wrong argument is named, with its value and what is allowed."""
    model, step, grid, _ = RUNS["ddpm"]
    sweep = partial(picard.sweep, model, step, grid)
    for call, error, message in (
        (lambda: sweep([X] * 8), ValueError, "allowed: 9 arrays, one for each time of the grid"),
        (lambda: sweep([X] * 8 + [X[:1]]), ValueError, "states[8] has shape (1, 2); allowed: (5, 2)"),
        (lambda: sweep([X] * 9, [X] * 7), ValueError, "noise has 7 entries; allowed: one for each of the 8 steps"),
        (lambda: sweep([X] * 9, None, 0, None), TypeError, "run = None; allowed: map"),
        (lambda: sweep([X] * 9, None, 9), ValueError, "first = 9; allowed: 0..8"),
        (lambda: picard.sweep(model, solvers.solver("dpmpp_2m", SCHEDULE), grid, [X] * 9), TypeError, "has a history; allowed: "),
        (lambda: list(picard.sample(model, step, grid, X, tolerance=-1.0)), ValueError, "tolerance = -1.0; allowed: "),
        (lambda: list(picard.sample(model, step, grid, X, sweeps=-1)), ValueError, "sweeps = -1; allowed: "),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()
