"""The pytest plugin: `pytest --refdiff-impl my.adapter` runs one test for each vector. The options are in `entry`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from .. import adapter
from ..adapter import Broken, Implementation
from ..messages import described, readable
from ..operations import operations
from ..results import Result
from ..vectors.files import LEVELS, Vector, load
from . import runner
from .connection import Connection
from .isolated import Isolated
from .pipe import Pipe

MAX_NUMBERS = 12  # of an input that a message shows


class Expected(NamedTuple):
    """A line of an xfails file: the pattern, the reason, and the line's location."""

    pattern: str
    reason: str
    location: str

    def matches(self, vector: Vector) -> bool:
        """Whether the pattern is the vector's operation or matches its id."""
        return self.pattern == vector.operation or fnmatchcase(vector.id, self.pattern)


class VectorFailed(Exception):
    """A vector failed or errored; the message describes it."""


class Plugin:
    """The implementation, the selected vectors, and the expected failures."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        if option.refdiff_impl and option.refdiff_pipe:
            raise pytest.UsageError("--refdiff-impl and --refdiff-pipe; allowed: one of them")
        self.levels = LEVELS[: LEVELS.index(option.refdiff_level) + 1]
        names = [name for given in option.refdiff_only for name in given.split(",")]
        try:
            self.vectors = runner.select(option.refdiff_minimal, names)
            self.expected = expected(_resolve(option.refdiff_xfails, config)) if option.refdiff_xfails else []
            self.implementation = implementation(option)
        except (Exception, SystemExit) as error:  # a module may raise anything when it is imported
            raise pytest.UsageError(f"refdiff: {readable(error) if isinstance(error, ValueError | Broken) else described(error)}") from None
        self.ran = self.skipped = 0

    def pytest_report_header(self) -> str:
        """The number of vectors, the implementation and its precision."""
        tested = self.implementation
        return f"refdiff: {len(self.vectors)} vectors for {tested.name} {tested.version} ({tested.precision})".replace("  ", " ")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add a test for each vector after all other tests."""
        items += [
            VectorItem.from_parent(session, name=vector.id, nodeid=f"refdiff::{vector.id}", plugin=self, vector=vector)
            for vector in self.vectors
        ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the vectors that were run, and those that were skipped."""
        if report.nodeid.startswith("refdiff::"):
            skipped = report.skipped and not hasattr(report, "wasxfail")
            self.skipped += skipped
            self.ran += report.when == "call" and not skipped

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run in which every vector was skipped has not passed."""
        if self.skipped and not self.ran and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say that nothing was run."""
        if self.skipped and not self.ran:
            terminalreporter.write_line(f"refdiff: nothing was run; all {self.skipped} vectors were skipped", red=True)

    def pytest_unconfigure(self) -> None:
        """End the process of the implementation."""
        if isinstance(self.implementation, Connection):
            self.implementation.close()


class VectorItem(pytest.Item):
    """One vector as a test."""

    def __init__(self, *, plugin: Plugin, vector: Vector, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plugin, self.vector = plugin, vector
        self.add_marker(pytest.mark.refdiff)
        line = next((line for line in plugin.expected if line.matches(vector)), None)
        if line is not None:
            self.add_marker(pytest.mark.xfail(reason=line.reason or line.location, strict=True))

    def runtest(self) -> None:
        """Run the vector against the implementation."""
        result = runner.check(self.plugin.implementation, self.vector)
        if result.status == "skipped":
            pytest.skip(result.message)
        if result.status != "passed":
            if self.vector.level not in self.plugin.levels and not getattr(self.plugin.implementation, "broken", ""):
                pytest.xfail(f"{self.vector.level}: {describe(result)}")
            raise VectorFailed(describe(result))
        if result.convention and "convention" in self.plugin.levels:
            raise VectorFailed(f"right by another convention: {result.convention}; {describe(result)}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The message without a traceback."""
        return str(excinfo.value) if isinstance(excinfo.value, VectorFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """The location of a vector, which has no line in a file of the tested project."""
        return self.config.rootpath / "refdiff", None, self.name


def _resolve(path: str, config: pytest.Config) -> Path:
    """A path relative to the current folder or, for one in the project's settings, to the root of the project."""
    return Path(path) if Path(path).exists() else config.rootpath / path


def implementation(option: Any) -> Implementation | Isolated:
    """The Python adapter, in this process or in one of its own, or else the running program of the command."""
    if not option.refdiff_impl:
        return Pipe(shlex.split(option.refdiff_pipe), option.refdiff_timeout)
    return Isolated(option.refdiff_impl, option.refdiff_timeout) if option.refdiff_isolated else adapter.find(option.refdiff_impl)


def expected(path: Path) -> list[Expected]:
    """The lines of an xfails file; one that matches no vector of the full set is an error."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        pattern, _, reason = (part.strip() for part in line.partition("#"))
        if pattern:
            found.append(Expected(pattern, reason, f"{path.name}:{number}"))
    all_vectors = load()
    for entry in found:
        if not any(map(entry.matches, all_vectors)):
            raise ValueError(
                f"{entry.location}: {entry.pattern!r} matches no vector; allowed: a vector's id, an operation, a glob pattern of ids"
            )
    return found


def describe(result: Result) -> str:
    """A failure in a few lines: the first difference, the rule, and the inputs; large arrays by their shape."""
    vector, operation = result.vector, operations()[result.vector.operation]
    first = _difference(result) if result.difference else f"{result.status}: {result.message}"
    return "\n".join([first, f"{operation.name} ({vector.level}; {', '.join(operation.equations)}): {operation.rule}", *_inputs(vector)])


def _difference(result: Result) -> str:
    found = result.difference
    assert found is not None
    if found.text:
        return f"{result.status}: {found.text}"
    where = f"[{', '.join(map(str, found.where))}]" if found.where else ""
    numbers = f"got {found.got!r}, want {found.want!r}: {abs(found.got - found.want):.3g} apart, {found.allowed:.3g} allowed"
    return f"{result.status}: {found.output}{where}: {numbers}; largest error {found.error:.3g}; tolerance class {result.vector.tolerance}"


def _inputs(vector: Vector) -> Iterable[str]:
    for name, value in vector.inputs.items():
        if isinstance(value, np.ndarray):
            schedule = f"{vector.tags['schedule']}, " if name == "betas" and "schedule" in vector.tags else ""
            yield f"  {name} = {value.tolist() if value.size <= MAX_NUMBERS else f'{schedule}array of shape {value.shape}'}"
        elif isinstance(value, dict):
            scalars = {key: entry for key, entry in value.items() if not isinstance(entry, np.ndarray)}
            yield f"  {name} = {scalars}"
        else:
            yield f"  {name} = {value!r}"
