"""Which mutants a case tells from the specification, and which mutants an implementation's answers are equal to."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import catalogue, compare, mutants, operations
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


def killed(operation: operations.Operation, inputs: dict[str, Any], expected: dict[str, Any] | None, tolerance: str) -> list[str]:
    """The names of the mutants whose answer to a question is not the specification's; where only an error is right, any answer is wrong."""
    if expected is None:
        return [f"unchecked: {operation.name}"]
    bounded = compare.bounds(expected, tolerance)
    hunt = hunted(operation.name)
    with np.errstate(all="ignore"):
        answers = ((mutant, outcome(operation, mutant, inputs)) for mutant in hunt)
        return [mutant.name for mutant, answer in answers if answer is None or not compare.within(answer, bounded)]
