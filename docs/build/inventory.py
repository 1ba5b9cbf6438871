"""The inventory of the project, read from its files at every build: modules, functions, tests, references and test vectors."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

from refdiff.conformance.operations import operations
from refdiff.conformance.vectors.files import FOLDER
from refdiff.equations import EQUATIONS

from .chapters import PAGES

ROOT = Path(__file__).parents[2]
TESTED = ROOT / "refdiff" / "tested.json"
SOURCE = re.compile(r"\s*Source:\s+((?:[A-Z]\d(?:,\s+)?)+)?\s*((?:\[[^\]]+\](?:,\s+)?)*)\.?")


class BookError(Exception):
    """A page names something that does not exist, or a generated file is out of date."""


class Definition(NamedTuple):
    """A function, class, method or constant: its file and line, its docstring without the sources, its code without the docstring."""

    name: str
    path: str
    line: int
    doc: str
    code: str
    ids: list[str]
    tags: list[str]


class Test(NamedTuple):
    """A test: its name for pytest, its line, its docstring without the equation ids, and its code."""

    name: str
    line: int
    doc: str
    code: str


PACKAGES = ("process", "objectives", "solvers", "sampling", "networks", "training", "data")
LOCATOR, NUMBER = r"(?:(?:eq|sec|alg|app|fig|thm|ex)\.|table) ", r"[A-Z\d]+(?:\.\d+)*"
LOCATORS = re.compile(f"{LOCATOR}{NUMBER}(?:, (?:{LOCATOR})?{NUMBER})*")


@cache
def modules() -> dict[str, str]:
    """The file of every module by its public name, such as "forward", or "fast.norm" where the short name belongs to another module."""
    found = {}
    for path in sorted((ROOT / "refdiff").glob("**/*.py")):
        package, name = path.parent.name, path.stem
        if package in ("refdiff", *PACKAGES, "fast", "demo") and name != "__init__":
            found[f"{package}.{name}" if package in ("fast", "demo") else name] = str(path.relative_to(ROOT))
    return found | {"training": found["loop"], "data": found["toy2d"]}


def split_name(name: str) -> tuple[str, list[str]]:
    """A name such as "forward.posterior" or "fast.norm.group_norm" as its module, which may be unknown, and the remaining parts."""
    parts = name.split(".")
    long = ".".join(parts[:2])
    return (long, parts[2:]) if long in modules() else (parts[0], parts[1:])


@cache
def parsed(path: str) -> tuple[list[str], ast.Module]:
    """The lines and the syntax tree of a file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return text.splitlines(), ast.parse(text)


def definition(name: str) -> Definition:
    """The definition of a name such as "forward.posterior" or "tables.Schedule.transition". Raises BookError if there is none."""
    module, inner = split_name(name)
    if not inner or module not in modules():
        raise BookError(f"there is no {name}: {f'refdiff has no module {module}' if inner else 'it names a module'}")
    path = modules()[module]
    lines, tree = parsed(path)
    body: list[ast.stmt] = tree.body
    for part in inner:
        at = next((i for i, node in enumerate(body) if _name(node) == part), None)
        if at is None:
            raise BookError(f"there is no {name} in {path}")
        node, after, body = body[at], body[at + 1 : at + 2], getattr(body[at], "body", [])
    first = body[:1] if body else after  # the docstring of a constant follows it
    doc = _string(first[0]) if first else ""
    found = SOURCE.search(doc)
    ids, tags = (re.findall(r"[A-Z]\d", found[1] or ""), re.findall(r"\[([^\]]+)\]", " ".join(found[2].split()))) if found else ([], [])
    return Definition(name, path, node.lineno, SOURCE.sub("", doc), _code(lines, node, first if doc else []), ids, tags)


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return getattr(node, "name", "")


def _string(node: ast.stmt) -> str:
    value = getattr(node, "value", None)
    return (
        inspect.cleandoc(value.value)
        if isinstance(node, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str)
        else ""
    )


