"""Run vectors against an implementation: each passes, fails, is skipped or ends in an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import compare
from ..adapter import Implementation
from ..mutations.conventions import convention
from ..operations import chosen
from ..results import Result
from ..vectors.files import Vector, load
from .answers import Answer, ask
from .isolated import Isolated
from .processes.limit import OutOfTime, limited

MAX_KEPT = 10_000  # numbers of the outputs of a vector that are kept for the diagnosis


def run(implementation: Implementation | Isolated, vectors: Iterable[Vector], timeout: float | None = None) -> Iterator[Result]:
    """The results of all vectors, in order. `timeout` limits the computing of each answer in this process, in seconds."""
    if isinstance(implementation, Isolated):
        for vector, answer in implementation.ask_all(vectors):
            yield judge(vector, answer, implementation.precision)
    else:
        for vector in vectors:
            yield judge(vector, ask_within(implementation, vector, timeout), implementation.precision)


def select(minimal: bool = False, only: Iterable[str] = ()) -> list[Vector]:
    """The vectors of the full or the minimal set, of all areas and operations or only of those named."""
    names = chosen(only)
    return [vector for vector in load(minimal) if vector.operation in names]


def ask_within(implementation: Implementation, vector: Vector, timeout: float | None) -> Answer:
    """The answer to a vector; if it takes too long, the implementation is broken, and later vectors are not run."""
    if getattr(implementation, "broken", "") and implementation.has(vector.operation):
        return Answer("broken", f"not run: {getattr(implementation, 'who', 'the adapter')} {implementation.broken}")  # type: ignore[attr-defined]
    try:
        with limited(timeout):
            return ask(implementation, vector)
    except OutOfTime:
        implementation.broken = f"gave no answer in {timeout:g} s of computing at {vector.id}"  # type: ignore[attr-defined]
        return Answer("broken", f"the adapter {implementation.broken}")  # type: ignore[attr-defined]


def check(implementation: Implementation | Isolated, vector: Vector, timeout: float | None = None) -> Result:
    """The result of one vector. `timeout` limits the computing of an answer in this process, in seconds."""
    answer = implementation.ask(vector) if isinstance(implementation, Isolated) else ask_within(implementation, vector, timeout)
    return judge(vector, answer, implementation.precision)


def judge(vector: Vector, answer: Answer, precision: str) -> Result:
    """The result of an answer."""
    if answer.kind == "skipped":
        return Result(vector, "skipped", message=answer.message)
    refused = answer.kind == "error" and vector.expected is None
    if answer.kind != "outputs":
        return Result(vector, "passed" if refused else "errored", None, None, answer.message, answer.overwritten)
    if vector.expected is None:
        return Result(vector, "failed", None, None, f"an answer, where only an error is right: {vector.refused}", answer.overwritten)
    outputs = answer.outputs or {}
    found = compare.difference(outputs, vector.expected, vector.tolerance, precision)
    kept = outputs if sum(array.size for array in outputs.values()) <= MAX_KEPT else None
    choice = convention(vector, outputs, precision) if found is not None and not found.text else ""
    return Result(vector, "passed" if found is None or choice else "failed", kept, found, "", answer.overwritten, choice)
