"""What pages quote, read from the files at every build: functions with their docstrings, tests, and the list of works."""

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
SOURCE = re.compile(r"\s*Source:\s+((?:[A-Z]\d(?:,\s+)?)+)?\s*((?:\[[^\]]+\](?:,\s+)?)*)\.?")


class BookError(Exception):
    """Something a page asks for that is not there."""


class Quote(NamedTuple):
    """A function, class, method or constant: where it is, its docstring without the sources, its code without the docstring."""

    name: str
    path: str
    line: int
    doc: str
    code: str
    ids: list[str]
    tags: list[str]


class Test(NamedTuple):
    """A test: where it is, what its docstring says it shows, and its text."""

    name: str
    line: int
    says: str
    text: str


ROOMS = ("process", "objectives", "sampling", "networks", "training", "data")
PLACE, NUMBER = r"(?:(?:eq|sec|alg|app|fig|thm|ex)\.|table) ", r"[A-Z\d]+(?:\.\d+)*"
PLACES = re.compile(f"{PLACE}{NUMBER}(?:, (?:{PLACE})?{NUMBER})*")


@cache
def modules() -> dict[str, str]:
    """The file of every module by its public name, such as "forward", or "fast.norm" where a shorter one would be another's."""
    found = {}
    for path in sorted((ROOT / "refdiff").glob("**/*.py")):
        room, name = path.parent.name, path.stem
        if room in ("refdiff", *ROOMS, "fast", "demo") and name != "__init__":
            found[f"{room}.{name}" if room in ("fast", "demo") else name] = str(path.relative_to(ROOT))
    return found | {"training": found["loop"], "data": found["toy2d"], "plots": found["demo.plots"]}


def split(name: str) -> tuple[str, list[str]]:
    """A name such as "forward.posterior" or "fast.norm.group_norm" as its module's, which may be unknown, and what follows."""
    parts = name.split(".")
    long = ".".join(parts[:2])
    return (long, parts[2:]) if long in modules() else (parts[0], parts[1:])


@cache
def parsed(path: str) -> tuple[list[str], ast.Module]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return text.splitlines(), ast.parse(text)


def quote(name: str) -> Quote:
    """What stands in refdiff under a name such as "forward.posterior" or "tables.Schedule.transition"."""
    module, inner = split(name)
    if not inner or module not in modules():
        raise BookError(f"there is no {name}: {f'refdiff has no module {module}' if inner else 'it names a module'}")
    path = modules()[module]
    lines, tree = parsed(path)
    body: list[ast.stmt] = tree.body
    for part in inner:
        at = next((i for i, node in enumerate(body) if _called(node) == part), None)
        if at is None:
            raise BookError(f"there is no {name} in {path}")
        node, after, body = body[at], body[at + 1 : at + 2], getattr(body[at], "body", [])
    note = body[:1] if body else after
    doc = _text(note[0]) if note else ""
    found = SOURCE.search(doc)
    ids, tags = (re.findall(r"[A-Z]\d", found[1] or ""), re.findall(r"\[([^\]]+)\]", " ".join(found[2].split()))) if found else ([], [])
    return Quote(name, path, node.lineno, SOURCE.sub("", doc), _code(lines, node, note if doc else []), ids, tags)


def _called(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return getattr(node, "name", "")


def _text(node: ast.stmt) -> str:
    value = getattr(node, "value", None)
    return (
        inspect.cleandoc(value.value)
        if isinstance(node, ast.Expr) and isinstance(value, ast.Constant) and isinstance(value.value, str)
        else ""
    )


def _code(lines: list[str], node: ast.stmt, note: list[ast.stmt]) -> str:
    """Decorators and body without the docstring; of a class only what comes before its methods."""
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    last = node.end_lineno or node.lineno
    if isinstance(node, ast.ClassDef):
        methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
        starts = [min([inner.lineno, *(each.lineno for each in inner.decorator_list)]) for inner in methods]
        last = min([last, *(start - 1 for start in starts)])
    left_out = {number for each in note for number in range(each.lineno, (each.end_lineno or 0) + 1)}
    kept = [lines[number - 1] for number in range(first, last + 1) if number not in left_out]
    return re.sub(r"(:(?:  #.*)?\n)\n+", r"\1", dedent("\n".join(kept)).strip())


def public(module: str) -> Iterator[str]:
    """Names of the documented functions, classes and methods of a module, in the order of its text."""
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
                says = " ".join((ast.get_docstring(node) or "").split())
                text = "\n".join(lines[node.lineno - 1 - 3 * len(node.decorator_list) : node.end_lineno])
                found[name] = Test(name, node.lineno, re.sub(r"^(?:[A-Z]\d(?:, )?)+: ", "", says), text)
    return found


@cache
def proved() -> dict[str, list[str]]:
    """Equation id -> names of its tests, as `refdiff eq` prints them."""
    return json.loads((ROOT / "refdiff" / "tested.json").read_text(encoding="utf-8"))


def proofs(quoted: Quote) -> list[Test]:
    """Tests of its equations, or of the test files of its page's modules, that speak of it; if none does, those that give its full name.

    If there are none of these either, all of its equations'.
    """
    module, (*_, last) = split(quoted.name)
    of_ids = [tests()[name] for id in quoted.ids for name in proved()[id] if name in tests()]
    page = next((modules for modules in PAGES.values() if module in modules), [module])
    if sum(f"{each}.{last}" in public(each) for each in page) > 1:  # a name of two modules
        page = [module]
    own = [test for name, test in tests().items() if name.startswith(tuple(map(_tests_of, page)))]
    near = list(dict.fromkeys([*(test for test in own if test in of_ids), *of_ids, *own]))
    found = [test for test in near if re.search(rf"\b{last}\b", test.text)]
    return found or [test for test in tests().values() if f"{module}.{last}(" in test.text] or list(dict.fromkeys(of_ids))


def _tests_of(module: str) -> str:
    """The file of a module's tests."""
    folder, _, name = modules()[module].removeprefix("refdiff/").rpartition("/")
    return f"tests/{folder}{'/' * bool(folder)}test_{name}"


@cache
def works() -> list[str]:
    """The keys of docs/references.md."""
    lines = (ROOT / "docs" / "references.md").read_text(encoding="utf-8").splitlines()
    return [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]


def work(tag: str) -> str | None:
    """The work that a tag such as "DDPM eq. 1, sec. 3.2" cites, or None if there is none or what follows is no place in it."""
    key = max((key for key in works() if tag == key or tag.startswith(f"{key} ")), key=len, default=None)
    return key if tag == key or (key and PLACES.fullmatch(tag, len(key) + 1)) else None


@cache
def vectors(id: str) -> dict[str, int]:
    """Conformance vectors of an equation: how many each operation has that states it. Raises for an unknown id."""
    if id not in EQUATIONS:
        raise BookError(f"there is no equation {id}")
    files = {o.name: FOLDER / o.area / f"{o.name}.json" for o in operations().values() if id in o.equations}
    return {name: len(json.loads(path.read_text(encoding="utf-8"))["cases"]) for name, path in files.items()}
