"""The map from equations to functions, sources and proofs is complete; `python -m tests.test_equations` rewrites refdiff/tested.json and the README's table."""

import ast
import json
import re
from pathlib import Path

import pytest

from docs.build.chapters import PAGES
from docs.build.quotes import vectors
from refdiff import equations

TESTS = Path(__file__).parent
README = TESTS.parent / "README.md"
TABLE = re.compile(r"(<!-- equations: .*? -->\n).*?(<!-- end of equations -->)", re.S)
TESTED = TESTS.parent / "refdiff" / "tested.json"


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


def readme_table():
    """The map as a table: each equation's function, page, and how many tests and vectors hold it."""
    rows = ["| id | equation | function | page | tests | vectors | source |", "|---|---|---|---|---|---|---|"]
    for id, (name, headline) in equations.EQUATIONS.items():
        module, tags = headline.split(".")[0], "; ".join(equations.functions(id)[0].tags)
        page = next(page for page, modules in PAGES.items() if module in modules)
        counts = f"{len(equations.tests(id))} | {sum(vectors(id).values())}"
        rows.append(f"| {id} | {name} | `{headline}` | [{page}](docs/{page}.md) | {counts} | {tags} |")
    return "\n".join(rows)


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
    assert (
        name in text
        and f"def {headline.split('.')[-1]}(" in text.replace("class ", "def ").replace(":\n", "(\n")
        and equations.tests(id)[0] in text
    )
    assert any(line.startswith(f"{id}  {name}") and headline in line for line in equations.list_text().splitlines())


def test_every_id_in_a_docstring_is_listed():
    """No function claims an equation that the list does not know."""
    assert {id for entry in equations.entries() for id in entry.ids} == set(equations.EQUATIONS)


def test_readme_holds_the_table():
    """The README lists the equations as the package does."""
    assert TABLE.search(README.read_text())[0].split("\n", 1)[1].startswith(readme_table())


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
    README.write_text(TABLE.sub(lambda match: match[1] + readme_table() + "\n" + match[2], README.read_text()))
