"""Known mistakes and conventions of real implementations, each as edits of formulas, and all mutants together by name.

Said of an implementation, these are "differs from", not "bug": several are a convention that its owners chose.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

from ..known import KNOWN
from . import mutants
from .changes import composed
from .mutants import Edit, Mutant


@cache
def everything() -> dict[str, Mutant]:
    """All mutants: the known ones, then the composed ones that are not known by another name, then missing checks."""
    known = {name: _known(name, changes, text) for name, (text, changes) in KNOWN.items()}
    taken = {mutant.edits for mutant in known.values() if mutant.edits}
    return known | {name: mutant for name, mutant in composed().items() if mutant.edits not in taken or not mutant.edits}


def _known(name: str, changes: Any, text: str) -> Mutant:
    if isinstance(changes, tuple):
        operation, replacement = changes
        return Mutant(name, (), operation, lambda formula: mutants.among(replacement), text)
    edits = tuple(edit for function, old, new in changes for edit in edits_of(function, old, new))
    return Mutant(name, edits, text=text)


def edits_of(function: str, old: str, new: str) -> list[Edit]:
    """The edits that replace every occurrence of an expression in a formula. Raises if there is none."""
    old, new = (ast.unparse(ast.parse(each, mode="eval")) for each in (old, new))
    nodes = enumerate(ast.walk(ast.parse(ast.unparse(mutants.trees()[function])).body[0]))
    found = [Edit(function, place, old, new) for place, node in nodes if isinstance(node, ast.expr) and ast.unparse(node) == old]
    if not found:
        raise ValueError(f"old = {old!r}; allowed: an expression of the formula {function}")
    return found
