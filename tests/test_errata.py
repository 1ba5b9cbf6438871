"""docs/errata.md against the tests that it cites."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
ERRATA = (TESTS.parent / "docs" / "errata.md").read_text()
CONFIRM = {"test_roots_of_the_4d_example", "test_numbers_that_are_right"}  # numbers that are right as printed
KINDS = {"wrong", "loose", "symbol", "text"}


def rows():
    """Cells of every row of the errata's tables; the tables of sources and kinds have fewer columns."""
    lines = [line.strip("| ") for line in ERRATA.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\) \| ", line) for line in lines]
    return [row for row in cells if len(row) == 5 and row[0] != "page"]


def test_every_row_is_whole():
    """A row has a page, what is printed, what is right, a kind, and tests; the page says how many rows there are."""
    assert all(all(row) and row[3] in KINDS for row in rows())
    assert f"{len(rows())} places" in ERRATA
    assert len(rows()) == len({tuple(row[:3]) for row in rows()})


def test_every_row_names_its_tests_and_every_test_has_its_row():
    """The tests that rows cite are those whose docstrings name a W, but for the numbers that are right."""
    cited = {name for row in rows() for name in re.findall(r"`(tests/\w+\.py::test_\w+)`", row[4])}
    assert all("::" in row[4] for row in rows())
    here = {
        f"tests/{path.name}::{node.name}"
        for path in TESTS.glob("test_worked_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and re.match(r"(?:[A-Z]\d(?:, )?)*W\d:", ast.get_docstring(node) or "")
    }
    assert here - cited == {f"tests/test_worked_numbers.py::{name}" for name in CONFIRM} and cited < here
