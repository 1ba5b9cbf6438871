"""The mutants that a case kills: those whose outputs differ from the specification's."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from .. import compare, operations
from ..cases import prepared
from ..numbers import exact, rounded
from . import mutants
from .candidates import candidates
from .mutants import Mutant
from .symptoms import UNCHECKED, symptom


@cache
def targets(operation: str) -> tuple[Mutant, ...]:
    """The mutants that an operation's vectors list: those of its own formula and its helpers, and the known ones that
    can change its outputs.
    """
    own = {operation} | {name for name in mutants.reachable(operation) if name not in operations.operations()}
    return tuple(mutant for mutant in candidates(operation) if mutant.text or mutant.functions & own)


@cache
def target_names(operation: str) -> frozenset[str]:
    """The names of the mutants that an operation's vectors list."""
    return frozenset(mutant.name for mutant in targets(operation))


def outcome(operation: operations.Operation, mutant: Mutant | None, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The outputs of a mutant, or of the formula itself, None for an error of any kind; in float64, or at 50 digits for
    such inputs.
    """
    return answer(operation, lambda **given: mutants.formula(operation.name, mutant)(**given), inputs, mutant.after if mutant else None)


def answer(operation: operations.Operation, formula: Any, inputs: dict[str, Any], after: Any = None) -> dict[str, Any] | None:
    """The outputs of a formula, perhaps changed afterwards, None for an error of any kind."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = {name: rounded(np.asarray(value)) for name, value in operations.call(operation, inputs, formula).items()}
            if any(value.dtype.kind in "US" for value in outputs.values()):  # a mutant may give a word
                return None
            return after(outputs, inputs) if after else outputs
    except Exception:
        return None


def killed(operation: operations.Operation, given: dict[str, Any], expected: dict[str, Any] | None, tolerance: str) -> list[str]:
    """The names of the mutants whose outputs are not the expected ones; where only an error is right, any answer is wrong.

    Mutants are computed in float64, or at 50 digits where float64 is too imprecise for the formula itself.
    """
    if expected is None:
        return [symptom(UNCHECKED, operation.name).name]
    bounded, inputs = compare.bounds(expected, tolerance), prepared(given)
    if not compare.within(outcome(operation, None, inputs) or {}, bounded):
        inputs = prepared(given, exact)
    with np.errstate(all="ignore"):
        return [m.name for m in targets(operation.name) if not compare.within(outcome(operation, m, inputs) or {}, bounded)]
