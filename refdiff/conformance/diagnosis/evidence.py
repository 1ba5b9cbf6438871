"""The evidence for a diagnosis: the results of one operation, grouped by what they say about a mutant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import models
from ..results import Result
from .predicates import predicates


class Observation(NamedTuple):
    """A result, its inputs with the models built, and perhaps the outputs of mutants that have been tried, by name."""

    result: Result
    inputs: dict[str, Any]
    tried: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The vector's id."""
        return self.result.vector.id

    @property
    def is_mute(self) -> bool:
        """Whether the outputs hold no finite number."""
        return not any(np.isfinite(value).any() for value in (self.result.got or {}).values() if np.asarray(value).dtype.kind in "biuf")

    @property
    def largest(self) -> float:
        """The largest number of the inputs and the right outputs, at least 1."""
        given = [value for value in self.inputs.values() if getattr(getattr(value, "dtype", None), "kind", "") == "f"]
        right = [np.asarray(value, float) for value in (self.result.vector.expected or {}).values()]
        return max([1.0, *(float(abs(value[np.isfinite(value)]).max(initial=0)) for value in (*given, *right))])

    @property
    def size(self) -> int:
        """The count of numbers in the vector's inputs and expected outputs."""
        vector = self.result.vector
        return sum(np.size(value) for value in (*vector.inputs.values(), *(vector.expected or {}).values()))


class Evidence(NamedTuple):
    """The results of one operation.

    `failures` counts all vectors that failed or errored. `wrong` are the wrong outputs that hold a number, the smallest vector first.
    `errored` and `passed` are vectors that have expected outputs. `unchecked` are the ids of vectors for which
    the implementation returned outputs although only an error is right. `predicates` are those that are true, by id.
    """

    operation: str
    precision: str
    failures: int
    wrong: list[Observation]
    errored: list[Observation]
    passed: list[Observation]
    unchecked: frozenset[str]
    predicates: dict[str, tuple[str, ...]]

    @property
    def size(self) -> int:
        """The size of the smallest vector that is wrong, 0 if there is none."""
        return self.wrong[0].size if self.wrong else 0


def observe(result: Result) -> Observation:
    """A result, ready to be compared with the outputs of mutants."""
    inputs = {key: models.build(value) if isinstance(value, dict) else value for key, value in result.vector.inputs.items()}
    return Observation(result, inputs)


def collect(results: Sequence[Result], precision: str) -> Evidence:
    """The evidence in the results of one operation.

    Of wrong vectors of equal size, the one that kills most mutants comes first. Most mutants are tried on the first
    vector alone, and in pairs again.
    """
    by_status: dict[str, list[Observation]] = {"failed": [], "errored": [], "passed": []}
    for result in results:
        if result.status in by_status and result.vector.expected is not None:
            by_status[result.status].append(observe(result))
    wrong = sorted(
        (each for each in by_status["failed"] if _is_number(each, bool(by_status["passed"]))),
        key=lambda each: (each.size, -len(each.result.vector.kills)),
    )
    wrong[:1] = [first._replace(tried={}) for first in wrong[:1]]
    failures = sum(r.status in ("failed", "errored") for r in results)
    unchecked = frozenset(r.vector.id for r in results if r.status == "failed" and r.vector.expected is None)
    true = {each.id: tuple(predicates(each.result.vector.inputs)) for group in by_status.values() for each in group}
    return Evidence(results[0].vector.operation, precision, failures, wrong, by_status["errored"], by_status["passed"], unchecked, true)


def _is_number(observation: Observation, some_passed: bool) -> bool:
    """Whether wrong outputs hold numbers that a change could give: NaN alone only if other vectors passed."""
    got = observation.result.got
    names = observation.result.vector.expected or {}
    return got is not None and all(
        name in got and np.asarray(got[name]).dtype.kind in "biuf" and (some_passed or np.isfinite(got[name]).any()) for name in names
    )
