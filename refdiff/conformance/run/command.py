"""The command `refdiff check`: its options, the run with a progress bar, and the report in one of four formats."""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import shlex
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import adapter
from ..adapter import Broken
from ..dialects.declared import check as check_dialect
from ..messages import MAX_LENGTH, readable
from ..mutations.conventions import by_one_convention
from ..operations import chosen, operations
from ..report import text
from ..report.build import SEARCH, build_report
from ..report.findings import Report
from ..report.outcome import summary
from ..results import Result
from ..vectors.files import LEVELS
from . import runner
from .answers import start_error
from .connection import MAX_TIMEOUT, TIMEOUT, check_timeout
from .help import DESCRIPTION, EPILOG
from .isolated import Isolated
from .output import printed, progress, stdout_to_stderr, waiting
from .pipe import Pipe
from .structure import findings
from .template import template


def add(commands: Any) -> None:
    """Add the command and its options."""
    check = commands.add_parser(
        "check",
        help="check an implementation against the specification, with a diagnosis",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what(check)
    _add_how(check)
    check.set_defaults(work=lambda arguments: work(check, arguments))


def _add_what(check: argparse.ArgumentParser) -> None:
    """The options of what is checked, or listed."""
    check.add_argument("adapter", nargs="?", metavar="ADAPTER", help="a Python module or file, or module:Class")
    check.add_argument("--pipe", metavar="COMMAND", help="a program that reads requests and writes answers, instead of ADAPTER")
    check.add_argument("--minimal", action="store_true", help="run a small set of vectors, which takes a few seconds")
    check.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="run only this area or operation, or several, separated by commas; may be repeated",
    )
    check.add_argument(
        "--list", action="store_true", help="list all operations with their inputs, outputs, equations and rules; run nothing"
    )
    check.add_argument("--template", action="store_true", help="print a Python adapter to fill in; run nothing")


def _add_how(check: argparse.ArgumentParser) -> None:
    """The options of the run and its report."""
    check.add_argument(
        "--level",
        choices=LEVELS,
        default="must",
        help="the last level that counts for the exit code, in the order must, accuracy, refusal, convention (default must)",
    )
    check.add_argument(
        "--format", choices=("text", "json", "markdown", "html"), default="text", help="the format of the report (default text)"
    )
    check.add_argument(
        "--timeout",
        type=_seconds,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"time limit for the start of the implementation, and for each answer (default {TIMEOUT:g})",
    )
    check.add_argument(
        "--search", type=_seconds, default=SEARCH, metavar="SECONDS", help=f"time limit of the search for causes (default {SEARCH:g})"
    )
    check.add_argument(
        "--in-process", action="store_true", help="run ADAPTER in this process, for a debugger: --timeout counts computing only"
    )
    check.add_argument("--out", type=Path, metavar="FILE", help="write the report to this file and print a summary")


