"""Fitted numbers: a factor, an offset or a limit that an implementation has, and a parameter that is a constant, whatever is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ..budget import Budget
from ..mutations import kills, mutants
from ..mutations.mutants import Edit, Mutant
from ..mutations.output_changes import ORDERS, VALUES, Change
from ..operations import operations
from . import likelihood
from .evidence import Observation
from .match import explains

START = (-1.0, -0.1, *(10.0 ** (k / 2) for k in range(-40, 10)))  # between which a number is looked for
NAMED = {"pi": math.pi, "log 2": math.log(2), "log 10": math.log(10), "e": math.e, "sqrt 2": 2**0.5, "sqrt(2 pi)": (2 * math.pi) ** 0.5}
KINDS = {  # of a number in an expression of a formula
    "({old}) * {c}": "multiplied by {c}",
    "({old}) + {c}": "more by {c}",
    "np.maximum({old}, {c})": "at least {c}",
    "np.minimum({old}, {c})": "at most {c}",
}


def fits(failure: Observation, precision: str, time: Budget) -> list[Mutant]:
    """The fitted mutants that explain a failure."""
    found = chain(_of_outputs(failure), _of_parameters(failure), _of_expressions(failure))
    return [mutant for mutant in time.within(found) if explains(mutant, failure, precision)]


def _of_outputs(failure: Observation) -> Iterator[Mutant]:
    """A factor, or an offset, of an output, alone or after another change."""
    operation, got = failure.result.vector.operation, failure.result.got or {}
    for name, right in (failure.result.vector.expected or {}).items():
        for change in (Change("", lambda x, inputs: x), *VALUES, *ORDERS):
            base = _tried(change, right, failure.inputs)
            if base is None or not base.size or np.shape(got[name]) not in ((), base.shape):
                continue
            here = np.unravel_index(abs(base).argmax(), base.shape)
            value, first = float(np.broadcast_to(got[name], base.shape)[here]), float(base[here])
            if math.isfinite(value) and value not in (0.0, first):
                yield _output(operation, name, change, f"more by {named(value - first)}", 1.0, value - first)
                if first:
                    yield _output(operation, name, change, f"multiplied by {named(value / first)}", value / first, 0.0)


def _tried(change: Change, right: Any, inputs: dict[str, Any]) -> Any:
    try:
        base = np.asarray(change.of(np.asarray(right, float), inputs))
    except Exception:
        return None
    return base if np.isfinite(base).all() else None


def _output(operation: str, name: str, change: Change, phrase: str, factor: float, offset: float) -> Mutant:
    said = f"{operation}: output {name}: {change.phrase}{', then ' * bool(change.phrase)}{phrase}"
    return Mutant(said, (), operation, after=partial(_changed, name, change, factor, offset), choices=likelihood.CONSTANT)


def _changed(name: str, change: Change, factor: float, offset: float, outputs: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    return {**outputs, name: change.of(np.asarray(outputs[name]), inputs) * factor + offset}


def _of_parameters(failure: Observation) -> Iterator[Mutant]:
    """A number among the inputs that is another one, whatever is given."""
    operation = operations()[failure.result.vector.operation]
    for name, given in failure.inputs.items():
        value = _solved(partial(_with_parameter, operation.name, failure.inputs, name), failure) if isinstance(given, float) else None
        if value is not None and not math.isclose(value, float(given), rel_tol=1e-9):
            said = f"{operation.name}: input {name}: always {named(value)}"
            yield Mutant(said, (), operation.name, partial(_fixed, name, value), choices=likelihood.CONSTANT)


def _fixed(name: str, value: float, formula: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **inputs: formula(**{**inputs, name: value})


def _with_parameter(operation: str, inputs: dict[str, Any], name: str, value: float) -> dict[str, Any] | None:
    return kills.outcome(operations()[operation], None, {**inputs, name: value})


def _of_expressions(failure: Observation) -> Iterator[Mutant]:
    """An expression of the formula, or of a helper, that is multiplied by a number, more by a number, or held above or below it."""
    operation = failure.result.vector.operation
    helpers = sorted(name for name in mutants.reachable(operation) - {operation} if name not in operations())
    for function in (operation, *helpers):
        for position, old in mutants.expressions(function):
            for new, said in KINDS.items():
                edit = Edit(function, position, old, new.format(old=old, c="fitted"))
                formula = mutants.formula(operation, Mutant("", (edit,)))
                value = _solved(partial(_with_number, operation, formula, failure.inputs), failure)
                if value is not None and value not in (0.0, 1.0):
                    edit = edit._replace(new=new.format(old=old, c=repr(value)))
                    yield Mutant(f"{function}: {old} {said.format(c=named(value))} @{position}", (edit,), choices=likelihood.CONSTANT)


def _with_number(operation: str, formula: Any, inputs: dict[str, Any], value: float) -> dict[str, Any] | None:
    formula.__globals__["fitted"] = value
    return kills.answer(operations()[operation], formula, inputs)


def _solved(answer: Callable[[float], dict[str, Any] | None], failure: Observation) -> float | None:
    """The number at which the formula gives the most wrong number of the answer; None if there is none."""
    got, want = failure.result.got or {}, failure.result.vector.expected or {}
    name = next((name for name in want if np.shape(got[name]) == np.shape(want[name]) and np.size(got[name])), None)
    if name is None:
        return None
    here = int(np.nan_to_num(abs(np.asarray(got[name], float) - want[name])).argmax())
    target = float(np.ravel(got[name])[here])

    def error(value: float) -> float:
        outputs = answer(value)
        return math.nan if outputs is None or np.size(outputs[name]) <= here else float(np.ravel(outputs[name])[here]) - target

    return _root(error)


def _root(error: Callable[[float], float]) -> float | None:
    """The first zero of a function between the numbers of `START`."""
    errors = np.array([error(start) for start in START])
    for i in np.flatnonzero((errors[:-1] * errors[1:] <= 0) & np.isfinite(errors[:-1] * errors[1:])).tolist():
        if errors[i] == 0:
            return START[i]
        try:
            return float(brentq(error, START[i], START[i + 1], xtol=1e-16, rtol=1e-14))
        except ValueError:  # not a number between the two
            return None
    return None


def named(value: float) -> str:
    """A number in six digits, with what it is where that is known."""
    for name, constant in NAMED.items():
        for text, other in ((name, constant), (f"1 / {name}", 1 / constant), (f"2 {name}", 2 * constant), (f"-{name}", -constant)):
            if math.isclose(value, other, rel_tol=1e-9):
                return f"{value:.6g} ({text})"
    return f"{value:.6g}"
