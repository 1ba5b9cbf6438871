"""The guidance toy: its target density against samples of it, and the scales at which guided samples follow the target."""

import runpy
from pathlib import Path

import numpy as np
import pytest

TOY = runpy.run_path(str(Path(__file__).parents[2] / "toys" / "guidance.py"))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 3.0])
def test_target_density(gamma):
    """G1: p(x) p(y | x)^gamma; for gamma = 1 the label's Gaussian, for 0 all data; its samples have its mean."""
    density, axis = TOY["target_density"](gamma), np.linspace(-TOY["LIMIT"], TOY["LIMIT"], TOY["CELLS"])
    mean = np.array([density.sum(axis=0) @ axis, density.sum(axis=1) @ axis])
    samples = TOY["target_samples"](gamma, 20000, 3)
    assert np.abs(samples.mean(axis=0) - mean).max() <= 5 * samples.std() / np.sqrt(20000)
    if gamma <= 1:
        exact = TOY["DATA"].means[TOY["LABEL"]] if gamma else TOY["DATA"].means.mean(axis=0)
        assert np.abs(mean - exact).max() <= 1e-3


def test_guided_samples_follow_the_target_at_0_and_1_only():
    """G3, G4: the guided flow samples the target density for gamma = 0 and 1, and a clearly narrower one for larger gamma."""
    results = {
        gamma: TOY["Result"](gamma, TOY["guided_samples"](gamma, 800, 40, 0), TOY["target_samples"](gamma, 800, 1))
        for gamma in (0.0, 1.0, 3.0)
    }
    assert results[0.0].distance <= 0.01 and results[1.0].distance <= 0.01 and results[3.0].distance >= 0.2
    assert TOY["relative_spread"](results[3.0].guided) <= 0.8 * TOY["relative_spread"](results[3.0].target)
    assert TOY["label_probability"](results[3.0].guided) >= TOY["label_probability"](results[3.0].target)


@pytest.mark.long
def test_command(tmp_path, capsys):
    """The command prints a row for every scale and writes the picture; wrong numbers are wrong usage."""
    assert TOY["main"](["--points", "60", "--steps", "5", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "guidance.png").stat().st_size > 20000
    assert capsys.readouterr().out.count("\n") == len(TOY["SCALES"]) + 4
    with pytest.raises(SystemExit, match="2"):
        TOY["main"](["--points", "1"])
