"""Mutants as text: a sentence for each, and the changed lines of a formula before and after."""

from __future__ import annotations

import ast
import re
from itertools import groupby

from ..mutations.mutants import Edit, Mutant, apply_edits, syntax_trees

_INPUT = re.compile(r"input (\w+):? (.+)")
_OUTPUT = re.compile(r"output (\w+)[:,]? (.+)")
_SEVERAL = re.compile(r"(inputs|outputs) ([\w, ]+): (.+)")
_EXCHANGED = re.compile(r"(inputs|outputs) (\w+) and (\w+) exchanged")
_VARIANCES = re.compile(r"(square root of )?(\w+)(?: and (\w+))?( read as a logarithm| squared)?")
_PHRASES = {  # for mutations whose names do not fit into "as if the input `x` were ..."
    "the first for every step": "the noise of the first step at every step",
    "that of the next step": "the noise of the next step",
    "each one place later": "shifted by one position",
    "each one place later, after a 0": "shifted by one row, behind a row of 0",
    "every row the last": "its last row, repeated",
    "the batch's mean": "its mean over the batch",
}


def sentence(mutant: Mutant, operation: str) -> str:
    """The end of "differs from eq. R2 ...": the text of a known departure, or "as if `s` were `t`"."""
    if mutant.text:
        return mutant.text
    if mutant.parts:
        said = [sentence(part, operation) for part in mutant.parts]
        return ", and ".join([said[0], *(each.removeprefix("as if ") for each in said[1:])]) + mutant.limits
    if not mutant.edits:
        return f"as if {_interface_mutation(mutant)}"
    parts = [_edits(name, list(edits), operation) for name, edits in groupby(mutant.edits, key=lambda edit: edit.function)]
    return "as if " + ", and ".join(parts)


def _edits(name: str, edits: list[Edit], operation: str) -> str:
    changes = list(dict.fromkeys((edit.old, _plain(edit.new)) for edit in edits))
    formula = "" if name == operation else f"in {name} "
    if {(new, old) for old, new in changes} == set(changes) and len(changes) == 2:
        return f"{formula}`{changes[0][0]}` and `{changes[0][1]}` were swapped"
    return formula + " and ".join(f"`{old}` were `{new}`" for old, new in changes)


def _plain(expression: str) -> str:
    """An expression without needless brackets."""
    return ast.unparse(ast.parse(expression, mode="eval"))


def _interface_mutation(mutant: Mutant) -> str:
    change = mutant.name.partition(": ")[2]
    if found := _OUTPUT.fullmatch(change):
        return f"the output `{found[1]}` were {_PHRASES.get(found[2], found[2])}"
    if found := _INPUT.fullmatch(change):
        return f"the input `{found[1]}` were {_input_change(change, *found.groups())}"
    if found := _SEVERAL.fullmatch(change):
        return f"the {found[1]} {_quoted(found[2])} were {found[3]}"
    if found := _EXCHANGED.fullmatch(change):
        return f"the {found[1]} `{found[2]}` and `{found[3]}` were exchanged"
    if found := _VARIANCES.fullmatch(change):
        names = " and ".join(f"`{name}`" for name in (found[2], found[3]) if name)
        return f"the square root of {names} were used" if found[1] else f"{names} were{found[4]}"
    return "`s` were `t - 1`, whatever its value" if change.startswith("s taken") else change or mutant.name


def _quoted(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _input_change(change: str, name: str, text: str) -> str:
    if (change.startswith(f"input {name}: ") and text != "1 - t") or text in ("negated", "reversed"):
        return _PHRASES.get(text, text)
    return f"`{name} {text}`".replace(f"{name} 1 -", "1 -")


def changed_lines(mutant: Mutant) -> list[tuple[str, str, str]]:
    """The lines that the edits change: the name of the formula, the original line, and the mutant's line."""
    found = []
    for name in dict.fromkeys(edit.function for edit in mutant.edits):
        edits = [edit for edit in mutant.edits if edit.function == name]
        before, after = (ast.unparse(tree).splitlines() for tree in (syntax_trees()[name], apply_edits(syntax_trees()[name], edits)))
        found += [(name, old.strip(), new.strip()) for old, new in zip(before, after, strict=False) if old != new]
    return found
