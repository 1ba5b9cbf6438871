"""The story of guidance: its promised density against its own points, and where the guided sampler keeps the promise."""

import runpy
from pathlib import Path

import numpy as np
import pytest

STORY = runpy.run_path(str(Path(__file__).parents[2] / "toys" / "guidance_story.py"))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 3.0])
def test_promised_density(gamma):
    """G1: p(x) p(y | x)^gamma; for gamma = 1 the label's Gaussian, for 0 all data; its points have its moments."""
    density, axis = STORY["promised_density"](gamma), np.linspace(-STORY["LIMIT"], STORY["LIMIT"], STORY["CELLS"])
    mean = np.array([density.sum(axis=0) @ axis, density.sum(axis=1) @ axis])
    points = STORY["promised_points"](gamma, 20000, 3)
    assert np.abs(points.mean(axis=0) - mean).max() <= 5 * points.std() / np.sqrt(20000)
    if gamma <= 1:
        exact = STORY["DATA"].means[STORY["CLASS"]] if gamma else STORY["DATA"].means.mean(axis=0)
        assert np.abs(mean - exact).max() <= 1e-3


def test_promise_is_kept_at_0_and_1_only():
    """G3, G4: the guided flow gives the promised density for gamma = 0 and 1, and one plainly narrower for more."""
    points = {
        gamma: STORY["Point"](gamma, STORY["guided_points"](gamma, 800, 40, 0), STORY["promised_points"](gamma, 800, 1))
        for gamma in (0.0, 1.0, 3.0)
    }
    assert points[0.0].distance <= 0.01 and points[1.0].distance <= 0.01 and points[3.0].distance >= 0.2
    assert STORY["coverage"](points[3.0].guided) <= 0.8 * STORY["coverage"](points[3.0].promised)
    assert STORY["fidelity"](points[3.0].guided) >= STORY["fidelity"](points[3.0].promised)


@pytest.mark.long
def test_command(tmp_path, capsys):
    """The command prints a row for every scale and writes the picture; wrong numbers are wrong usage."""
    assert STORY["main"](["--points", "60", "--steps", "5", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "guidance.png").stat().st_size > 20000
    assert capsys.readouterr().out.count("\n") == len(STORY["SCALES"]) + 4
    with pytest.raises(SystemExit, match="2"):
        STORY["main"](["--points", "1"])
