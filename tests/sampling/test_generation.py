"""Samples in one call: the numbers of the steps driven by hand, and what is refused."""

import re
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

import refdiff as rd
from refdiff import flow, guidance, mlp, oracles, rng, samplers, schedules, training, tree
from refdiff.sampling import generation

SCHEDULE = schedules.linear(100)
NETWORK = tree.map(lambda leaf: leaf + rng.normal(7, 1, leaf.shape)[0] / 4, mlp.init(0, width=8, features=4, classes=3, dtype=np.float64))


def start(seed, count, event, dtype):
    return rng.normal(seed, generation.FIRST + np.arange(count), event, stream=rng.START, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        (None, {}),
        ("ddim", {"eta": 0.5}),
        ("ddpm", {}),
        ("ddpm", {"variance": "beta", "kind": "x0"}),
        ("ddim", {"kind": "v", "grid": "quadratic"}),
    ],
)
def test_diffusion_is_the_steps_by_hand(method, options, dtype):
    """S1, S2: one call gives the numbers of the steps applied one after another, bit for bit."""
    model = oracles.gaussian([0.5, -1.0], [[2.0, 0.5], [0.5, 1.0]]).model(SCHEDULE, options.get("kind", "eps"))
    x = start(3, 4, (2,), dtype)
    times = schedules.grid(options.get("grid", "linspace"), 100, 7)
    formula = samplers.ddpm_step if method == "ddpm" else samplers.ddim_step
    for i, (t, s) in enumerate(pairwise(times)):
        noise = rng.normal(3, generation.FIRST + np.arange(4), (2,), i, dtype=dtype)
        x = formula(model(x, t), x, t, s, SCHEDULE, noise, **{name: value for name, value in options.items() if name != "grid"})
    ours = rd.generate(model, SCHEDULE, (4, 2), 7, method, 3, dtype=dtype, **options)
    assert ours.dtype == dtype and ours.tobytes() == x.tobytes()


@pytest.mark.parametrize(("method", "formula"), [(None, samplers.heun_step), ("euler", samplers.euler_step), ("rk4", samplers.rk4_step)])
@pytest.mark.parametrize("kind", [None, "x0"])
def test_flow_is_the_steps_by_hand(method, formula, kind):
    """M1: one call gives the numbers of the solver's steps, also for a model that predicts the data."""
    path, end = flow.optimal_transport(0.01), 1.0
    model = oracles.gaussian([0.5, -1.0], [[2.0, 0.5], [0.5, 1.0]]).model(path, kind or "velocity")
    field = samplers.velocity_field(model, path, kind or "velocity")
    x = start(0, 4, (2,), np.float32)
    for i in range(5):
        x = formula(field, x, np.linspace(0, end, 6)[i], np.linspace(0, end, 6)[i + 1])
    assert rd.generate(model, path, (4, 2), 5, method, kind=kind).tobytes() == x.tobytes()


@pytest.mark.parametrize("gamma", [0, 1, 2.5])
@pytest.mark.parametrize("labels", [[0, 2, 1, 1], 2])
def test_labels_and_guidance(gamma, labels):
    """G3: labels and guidance give the numbers of the guided model; one label is every sample's."""
    model = training.as_model(NETWORK, flow.straight)
    y = np.broadcast_to(labels, 4)
    ours = rd.generate(model, flow.straight, (4, 2), 5, "euler", 1, labels, gamma, dtype=np.float64)
    hand = samplers.last(
        samplers.sample(
            guidance.guided(model, y, gamma, no_label=3), samplers.euler_step, np.linspace(0, 1, 6), start(1, 4, (2,), np.float64)
        )
    )
    np.testing.assert_allclose(ours, hand, rtol=1e-12, atol=1e-12)


def test_a_sample_depends_on_its_index_only():
    """S1: more samples do not change the first ones; another seed changes all; the noise of training is not used."""
    model = oracles.gaussian([0.5], [[2.0]]).model(SCHEDULE)
    four, two, other = (rd.generate(model, SCHEDULE, (n, 1), 10, "ddpm", seed) for n, seed in ((4, 0), (2, 0), (4, 1)))
    np.testing.assert_allclose(four[:2], two, rtol=1e-6)
    assert not np.isclose(four, other).any() and generation.FIRST > 2**16


def test_memory_of_one_state():
    """S1: a thousand stochastic steps take the memory of a few states."""
    shape = (16, 32, 32)
    tracemalloc.start()
    rd.generate(lambda x, t: x, schedules.linear(1000), shape, 200, "ddpm")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 60 * 4 * np.prod(shape)


def test_progress(capsys):
    """A progress bar is shown if it is requested."""
    rd.generate(lambda x, t: x, flow.straight, (1, 2), 3)
    assert capsys.readouterr().err == ""
    rd.generate(lambda x, t: x, flow.straight, (1, 2), 3, progress=True)
    assert "4/4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "heun"}, "method = 'heun'; allowed: ddim, ddpm"),
        ({"path": flow.straight, "method": "ddim"}, "method = 'ddim'; allowed: heun, euler, rk4"),
        ({"path": "linear"}, "path = 'linear'; allowed: a Schedule, an Sde, or the path of a flow, such as flow.straight"),
        ({"path": flow.straight, "eta": 0.5}, "eta = 0.5; allowed:"),
        ({"path": flow.straight, "steps": 0}, "steps = 0; allowed:"),
        ({"steps": 0}, "steps = 0; allowed: 1..100"),
        ({"grid": "liner"}, "grid = 'liner'; allowed:"),
        ({"guidance": 2}, "guidance = 2; allowed: 1 without labels"),
        ({"labels": [1, 2]}, "labels has shape (2,); allowed: () or (3,)"),
        ({"labels": [1.5, 2, 3]}, "labels = "),
        ({"kind": "noise"}, "kind = 'noise'; allowed:"),
        ({"shape": (0, 2)}, "shape[0] = 0; allowed:"),
    ],
)
def test_what_is_refused(change, message):
    """A wrong argument is named, with what is allowed."""
    arguments = {"path": SCHEDULE, "shape": (3, 2), "steps": 4} | change
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        rd.generate(lambda x, t, y=None: x, **arguments)
