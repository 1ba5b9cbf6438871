"""Equal exceptions as one cause: the same class of error, raised at the same line, in any number of operations."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ..results import Result
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


def _cause(group: list[Result]) -> Cause:
    by_operation: dict[str, list[str]] = {}
    for result in group:
        by_operation.setdefault(result.vector.operation, []).append(result.vector.id)
    message = min((result.message for result in group), key=len)
    return Cause(
        sentences=[f"raises {message}"],
        known=False,
        total=1,
        equations=wording.equations(by_operation),
        failures=len(group),
        explained=by_operation,
        contradicted=0,
        where="",
        common={},
        lines=[],
        mutants=[],
    )
