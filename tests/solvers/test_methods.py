"""Solvers by name: their orders, their histories, their ends, and their use in `generate`."""

import re
from pathlib import Path

import numpy as np
import pytest

from refdiff import flow, generate, oracles, orders, rng, samplers, schedules, sde, solvers
from refdiff.sampling import generation
from refdiff.solvers import exponential

LINE = oracles.mixture([[-1.0], [0.8]], [[[0.09]], [[0.16]]], [0.4, 0.6])
POINT = np.array([0.5, -0.25])
X = rng.normal(0, 5, (2,))
SDES = {name for name in solvers.METHODS if name.startswith("sde")}
SOLVED = {"ipndm_4": 2}  # where the order is not the nominal one: the weights are those of equal steps in another variable


@pytest.mark.parametrize("name", orders.NOMINAL)
def test_order(name):
    """K3, K5, K6, K8, K9: the order of each solver on a mixture, from an exact history, is the nominal one; that of PLMS is 2, not 4."""
    assert abs(orders.order(name, 320) - SOLVED.get(name, orders.NOMINAL[name][0])) < 0.06


def test_a_start_of_order_1_costs_an_order():
    """K6, K9: with the usual start, 3M tends to order 2 on this grid, and LMS-4 too; UniPC and the second-order solvers keep theirs."""
    assert orders.order("dpmpp_3m", 320, exact=False) < 2.2 and orders.order("lms_4", 320, exact=False) < 2.6
    assert all(abs(orders.order(name, 320, False) - orders.NOMINAL[name][0]) < 0.1 for name in ("dpmpp_2m", "unipc_3"))


def test_the_factor_2_of_the_third_order(monkeypatch):
    """K6: without the factor 2! of Taylor's formula, as in real libraries, 3M has order 2, also from an exact history."""
    monkeypatch.setattr(exponential, "weights", lambda r, q: solvers.weights(r, [*q[:2], *(each / 2 for each in q[2:])]))
    assert abs(orders.order("dpmpp_3m", 320) - 2) < 0.05


def test_the_table_of_the_certificate():
    """K6: a row for each method, with its errors at some numbers of model calls."""
    row, other = rows = orders.certificate(["ddim", "dpmpp_2s"], 20)
    assert (row.nominal, row.calls, other.calls) == (1, 1, 2) and row.errors[0] > row.errors[1] > row.errors[2]
    assert other.errors[1] == orders.error("dpmpp_2s", 10) and row.order_usual == pytest.approx(row.order)
    assert re.search(r"^dpmpp_2s +2 +\d\.\d\d +\d\.\d\d +2 +\d", orders.table(rows), re.M)


@pytest.mark.parametrize("name", solvers.METHODS)
@pytest.mark.parametrize("steps", [1, 2, 5, 25])
def test_a_point_is_reached(name, steps):
    """K5, K6, K8, K9: data that is one point is reached exactly, from pure noise of a schedule, in any number of steps."""
    if steps == 25 and name in ("dpm_solver_2", "dpm_solver_3", "dpmpp_2s", "sde_dpmpp_2s"):
        return  # no time is left between the times of such a grid
    schedule, data = schedules.cosine(50), oracles.point_mass(POINT)
    found = generate(data.model(schedule), schedule, (4, 2), steps, name, dtype=np.float64)
    assert np.allclose(found, POINT, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["x0", "v", "score"])
@pytest.mark.parametrize("name", solvers.METHODS)
def test_every_kind_of_prediction(name, kind):
    """K5, K6, K8, K9: an exact model of any kind leads to the same samples."""
    schedule = schedules.cosine(50)
    made = [generate(LINE.model(schedule, each), schedule, (4, 1), 6, name, kind=each, dtype=np.float64) for each in ("eps", kind)]
    assert np.allclose(*made, rtol=1e-9, atol=1e-9)


