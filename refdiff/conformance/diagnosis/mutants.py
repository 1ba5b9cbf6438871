"""Composed mistakes: every small change of every formula, made by rewriting its syntax tree, and changes of what goes in and comes out.

A mutant is a set of edits. Each edit replaces one expression of one formula, so that all formulas that call it change with it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import deque
from collections.abc import Callable
from functools import cache, lru_cache
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from .. import numbers
from ..operations import AREAS, functions, operations


class Edit(NamedTuple):
    """In this function, the expression at this place (its number in the walk of the tree) becomes that."""

    function: str
    place: int
    old: str
    new: str


class Mutant(NamedTuple):
    """A name that says what is changed; the edits; for changes from outside, the operation and what wraps its formula."""

    name: str
    edits: tuple[Edit, ...]
    operation: str = ""
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    text: str = ""

    @property
    def functions(self) -> set[str]:
        return {edit.function for edit in self.edits} | ({self.operation} if self.operation else set())


@cache
def trees() -> dict[str, ast.FunctionDef]:
    """The syntax tree of every formula, without its docstring."""
    found = {}
    for area in AREAS:
        for function in functions(area):
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
            assert isinstance(tree, ast.FunctionDef)
            if ast.get_docstring(tree) is not None:
                tree.body, tree.decorator_list = tree.body[1:], []
            found[function.__name__] = tree
    return found


@cache
def closure(name: str) -> frozenset[str]:
    """A formula and all formulas that it calls, directly or not."""
    found, todo = set(), [name]
    while todo:
        function = todo.pop()
        if function not in found:
            found.add(function)
            todo += _called(trees()[function])
    return frozenset(found)


def _called(tree: ast.FunctionDef) -> list[str]:
    """The formulas that this one names, other than by an argument or variable of the same name."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | {n.id for n in names if isinstance(n.ctx, ast.Store)}
    return [node.id for node in names if node.id in trees() and node.id not in own]


def formula(operation: str, mutant: Mutant | None = None) -> Callable[..., Any]:
    """An operation's formula, with a mutant's edits in it and in all that it calls."""
    edits = mutant.edits if mutant else ()
    function = _namespace(edits)[operation] if edits else operations()[operation].formula
    return mutant.wrap(function) if mutant and mutant.wrap and mutant.operation == operation else function


def affects(mutant: Mutant, operation: str) -> bool:
    """Whether an operation's answers can change."""
    return mutant.operation == operation or any(edit.function in closure(operation) for edit in mutant.edits)


@cache
def _plain() -> dict[str, Any]:
    return {function.__name__: inspect.unwrap(function) for area in AREAS for function in functions(area)}


@lru_cache(maxsize=8192)
def _namespace(edits: tuple[Edit, ...]) -> dict[str, Any]:
    """All formulas, bound to each other anew, those of the edits rewritten."""
    space = {**_plain()[next(iter(_plain()))].__globals__, "np": np, "permutations": __import__("itertools").permutations}
    space.update({name: value for name, value in vars(numbers).items() if not name.startswith("_")})
    changed = {edit.function for edit in edits}
    for name, function in _plain().items():
        if name in changed:
            exec(_code(name, tuple(edit for edit in edits if edit.function == name)), space)
        elif changed & closure(name):
            space[name] = FunctionType(function.__code__, space, name, function.__defaults__)
        else:
            space[name] = function
    return space


@lru_cache(maxsize=8192)
def _code(name: str, edits: tuple[Edit, ...]) -> CodeType:
    return compile(ast.Module([rewritten(trees()[name], list(edits))], []), f"<{name}>", "exec")


@cache
def among(replacement: Callable[..., Any]) -> Callable[..., Any]:
    """A formula written elsewhere, as if it stood among the others."""
    return FunctionType(replacement.__code__, _namespace(()), replacement.__name__, replacement.__defaults__)


def rewritten(tree: ast.FunctionDef, edits: list[Edit]) -> ast.FunctionDef:
    """A copy of the tree with the edits made."""
    copy, paths = ast.parse(_text(tree)).body[0], _paths(_text(tree))
    assert isinstance(copy, ast.FunctionDef)
    found = [(_follow(copy, paths[edit.place][:-1]), paths[edit.place][-1], edit.new) for edit in edits]
    for parent, (field, index), new in found:
        expression = ast.parse(new, mode="eval").body
        if index is None:
            setattr(parent, field, expression)
        else:
            getattr(parent, field)[index] = expression
    return copy


@cache
def _text(tree: ast.FunctionDef) -> str:
    return ast.unparse(tree)


Path = tuple[tuple[str, int | None], ...]  # fields, and places in those that are lists, from the root of a tree to a node


@cache
def _paths(text: str) -> list[Path]:
    """The path to every node, in the order of `ast.walk`."""
    todo: deque[tuple[ast.AST, Path]] = deque([(ast.parse(text).body[0], ())])
    found = []
    while todo:
        node, path = todo.popleft()
        found.append(path)
        for field, value in ast.iter_fields(node):
            each = enumerate(value) if isinstance(value, list) else [(None, value)]
            todo.extend((child, (*path, (field, i))) for i, child in each if isinstance(child, ast.AST))
    return found


def _follow(node: ast.AST, path: Path) -> ast.AST:
    for field, index in path:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    return node
