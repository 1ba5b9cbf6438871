"""Mutants in words, and as the lines of a formula before and after."""

from __future__ import annotations

import ast
import re
from itertools import groupby

from ..diagnosis.mutants import Edit, Mutant, rewritten, trees
from ..operations import operations

_INPUT = re.compile(r"input (\w+):? (.+)")
_OUTPUT = re.compile(r"output (\w+)[:,]? (.+)")


def sentence(mutant: Mutant, operation: str) -> str:
    """How an operation departs, to go behind "differs from eq. R2": the text of a known mistake, or "as if `s` were `t`"."""
    if mutant.text:
        return mutant.text
    if not mutant.edits:
        return f"as if {_around(mutant)}"
    parts = [_edits(name, list(edits), operation) for name, edits in groupby(mutant.edits, key=lambda edit: edit.function)]
    return "as if " + ", and ".join(parts)


def _edits(name: str, edits: list[Edit], operation: str) -> str:
    changes = list(dict.fromkeys((edit.old, edit.new) for edit in edits))
    place = "" if name == operation else f"in {name} "
    if {(new, old) for old, new in changes} == set(changes) and len(changes) == 2:
        return f"{place}`{changes[0][0]}` and `{changes[0][1]}` were swapped"
    return place + " and ".join(f"`{old}` were `{new}`" for old, new in changes)


def _around(mutant: Mutant) -> str:
    change = mutant.name.partition(": ")[2]
    if found := _INPUT.fullmatch(change):
        name, change = found.groups()
        if mutant.name.partition(": ")[2].startswith(f"input {name}: ") and change != "1 - t":
            return f"the input `{name}` were {change}"
        return f"the input `{name}` were " + (
            change if change in ("negated", "reversed") else f"`{name} {change}`".replace(f"{name} 1 -", "1 -")
        )
    if found := _OUTPUT.fullmatch(change):
        return f"the output `{found[1]}` were {found[2]}"
    return change or mutant.name


def lines(mutant: Mutant) -> list[tuple[str, str, str]]:
    """The lines that an edit changes: the formula's name, the line as it stands there, and as the mutant has it."""
    found = []
    for name in dict.fromkeys(edit.function for edit in mutant.edits):
        mine = [edit for edit in mutant.edits if edit.function == name]
        before, after = (ast.unparse(tree).splitlines() for tree in (trees()[name], rewritten(trees()[name], mine)))
        found += [(name, old.strip(), new.strip()) for old, new in zip(before, after, strict=False) if old != new]
    return found


def equations(names: list[str]) -> list[str]:
    """The ids of the equations of these operations, each once."""
    return list(dict.fromkeys(id for name in names for id in operations()[name].equations))


def eqs(ids: list[str]) -> str:
    """eq. R2, or eqs. R1, R2; the first six of more."""
    more = f" and {len(ids) - 6} more" if len(ids) > 6 else ""
    return f"eq{'s' * (len(ids) > 1)}. {', '.join(ids[:6])}{more}"


def count(number: int, word: str) -> str:
    """1 vector, 2 vectors."""
    return f"{number:,} {word}{'s' * (number != 1)}"