def test_no_signal_at_the_start():
    """K6, K8: with zero terminal SNR the first step has one prediction, which later steps do not use, nor a corrector."""
    schedule = schedules.zero_terminal_snr(schedules.linear(50))
    model = LINE.model(schedule, "x0")
    for name in ("dpmpp_2m", "dpmpp_3m", "unipc_2", "unipc_3", "dpmpp_2s"):
        step, grid = generation.steps_of(schedule, 10, name, "x0")
        states = list(samplers.sample(model, step, grid, X[:, :1]))
        first = solvers.dpmpp_step(X[:, :1], [model(X[:, :1], 50)], [50], grid[1], schedule)
        assert np.array_equal(states[1], first) and np.all(np.isfinite(states[-1]))
        if name == "dpmpp_2m":
            assert np.array_equal(states[2], solvers.dpmpp_step(first, [model(first, grid[1])], [grid[1]], grid[2], schedule))


def test_a_history_belongs_to_a_run():
    """K6: a solver can be used again, and two runs at once do not disturb each other."""
    path, solver = sde.vp(), solvers.solver("dpmpp_3m", sde.vp())
    grid, model = np.linspace(0.9, 0.1, 7), LINE.model(sde.vp())
    runs = [samplers.sample(model, solver, grid, X[:, :1]) for _ in range(2)]
    together = list(zip(*runs, strict=True))
    assert all(np.array_equal(a, b) for a, b in together)
    history = [(1.0, LINE.model(path, "x0")(X[:, :1], 1.0))]
    begun = solver.begin(history)(model, X[:, :1], 0.9, 0.8, None)
    now = LINE.model(path, "x0")(X[:, :1], 0.9)
    assert np.allclose(begun, solvers.dpmpp_step(X[:, :1], [now, history[0][1]], [0.9, 1.0], 0.8, path), rtol=0, atol=1e-14)


def test_the_last_steps_use_fewer_predictions():
    """K6: with the grid of the run, as in `generate`: three, then two, then one; a time that is not in the grid is named."""
    path, grid, x = sde.vp(), np.array([0.9, 0.7, 0.5, 0.4, 0.3, 0.2]), X[:, :1]
    model = LINE.model(path, "x0")
    states = list(samplers.sample(model, solvers.solver("dpmpp_3m", path, "x0", grid=grid), grid, x))
    x0 = [model(state, t) for state, t in zip(states, grid, strict=True)]
    for i, count in ((2, 3), (3, 2), (4, 1)):
        at = [i - j for j in range(count)]
        want = solvers.dpmpp_step(states[i], [x0[j] for j in at], [grid[j] for j in at], grid[i + 1], path)
        assert np.allclose(states[i + 1], want, rtol=0, atol=1e-12)
    schedule = schedules.cosine(50)
    step, times = generation.steps_of(schedule, 8, "dpmpp_3m")
    assert np.array_equal(step.grid, times)
    with pytest.raises(ValueError, match=r"s = 0.8; allowed: a time of grid = "):
        solvers.solver("dpmpp_3m", path, "x0", grid=grid).begin()(model, x, 0.9, 0.8, None)


