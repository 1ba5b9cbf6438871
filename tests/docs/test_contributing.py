"""The page for contributors: the lines of its worked example and the commands of `.ci/run` are those of the files."""

import re

import pytest

from docs.build.inventory import ROOT

PAGE = (ROOT / "docs" / "contributing.md").read_text()
EXAMPLE = re.findall(r"^\| [^|]+ \| `([\w./]+)` \| `(.*)` \|$", PAGE, re.M)


@pytest.mark.parametrize(("path", "line"), EXAMPLE)
def test_the_lines_of_the_example_exist(path, line):
    """Each file of the example has the line, once."""
    assert sum(each.strip() == line for each in (ROOT / path).read_text().splitlines()) == 1


def test_the_example_has_every_step():
    """Equation, id, test, formula, case, refdiff's answer, known mistake, page and GPU, in this order."""
    areas = ("refdiff/process/forward", "equations", "tests/", "formulas", "cases", "own", "known", "docs/", "refdiff_gpu")
    assert len(EXAMPLE) == len(areas) and all(area in path for area, (path, _) in zip(areas, EXAMPLE, strict=True))


def test_files_named_exist():
    """Every file that the page names."""
    named = re.findall(r"`((?:tests|docs|refdiff|refdiff_gpu)/[\w/]+\.\w+)", PAGE)
    assert len(named) > 12 and all((ROOT / name).is_file() for name in named)


def test_commands_of_ci_are_those_that_it_runs():
    """Each command that the page lists for `.ci/run` is in that file."""
    section = PAGE.partition("`.ci/run` is the check")[2].partition("\n| ")[0]
    commands = [command for command in re.findall(r"`([^`]+)`", section) if " " in command]
    script = " ".join((ROOT / ".ci" / "run").read_text().replace("\\ ", " ").split())
    parts = [part for command in commands for part in command.split(" --wheel")]
    assert len(commands) > 8 and [part for part in parts if part and part not in script] == []
