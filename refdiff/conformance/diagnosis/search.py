"""What is the matter: the mutants, known or composed, that answer just as an implementation did where it missed the specification."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, islice, product
from typing import NamedTuple

import numpy as np

from .. import compare
from ..results import Result
from . import kills as judge
from .match import Case, answer, case_of, contradicts, explains
from .mutants import Mutant

PROBES, FRUITLESS = 6, 2  # failures of an operation that every mutant is tried on, the smallest first; those in vain that end the search
MANY = 30  # operations: when more than these are wrong, one in vain is enough
PAIRS = 6000  # of mutants, tried in all, shared by the operations that no single one explains; a quarter when many are wrong
MOST = 300  # pairs that answer alike, tried to the end
SAMPLE = 12  # of the vectors of an operation, which decide whether all of them are worth a look


class Explanation(NamedTuple):
    """Mutants that cannot be told apart here, the failing vectors they explain, and how many that passed they would have failed."""

    mutants: list[Mutant]
    ids: frozenset[str]
    contradicted: int = 0


class Score(NamedTuple):
    """One mutant, the failing vectors it explains, and how many that passed it would have failed."""

    mutant: Mutant
    ids: frozenset[str]
    contradicted: int


class Diagnosis(NamedTuple):
    """For one operation: the mutants that explain its failures best and equally well, how many they explain, and what is left to others.

    `parts` are explanations of one part of the failures after the other, the first of them that of `mutants`; `scores` every mutant that
    explains anything, by name.
    """

    operation: str
    failures: int
    explained: int
    mutants: list[Mutant]
    parts: list[Explanation]
    scores: dict[str, Score]


class Cause(NamedTuple):
    """Mutants that explain failures of one operation or of many, which cannot be told apart here, and those failures by operation."""

    mutants: list[Mutant]
    explained: dict[str, list[str]]
    contradicted: int = 0


def diagnose(results: Sequence[Result], precision: str = "float64") -> list[Diagnosis]:
    """A diagnosis for every operation that failed; pairs of mutants are tried where no single one explains anything."""
    mine: dict[str, list[Result]] = {}
    for result in results:
        mine.setdefault(result.vector.operation, []).append(result)
    wrong = [name for name, each in mine.items() if any(r.status in ("failed", "errored") for r in each)]
    patience = FRUITLESS if len(wrong) <= MANY else 1
    found = {name: _of_operation(name, mine[name], precision, patience) for name in wrong}
    left = {name: case for name in wrong if (case := _unexplained(mine[name], found[name])) is not None}
    budget = PAIRS if len(wrong) <= MANY else PAIRS // 4
    for number, (name, probe) in enumerate(left.items()):
        pairs, tried = _pairs(name, probe, precision, budget // (len(left) - number))
        budget -= tried
        if pairs:
            singles = [score.mutant for score in found[name].scores.values()]
            found[name] = _of_operation(name, mine[name], precision, patience, [*singles, *pairs])
    return list(found.values())


def _unexplained(results: Sequence[Result], found: Diagnosis) -> Case | None:
    """The smallest wrong answer that the best single mutants do not explain."""
    explained = (found.parts[0].ids if found.scores else frozenset()).union(*(p.ids for p in found.parts if _of(p, "rounded")))
    return next((case for case in _wrong_values(results) if case.id not in explained), None)


def causes(diagnoses: Sequence[Diagnosis]) -> list[Cause]:
    """The fewest mutants that explain the most, over all operations: each cause once, the one that explains most first."""
    found: list[Cause] = []
    names = {id: d.operation for d in diagnoses for part in d.parts for id in part.ids}
    names |= {id: d.operation for d in diagnoses for score in d.scores.values() for id in score.ids}
    total: dict[str, Score] = {}
    for score in (score for d in diagnoses for score in d.scores.values() if not score.contradicted):
        before = total.get(score.mutant.name, Score(score.mutant, frozenset(), 0))
        total[score.mutant.name] = before._replace(ids=before.ids | score.ids)
    left = set(names)
    for part in _cover(total.values(), left):
        left -= part.ids
        found.append(_cause(part, names))
    for part in (part for d in diagnoses for part in d.parts):
        if part.ids & left:
            found.append(_cause(part._replace(ids=part.ids & left), names))
            left -= part.ids
    return sorted(_merged(found), key=lambda cause: -sum(map(len, cause.explained.values())))


def _cause(part: Explanation, names: dict[str, str]) -> Cause:
    explained: dict[str, list[str]] = {}
    for id in sorted(part.ids, key=_numbered):
        explained.setdefault(names[id], []).append(id)
    return Cause(part.mutants, explained, part.contradicted)


def _merged(found: Sequence[Cause]) -> list[Cause]:
    """Answers where only an error is right are one cause, not one for each operation; so are those that only lack digits."""
    merged = [cause for cause in found if not _of(cause, "rounded") and not _of(cause, "unchecked")]
    for what in ("rounded", "unchecked"):
        if same := [cause for cause in found if _of(cause, what)]:
            merged.append(Cause(same[0].mutants, {name: ids for cause in same for name, ids in cause.explained.items()}))
    return merged


def _of(found: Cause | Explanation, what: str) -> bool:
    return found.mutants[0].name.startswith(f"{what}: ")


def _numbered(id: str) -> tuple[str, int]:
    name, _, number = id.partition("/")
    return name, int(number) if number.isdecimal() else 0


def _cover(scores: Iterable[Score], wanted: set[str]) -> list[Explanation]:
    """Explanations that together explain as many as can be: the best first, then the best for what it leaves."""
    found, left, scores = [], set(wanted), list(scores)
    while left and (useful := [score for score in scores if score.ids & left]):
        best = min(useful, key=lambda score: (score.contradicted > 0, -len(score.ids & left), score.contradicted))
        same = [s.mutant for s in useful if s.ids & left == best.ids & left and s.contradicted == best.contradicted]
        found.append(Explanation(sorted(same, key=lambda mutant: not mutant.text), frozenset(best.ids & left), best.contradicted))
        left -= best.ids
    return found


def _of_operation(name: str, results: Sequence[Result], precision: str, patience: int, tried: Sequence[Mutant] = ()) -> Diagnosis:
    wrong = _wrong_values(results)
    scores: dict[str, Score] = {}
    left, fruitless = wrong, 0
    for _ in range(PROBES):
        if not left or fruitless == patience:
            break
        fitting = [m for m in tried or judge.candidates(name) if m.name not in scores and explains(name, m, left[0], precision)]
        scores |= {score.mutant.name: score for score in _scored(name, fitting, wrong, results, precision)}
        fruitless += not fitting
        explained = {id for score in scores.values() for id in score.ids}
        left = _unlike(left[0], [case for case in left[1:] if case.id not in explained])
    total = sum(r.status in ("failed", "errored") for r in results)
    parts = _cover(scores.values(), {r.vector.id for r in results})
    parts += _rounded(name, wrong, {id for part in parts for id in part.ids}, precision)
    unchecked = frozenset(r.vector.id for r in results if r.status == "failed" and r.vector.expected is None)
    if unchecked:
        parts.append(Explanation([Mutant(f"unchecked: {name}", (), text="gives an answer where only an error is right")], unchecked))
    return Diagnosis(name, total, len(parts[0].ids) if parts else 0, parts[0].mutants if parts else [], parts, scores)


def _rounded(name: str, wrong: list[Case], explained: set[str], precision: str) -> list[Explanation]:
    """Of a float64 implementation, answers that nothing explains, but that would do for float32."""
    left = [case for case in wrong if case.id not in explained] if precision == "float64" else []
    ids = frozenset(case.id for case in left if _would_do(case))
    text = "right to some digits only: float32 somewhere on the way, or a small number added"
    return [Explanation([Mutant(f"rounded: {name}", (), text=text)], ids)] if ids else []


def _would_do(case: Case) -> bool:
    vector = case.result.vector
    return compare.difference(case.result.got or {}, vector.expected or {}, vector.tolerance, "float32") is None


def _unlike(probe: Case, left: list[Case]) -> list[Case]:
    """Those of another kind than the last probe first: words among the tags differ."""
    words = {name: value for name, value in probe.result.vector.tags.items() if isinstance(value, str) and name != "schedule"}
    return sorted(left, key=lambda case: all(case.result.vector.tags.get(name) == value for name, value in words.items()))


def _scored(name: str, fitting: list[Mutant], wrong: list[Case], results: Sequence[Result], precision: str) -> list[Score]:
    """What mutants explain and contradict; in full for those that explain a sample, if any does, else for all."""
    errored = [case_of(r) for r in results if r.status == "errored" and r.vector.expected is not None]
    passed = [case_of(r) for r in results if r.status == "passed" and r.vector.expected is not None]
    sample = wrong[:: max(1, len(wrong) // SAMPLE)]
    full = [m for m in fitting if all(explains(name, m, case, precision) for case in sample)]
    found = []
    for mutant in full or fitting:
        ids = frozenset(case.id for case in wrong if explains(name, mutant, case, precision))
        ids |= frozenset(case.id for case in errored if answer(name, mutant, case) is None)
        found.append(Score(mutant, ids, _contradictions(name, mutant, passed, precision)))
    return found


def _contradictions(name: str, mutant: Mutant, passed: list[Case], precision: str) -> int:
    return sum(contradicts(name, mutant, case, precision) for case in passed)


def _wrong_values(results: Sequence[Result]) -> list[Case]:
    """The failures with an answer to compare, the smallest first, of equal ones that which hunts most mutants."""
    found = [case_of(r) for r in results if r.status == "failed" and r.vector.expected is not None]
    return sorted(found, key=lambda case: (case.size, -len(case.result.vector.kills)))


def _pairs(name: str, probe: Case, precision: str, most: int) -> tuple[list[Mutant], int]:
    """Pairs of mutants that explain a failure together, and how many were tried: of mutants that answer alike here, one at first."""
    alike: dict[bytes, list[Mutant]] = {}
    for mutant in (m for m in judge.candidates(name) if m.edits):
        found = answer(name, mutant, probe)
        if found is not None and compare.difference(found, probe.result.vector.expected or {}, probe.result.vector.tolerance):
            alike.setdefault(b"".join(np.asarray(value, dtype=float).tobytes() for value in found.values()), []).append(mutant)
    tried = [(first, second) for first, second in combinations(alike.values(), 2) if not _clash(first[0], second[0])][:most]
    fitting = [pair for pair in tried if explains(name, _both(pair[0][0], pair[1][0]), probe, precision)]
    every = (_both(a, b) for first, second in fitting for a, b in product(first, second) if not _clash(a, b))
    return [mutant for mutant in islice(every, MOST) if explains(name, mutant, probe, precision)], len(tried)


def _both(a: Mutant, b: Mutant) -> Mutant:
    return Mutant(f"{a.name}, and {b.name}", a.edits + b.edits)


def _clash(a: Mutant, b: Mutant) -> bool:
    return bool({(edit.function, edit.place) for edit in a.edits} & {(edit.function, edit.place) for edit in b.edits})