def test_the_corrector_takes_the_noise_of_its_step():
    """K7, K8: with eta above 0, the corrected state has the noise with which it was predicted."""
    path, x, grid = sde.vp(), X[:, :1], [0.9, 0.7, 0.5]
    model, noise = LINE.model(path, "x0"), [rng.normal(9, 5, (1,), step=i) for i in range(2)]
    states = list(samplers.sample(model, solvers.solver("unipc_2", path, "x0", eta=1.0), grid, x, noise))
    first, second = model(x, 0.9), model(states[1], 0.7)
    corrected = solvers.dpmpp_step(x, [first, second], [0.9, 0.7], 0.7, path, eta=1.0, noise=noise[0])
    want = solvers.dpmpp_step(corrected, [second, first], [0.7, 0.9], 0.5, path, eta=1.0, noise=noise[1])
    assert np.allclose(states[2], want, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpm_solver_2m", "dpm_solver_3m"])
def test_the_last_step_adds_no_noise(name):
    """K7: a step to clean data is that of the ODE, for noise predictions too."""
    schedule = schedules.cosine(50)
    found = generate(oracles.point_mass(POINT).model(schedule), schedule, (4, 2), 12, name, eta=1.0, dtype=np.float64)
    assert np.allclose(found, POINT, rtol=0, atol=1e-9)


def test_some_examples_end_at_clean_data():
    """K7: where only some of the examples end there, the others get their noise."""
    path, x, noise, ends = sde.vp(), X[:, :1], rng.normal(8, 5, (1,)), np.array([0.0, 0.3, 0.0, 0.2, 0.5])
    model = LINE.model(path, "x0")
    found = solvers.solver("sde_dpmpp_2m", path, "x0").begin()(model, x, 0.8, ends, noise)
    for i in range(5):
        alone = solvers.dpmpp_step(x[i : i + 1], [model(x[i : i + 1], 0.8)], [0.8], ends[i], path, eta=1.0, noise=noise[i : i + 1])
        assert np.allclose(found[i], alone[0], rtol=0, atol=1e-13)


def test_the_corrector():
    """K8: UniPC corrects each state with the prediction made there, and calls the model once a step; the last state stays as predicted."""
    path, calls = sde.vp(), []
    model = LINE.model(path, "x0")

    def counted(x, t):
        calls.append(t)
        return model(x, t)

    x, (t, u, s) = X[:, :1], (0.9, 0.7, 0.5)
    states = list(samplers.sample(counted, solvers.solver("unipc_2", path, "x0"), [t, u, s], x))
    at_t = model(x, t)
    predicted = solvers.dpmpp_step(x, [at_t], [t], u, path)
    at_u = model(predicted, u)
    corrected = solvers.dpmpp_step(x, [at_t, at_u], [t, u], u, path)
    assert np.array_equal(states[1], predicted) and calls == [t, u]
    assert np.array_equal(states[2], solvers.dpmpp_step(corrected, [at_u, at_t], [u, t], s, path))


@pytest.mark.parametrize("path", [sde.vp(), sde.sub_vp(), sde.ve(), sde.edm()], ids=lambda path: path.name)
def test_samples_of_an_sde(path):
    """K6: `generate` starts with the noise at the end of an SDE and ends at clean data; the samples are those of a schedule's data."""
    grid = np.append(np.geomspace(path.end, path.end * 1e-4, 60), 0)
    found = generate(LINE.model(path), path, (400, 1), method="dpmpp_2m", grid=grid, dtype=np.float64)[:, 0]
    assert abs(found.mean() - 0.08) < 0.12 and abs(found.std() - np.sqrt(0.132 + 0.7776)) < 0.1
    assert len(generation.steps_of(path, 8)[1]) == 9 and generation.steps_of(path, 8)[1][0] == path.end


@pytest.mark.parametrize("name", generation.METHODS["flow"][3:])
def test_solvers_of_a_flow(name):
    """K6: on the straight path, from noise without signal to data without noise; a point is reached exactly, and a mixture is sampled."""
    point = generate(oracles.point_mass(POINT).model(flow.straight, "velocity"), flow.straight, (4, 2), 6, name, dtype=np.float64)
    assert np.allclose(point, POINT, rtol=0, atol=1e-12)
    found = generate(LINE.model(flow.straight, "velocity"), flow.straight, (600, 1), 60, name, dtype=np.float64)
    assert abs(found.mean() - 0.08) < 0.12 and abs(found.std() - np.sqrt(0.132 + 0.7776)) < 0.1


def test_the_usual_grid_of_an_sde():
    """K4: equal steps of the angle, which end at clean data; EDM's samples are near the data with it."""
    path = sde.edm()
    _, grid = generation.steps_of(path, 40)
    assert np.array_equal(generation.steps_of(path, 4, grid="linspace")[1], [80, 60, 40, 20, 0])
    assert (grid[0], grid[-1]) == (80, 0) and np.allclose(np.diff(np.arctan(grid), 2), 0, atol=1e-12)
    found = generate(LINE.model(path), path, (1000, 1), 40, dtype=np.float64)[:, 0]
    assert abs(found.mean() - 0.08) < 0.1 and abs(found.std() - np.sqrt(0.132 + 0.7776)) < 0.05


def test_times_by_their_log_snr():
    """K4: the time of a log-SNR, and the time between two: of a schedule the nearest integer between them."""
    for path in (sde.vp(), sde.edm(), sde.ve()):
        for value in (solvers.half_log_snr(path.end, path), 0.5, 6.0):
            assert abs(solvers.half_log_snr(solvers.time_at(float(value), path), path) - value) < 1e-12
    schedule = schedules.cosine(50)
    found = solvers.time_between(40, 20, 0.5, schedule)
    wanted = (solvers.half_log_snr(40, schedule) + solvers.half_log_snr(20, schedule)) / 2
    assert found == min(range(21, 40), key=lambda t: abs(solvers.half_log_snr(t, schedule) - wanted))
    assert solvers.time_between(0.25, 0.75, 0.5, flow.straight) == pytest.approx(0.5)


def test_wrong_names_and_numbers():
    """K6: wrong methods, orders and times are named, with what is allowed."""
    schedule, path = schedules.cosine(50), sde.vp()
    for wrong, message in (
        (lambda: solvers.solver("dpmpp_4m", path), "method = 'dpmpp_4m'; allowed: "),
        (lambda: solvers.solver("dpmpp_2m", path, "noise"), "kind = 'noise'; allowed: "),
        (lambda: solvers.solver("dpmpp_2s", path, "noise"), "kind = 'noise'; allowed: "),
        (lambda: solvers.Multistep(solvers.dpmpp_step, 7, path), "order = 7; allowed: "),
        (lambda: solvers.singlestep(solvers.dpmpp_step, 4, path), "order = 4; allowed: "),
        (lambda: solvers.time_at(380.0, path), "value = 380.0; allowed: less"),
        (
            lambda: solvers.Multistep(solvers.plms_step, 2, path, corrector=True),
            "allowed: dpmpp_step, dpm_solver_step, deis_step, plms_step, the last not",
        ),
        (lambda: solvers.Multistep(len, 2, path), "formula = <built-in function len>; allowed: "),
        (lambda: solvers.dpmpp_step(X, [X], [0.0], 0.5, path), "times[0] = 0.0 is clean data; allowed: a time with noise"),
        (lambda: generation.steps_of(path, grid="quadratic"), "grid = 'quadratic'; allowed: linspace"),
        (lambda: solvers.time_between(0.5, 0.5, 0.5, path), "s = 0.5 is t; allowed: another time"),
        (lambda: solvers.solver_grid(0.5, 0.5, 4, path), "s = 0.5 is t; allowed: another time"),
        (lambda: generation.steps_of(path, grid=[0.5, 0.5, 0.1]), "grid = [0.5, 0.5, 0.1]; allowed: falling times"),
        (lambda: generation.steps_of(path, grid=[0.1, 0.5, 1.0]), "grid = [0.1, 0.5, 1.0]; allowed: falling times"),
        (lambda: generation.steps_of(flow.straight, grid=[0.0, 0.5, 0.4]), "grid = [0.0, 0.5, 0.4]; allowed: rising times"),
        (lambda: solvers.time_between(3, 2, 0.5, schedule), "t = 3 and s = 2 have no time between them; allowed: fewer steps"),
        (lambda: solvers.time_at(-9.0, path), "value = -9.0; allowed: at least -5.02"),
        (lambda: generation.steps_of(flow.straight, 5, "lms_4"), "method = 'lms_4'; allowed: "),
        (lambda: generation.steps_of(path, 5, "ddim"), "method = 'ddim'; allowed: "),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            wrong()
    for name, wrong, allowed in (
        ("lms_4", "corrector", "variable"),
        ("dpmpp_2m", "clip", "eta, variant"),
        ("dpmpp_2s", "clip", "eta, variant"),
    ):
        with pytest.raises(TypeError, match=f"{wrong} = 1; allowed: no other options than {allowed}"):
            solvers.solver(name, path, **{wrong: 1})
    begun, model = solvers.solver("dpmpp_3m", path).begin(), LINE.model(path)
    begun(model, X[:, :1], 0.9, 0.6)
    with pytest.raises(ValueError, match=r"t = 0.91; allowed: 0.6, where the last step of this run ended"):
        begun(model, X[:, :1], 0.91, 0.6)
    assert len(generation.steps_of(schedules.cosine(10), grid=[10, 5, 0])[1]) == 3
    with pytest.raises(TypeError, match="clip = 1; allowed: "):
        generate(LINE.model(schedule), schedule, (2, 1), 5, "dpmpp_2m", clip=1)


@pytest.mark.parametrize("variance", [0.25, 1.0, 9.0])
def test_the_optimal_grid_of_a_gaussian(variance):
    """K4, K9: DDIM on Gaussian data shrinks the deviation by cos(step) for each step of the angle; no other grid loses less."""
    path, data, steps = sde.vp(), oracles.gaussian([0.0], [[variance]]), 6

    def kept(grid):
        """The standard deviation of the samples over that of the exact solution."""
        model, one = data.model(path, "x0"), np.ones((1, 1))
        exact = oracles.transport(data, one, grid[0], grid[-1], path)
        return (samplers.last(samplers.sample(model, solvers.Multistep(solvers.dpmpp_step, 1, path, "x0"), grid, one)) / exact).item()

    grid = solvers.solver_grid(0.9, 0.0, steps, path, "angle", variance)
    angle = np.arctan(solvers.noise_to_signal(0.9, path) / np.sqrt(variance))
    assert kept(grid) == pytest.approx(np.cos(angle / steps) ** steps, rel=1e-12)
    for i in range(1, steps):
        for shift in (-1e-3, 1e-3):
            other = grid.copy()
            other[i] += shift
            assert kept(other) < kept(grid)
    assert kept(solvers.solver_grid(0.9, 1e-4, steps, path)) < kept(grid) and kept(np.linspace(0.9, 0.0, steps + 1)) < kept(grid)


def test_grids_of_solvers():
    """K4: equal steps in the log-SNR or the angle, of a schedule rounded to different integers."""
    path, schedule = sde.vp(), schedules.cosine(1000)
    grid = solvers.solver_grid(0.9, 0.01, 7, path)
    assert np.allclose(np.diff(solvers.half_log_snr(grid, path), 2), 0, atol=1e-12) and (grid[0], grid[-1]) == (0.9, 0.01)
    found = solvers.solver_grid(900, 0, 10, schedule, "angle")
    assert found.dtype.kind == "i" and np.all(abs(np.diff(found) + 90) <= 7)  # the angle of the cosine schedule is nearly its time
    for wrong, message in (
        (lambda: solvers.solver_grid(0.9, 0.0, 5, path), "infinite log-SNR among them; allowed: another end, or the spacing angle"),
        (lambda: solvers.solver_grid(0.9, 0.1, 5, path, "t"), "spacing = 't'; allowed: log_snr, angle"),
        (lambda: solvers.solver_grid(5, 1, 9, schedule), "steps = 9 from t = 5 to s = 1; allowed: fewer"),
        (lambda: solvers.solver_grid(0.9, 0.1, 5, path, "angle", 0.0), "variance = 0.0; allowed: "),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            wrong()


@pytest.mark.long
def test_the_page_shows_what_is_measured():
    """K6: the table of orders in docs/solvers.md is that of the certificate."""
    page = (Path(__file__).parents[2] / "docs" / "solvers.md").read_text()
    for row in orders.certificate():
        errors = " | ".join(f"{error:.1e}" for error in row.errors)
        assert f"| `{row.name}` | {row.nominal} | {row.order:.2f} | {row.order_usual:.2f} | {row.calls} | {errors} |\n" in page