def work(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    arguments.only = [name for given in arguments.only for name in given.split(",")]
    _check_only(command, arguments.only)
    _check_out(command, arguments.out)
    if arguments.list or arguments.template:
        return _write(command, arguments.out, _listing(arguments) if arguments.list else template(arguments.only))
    report = _report(command, arguments)
    shown_before = arguments.format == "text" and arguments.out is None
    _write(command, arguments.out, text.after_the_first(report) if shown_before else render(report, arguments.format))
    if arguments.out is not None:
        printed(report.summary + "\n")
    return 2 if report.stopped or not report.tested else 0 if report.passed else 1


def _report(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> Report:
    start = time.perf_counter()
    with stdout_to_stderr():
        implementation = _implementation(command, arguments)
    try:
        with stdout_to_stderr():
            results = _results(implementation, arguments)
            again = findings(implementation, results, arguments.timeout) if not getattr(implementation, "broken", "") else []
        seconds = time.perf_counter() - start
        if arguments.format == "text" and arguments.out is None:  # the search for causes takes longer than the run
            printed(text.first_lines(summary(implementation, results, arguments.level)))
        header = {"set": "minimal" if arguments.minimal else "full", "only": arguments.only, "level": arguments.level}
        with waiting("searching for causes"):
            return build_report(implementation, results, arguments.search, again, seconds=seconds, **header)
    finally:
        with stdout_to_stderr():
            getattr(implementation, "close", lambda: None)()


def _results(implementation: Any, arguments: argparse.Namespace) -> list[Result]:
    """The results of the vectors, with a progress bar in a terminal."""
    vectors = progress(runner.select(arguments.minimal, arguments.only), implementation.name)
    return by_one_convention(list(runner.run(implementation, vectors, arguments.timeout)), implementation.precision)


def render(report: Report, form: str) -> str:
    """The report as text, json, markdown or html."""
    if form == "json":
        return json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n"
    renderer: ModuleType = importlib.import_module(f"refdiff.conformance.report.{form}")
    return str(renderer.render(report))


def _check_only(command: argparse.ArgumentParser, only: list[str]) -> None:
    areas = list(dict.fromkeys(operation.area for operation in operations().values()))
    for name in only:
        if name not in areas and name not in operations():
            near = difflib.get_close_matches(name, [*areas, *operations()], 1)
            meant = f"; is {near[0]} meant?" if near else ""
            command.error(f"argument --only: {name!r}; allowed: an area ({', '.join(areas)}) or an operation (see --list){meant}")


def _check_out(command: argparse.ArgumentParser, out: Path | None) -> None:
    """Check the path before the run, so that no report is lost."""
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        command.error(f"argument --out: {str(out)!r}; allowed: a file in a folder that exists")


def _implementation(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> Any:
    if (arguments.adapter is None) == (arguments.pipe is None):
        given = "nothing to check" if arguments.adapter is None else f"{arguments.adapter!r} and --pipe {arguments.pipe!r}"
        command.error(f"argument ADAPTER: {given}; allowed: one of ADAPTER and --pipe COMMAND (--template prints an adapter)")
    if arguments.in_process and arguments.pipe is not None:
        command.error(f"argument --in-process: given with --pipe {arguments.pipe!r}; allowed: with ADAPTER")
    name = "ADAPTER" if arguments.pipe is None else "--pipe"
    try:
        return _started(arguments)
    except ValueError as error:
        command.error(f"argument {name}: {readable(error, 2 * MAX_LENGTH)}")
    except Broken as error:
        command.error(f"argument {name}: {arguments.pipe or arguments.adapter!r}: {error}; allowed: a program that starts and answers")


def _started(arguments: argparse.Namespace) -> Any:
    if arguments.pipe is not None:
        return Pipe(shlex.split(arguments.pipe), arguments.timeout)
    if not arguments.in_process:
        return Isolated(arguments.adapter, arguments.timeout)
    try:
        found = adapter.find(arguments.adapter)
        check_dialect(found.dialect)
        return found
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may raise anything when it is imported
        raise ValueError(start_error(arguments.adapter, error)) from None


def _seconds(given: str) -> float:
    try:
        return check_timeout(float(given))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r}; allowed: a number of seconds above 0, at most {MAX_TIMEOUT:,.0f}") from None


def _write(command: argparse.ArgumentParser, out: Path | None, made: str) -> int:
    if out is None:
        printed(made)
        return 0
    try:
        out.write_text(made, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        printed(made)  # no report is lost
        command.error(f"argument --out: {str(out)!r}; allowed: a file that can be written ({error.strerror})")
    return 0


def _listing(arguments: argparse.Namespace) -> str:
    if arguments.format != "json":
        return text.listing(arguments.only)
    selected = [o for o in operations().values() if o.name in chosen(arguments.only)]
    fields = ("name", "area", "equations", "inputs", "optional", "outputs", "rule")
    return json.dumps([{name: getattr(o, name) for name in fields} for o in selected], indent=1) + "\n"
