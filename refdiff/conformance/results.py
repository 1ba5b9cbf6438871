"""The result of one vector: what the runner records, and what the diagnosis and the reports read."""

from __future__ import annotations

from typing import Any, NamedTuple

from .compare import Difference
from .vectors.files import Vector

STATUSES = ("passed", "failed", "errored", "skipped")


class Finding(NamedTuple):
    """What asking again showed: a sentence, the vectors by operation, and whether an answer changed, which fails the run."""

    sentence: str
    explained: dict[str, list[str]]
    changed: bool


class Result(NamedTuple):
    """The status of a vector, the outputs, where they differ, the message of an error or a skip, the inputs that were
    overwritten, and the declared convention by which a vector passed that differs from refdiff's choice.
    """

    vector: Vector
    status: str
    got: dict[str, Any] | None = None
    difference: Difference | None = None
    message: str = ""
    overwritten: tuple[str, ...] = ()
    convention: str = ""
