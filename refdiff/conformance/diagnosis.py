"""What is the matter: the mutants, known or composed, that answer just as an implementation did where it missed the specification."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from . import compare, judge, models
from .mutants import Mutant
from .operations import operations
from .runner import Result

MATCH = {"float64": 1e-6, "float32": 1e-2}  # how far from a mutant, against how far the mutant is from the specification
PAIRED = 120  # mutants of an operation that are tried two at a time


class Diagnosis(NamedTuple):
    """For one operation: the mutants that explain its failures equally well (they cannot be told apart here), and how many they explain."""

    operation: str
    failures: int
    explained: int
    mutants: list[Mutant]


def diagnose(results: Sequence[Result], precision: str = "float64") -> list[Diagnosis]:
    """A diagnosis for every operation that failed."""
    found = []
    for name in dict.fromkeys(result.vector.operation for result in results if result.status in ("failed", "errored")):
        mine = [result for result in results if result.vector.operation == name]
        found.append(_of_operation(name, mine, precision))
    return found


def _of_operation(name: str, results: Sequence[Result], precision: str) -> Diagnosis:
    failed = [r for r in results if r.status == "failed" and r.vector.expected is not None]
    unchecked = [r for r in results if r.status == "failed" and r.vector.expected is None]
    total = sum(r.status in ("failed", "errored") for r in results)
    passed = [r for r in results if r.status == "passed" and r.vector.expected is not None]
    if not failed:
        text = "gives an answer where only an error is right" if unchecked else ""
        return Diagnosis(name, total, len(unchecked), [Mutant(f"unchecked: {name}", (), text=text)] if unchecked else [])
    best = _best(name, judge.candidates(name), failed, passed, precision)
    if not best[1] or best[0] < len(failed):
        pairs = _pairs(name, failed, precision)
        better = _best(name, pairs, failed, passed, precision)
        best = better if better[0] > best[0] else best
    return Diagnosis(name, total, best[0], best[1])


def _best(
    name: str, tried: Sequence[Mutant], failed: Sequence[Result], passed: Sequence[Result], precision: str
) -> tuple[int, list[Mutant]]:
    """How many failures the best mutants explain, and those that explain as many and contradict nothing that passed."""
    scores: dict[int, list[Mutant]] = {}
    for mutant in tried:
        explained = sum(_explains(name, mutant, result, precision) for result in failed)
        if explained and not any(_contradicts(name, mutant, result, precision) for result in passed):
            scores.setdefault(explained, []).append(mutant)
    if not scores:
        return 0, []
    most = max(scores)
    return most, scores[most]


def _pairs(name: str, failed: Sequence[Result], precision: str) -> list[Mutant]:
    """Pairs of composed mutants that explain one failure together."""
    near = [m for m in judge.candidates(name) if m.edits and not m.text][:PAIRED]
    probe = min(failed, key=lambda result: sum(np.size(value) for value in (result.vector.expected or {}).values()))
    both = (
        Mutant(f"{a.name}, and {b.name}", a.edits + b.edits)
        for a, b in combinations(near, 2)
        if not {(e.function, e.place) for e in a.edits} & {(e.function, e.place) for e in b.edits}
    )
    return [mutant for mutant in both if _explains(name, mutant, probe, precision)]


def _explains(name: str, mutant: Mutant, result: Result, precision: str) -> bool:
    """Whether the answer is the mutant's: much nearer to it than the mutant is to the specification."""
    answer = _answer(name, mutant, result)
    if answer is None or result.got is None:
        return False
    return all(
        _near(result.got.get(output), answer.get(output), want, precision) for output, want in (result.vector.expected or {}).items()
    )


def _contradicts(name: str, mutant: Mutant, result: Result, precision: str) -> bool:
    answer = _answer(name, mutant, result)
    return answer is None or compare.difference(answer, result.vector.expected or {}, result.vector.tolerance, precision) is not None


def _answer(name: str, mutant: Mutant, result: Result) -> dict[str, Any] | None:
    inputs = {key: models.build(value) if isinstance(value, dict) else value for key, value in result.vector.inputs.items()}
    return judge.outcome(operations()[name], mutant, inputs)


def _near(got: Any, answer: Any, want: Any, precision: str) -> bool:
    if got is None or answer is None:
        return False
    got, answer = np.asarray(got), np.asarray(answer)
    if got.dtype.kind not in "biuf" or answer.dtype.kind not in "biuf":
        return False
    try:
        got, answer = (np.broadcast_to(x, np.shape(want)).astype(np.float64) for x in (got, answer))
    except ValueError:
        return bool(np.array_equal(got, answer))
    finite = np.isfinite(answer)
    if not np.array_equal(finite, np.isfinite(got)) or not np.array_equal(got[~finite], answer[~finite], equal_nan=True):
        return False
    with np.errstate(all="ignore"):
        scale = abs(answer - want)[finite].max(initial=0)
        size = abs(answer[finite]).max(initial=0)
        return bool((abs(got - answer)[finite] <= min(MATCH[precision] * scale, 1e-2 * size) + compare.FLOOR * size).all())
