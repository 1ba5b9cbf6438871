"""The command `refdiff`: exit code 0, 1 if a check failed, 2 for wrong usage or a file that cannot be written, 130 if interrupted."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .options import Parser, check_folder, integer, number

PAGE = """\
The executable specification of diffusion and flow-matching models.

  refdiff demo             train a diffusion and a flow model on two moons, measure every sampler: under a minute
  refdiff demo --oracle    the same with exact models, and the order of convergence of each sampler: seconds
  refdiff orders           measure the order of convergence of every solver: half a minute
  refdiff check MODULE     check your implementation against the equations, with a diagnosis
  refdiff check --template print an adapter to fill in
  refdiff eq               list all equations: id, name, function, source
  refdiff eq R2            show one equation: its function and the tests that cover it
  refdiff dialects         compare the conventions of other libraries
  refdiff dialects edm     show the conventions of one library, with sources
"""

MORE = """\
more examples:
  refdiff demo --dataset checkerboard --seed 3
  refdiff demo --guidance 2 --out pictures
  refdiff demo --quick --no-gif
  refdiff demo --backend gpu
  refdiff check my.adapter --format html --out report.html

exit codes: 0 success, 1 a check failed, 2 wrong usage, 130 interrupted
"""

DEMO = """\
Train a diffusion model (which predicts the noise) and a flow model (which predicts the velocity) on a 2-D data set with
labels, and sample with DDPM, DDIM, Euler and Heun. The table shows the energy distance of each sampler to fresh data,
the noise floor (the distance between two sets of fresh data) and the distance of pure noise. A picture and an animation
show the results. Exit code 1 if a sampler that should match the data is too far from it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default `sys.argv`; returns the exit code."""
    try:
        arguments = parser().parse_args(argv)
        code = int(arguments.work(arguments))
        print(end="", flush=True)  # nothing where there is no standard output
        return code
    except SystemExit as stop:  # argparse exits this way, after printing its message
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("\nrefdiff: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # such as a full disk
        print(f"refdiff: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser("refdiff", description=PAGE, epilog=MORE, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"refdiff {__version__}")
    top.set_defaults(work=lambda _: print(top.format_help(), end="") or 0)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_orders(commands)
    _add_check(commands)
    _add_eq(commands)
    _add_dialects(commands)
    return top


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo", help="train, sample, measure and plot", description=DEMO, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    demo.add_argument("--dataset", type=_dataset, default="two_moons", metavar="NAME", help=f"{', '.join(_datasets())} (default two_moons)")
    demo.add_argument("--seed", type=integer(0, 2**64 - 1), default=0, metavar="N", help="seed of all random numbers (default 0)")
    demo.add_argument("--steps", type=integer(1, 10**7), metavar="N", help="training steps of each model (default 3000; 200 with --quick)")
    demo.add_argument(
        "--guidance", type=number(0, 100), default=3.0, metavar="GAMMA", help="guidance scale of the guided samplers; 1 is none (default 3)"
    )
    demo.add_argument(
        "--out", type=Path, default=Path("refdiff-demo"), metavar="DIR", help="folder for the pictures (default ./refdiff-demo)"
    )
    demo.add_argument("--oracle", action="store_true", help="use exact models instead of trained ones, and measure orders of convergence")
    demo.add_argument("--quick", action="store_true", help="run for a few seconds, too short to learn: for tests")
    demo.add_argument("--backend", choices=("cpu", "gpu"), default="cpu", help="where to train and sample (default cpu)")
    demo.add_argument("--no-gif", action="store_true", help="do not write the animation")
    demo.set_defaults(work=lambda arguments: _demo(demo, arguments))


def _add_orders(commands: Any) -> None:
    text = "Measure the order of each solver on a mixture whose exact flow is known, with an exact and with the usual start."
    orders = commands.add_parser("orders", help="measure the orders of the solvers", description=text)
    orders.add_argument("names", nargs="*", metavar="METHOD", help="methods, such as dpmpp_2m; without them, all")
    orders.add_argument("--steps", type=integer(4, 10**4), default=320, metavar="N", help="compare N and 2 N steps (default 320)")
    orders.add_argument("--out", type=Path, metavar="FILE", help="draw the errors, as .png, .svg or .pdf")
    orders.set_defaults(work=lambda arguments: _orders(orders, arguments))


def _add_check(commands: Any) -> None:
    from .conformance.run import command

    command.add(commands)


def _add_eq(commands: Any) -> None:
    eq = commands.add_parser(
        "eq", help="list the equations, or show one", description="List the equations, or show one with its source code."
    )
    eq.add_argument("id", nargs="?", metavar="ID", help="an equation, such as R2; without it, all are listed")
    eq.set_defaults(work=lambda arguments: _eq(eq, arguments))


def _add_dialects(commands: Any) -> None:
    text = "List the conventions of other libraries, or show one library with its sources."
    dialects = commands.add_parser("dialects", help="list the conventions of other libraries, or show one", description=text)
    dialects.add_argument("name", nargs="?", metavar="NAME", help="a dialect, such as edm; without it, all are listed")
    dialects.set_defaults(work=lambda arguments: _dialects(dialects, arguments))


def _demo(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        import matplotlib.figure  # noqa: F401
        import PIL  # noqa: F401
        import tqdm  # noqa: F401
    except ModuleNotFoundError as missing:
        print(f"refdiff demo: {(missing.name or '').split('.')[0]} is not installed; pip install 'refdiff[toys]'", file=sys.stderr)
        return 2
    backend: dict[str, Any] | None = {} if arguments.backend == "cpu" else _gpu_backend(command, arguments)
    if backend is None:
        return 2
    check_folder(command, arguments.out)
    from .demo.experiment import QUICK, Settings
    from .demo.run import run, run_oracle

    chosen = {"dataset": arguments.dataset, "seed": arguments.seed, "guidance": arguments.guidance}
    steps = {} if arguments.steps is None else {"steps": arguments.steps}
    settings = Settings(**{**(QUICK if arguments.quick else {}), **chosen, **steps})
    before = _times(arguments.out)
    try:
        return (run_oracle if arguments.oracle else run)(settings, arguments.out, not arguments.no_gif, **backend)
    except KeyboardInterrupt:
        written = [name for name, _ in sorted(_times(arguments.out) - before)]
        print(f"\nrefdiff demo: interrupted; written to {arguments.out}: {', '.join(written) or 'nothing'}", file=sys.stderr)
        return 130


def _times(folder: Path) -> set[tuple[str, int]]:
    """The files of a folder, with the times of their last change."""
    return {(path.name, path.stat().st_mtime_ns) for path in folder.iterdir()}


def _gpu_backend(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Arguments of `demo.run` for a GPU; None, and a message, if something is missing."""
    if arguments.oracle:
        command.error("argument --backend: gpu with --oracle; allowed: cpu, for exact models need no network")
    import refdiff_gpu
    from refdiff_gpu.demo import experiment

    if not refdiff_gpu.available():
        print(f"refdiff demo: {refdiff_gpu.missing()}", file=sys.stderr)
        return None
    return {"backend": experiment, "device": refdiff_gpu.place()}


def _orders(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from .demo.orders import run
    from .sampling import orders

    names = arguments.names or list(orders.NOMINAL)
    for name in names:
        if name not in orders.NOMINAL:
            command.error(f"argument METHOD: {name!r}; allowed: {', '.join(orders.NOMINAL)}")
    if arguments.out is not None:
        check_folder(command, arguments.out.parent)
    return run(names, arguments.steps, arguments.out)


def _eq(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from . import equations

    try:
        print(equations.list_text() if arguments.id is None else equations.show_text(arguments.id))
    except ValueError as error:
        command.error(f"argument ID: {error}")
    return 0


def _dialects(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from .conformance.dialects import page as dialect_page

    try:
        print(dialect_page.list_text() if arguments.name is None else dialect_page.show_text(arguments.name))
    except ValueError as error:
        command.error(f"argument NAME: {error}")
    return 0


def _datasets() -> tuple[str, ...]:
    from .data.toy2d import DATASETS

    return tuple(DATASETS)


def _dataset(text: str) -> str:
    if text not in _datasets():
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: {', '.join(_datasets())}")
    return text
