"""The catalogue of mutants: known mistakes and conventions of real implementations, then the generated mutants.

The reports say "differs from", not "bug": several known departures are conventions that the owners of the code chose.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache, partial
from typing import Any

from ..known import KNOWN, alternatives_layers
from ..known import alternatives as known_alternatives
from ..operations import operations
from . import interface_mutations, mutants
from .expressions import basic
from .mutants import Edit, Mutant


@cache
def all_mutants() -> dict[str, Mutant]:
    """All mutants by name: the known ones, then the generated ones, without those that are known by another name."""
    named = {name: known(name, changes, text) for name, (text, changes) in KNOWN.items()}
    taken = {mutant.edits for mutant in named.values() if mutant.edits}
    generated = basic.generated() | interface_mutations.generated()
    return named | {name: mutant for name, mutant in generated.items() if mutant.edits not in taken or not mutant.edits}


@cache
def alternatives(operation: str) -> tuple[Mutant, ...]:
    """Other methods of the field under an operation's name, for the search alone."""
    named = (f for module in (known_alternatives, alternatives_layers) for f in vars(module).values() if inspect.isfunction(f))
    formulas = [f for f in named if _is_of(f.__name__, operation)]
    whole = (Mutant(f"{operation}: {f.__name__}", (), operation, partial(_replaced, f), inspect.getdoc(f) or "") for f in formulas)
    edited = (known(name, changes, str(text)) for name, (text, *changes) in known_alternatives.EDITS.items())
    return (*whole, *(mutant for mutant in edited if mutants.affects(mutant, operation)))


def _is_of(name: str, operation: str) -> bool:
    """Whether a formula is an alternative of this operation: the longest operation that its name begins with."""
    return max((each for each in operations() if name == each or name.startswith(f"{each}_")), key=len) == operation


def _replaced(replacement: Any, formula: Any) -> Any:
    return mutants.bind(replacement)


def known(name: str, changes: Any, text: str) -> Mutant:
    """The mutant of a known change: a list of edits, or an operation with its formula."""
    if isinstance(changes, tuple):
        operation, replacement = changes
        return Mutant(name, (), operation, lambda formula: mutants.bind(replacement), text)
    edits = tuple(edit for function, old, new in changes for edit in edits_of(function, old, new))
    return Mutant(name, edits, text=text)


def edits_of(function: str, old: str, new: str) -> list[Edit]:
    """The edits that replace every occurrence of an expression in a formula. Raises if there is none."""
    old, new = (ast.unparse(ast.parse(each, mode="eval")) for each in (old, new))
    found = [Edit(function, position, old, new) for position, text in _expressions(function) if text == old]
    if not found:
        raise ValueError(f"old = {old!r}; allowed: an expression of the formula {function}")
    return found


@cache
def _expressions(function: str) -> list[tuple[int, str]]:
    nodes = enumerate(ast.walk(ast.parse(ast.unparse(mutants.syntax_trees()[function])).body[0]))
    return [(position, ast.unparse(node)) for position, node in nodes if isinstance(node, ast.expr)]
