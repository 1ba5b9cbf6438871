"""The pytest way in: `pytest --refdiff-impl my.adapter` has one test for every vector. The options stand in `entry`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from .. import adapter
from ..adapter import Implementation
from ..operations import operations
from ..results import Result
from ..vectors import files as vectors
from . import runner
from .pipe import Pipe

SMALL = 12  # numbers of an input that a message repeats


class Expected(NamedTuple):
    """A line of an xfails file: what it matches, its reason, and where it stands."""

    pattern: str
    reason: str
    place: str

    def matches(self, vector: vectors.Vector) -> bool:
        """Whether the line is this vector's id, its operation, or a pattern of its id."""
        return self.pattern == vector.operation or fnmatchcase(vector.id, self.pattern)


class NotMet(Exception):
    """A vector failed or errored; the message is for people."""


class Plugin:
    """The implementation, the chosen vectors, and the failures that are expected of it."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        if option.refdiff_impl and option.refdiff_pipe:
            raise pytest.UsageError("--refdiff-impl and --refdiff-pipe; allowed: one of them")
        self.levels = ("must", "should")[: 1 + (option.refdiff_level == "should")]
        names = [name for given in option.refdiff_only for name in given.split(",")]
        try:
            self.vectors = runner.chosen(option.refdiff_minimal, names)
            self.expected = expected(_found(option.refdiff_xfails, config)) if option.refdiff_xfails else []
            self.implementation = implementation(option.refdiff_impl, option.refdiff_pipe, option.refdiff_timeout)
        except Exception as error:
            raise pytest.UsageError(f"refdiff: {error}") from error

    def pytest_report_header(self) -> str:
        """What is tested, by how much."""
        made = self.implementation
        return f"refdiff: {len(self.vectors)} vectors for {made.name} {made.version} ({made.precision})".replace("  ", " ")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """A test for every vector, behind whatever else was collected."""
        items += [
            VectorItem.from_parent(session, name=vector.id, nodeid=f"refdiff::{vector.id}", plugin=self, vector=vector)
            for vector in self.vectors
        ]

    def pytest_unconfigure(self) -> None:
        """End the program."""
        if isinstance(self.implementation, Pipe):
            self.implementation.close()


class VectorItem(pytest.Item):
    """One vector as a test."""

    def __init__(self, *, plugin: Plugin, vector: vectors.Vector, **rest: Any) -> None:
        super().__init__(**rest)
        self.plugin, self.vector = plugin, vector
        self.add_marker(pytest.mark.refdiff)
        line = next((line for line in plugin.expected if line.matches(vector)), None)
        if line is not None:
            self.add_marker(pytest.mark.xfail(reason=line.reason or line.place, strict=True))

    def runtest(self) -> None:
        """Put the vector to the implementation."""
        result = runner.check(self.plugin.implementation, self.vector)
        if result.status == "skipped":
            pytest.skip(result.message)
        if result.status != "passed":
            if self.vector.level not in self.plugin.levels and not getattr(self.plugin.implementation, "broken", ""):
                pytest.xfail(f"{self.vector.level}: {described(result)}")
            raise NotMet(described(result))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The message alone, without a traceback through the kit."""
        return str(excinfo.value) if isinstance(excinfo.value, NotMet) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Vectors have no line in a file of the tested project."""
        return self.config.rootpath / "refdiff", None, self.name


def _found(path: str, config: pytest.Config) -> Path:
    """A file named on the command line, from here, or in the project's settings, from its root."""
    return Path(path) if Path(path).exists() else config.rootpath / path


def implementation(name: str | None, command: str | None, timeout: float) -> Implementation:
    """The Python adapter of this name, or else the program of this command, started."""
    return adapter.find(name) if name else Pipe(shlex.split(command or ""), timeout)


def expected(path: Path) -> list[Expected]:
    """The lines of an xfails file; one that matches no vector of the full set is an error."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        pattern, _, reason = (part.strip() for part in line.partition("#"))
        if pattern:
            found.append(Expected(pattern, reason, f"{path.name}:{number}"))
    every = vectors.load()
    for entry in found:
        if not any(map(entry.matches, every)):
            raise ValueError(
                f"{entry.place}: {entry.pattern!r} matches no vector; allowed: a vector's id, an operation, a glob pattern of ids"
            )
    return found


def described(result: Result) -> str:
    """A failure in a few lines: the rule, the first difference, and the inputs that are small."""
    vector, operation = result.vector, operations()[result.vector.operation]
    first = _difference(result) if result.difference else f"{result.status}: {result.message}"
    return "\n".join([first, f"{operation.name} ({vector.level}; {', '.join(operation.equations)}): {operation.rule}", *_inputs(vector)])


def _difference(result: Result) -> str:
    found = result.difference
    assert found is not None
    if found.text:
        return f"{result.status}: {found.text}"
    where = f"[{', '.join(map(str, found.where))}]" if found.where else ""
    numbers = f"got {found.got!r}, want {found.want!r}: {found.ulps:.3g} ulps"
    return f"{result.status}: {found.output}{where}: {numbers}; largest error {found.error:.3g}; tolerance class {result.vector.tolerance}"


def _inputs(vector: vectors.Vector) -> Iterable[str]:
    for name, value in vector.inputs.items():
        if isinstance(value, np.ndarray):
            named = f"{vector.tags['schedule']}, " if name == "betas" and "schedule" in vector.tags else ""
            yield f"  {name} = {value.tolist() if value.size <= SMALL else f'{named}array of shape {value.shape}'}"
        elif isinstance(value, dict):
            kept = {key: entry for key, entry in value.items() if not isinstance(entry, np.ndarray)}
            yield f"  {name} = {kept}"
        else:
            yield f"  {name} = {value!r}"
