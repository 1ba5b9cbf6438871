"""The findings of a run as plain data: `build` makes them, and the renderers read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..results import STATUSES, Result
from ..vectors.files import LEVELS
from .failures import Failure

Counts = dict[str, dict[str, int]]  # level -> status -> number


@dataclass
class Cause:
    """One cause of failures.

    `sentences` describe changes with the same answers, the first few of `total`. `explained` are the failing vectors by
    operation. `where` is a predicate on the inputs: elsewhere, the implementation is right, or wrong in another way. `contradicted` counts the vectors
    with other answers than the change gives: 0 for a cause, more for a resemblance.
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
    """One operation: its counts, its first failure, and how many failures each cause (by number) explains.

    `look_at` are operations that its formula uses and that also differ without an explanation. `other` is the first
    failure without an explanation, where `first` has one. `searched` is false if the search for causes was cut before its end.
    `where` is a predicate on the inputs that is true for all failures without an explanation, and for no vector that passed. `defined` is the
    file and the line of the adapter's method.
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
    searched: bool = True
    where: str = ""
    defined: str = ""


@dataclass
class Coverage:
    """One combination of sampler (or reverse step), schedule and parameterization."""

    sampler: str
    schedule: str
    parameterization: str
    counts: dict[str, int]


@dataclass
class Refusals:
    """The wrong inputs that were put to an implementation: how many it refused, and which it accepted, by operation."""

    refused: int
    run: int
    accepted: dict[str, list[str]]


@dataclass
class Report:
    """All findings of a run of the vectors. `tested` says whether a vector of level must was run. `conventions` counts, by operation, the
    vectors that passed by another convention than refdiff's; `refusals` counts the wrong inputs, and names those that were accepted.

    `called` is the import and the expression by which Python code gets the adapter; both are empty for a program.

    `resemblances` are changes that explain some failures, but are not the cause.

    `timeout` is the time limit of each answer, None if there was none. `stopped` says why the run ended early; it is
    empty otherwise. `overwrites` says whether the implementation writes into its inputs, at the level or a stricter one; `changed`
    whether a second answer to the same inputs was another.
    """

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
    timeout: float | None
    stopped: str
    search_limit: float
    search_complete: bool
    passed: bool
    tested: bool
    summary: str
    counts: Counts
    areas: dict[str, Counts]
    operations: list[Operation]
    causes: list[Cause]
    resemblances: list[Cause]
    conventions: dict[str, dict[str, int]]
    refusals: Refusals
    coverage: list[Coverage]
    called: tuple[str, str]
    warnings: list[str]
    overwrites: bool
    changed: bool
    vectors: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """The report as dicts, lists, strings and numbers, as docs/report.md describes them."""
        return asdict(self)


def counts(results: Sequence[Result]) -> Counts:
    """The number of results by level and status, zeros included."""
    table = {level: dict.fromkeys(STATUSES, 0) for level in LEVELS}
    for result in results:
        table[result.vector.level][result.status] += 1
    return table


def total(table: Counts, *statuses: str) -> int:
    """The sum over all levels and over these statuses, or over all."""
    return sum(each[status] for each in table.values() for status in statuses or STATUSES)
