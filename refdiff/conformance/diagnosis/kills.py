"""Which mutants a case tells from the specification, and which mutants an implementation's answers are equal to."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from .. import compare, operations
from ..cases import prepared
from ..numbers import exact, rounded
from . import catalogue, mutants
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
    """What a mutant answers, None for an error of any kind; in float64, or at 50 digits where such inputs go in."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = operations.call(operation, inputs, mutants.formula(operation.name, mutant))
            return {name: rounded(np.asarray(value)) for name, value in answers.items()}
    except Exception:
        return None


def killed(operation: operations.Operation, given: dict[str, Any], expected: dict[str, Any] | None, tolerance: str) -> list[str]:
    """The names of the mutants whose answer to a question is not the specification's; where only an error is right, any answer is wrong.

    Mutants are judged in float64, or at 50 digits where that is not enough for the formula itself.
    """
    if expected is None:
        return [f"unchecked: {operation.name}"]
    bounded, inputs = compare.bounds(expected, tolerance), prepared(given)
    if not compare.within(outcome(operation, None, inputs) or {}, bounded):
        inputs = prepared(given, exact)
    with np.errstate(all="ignore"):
        return [m.name for m in hunted(operation.name) if not compare.within(outcome(operation, m, inputs) or {}, bounded)]
