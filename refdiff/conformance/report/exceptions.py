"""Causes that are no change of a formula: equal exceptions of any number of operations, and what asking again showed."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ..results import Finding, Result
from . import wording
from .findings import Cause

LEAST = 2  # errors that are worth a cause


def equal_exceptions(results: Sequence[Result], explained: Collection[str]) -> list[Cause]:
    """A cause for each exception that at least two vectors ended in, of those that nothing else explains."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        found = re.match(r"(\w+): .*?(?:\(([^()]*, line \d+)\))?$", result.message, re.S)
        if result.status == "errored" and result.vector.id not in explained and found:
            groups.setdefault((found[1], (found[2] or "").split("; ")[-1]), []).append(result)
    return [_cause(group) for group in groups.values() if len(group) >= LEAST]


def asked_again(findings: Sequence[Finding], explained: Collection[str]) -> list[Cause]:
    """A cause for each finding of vectors that nothing else explains."""
    left = [(each.sentence, {name: [id for id in ids if id not in explained] for name, ids in each.explained.items()}) for each in findings]
    return [_without_change(text, {name: ids for name, ids in found.items() if ids}) for text, found in left if any(found.values())]


def _cause(group: list[Result]) -> Cause:
    by_operation: dict[str, list[str]] = {}
    for result in group:
        by_operation.setdefault(result.vector.operation, []).append(result.vector.id)
    return _without_change(f"raises {min((result.message for result in group), key=len)}", by_operation)


def _without_change(sentence: str, by_operation: dict[str, list[str]]) -> Cause:
    return Cause(
        sentences=[sentence],
        known=False,
        total=1,
        equations=wording.equations(by_operation),
        failures=sum(map(len, by_operation.values())),
        explained=by_operation,
        contradicted=0,
        where="",
        common={},
        lines=[],
        mutants=[],
    )
