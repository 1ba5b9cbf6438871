"""Whether an answer is a mutant's: what an implementation gave, held against what a mutant of the formula gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import compare, models
from ..operations import operations
from ..results import Result
from . import kills as judge
from .mutants import Mutant

MATCH = {"float64": 1e-6, "float32": 1e-2}  # how far from a mutant, against how far the mutant is from the specification
ROUNDING = {"float64": 1e-12, "float32": 3e-6}  # and this much of the largest element besides


class Case(NamedTuple):
    """A result, the inputs as formulas take them, and how many numbers there are to look at."""

    result: Result
    inputs: dict[str, Any]
    size: int

    @property
    def id(self) -> str:
        """The vector's."""
        return self.result.vector.id


def case_of(result: Result) -> Case:
    """A result, ready to be held against mutants."""
    given, wanted = result.vector.inputs, result.vector.expected or {}
    inputs = {key: models.build(value) if isinstance(value, dict) else value for key, value in given.items()}
    return Case(result, inputs, sum(np.size(value) for value in (*given.values(), *wanted.values())))


def explains(name: str, mutant: Mutant, case: Case, precision: str) -> bool:
    """Whether the answer is the mutant's: much nearer to it than the mutant is to the specification."""
    given, got, vector = answer(name, mutant, case), case.result.got, case.result.vector
    if given is None or got is None or vector.expected is None:
        return False
    return all(
        output in got and output in given and _near(got[output], given[output], want, vector.tolerance, precision)
        for output, want in vector.expected.items()
    )


def contradicts(name: str, mutant: Mutant, case: Case, precision: str) -> bool:
    """Whether a mutant would have failed a vector that the implementation passed."""
    given, vector = answer(name, mutant, case), case.result.vector
    return given is None or compare.difference(given, vector.expected or {}, vector.tolerance, precision) is not None


def answer(name: str, mutant: Mutant, case: Case) -> dict[str, Any] | None:
    """What a mutant gives, None for an error."""
    return judge.outcome(operations()[name], mutant, case.inputs)


def _near(got: Any, answer: Any, want: Any, tolerance: str, precision: str) -> bool:
    if not {np.asarray(got).dtype.kind, np.asarray(answer).dtype.kind} <= set("biuf") or _far(got, answer):
        return False
    if compare.difference({"": answer}, {"": want}, tolerance, precision) is None:  # untouched by the mutant: then it must be right
        return compare.difference({"": got}, {"": want}, tolerance, precision) is None
    try:
        got, answer = _alike(np.asarray(got, dtype=float), np.asarray(answer, dtype=float), np.shape(want))
    except (ValueError, TypeError):
        return False
    finite = np.isfinite(answer)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(got[~finite], answer[~finite], equal_nan=True):
        return False
    size = abs(answer[finite]).max(initial=0)
    with np.errstate(all="ignore"):
        scale = abs(answer - want)[finite].max(initial=0) if answer.shape == np.shape(want) else size
        return bool((abs(got - answer)[finite] <= min(MATCH[precision] * scale, 1e-2 * size) + ROUNDING[precision] * size).all())


def _far(got: Any, answer: Any) -> bool:
    """A quick look: finite numbers, and by their largest difference nowhere near each other."""
    try:
        with np.errstate(all="ignore"):
            error, size = abs(np.asarray(got) - answer).max(), abs(np.asarray(answer)).max()
    except (ValueError, TypeError):
        return False
    return bool(error > 2e-2 * size)


def _alike(got: Any, answer: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Both with one shape: their own, or the right one. Raises ValueError if they have none, or hold nothing."""
    if got.shape != answer.shape or _fits(got.shape, shape):
        got, answer = np.broadcast_to(got, shape), np.broadcast_to(answer, shape)
    if not answer.size:
        raise ValueError("nothing to compare")
    return got, answer


def _fits(shape: tuple[int, ...], right: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, right) == right
    except ValueError:
        return False
