"""The answers of declared conventions: a formula with one choice of each row, or with none, and the name of what is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

from .. import compare
from ..cases import prepared
from ..known.conventions import ROWS, WHOLE
from ..operations import operations
from ..results import Result
from ..vectors.files import Vector
from . import catalogue, kills, mutants
from .candidates import candidates
from .mutants import Mutant

MOST = 64  # combinations that are tried, those of few choices first


@cache
def declared(operation: str) -> tuple[Mutant, ...]:
    """The formula of an operation by other conventions; the text of each names its choices."""
    if operation in WHOLE:
        text, formula = WHOLE[operation]
        return (catalogue.known(text, (operation, formula), text),)
    affecting = [[mutant for mutant in row if mutants.affects(mutant, operation)] for row in _rows()]
    combined = [[each for each in chosen if each] for chosen in product(*([None, *row] for row in affecting if row))]
    return tuple(_together(chosen) for chosen in sorted(combined, key=len)[1 : MOST + 1])


@cache
def _rows() -> list[list[Mutant]]:
    return [[catalogue.known(text, list(changes), text) for text, changes in row] for row in ROWS]


@cache
def with_known(operation: str) -> tuple[Mutant, ...]:
    """The known departures of an operation in each of its declared conventions."""
    known = [m for m in candidates(operation) if m.text and m.edits]
    return tuple(_together([choice, m]) for choice in declared(operation) if "; " not in choice.text and choice.edits for m in known)


def choices(operation: str) -> list[str]:
    """The single choices that are declared for an operation."""
    return [mutant.text for mutant in declared(operation) if "; " not in mutant.text]


def _together(chosen: Sequence[Mutant]) -> Mutant:
    text = "; ".join(mutant.text for mutant in chosen)
    return Mutant(text, tuple(edit for mutant in chosen for edit in mutant.edits), text=text)


def convention(vector: Vector, outputs: dict[str, Any], precision: str) -> str:
    """The first declared convention by which these outputs are right, or an empty string."""
    return next((mutant.text for mutant in declared(vector.operation) if _is_right(mutant, vector, outputs, precision)), "")


def by_one_convention(results: Sequence[Result], precision: str) -> list[Result]:
    """The results, where an operation's vectors pass by a convention only if one convention gives all its outputs. They fail otherwise."""
    by_operation: dict[str, list[Result]] = {}
    for result in results:
        if result.got is not None:
            by_operation.setdefault(result.vector.operation, []).append(result)
    chosen = {name: _chosen(each, precision) for name, each in by_operation.items() if any(result.convention for result in each)}
    return [_settled(result, chosen[result.vector.operation]) if result.convention else result for result in results]


def _chosen(results: list[Result], precision: str) -> str:
    for mutant in declared(results[0].vector.operation):
        if all(_is_right(mutant, result.vector, result.got or {}, precision) for result in results):
            return mutant.text
    return ""


def _settled(result: Result, text: str) -> Result:
    return result._replace(convention=text, status="passed" if text else "failed")


def _is_right(mutant: Mutant, vector: Vector, outputs: dict[str, Any], precision: str) -> bool:
    right = kills.outcome(operations()[vector.operation], mutant, prepared(vector.inputs))
    return right is not None and compare.difference(outputs, right, vector.tolerance, precision) is None
