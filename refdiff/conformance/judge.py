"""Which mutants a case tells from the specification, and which mutants an implementation's answers are equal to."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import cases, catalogue, compare, mutants, operations
from .mutants import Mutant


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
    """What a mutant answers in float64, None for an error of any kind."""
    try:
        with np.errstate(all="ignore"):
            return operations.call(operation, inputs, mutants.formula(operation.name, mutant))
    except Exception:
        return None


def killed(operation: operations.Operation, case: cases.Case, expected: dict[str, Any] | None, tables: dict[str, Any]) -> list[str]:
    """The names of the mutants whose answer to a case is not the specification's."""
    from .generate import prepared

    inputs = prepared(case.inputs, tables)
    if expected is None:
        return [f"unchecked: {operation.name}"]
    return [
        mutant.name
        for mutant in hunted(operation.name)
        if (got := outcome(operation, mutant, inputs)) is None or compare.difference(got, expected, case.tolerance) is not None
    ]
