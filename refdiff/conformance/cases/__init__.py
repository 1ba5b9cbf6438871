"""The cases: inputs that cover the whole domain of each operation, with both ends of every table."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .. import models
from ..formulas.schedules import cosine, linear, quadratic
from ..numbers import exact, rounded
from ..operations import AREAS


class Table(NamedTuple):
    """A reference to a table of betas by its name."""

    name: str


class Case(NamedTuple):
    """One case: the operation, its inputs, level and tolerance, and, if an error is the only right answer, what is to be refused."""

    operation: str
    inputs: dict[str, Any]
    level: str = "must"
    tolerance: str = "tensor"
    minimal: bool = False
    refused: str = ""


TIMES = "times other than 0 <= s < t <= T"
NO_SIGNAL = "x0 from eps or the score where alpha_bar is 0"
BATCH = "shapes that do not meet"


def refused(operation: str, what: str, **inputs: Any) -> Case:
    """A case of wrong inputs, where only an error is right; `what` is said in the template and the reports."""
    return Case(operation, inputs, "refusal", minimal=True, refused=what)


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of every area, once."""
    found: dict[str, Case] = {}
    for area in AREAS:
        for case in importlib.import_module(f"refdiff.conformance.cases.{area}").cases():
            found.setdefault(_key(case), case)
    for case in found.values():
        _protect(case.inputs)
    return tuple(found.values())


def _key(case: Case) -> str:
    """A key that identifies a case: the operation and all bits of the inputs."""
    inputs = {name: (x.dtype.str, x.shape, x.tobytes()) if isinstance(x, np.ndarray) else repr(x) for name, x in case.inputs.items()}
    return f"{case.operation} {sorted(inputs.items())}"


@cache
def tables() -> dict[str, Any]:
    """The tables of betas that cases share, float64 (T,)."""
    start, end, low, high = exact(1e-4), exact(0.02), exact(0.00085), exact(0.012)
    offset, most = exact(0.008), exact(0.999)
    made = {
        "linear-1000": linear(1000, start, end),
        "scaled-linear-1000": quadratic(1000, low, high),
        "cosine-1000": cosine(1000, offset, most),
        "linear-50": linear(50, start, end),
        "cosine-20": cosine(20, offset, most),
    }
    short = {
        "three": [0.1, 0.2, 0.3],
        "one": [0.3],
        "two": [0.125, 0.5],
        "zero-terminal-5": [0.1, 0.2, 0.3, 0.5, 1.0],
        "constant-10": [0.25] * 10,
    }
    return _protect({name: rounded(betas) for name, betas in made.items()} | {name: np.array(betas) for name, betas in short.items()})


def numbers(shape: tuple[int, ...], seed: int = 0) -> Any:
    """Pseudorandom numbers k / 64 between -2 and 2, which every language reads without rounding."""
    state, values = 12345 + 7919 * seed, []
    for _ in range(int(np.prod(shape))):
        state = (1103515245 * state + 12345) % 2**31
        values.append((state >> 12) % 257 - 128)
    return np.array(values, dtype=np.float64).reshape(shape) / 64


def steps(T: int) -> list[tuple[int, int]]:
    """Pairs (t, s) at both ends of a table and in its middle, single and larger steps."""
    pairs = [(1, 0), (2, 1), (2, 0), (T, T - 1), (T, 0), (T // 2 + 1, T // 2), (T // 2 + 1, 1), (T, T // 2), (T - 1, T // 3)]
    return sorted({(t, s) for t, s in pairs if 0 <= s < t <= T})


def prepared(inputs: dict[str, Any], to: Any = lambda value: value) -> dict[str, Any]:
    """Inputs for a formula: tables looked up, numbers converted, models built."""
    found = {}
    for name, value in inputs.items():
        if isinstance(value, Table):
            value = _table(value.name) if to is exact else tables()[value.name]
        elif isinstance(value, dict):
            value = models.build(prepared(value, to))
        else:
            value = to(value)
        found[name] = value
    return found


@cache
def _table(name: str) -> Any:
    return _protect(exact(tables()[name]))


def _protect(value: Any) -> Any:
    """The value, with its arrays read-only: a mutant may write in place."""
    for each in value.values() if isinstance(value, dict) else [value]:
        if isinstance(each, dict):
            _protect(each)
        elif isinstance(each, np.ndarray):
            each.setflags(write=False)
    return value
