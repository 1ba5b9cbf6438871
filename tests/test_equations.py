"""The list of equations is complete: functions, sources, tests; `python -m tests.test_equations` rewrites tested.json and the tables."""

import ast
import json
import re

import pytest

from docs.build import equations as tables
from docs.build.inventory import ROOT, TESTED
from refdiff import equations

TESTS, README = ROOT / "tests", ROOT / "README.md"


def collected():
    """Equation id -> tests whose docstring starts with it, as in '''R1, R2: ...'''."""
    found = {id: [] for id in equations.EQUATIONS}
    for path in sorted(TESTS.glob("**/test_*.py")):
        for node in ast.parse(path.read_text()).body:
            match = re.match(r"((?:[A-Z]\d(?:, )?)+):", ast.get_docstring(node) or "") if isinstance(node, ast.FunctionDef) else None
            for id in re.findall(r"[A-Z]\d", match[1]) if match and node.name.startswith("test_") else []:
                if id in found:
                    found[id].append(f"tests/{path.relative_to(TESTS)}::{node.name}")
    return found


def test_tested_json_is_up_to_date():
    """refdiff/tested.json lists the tests whose docstrings name an equation."""
    assert json.loads(TESTED.read_text()) == collected()


@pytest.mark.parametrize("id", equations.EQUATIONS)
def test_every_equation_has_function_source_and_proof(id):
    """Each id leads to its headline function, at least one source tag and one test, and both texts print it."""
    name, headline = equations.EQUATIONS[id]
    found = equations.functions(id)
    assert found[0].name == headline
    assert any(entry.tags for entry in found)
    assert equations.tests(id)
    text = equations.show_text(id)
    assert (
        name in text
        and f"def {headline.split('.')[-1]}(" in text.replace("class ", "def ").replace(":\n", "(\n")
        and equations.tests(id)[0] in text
    )
    assert any(line.startswith(f"{id}  {name}") and headline in line for line in equations.list_text().splitlines())


def test_every_id_in_a_docstring_is_listed():
    """No function claims an equation that the list does not know."""
    assert {id for entry in equations.entries() for id in entry.ids} == set(equations.EQUATIONS)


@pytest.mark.parametrize("path", tables.GENERATED, ids=lambda path: path.name)
def test_tables_are_up_to_date(path):
    """The map and the README list the equations as the package does."""
    assert tables.updated(path) == path.read_text()


def test_every_equation_is_in_a_chapter():
    """The chapters of the map hold every equation once, and the README's summary has at most ten lines."""
    assert sorted(id for chapter in tables.CHAPTERS for id in tables.ids(chapter)) == sorted(equations.EQUATIONS)
    assert len(tables.summary().splitlines()) <= 10


def test_readme_example_runs(capsys):
    """The README's ten lines run, and print roughly the oracle's mean and covariance."""
    code = re.search(r"## Ten lines\n\n```python\n(.*?)```", README.read_text(), re.S)[1]
    exec(compile(code, "README.md", "exec"), {})
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", capsys.readouterr().out)]
    assert len(numbers) == 6 and max(abs(a - b) for a, b in zip(numbers, [0.7, 0.3, 0.25, 0.1, 0.1, 0.5], strict=True)) < 0.1


def test_unknown_id_names_the_allowed_ones():
    """The error of a wrong id lists the right ones."""
    with pytest.raises(ValueError, match=r"id = 'R9'; allowed: F1, F2"):
        equations.show_text("R9")


if __name__ == "__main__":
    TESTED.write_text(json.dumps(collected(), indent=1) + "\n")
    for path in tables.GENERATED:
        path.write_text(tables.updated(path))
