"""The evidence for a diagnosis: the results of one operation, grouped by what they say about a mutant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import compare, models
from ..results import Result
from .predicates import choices, predicates


class Observation(NamedTuple):
    """A result, its inputs with the models built, the mutants that its vector lists as killed, the precision of the implementation, and
    perhaps the outputs of mutants that have been tried, by name.
    """

    result: Result
    inputs: dict[str, Any]
    kills: frozenset[str]
    precision: str
    tried: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The vector's id."""
        return self.result.vector.id

    @property
    def gaps(self) -> float:
        """The share of the outputs that is NaN or infinite where the right numbers are finite, 0 if other numbers are wrong as well."""
        vector, got, count, total = self.result.vector, self.result.got or {}, 0, 0
        for name, want in (vector.expected or {}).items():
            value = np.asarray(got.get(name, want))
            if value.dtype.kind not in "biuf" or value.shape != np.shape(want):
                return 0.0
            missing = ~np.isfinite(value) & np.isfinite(want)
            if compare.difference({"": np.where(missing, want, value)}, {"": want}, vector.tolerance, self.precision) is not None:
                return 0.0
            count, total = count + int(missing.sum()), total + value.size
        return count / max(total, 1)

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
    the implementation returned outputs although only an error is right. `predicates` are those that are true, by id, and `chosen`
    those of them on a choice of the caller.
    """

    operation: str
    precision: str
    failures: int
    wrong: list[Observation]
    errored: list[Observation]
    passed: list[Observation]
    unchecked: frozenset[str]
    predicates: dict[str, list[str]]
    chosen: frozenset[str]

    @property
    def size(self) -> int:
        """The size of the smallest vector that is wrong, 0 if there is none."""
        return self.wrong[0].size if self.wrong else 0


def observe(result: Result, precision: str = "float64") -> Observation:
    """A result, ready to be compared with the outputs of mutants."""
    inputs = {key: models.build(value) if isinstance(value, dict) else value for key, value in result.vector.inputs.items()}
    return Observation(result, inputs, frozenset(result.vector.kills), precision)


def collect(results: Sequence[Result], precision: str) -> Evidence:
    """The evidence in the results of one operation.

    Of wrong vectors of equal size, the one that kills most mutants comes first. Most mutants are tried on the first
    vector alone, and in pairs again.
    """
    by_status: dict[str, list[Observation]] = {"failed": [], "errored": [], "passed": []}
    for result in results:
        if result.status in by_status and result.vector.expected is not None:
            by_status[result.status].append(observe(result, precision))
    wrong = sorted(
        (each for each in by_status["failed"] if _has_numbers(each, bool(by_status["passed"]))),
        key=lambda each: (each.size, -len(each.result.vector.kills)),
    )
    wrong[:1] = [first._replace(tried={}) for first in wrong[:1]]
    failures = sum(r.status in ("failed", "errored") for r in results)
    unchecked = frozenset(r.vector.id for r in results if r.status == "failed" and r.vector.expected is None)
    inputs = {each.id: each.result.vector.inputs for group in by_status.values() for each in group}
    true, chosen = (
        {id: predicates(each) for id, each in inputs.items()},
        frozenset(text for each in inputs.values() for text in choices(each)),
    )
    operation, errored, passed = results[0].vector.operation, by_status["errored"], by_status["passed"]
    return Evidence(operation, precision, failures, wrong, errored, passed, unchecked, true, chosen)


def _has_numbers(observation: Observation, some_passed: bool) -> bool:
    """Whether wrong outputs hold numbers that a change could give: NaN alone only if other vectors passed."""
    got = observation.result.got
    names = observation.result.vector.expected or {}
    return got is not None and all(
        name in got and np.asarray(got[name]).dtype.kind in "biuf" and (some_passed or np.isfinite(got[name]).any()) for name in names
    )
