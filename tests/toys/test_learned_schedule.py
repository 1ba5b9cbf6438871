"""The toy of the learned schedule: its moments, a short training, and the command."""

import numpy as np
import pytest

from toys import learned_schedule as toy

SETTING = toy.Setting(0.25, -np.log(1e4), np.log(1e4))


def test_moments():
    """V2: 94.29 for the straight schedule; the best has the least possible at every time; the quadrature is exact for polynomials."""
    t, weights = toy.quadrature()
    assert weights @ t**7 == pytest.approx(1 / 8, rel=1e-12)
    assert toy.mean_square(SETTING, SETTING.straight) == pytest.approx(94.29, abs=0.005)
    assert np.allclose(SETTING.second_moment(SETTING.best, np.linspace(0, 1, 50)), 3 * SETTING.loss() ** 2, rtol=1e-9)


def test_training_lowers_the_second_moment():
    """V2: 300 steps on drawn data lower E[L^2] by a third, and leave the ends; one seed gives one run."""
    run, again = (toy.train(SETTING, 8, 300, 128, seed=1) for _ in range(2))
    assert run.moments[-1] < 62 < 90 < run.moments[0] and run.moments == again.moments
    assert len(run.shots) == toy.SHOTS and np.array_equal(run.shots[-1]["ends"], [SETTING.gamma_0, SETTING.gamma_1])


def test_command(tmp_path, capsys):
    """The command prints a row for each schedule and writes the picture; wrong numbers are wrong usage."""
    out = tmp_path / "schedule.png"
    assert toy.main(["--steps", "8", "--batch", "16", "--width", "4", "--out", str(out)]) == 0
    assert out.stat().st_size > 20000 and "45.92" in capsys.readouterr().out
    assert toy.main(["--steps", "0"]) == 2 and "--steps: '0'; allowed: an integer" in capsys.readouterr().err
    assert toy.main(["--out", str(tmp_path / "none" / "x.png")]) == 2 and "--out" in capsys.readouterr().err
