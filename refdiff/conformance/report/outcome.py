"""The outcome of a run: what passed at which level, by which conventions, and which wrong inputs were refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..operations import operations
from ..results import Result
from ..vectors import files
from . import wording
from .findings import Refusals

REFUSED = ("refusal", "convention")  # the levels at which an accepted wrong input is a failure


def passed(results: Sequence[Result], level: str = "must") -> bool:
    """Whether a vector of level must was run, and no vector at this level or a stricter one failed, errored or had its inputs overwritten.

    At level convention, an output by another convention than refdiff's is a failure too.
    """
    counted = at_level(results, level)
    exact = level == "convention"
    return tested(results) and not any(r.status in ("failed", "errored") or r.overwritten or (exact and r.convention) for r in counted)


def tested(results: Sequence[Result]) -> bool:
    """Whether a vector of level must was run."""
    return any(result.vector.level == "must" and result.status != "skipped" for result in results)


def at_level(results: Sequence[Result], level: str) -> list[Result]:
    """The results at a level or a stricter one."""
    return [result for result in results if result.vector.level in files.LEVELS[: files.LEVELS.index(level) + 1]]


def summary(implementation: Any, results: Sequence[Result], level: str) -> str:
    """How many vectors passed, and how many operations differ. Needs no search, so it can be printed before it."""
    every, strict = results, files.LEVELS[: files.LEVELS.index(level) + 1]
    results = [each for each in results if each.vector.level != "refusal" or level in REFUSED]
    ran = [r for r in at_level(results, level) if r.status != "skipped"]
    failed = {r.vector.operation for r in results if r.status in ("failed", "errored")}
    wrong = [name for name in operations() if name in failed]
    name = f"{implementation.name} {implementation.version}".strip()
    if not any(r.status != "skipped" for r in results):
        return f"{name}: nothing was run; all {len(every):,} vectors were skipped."
    right = sum(r.status == "passed" for r in ran)
    share = f"all {len(ran):,}" if right == len(ran) else f"{right:,} of the {len(ran):,}"
    levels = " or ".join(strict)
    text = f"{name} passes {share} vectors at level {levels} that were run." if ran else f"{name}: no vector at level {levels} was run."
    if not wrong:
        return text
    equations = wording.equations(wrong)
    return f"{text} It differs from {wording.citation(equations)} in {wording.quantity(len(wrong), 'operation')}."


def conventions(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    """The number of vectors that passed by another convention than refdiff's, by operation and convention."""
    found: dict[str, dict[str, int]] = {}
    for result in results:
        if result.convention:
            by_text = found.setdefault(result.vector.operation, {})
            by_text[result.convention] = by_text.get(result.convention, 0) + 1
    return found


def refusals(results: Sequence[Result]) -> Refusals:
    """The wrong inputs that were refused, and those that were accepted."""
    ran = [result for result in results if result.vector.refused and result.status != "skipped"]
    accepted: dict[str, list[str]] = {}
    for result in ran:
        if result.status == "failed" and result.vector.refused not in accepted.get(result.vector.operation, ()):
            accepted.setdefault(result.vector.operation, []).append(result.vector.refused)
    return Refusals(sum(result.status == "passed" for result in ran), len(ran), accepted)
