"""The map from equations to functions, sources and proofs is complete; `python -m tests.test_equations` rewrites refdiff/tested.json."""

import ast
import json
import re
from pathlib import Path

import pytest

from refdiff import equations

TESTS = Path(__file__).parent
TESTED = TESTS.parent / "refdiff" / "tested.json"


def collected():
    """Equation id -> tests whose docstring starts with it, as in '''R1, R2: ...'''."""
    found = {id: [] for id in equations.EQUATIONS}
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            match = re.match(r"((?:[A-Z]\d(?:, )?)+):", ast.get_docstring(node) or "") if isinstance(node, ast.FunctionDef) else None
            for id in re.findall(r"[A-Z]\d", match[1]) if match and node.name.startswith("test_") else []:
                if id in found:
                    found[id].append(f"tests/{path.name}::{node.name}")
    return found


def test_proofs_are_those_of_the_tests():
    """What the package says is tested is what the tests' docstrings say."""
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
    assert name in text and f"def {headline.split('.')[-1]}(" in text.replace("class ", "def ").replace(":\n", "(\n") and equations.tests(id)[0] in text
    assert any(line.startswith(f"{id}  {name}") and headline in line for line in equations.list_text().splitlines())


def test_every_id_in_a_docstring_is_listed():
    """No function claims an equation that the list does not know."""
    assert {id for entry in equations.entries() for id in entry.ids} == set(equations.EQUATIONS)


def test_unknown_id_names_the_allowed_ones():
    """The error of a wrong id lists the right ones."""
    with pytest.raises(ValueError, match=r"id = 'R9'; allowed: F1, F2"):
        equations.show_text("R9")


if __name__ == "__main__":
    TESTED.write_text(json.dumps(collected(), indent=1) + "\n")
