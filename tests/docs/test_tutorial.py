"""The tutorial: its length, its three lines for a flow, and what its models learn."""

import re

import numpy as np
import pytest

from docs.build import program

TEXT = program.program()


def test_length_of_the_programs():
    """The programs have at most 60 lines, the flow's included."""
    assert sum(len(block.splitlines()) for block in program.blocks()) <= 60


def test_three_lines_make_it_a_flow():
    """The two programs differ in three lines, which the last block prints."""
    pairs = zip(TEXT.splitlines(), program.program(flow=True).splitlines(), strict=True)
    changed = [flow for diffusion, flow in pairs if diffusion != flow]
    assert len(changed) == 3 and changed == program.blocks()[-1].splitlines()


def test_line_that_replaces_nothing_is_an_error(monkeypatch):
    """A replacement line without a line to replace is an error."""
    blocks = [*program.blocks()[:-1], "trajectory = 1\n"]
    monkeypatch.setattr(program, "blocks", lambda: blocks)
    with pytest.raises(ValueError, match="has 0 lines to be replaced by 'trajectory = 1'; allowed: 1"):
        program.program(flow=True)


def distances(printed):
    """The printed distances of fresh data, of noise, and of samples with guidance 0, 1 and 2."""
    return list(map(float, re.findall(r": (0\.\d{4})$", printed, re.M)))


BOTH = pytest.mark.parametrize("flow", [False, True], ids=["diffusion", "flow"])


@BOTH
def test_the_models_learn(flow):
    """T1, G3, S2: with guidance 1 samples are nearer to fresh data than a tenth of the distance of noise; with 0 the
    label has no effect; 2 overshoots.
    """
    printed, names = program.run(flow)
    floor, noise, *found = distances(printed)
    assert floor < found[1] < floor + (noise - floor) / 10
    assert found[0] > noise / 2 and found[2] > 3 * found[1]
    assert all(states[0] is names["noise"] and np.isfinite(states[-1]).all() for states in names["states"].values())


@pytest.mark.long
@BOTH
def test_more_steps_reduce_the_distance(flow, capsys):
    """T1, S2: with the number of steps given at the end of the page samples are nearer to fresh data, but not nearer than fresh data is."""
    text = program.program(flow)
    for few, many in (("steps=800", "steps=4000"), ("0, 1, 26", "0, 1, 101") if flow else ("S=25", "S=100")):
        assert few in text
        text = text.replace(few, many)
    exec(compile(text, "tutorial.md", "exec"), {})
    floor, _, _, longer, _ = distances(capsys.readouterr().out)
    assert floor < longer < distances(program.run(flow).printed)[3]
