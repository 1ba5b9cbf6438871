"""The operations of the kit: one for each documented formula, with its equations, inputs and outputs."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

AREAS = (
    "schedules", "forward", "predict", "gaussian", "elbo", "latent", "samplers", "solvers", "flow", "guidance",
    "layers", "images", "attention", "unet", "optim", "training", "metrics",
)  # fmt: skip

BESIDE = {"flow": ("euler_step", "heun_step", "rk4_step", "ode_sample")}  # operations of other areas that belong to an area too

_HEAD = re.compile(r"((?:[A-Z]\d(?:, )?)+) -> ([\w, ]+): ", re.S)


class Operation(NamedTuple):
    """An operation: `optional` are the inputs that may be absent, `rule` is the text of the formula, `formula` the
    function in `formulas`.
    """

    name: str
    area: str
    equations: list[str]
    inputs: list[str]
    optional: list[str]
    outputs: list[str]
    rule: str
    formula: Callable[..., Any]


@cache
def operations() -> dict[str, Operation]:
    """All operations by name, in the order of the areas."""
    return {operation.name: operation for area in AREAS for function in functions(area) if (operation := _read(area, function)) is not None}


def chosen(only: Iterable[str]) -> set[str]:
    """The names of the operations of these areas and operations; all of them for none. Raises for an unknown name."""
    names = set(only)
    for name in names - set(operations()) - set(AREAS):
        raise ValueError(f"only = {name!r}; allowed: areas ({', '.join(AREAS)}) and operations")
    more = {step for area in names & set(BESIDE) for step in BESIDE[area]}
    return more | {name for name, operation in operations().items() if not names or names & {name, operation.area}}


def functions(area: str) -> list[Callable[..., Any]]:
    """All functions in an area's formulas: operations and helpers."""
    module = formulas(area)
    return [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]


def formulas(area: str) -> ModuleType:
    """The module that holds an area's formulas."""
    return importlib.import_module(f"refdiff.conformance.formulas.{area}")


def _read(area: str, function: Callable[..., Any]) -> Operation | None:
    text = inspect.getdoc(function) or ""
    head = _HEAD.match(text)
    if head is None:
        return None
    parameters = inspect.signature(function).parameters.values()
    optional = [p.name for p in parameters if p.default is not inspect.Parameter.empty]
    rule = " ".join(text[head.end() :].split())
    return Operation(
        function.__name__, area, head[1].split(", "), [p.name for p in parameters], optional, head[2].split(", "), rule, function
    )


def call(operation: Operation, inputs: dict[str, Any], function: Callable[..., Any] | None = None) -> dict[str, Any]:
    """The outputs by name, of the formula or of another function with the same inputs and outputs."""
    return named(operation, (function or operation.formula)(**inputs))


def named(operation: Operation, answer: Any) -> dict[str, Any]:
    """Outputs by name, from a dict, from a tuple in the order of the outputs, or from the value of a single output."""
    if isinstance(answer, dict):
        return answer
    if len(operation.outputs) == 1:
        return {operation.outputs[0]: answer}
    if not isinstance(answer, tuple | list) or len(answer) != len(operation.outputs):
        raise TypeError(f"{operation.name} gave {type(answer).__name__}; allowed: a tuple ({', '.join(operation.outputs)}) or a dict")
    return dict(zip(operation.outputs, answer, strict=True))
