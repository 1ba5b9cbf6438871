"""The work of `refdiff check`: options, the run with its progress, and the report in one of four formats."""

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
from ..report import build as report
from ..report import text as report_text
from ..vectors.files import LEVELS, Vector
from . import runner
from .template import template

DESCRIPTION = """\
Put the conformance vectors to an implementation, and say which equations it satisfies, which it departs from, by how much,
and which known or composed mistake or convention it answers like.

  refdiff check --template > my_adapter.py      a Python adapter to fill in
  refdiff check my_adapter                      what it has is checked, the rest is skipped
  refdiff check my.module:MyClass --minimal     a class by name, with a small set of vectors
  refdiff check --pipe './my_program --fast'    any language, by JSON lines
  refdiff check my_adapter --format html --out report.html
  refdiff check refdiff.conformance.own         refdiff itself
"""
EPILOG = "exit codes: 0 nothing at the level differs, 1 something does (or nothing was run), 2 wrong usage"


def add(commands: Any) -> None:
    """The command and its options."""
    check = commands.add_parser(
        "check",
        help="an implementation against the specification, with a diagnosis",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("adapter", nargs="?", metavar="ADAPTER", help="a Python module, or module:Class")
    check.add_argument("--pipe", metavar="COMMAND", help="a program that reads questions and writes answers, instead of ADAPTER")
    check.add_argument("--minimal", action="store_true", help="a small set of vectors, which takes a few seconds")
    check.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="an area or an operation, or several with commas between; may be repeated",
    )
    check.add_argument(
        "--level", choices=LEVELS, default="must", help="what counts for the exit code, with what is stricter (default must)"
    )
    check.add_argument("--format", choices=("text", "json", "markdown", "html"), default="text", help="of the report (default text)")
    check.add_argument("--out", type=Path, metavar="FILE", help="write the report there; a summary is printed")
    check.add_argument("--list", action="store_true", help="list all operations with their arguments, equations and rules; run nothing")
    check.add_argument("--template", action="store_true", help="print a Python adapter to fill in; run nothing")
    check.set_defaults(work=lambda arguments: work(check, arguments))


def work(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    arguments.only = [name for given in arguments.only for name in given.split(",")]
    _check_only(command, arguments.only)
    _check_out(command, arguments.out)
    if arguments.list or arguments.template:
        return _write(command, arguments.out, _listed(arguments) if arguments.list else template(arguments.only))
    with contextlib.redirect_stdout(sys.stderr):  # what an implementation prints is no part of the report
        found = _found(command, arguments)
    _write(command, arguments.out, render(found, arguments.format))
    if arguments.out is not None:
        print(found.summary)
    return 0 if found.passed else 1


def _found(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> report.Report:
    implementation = _implementation(command, arguments)
    try:
        return run(implementation, runner.chosen(arguments.minimal, arguments.only), arguments)
    finally:
        getattr(implementation, "close", lambda: None)()


def run(implementation: adapter.Implementation, vectors: Sequence[Vector], arguments: argparse.Namespace) -> report.Report:
    """Run the vectors, with a bar if someone watches, and report."""
    start = time.perf_counter()
    results = list(runner.run(implementation, progress(vectors, implementation.name)))
    seconds = time.perf_counter() - start
    chosen = {"set": "minimal" if arguments.minimal else "full", "only": arguments.only, "level": arguments.level}
    return report.build(implementation, results, seconds=seconds, **chosen)


def render(found: report.Report, form: str) -> str:
    """The report as text, json, markdown or html."""
    if form == "json":
        return json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n"
    renderer: ModuleType = importlib.import_module(f"refdiff.conformance.report.{form}")
    return str(renderer.render(found))


def _check_only(command: argparse.ArgumentParser, only: list[str]) -> None:
    areas = list(dict.fromkeys(operation.area for operation in operations().values()))
    for name in only:
        if name not in areas and name not in operations():
            near = difflib.get_close_matches(name, [*areas, *operations()], 1)
            meant = f"; is {near[0]} meant?" if near else ""
            command.error(f"argument --only: {name!r}; allowed: an area ({', '.join(areas)}) or an operation (see --list){meant}")


def _check_out(command: argparse.ArgumentParser, out: Path | None) -> None:
    """Before the run, so that no report is lost."""
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
    except (Exception, SystemExit) as error:  # whatever a foreign module or program does when it starts
        allowed = "a program that starts and answers"
        if arguments.pipe is None:
            allowed = "a module that can be imported, and a class to be called without arguments"
        allowed = "" if "; allowed: " in str(error) else f"; allowed: {allowed}"
        command.error(f"argument {name}: {value!r} gave {type(error).__name__}: {error}{_place(error)}{allowed}")


def _place(error: BaseException) -> str:
    """The line that raised an error, if it is not of refdiff or of Python's import; a syntax error says its own."""
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


def _listed(arguments: argparse.Namespace) -> str:
    if arguments.format != "json":
        return report_text.listing(arguments.only)
    chosen = [o for o in operations().values() if not arguments.only or {o.name, o.area} & set(arguments.only)]
    keep = ("name", "area", "equations", "inputs", "optional", "outputs", "rule")
    return json.dumps([{name: getattr(o, name) for name in keep} for o in chosen], indent=1) + "\n"


def progress(vectors: Sequence[Vector], name: str) -> Iterable[Vector]:
    """The vectors, with a bar on stderr if that is a terminal."""
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
