"""Mutants: changed versions of the formulas, made by editing their syntax trees or by wrapping an operation.

An edit replaces one expression of one formula, so all formulas that call this formula change with it.
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
from . import shifts


class Edit(NamedTuple):
    """One replacement in a formula: the expression at this position, in the order of `ast.walk`, changes from `old` to `new`."""

    function: str
    position: int
    old: str
    new: str


class Mutant(NamedTuple):
    """A name that says what is changed, and the edits; or, without edits, an operation and the wrapper of its formula.

    `after` changes the outputs by name, given the inputs, after the formula with its edits. `text` describes a known departure;
    generated mutants have none. `choices` are the bits of what was chosen to fit: a fitted number, a region. `parts` are the mutants
    that this one is made of, and `limits` says where it holds. `origin` is the mutant of an operation of
    which this one is the effect on a caller.
    """

    name: str
    edits: tuple[Edit, ...]
    operation: str = ""
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    text: str = ""
    after: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None
    choices: float = 0.0
    parts: tuple[Mutant, ...] = ()
    limits: str = ""
    origin: Mutant | None = None

    @property
    def functions(self) -> set[str]:
        """The names of the formulas that are changed."""
        return {edit.function for edit in self.edits} | ({self.operation} if self.operation else set())


@cache
def syntax_trees() -> dict[str, ast.FunctionDef]:
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
def expressions(name: str) -> tuple[tuple[int, str], ...]:
    """The operations, variables, entries and calls of a formula: their positions and texts."""
    kinds = ast.BinOp | ast.Name | ast.Subscript | ast.Call
    nodes = enumerate(ast.walk(ast.parse(ast.unparse(syntax_trees()[name])).body[0]))
    listed = [(i, node) for i, node in nodes if isinstance(node, kinds) and not isinstance(getattr(node, "ctx", None), ast.Store)]
    return tuple((i, text) for i, node in listed if (text := ast.unparse(node)) not in ("np", *syntax_trees()))


@cache
def reachable(name: str) -> frozenset[str]:
    """A formula and all formulas that it calls, directly or indirectly."""
    found, queue = set(), [name]
    while queue:
        function = queue.pop()
        if function not in found:
            found.add(function)
            queue += _called(syntax_trees()[function])
    return frozenset(found)


def _called(tree: ast.FunctionDef) -> list[str]:
    """The formulas that this one calls. An argument or a variable of the same name is no call."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    local = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | {n.id for n in names if isinstance(n.ctx, ast.Store)}
    return [node.id for node in names if node.id in syntax_trees() and node.id not in local]


def formula(operation: str, mutant: Mutant | None = None) -> Callable[..., Any]:
    """An operation's formula, with a mutant's edits in it and in all that it calls."""
    edits = mutant.edits if mutant else ()
    function = _namespace(edits, operation)[operation] if edits else operations()[operation].formula
    return mutant.wrap(function) if mutant and mutant.wrap and mutant.operation == operation else function


def affects(mutant: Mutant, operation: str) -> bool:
    """Whether a mutant can change an operation's outputs."""
    return mutant.operation == operation or any(edit.function in reachable(operation) for edit in mutant.edits)


@cache
def _originals() -> dict[str, Any]:
    return {function.__name__: inspect.unwrap(function) for area in AREAS for function in functions(area)}


@lru_cache(maxsize=8192)
def _namespace(edits: tuple[Edit, ...], operation: str = "") -> dict[str, Any]:
    """The globals of the formulas after these edits, in which all formulas, or those that an operation calls, call each other."""
    namespace = dict(originals())
    changed = {edit.function for edit in edits}
    for name in reachable(operation) if operation else _originals():
        if name in changed:
            exec(_code(name, tuple(edit for edit in edits if edit.function == name)), namespace)
        elif changed & reachable(name):
            function = _originals()[name]
            namespace[name] = FunctionType(function.__code__, namespace, name, function.__defaults__)
    return namespace


@cache
def originals() -> dict[str, Any]:
    """The globals of the formulas: all formulas, and what `numbers` and `shifts` have."""
    found = {**_originals()[next(iter(_originals()))].__globals__, "np": np, "permutations": __import__("itertools").permutations}
    words = {name: value for module in (shifts, numbers) for name, value in vars(module).items() if not name.startswith("_")}
    return found | words | _originals()


@lru_cache(maxsize=8192)
def _code(name: str, edits: tuple[Edit, ...]) -> CodeType:
    return compile(ast.Module([apply_edits(syntax_trees()[name], list(edits))], []), f"<{name}>", "exec")


@cache
def bind(replacement: Callable[..., Any]) -> Callable[..., Any]:
    """A formula of `known`, bound to the globals of the formulas."""
    return FunctionType(replacement.__code__, _namespace(()), replacement.__name__, replacement.__defaults__)


def apply_edits(tree: ast.FunctionDef, edits: list[Edit]) -> ast.FunctionDef:
    """A copy of a syntax tree with the edits made."""
    copy, paths = ast.parse(_text(tree)).body[0], _paths(_text(tree))
    assert isinstance(copy, ast.FunctionDef)
    found = [(_follow(copy, paths[edit.position][:-1]), paths[edit.position][-1], edit.new) for edit in edits]
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


Path = tuple[tuple[str, int | None], ...]  # fields, and indices into those that are lists, from the root of a tree to a node


@cache
def _paths(text: str) -> list[Path]:
    """The path to every node, in the order of `ast.walk`."""
    queue: deque[tuple[ast.AST, Path]] = deque([(ast.parse(text).body[0], ())])
    found = []
    while queue:
        node, path = queue.popleft()
        found.append(path)
        for field, value in ast.iter_fields(node):
            each = enumerate(value) if isinstance(value, list) else [(None, value)]
            queue.extend((child, (*path, (field, i))) for i, child in each if isinstance(child, ast.AST))
    return found


def _follow(node: ast.AST, path: Path) -> ast.AST:
    for field, index in path:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    return node
