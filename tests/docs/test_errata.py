"""docs/errata.md against the tests that it cites, and its form."""

import ast
import re
from collections import Counter
from pathlib import Path

from .test_worked_table import CASES, RIGHT

TESTS = Path(__file__).parent
ERRATA = (TESTS.parents[1] / "docs" / "errata.md").read_text()
CONFIRM = {
    "test_roots_of_the_4d_example",
    "test_numbers_that_are_right",
    "test_formulas_that_are_right",
    "test_range_of_the_linear_schedule",
}
KINDS = {"wrong", "lost", "contradiction", "notation", "loose"}


def rows():
    """Cells of every row of the errata's tables: id, page, printed, right, kind, shown by; the table of kinds has fewer columns."""
    lines = [line.strip("| ") for line in ERRATA.splitlines() if re.match(r"\| [A-Z]{2}-", line)]
    return [re.split(r"(?<!\\) \| ", line) for line in lines]


def shown_by(row):
    """Names of the tests of a row; "case" is its case in tests/test_worked_table.py."""
    return {word.strip("` ") for word in row[5].split(",")}


def test_every_row_is_whole():
    """A row has a page, what is printed, what is right, a kind, and tests; the page says how many rows of each kind there are."""
    assert all(len(row) == 6 and all(row) and row[4] in KINDS for row in rows())
    assert f"The {len(rows())} rows" in ERRATA
    for kind, count in Counter(row[4] for row in rows()).items():
        assert re.search(rf"^\| {kind} \| .* \| {count} \|$", ERRATA, re.M)
    assert len(rows()) == len({tuple(row[1:4]) for row in rows()})


def test_ids_are_unique_and_in_order():
    """Ids count up within a document; a row that is taken out leaves a gap."""
    ids = [row[0] for row in rows()]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"(DM|GM|BV|LD)-\d\d", id) for id in ids)
    for prefix in ("DM", "GM", "BV", "LD"):
        assert (own := [id for id in ids if id.startswith(prefix)]) == sorted(own)


def test_every_row_names_its_tests_and_every_test_has_its_row():
    """The tests that rows cite are those whose docstrings name a W, but for what is right; cases are those of the rows that say so."""
    names = [
        node.name
        for path in TESTS.glob("test_worked_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and re.match(r"(?:[A-Z]\d(?:, )?)*W\d:", ast.get_docstring(node) or "")
    ]
    assert len(names) == len(set(names))
    cited = set().union(*(shown_by(row) for row in rows()))
    assert cited - {"case"} == set(names) - CONFIRM - {"test_row"}
    assert {row[0] for row in rows() if "case" in shown_by(row)} == set(CASES)


def test_what_is_right_is_named():
    """The page lists every formula and number that was found to be right."""
    confirmed = " ".join(ERRATA.partition("## Checked and right")[2].split())
    assert all(f"`{name}`" in confirmed for name in CONFIRM)
    assert all(all(word in confirmed for word in name.split()) for name in RIGHT)


def test_formulas_are_typeset():
    """Outside of formulas and code, no cell has a Greek letter, a sign or an index of mathematics."""
    for row in rows():
        text = re.sub(r"\$.+?\$|`.+?`", "", " ".join(row))
        assert not re.search(r"[α-ωΑ-Ω√‖∑∇∅_^{}\\]", text), (row[0], text)
