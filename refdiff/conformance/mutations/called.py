"""A change of a whole operation, in the operations that call it: a wrong rk4_step in ode_sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, partial
from types import FunctionType
from typing import Any

from ..operations import named, operations
from . import mutants
from .mutants import Mutant


def called(mutant: Mutant, caller: str) -> Mutant | None:
    """The mutant of a caller that has the change of an operation which it calls; None if it does not call it, or the change is an edit."""
    mutant = mutant.origin or mutant
    inner = mutant.operation
    if mutant.edits or not inner or inner == caller or inner not in mutants.reachable(caller):
        return None
    return mutant._replace(operation=caller, wrap=partial(_calling, mutant, caller), after=None, origin=mutant)


def _calling(mutant: Mutant, caller: str, formula: Callable[..., Any]) -> Callable[..., Any]:
    return _namespace(mutant, caller)[caller]


@lru_cache(maxsize=1024)
def _namespace(mutant: Mutant, caller: str) -> dict[str, Any]:
    """The globals of the formulas with the changed operation in them, in which the caller and all that it calls call each other."""
    namespace = dict(mutants.originals())
    namespace[mutant.operation] = _changed(mutant)
    for name in mutants.reachable(caller):
        if mutant.operation in mutants.reachable(name) - {name} and name != mutant.operation:
            function = inspect.unwrap(namespace[name])
            namespace[name] = FunctionType(function.__code__, namespace, name, function.__defaults__)
    return namespace


def _changed(mutant: Mutant) -> Callable[..., Any]:
    """The changed operation, called as its formula is: with inputs by place or by name."""
    operation = operations()[mutant.operation]
    function, signature = mutants.formula(mutant.operation, mutant), inspect.signature(operation.formula)

    def changed(*places: Any, **names: Any) -> Any:
        given = signature.bind(*places, **names)
        given.apply_defaults()
        returned = function(**given.arguments)
        if mutant.after is None:
            return returned
        outputs = tuple(mutant.after(named(operation, returned), dict(given.arguments)).values())
        return outputs[0] if len(outputs) == 1 else outputs

    return changed
