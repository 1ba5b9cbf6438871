"""Which mutants a case tells from the specification, and which mutants an implementation's answers are equal to."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import cases, catalogue, compare, mutants, operations
from .mutants import Mutant
from .numbers import exact, rounded


@cache
def candidates(operation: str) -> tuple[Mutant, ...]:
    """The mutants that can change an operation's answers: known ones first, then those of its own formula, then of what it calls."""
    found = [mutant for mutant in catalogue.everything().values() if mutants.affects(mutant, operation)]
    return tuple(sorted(found, key=lambda mutant: (not mutant.text, operation not in mutant.functions)))


@cache
def hunted(operation: str) -> tuple[Mutant, ...]:
    """The mutants that an operation's vectors list: of its own formula and of the helpers behind it, and the known ones that reach it."""
    near = {operation} | {name for name in mutants.closure(operation) if name not in operations.operations()}
    return tuple(mutant for mutant in candidates(operation) if mutant.text or mutant.functions & near)


def outcome(operation: operations.Operation, mutant: Mutant | None, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """What a mutant answers, None for an error of any kind; in float64, or at 50 digits where such inputs go in."""
    try:
        with np.errstate(all="ignore"):
            answers = operations.call(operation, inputs, mutants.formula(operation.name, mutant))
            return {name: rounded(np.asarray(value)) for name, value in answers.items()}
    except Exception:
        return None


def killed(operation: operations.Operation, case: cases.Case, expected: dict[str, Any] | None, tables: dict[str, Any]) -> list[str]:
    """The names of the mutants whose answer to a case is not the specification's."""
    from .generate import prepared

    if expected is None:
        return [f"unchecked: {operation.name}"]
    inputs = prepared(case.inputs, tables)
    if _differs(outcome(operation, None, inputs), expected, case):  # float64 is not enough for the formula itself
        inputs = prepared(case.inputs, tables, exact)
    return [m.name for m in hunted(operation.name) if _differs(outcome(operation, m, inputs), expected, case)]


def _differs(got: dict[str, Any] | None, expected: dict[str, Any], case: cases.Case) -> bool:
    return got is None or compare.difference(got, expected, case.tolerance) is not None
