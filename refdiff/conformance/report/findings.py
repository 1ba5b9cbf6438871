"""What a report holds, as plain data: `report` makes it, and the renderings read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..results import STATUSES, Result
from ..vectors import files as vectors
from .failures import Failure

Counts = dict[str, dict[str, int]]  # level -> status -> number


@dataclass
class Cause:
    """Why vectors failed: sentences that fit equally well (the first SHOWN of `total`), what they explain, and how many passed in spite.

    `where` is the condition that tells those it explains from those that passed, if there is one.
    """

    sentences: list[str]
    known: bool
    total: int
    equations: list[str]
    failures: int
    explained: dict[str, list[str]]
    contradicted: int
    where: str
    common: dict[str, Any]
    lines: list[tuple[str, str, str]]
    mutants: list[str]


@dataclass
class Operation:
    """One operation: its counts, its first failure, and how many failures which of the causes (by number) explain.

    `look_at` are operations that its formula uses, and that differ without an explanation, too. `other` is the first failure
    without an explanation, where `first` has one.
    """

    name: str
    area: str
    equations: list[str]
    rule: str
    counts: Counts
    first: Failure | None = None
    causes: dict[int, int] = field(default_factory=dict)
    unexplained: int = 0
    look_at: list[str] = field(default_factory=list)
    other: Failure | None = None


@dataclass
class Coverage:
    """One combination of sampler (or reverse step), schedule and parameterization."""

    sampler: str
    schedule: str
    parameterization: str
    counts: dict[str, int]


@dataclass
class Report:
    """Everything that a run of the vectors found."""

    format: int
    implementation: str
    version: str
    precision: str
    refdiff: str
    vectors_format: int
    set: str
    only: list[str]
    level: str
    seconds: float
    passed: bool
    summary: str
    counts: Counts
    areas: dict[str, Counts]
    operations: list[Operation]
    causes: list[Cause]
    coverage: list[Coverage]
    warnings: list[str]
    vectors: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, words and numbers, as docs/report.md describes them."""
        return asdict(self)


def counts(results: Sequence[Result]) -> Counts:
    """How many by level and status, zeros too."""
    table = {level: dict.fromkeys(STATUSES, 0) for level in vectors.LEVELS}
    for result in results:
        table[result.vector.level][result.status] += 1
    return table


def total(table: Counts, *statuses: str) -> int:
    """The sum over levels and these statuses, or all."""
    return sum(each[status] for each in table.values() for status in statuses or STATUSES)