def _code(lines: list[str], node: ast.stmt, docstring: list[ast.stmt]) -> str:
    """Decorators and body without the docstring; of a class only the part before its methods."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    last = node.end_lineno or node.lineno
    if isinstance(node, ast.ClassDef):
        methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
        starts = [min([inner.lineno, *(each.lineno for each in inner.decorator_list)]) for inner in methods]
        last = min([last, *(start - 1 for start in starts)])
    left_out = {number for each in docstring for number in range(each.lineno, (each.end_lineno or 0) + 1)}
    kept = [lines[number - 1] for number in range(first, last + 1) if number not in left_out]
    return re.sub(r"(:(?:  #.*)?\n)\n+", r"\1", dedent("\n".join(kept)).strip())


def public(module: str) -> Iterator[str]:
    """Names of the documented functions, classes and methods of a module, in the order of the file."""
    _, tree = parsed(modules()[module])
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_") or not ast.get_docstring(node):
            continue
        yield f"{module}.{node.name}"
        for inner in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_") and ast.get_docstring(inner):
                yield f"{module}.{node.name}.{inner.name}"


@cache
def tests() -> dict[str, Test]:
    """Every test by its name for pytest, "tests/file.py::test"."""
    found = {}
    for path in (str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").glob("**/test_*.py"))):
        lines, tree = parsed(path)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                name = f"{path}::{node.name}"
                doc = " ".join((ast.get_docstring(node) or "").split())
                code = "\n".join(lines[node.lineno - 1 - 3 * len(node.decorator_list) : node.end_lineno])
                found[name] = Test(name, node.lineno, re.sub(r"^(?:[A-Z]\d(?:, )?)+: ", "", doc), code)
    return found


@cache
def tests_by_equation() -> dict[str, list[Test]]:
    """The tests of every equation, from refdiff/tested.json. Raises BookError if the file is out of date."""
    listed = json.loads(TESTED.read_text(encoding="utf-8"))
    unknown = [name for names in listed.values() for name in names if name not in tests()]
    if unknown or list(listed) != list(EQUATIONS):
        wrong = f"it lists {unknown[0]}, which does not exist" if unknown else "its ids are not those of refdiff/equations.py"
        raise BookError(f"refdiff/tested.json is out of date: {wrong}. Run `python -m tests.test_equations`.")
    return {id: [tests()[name] for name in names] for id, names in listed.items()}


def tests_of(found: Definition) -> list[Test]:
    """The tests of a function: those of its equations and of its page's test files that contain its name.

    If there are none, the tests that contain its full name; if there are none of these either, all tests of its equations.
    """
    module, (*_, last) = split_name(found.name)
    of_ids = [test for id in found.ids for test in tests_by_equation()[id]]
    page = next((modules for modules in PAGES.values() if module in modules), [module])
    if sum(f"{each}.{last}" in public(each) for each in page) > 1:  # a name of two modules
        page = [module]
    own = [test for name, test in tests().items() if name.startswith(tuple(map(_test_file, page)))]
    near = list(dict.fromkeys([*(test for test in own if test in of_ids), *of_ids, *own]))
    named = [test for test in near if re.search(rf"\b{last}\b", test.code)]
    return named or [test for test in tests().values() if f"{module}.{last}(" in test.code] or list(dict.fromkeys(of_ids))


def _test_file(module: str) -> str:
    """The beginning of the names of a module's test files: the tests' folders are the packages."""
    folder, _, name = modules()[module].removeprefix("refdiff/").rpartition("/")
    return f"tests/{folder}{'/' * bool(folder)}test_{name}"


@cache
def references() -> list[str]:
    """The keys of docs/references.md."""
    lines = (ROOT / "docs" / "references.md").read_text(encoding="utf-8").splitlines()
    return [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]


def reference(tag: str) -> str | None:
    """The key of the work that a tag such as "DDPM eq. 1, sec. 3.2" cites; None if there is none, or if the locator is malformed."""
    key = max((key for key in references() if tag == key or tag.startswith(f"{key} ")), key=len, default=None)
    return key if tag == key or (key and LOCATORS.fullmatch(tag, len(key) + 1)) else None


@cache
def vectors(id: str) -> dict[str, int]:
    """Test vectors of an equation: their number by operation. Raises BookError for an unknown id."""
    if id not in EQUATIONS:
        raise BookError(f"there is no equation {id}")
    files = {o.name: FOLDER / o.area / f"{o.name}.json" for o in operations().values() if id in o.equations}
    return {name: len(json.loads(path.read_text(encoding="utf-8"))["cases"]) for name, path in files.items()}
