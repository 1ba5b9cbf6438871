"""The page for contributors: every place of its worked example holds what the page says, and what it promises would be noticed."""

import re

import pytest

from docs.build.inventory import ROOT

PAGE = (ROOT / "docs" / "contributing.md").read_text()
EXAMPLE = re.findall(r"^\| [^|]+ \| `([\w./]+)` \| `(.*)` \|$", PAGE, re.M)


@pytest.mark.parametrize(("path", "line"), EXAMPLE)
def test_the_example_stands_where_it_says(path, line):
    """Each file of the example has the line, once."""
    assert sum(each.strip() == line for each in (ROOT / path).read_text().splitlines()) == 1


def test_the_example_is_whole():
    """Text, id, test, formula, case, own answer, known mistake, page and GPU."""
    areas = ("refdiff/process/forward", "equations", "tests/", "formulas", "cases", "own", "known", "docs/", "refdiff_gpu")
    assert len(EXAMPLE) == len(areas) and all(area in path for area, (path, _) in zip(areas, EXAMPLE, strict=True))


def test_files_named_exist():
    """Every file that the page names."""
    named = re.findall(r"`((?:tests|docs|refdiff|refdiff_gpu)/[\w/]+\.\w+)", PAGE)
    assert len(named) > 12 and all((ROOT / name).is_file() for name in named)
