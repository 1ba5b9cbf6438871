"""The command `refdiff check`: its options, the run with a progress bar, and the report in one of four formats."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import json
import shlex
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import adapter
from ..operations import operations
from ..report.build import build_report
from ..report.findings import Report
from ..report.text import listing
from ..vectors.files import LEVELS, Vector
from . import runner
from .template import template

DESCRIPTION = """\
Run the conformance vectors against an implementation. The report says which equations it satisfies, which it departs from and
by how much, and which known mistake, convention or small change of a formula reproduces its wrong answers.

  refdiff check --template > my_adapter.py      print a Python adapter to fill in
  refdiff check my_adapter                      check the operations that it has, skip the others
  refdiff check my.module:MyClass --minimal     check a class by name, with a small set of vectors
  refdiff check --pipe './my_program --fast'    check a program in any language, by JSON lines
  refdiff check my_adapter --format html --out report.html
  refdiff check refdiff.conformance.own         check refdiff itself
"""
EPILOG = "exit codes: 0 nothing at the level differs, 1 something differs or nothing was run, 2 wrong usage"


def add(commands: Any) -> None:
    """Add the command and its options."""
    check = commands.add_parser(
        "check",
        help="check an implementation against the specification, with a diagnosis",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("adapter", nargs="?", metavar="ADAPTER", help="a Python module, or module:Class")
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
        "--level", choices=LEVELS, default="must", help="the weakest level of vectors that counts for the exit code (default must)"
    )
    check.add_argument(
        "--format", choices=("text", "json", "markdown", "html"), default="text", help="the format of the report (default text)"
    )
    check.add_argument("--out", type=Path, metavar="FILE", help="write the report to this file and print a summary")
    check.add_argument(
        "--list", action="store_true", help="list all operations with their inputs, outputs, equations and rules; run nothing"
    )
    check.add_argument("--template", action="store_true", help="print a Python adapter to fill in; run nothing")
    check.set_defaults(work=lambda arguments: work(check, arguments))


def work(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    arguments.only = [name for given in arguments.only for name in given.split(",")]
    _check_only(command, arguments.only)
    _check_out(command, arguments.out)
    if arguments.list or arguments.template:
        return _write(command, arguments.out, _listing(arguments) if arguments.list else template(arguments.only))
    with contextlib.redirect_stdout(sys.stderr):  # the output of an implementation is not part of the report
        report = _report(command, arguments)
    _write(command, arguments.out, render(report, arguments.format))
    if arguments.out is not None:
        print(report.summary)
    return 0 if report.passed else 1


def _report(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> Report:
    implementation = _implementation(command, arguments)
    try:
        return run(implementation, runner.select(arguments.minimal, arguments.only), arguments)
    finally:
        getattr(implementation, "close", lambda: None)()


def run(implementation: adapter.Implementation, vectors: Sequence[Vector], arguments: argparse.Namespace) -> Report:
    """Run the vectors, with a progress bar in a terminal, and build the report."""
    start = time.perf_counter()
    results = list(runner.run(implementation, progress(vectors, implementation.name)))
    seconds = time.perf_counter() - start
    header = {"set": "minimal" if arguments.minimal else "full", "only": arguments.only, "level": arguments.level}
    return build_report(implementation, results, seconds=seconds, **header)


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
    name, value = ("ADAPTER", arguments.adapter) if arguments.pipe is None else ("--pipe", arguments.pipe)
    try:
        if arguments.pipe is None:
            return adapter.find(arguments.adapter)
        return importlib.import_module(f"{__package__}.pipe").Pipe(shlex.split(arguments.pipe))
    except ValueError as error:
        command.error(f"argument {name}: {error}")
    except (Exception, SystemExit) as error:  # the module or program may raise anything when it starts
        allowed = "a program that starts and answers"
        if arguments.pipe is None:
            allowed = "a module that can be imported, and a class to be called without arguments"
        allowed = "" if "; allowed: " in str(error) else f"; allowed: {allowed}"
        command.error(f"argument {name}: {value!r} gave {type(error).__name__}: {error}{_location(error)}{allowed}")


def _location(error: BaseException) -> str:
    """The line that raised an error, unless it is in refdiff or in Python's import; a syntax error names its own line."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<")]
    if isinstance(error, SyntaxError) or not frames or Path(frames[-1].filename).parent == Path(__file__).parent:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def _write(command: argparse.ArgumentParser, out: Path | None, text: str) -> int:
    if out is None:
        print(text, end="")
        return 0
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        command.error(f"argument --out: {str(out)!r}; allowed: a file that can be written ({error.strerror})")
    return 0


def _listing(arguments: argparse.Namespace) -> str:
    if arguments.format != "json":
        return listing(arguments.only)
    selected = [o for o in operations().values() if not arguments.only or {o.name, o.area} & set(arguments.only)]
    fields = ("name", "area", "equations", "inputs", "optional", "outputs", "rule")
    return json.dumps([{name: getattr(o, name) for name in fields} for o in selected], indent=1) + "\n"


def progress(vectors: Sequence[Vector], name: str) -> Iterable[Vector]:
    """The vectors, with a progress bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        return vectors
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return _counted(vectors, name)
    bar: Iterable[Vector] = tqdm(vectors, desc=name, unit=" vectors", dynamic_ncols=True, leave=False)
    return bar


def _counted(vectors: Sequence[Vector], name: str) -> Iterator[Vector]:
    for number, vector in enumerate(vectors, 1):
        if number % 20 == 0:
            print(f"\r{name}: {number} of {len(vectors)}", end="", file=sys.stderr, flush=True)
        yield vector
    print("\r\033[K", end="", file=sys.stderr, flush=True)
