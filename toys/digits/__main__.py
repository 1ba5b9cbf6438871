"""Handwritten digits by diffusion in plain NumPy: `python -m toys.digits train`, then `sample`, `eval`, `animate`.

Exit code 0, 1 if training diverged, 2 for wrong usage, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refdiff import training
from refdiff.cli import check_folder
from refdiff.demo import experiment as contest
from refdiff.tree import Tree

from . import evaluation, fit, generate, pictures
from .generate import SAMPLERS, Method
from .options import FRESH, add_animate, add_eval, add_sample, add_train, new_spec
from .spec import Spec, Wrong, digest, labels, load_digits, load_run

FRAMES = 48

EXAMPLES = """\
examples:
  python -m toys.digits train --minutes 30 --out digits.npz
  python -m toys.digits train --resume digits.npz
  python -m toys.digits sample --run digits.npz --guidance 2
  python -m toys.digits train --model clean-classifier --minutes 2 --out clean.npz
  python -m toys.digits eval --run digits.npz --judge clean.npz
  python -m toys.digits animate --run digits.npz
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    try:
        arguments = parser().parse_args(argv)
        try:
            return int(arguments.work(arguments))
        except Wrong as wrong:
            arguments.command.error(str(wrong))
    except SystemExit as stop:  # argparse leaves this way, its message printed
        return int(stop.code or 0)
    except ModuleNotFoundError as missing:
        print(f"toys.digits: {(missing.name or '').split('.')[0]} is not installed; pip install 'refdiff[mnist]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        "python -m toys.digits", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.set_defaults(work=lambda _: top.error("no command; allowed: train, sample, eval, animate"))
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    add_train(_command(commands, "train", "learn the digits, or go on learning", train))
    add_sample(_command(commands, "sample", "draw a grid of digits, a class in each row", sample))
    add_eval(_command(commands, "eval", "measure: accuracy, Frechet distance, copies, ELBO", evaluate))
    add_animate(_command(commands, "animate", "a film of noise becoming digits, one of each class", animate))
    return top


def _command(commands: Any, name: str, text: str, work: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(work=work, command=command)
    return command


def train(arguments: argparse.Namespace) -> int:
    """Learn, from the start or from a checkpoint."""
    if arguments.resume is not None:
        return resume(arguments)
    spec, seed = new_spec(arguments), arguments.seed or 0
    out = arguments.out or Path(f"{spec.model}.npz")
    check_folder(arguments.command, out.absolute().parent)
    if out.exists():
        raise Wrong(f"argument --out: {str(out)!r} exists; allowed: a new file, or --resume to go on from that one")
    digits = load_digits(arguments.data, not arguments.no_download)
    spec = Spec(**{**vars(spec), "digits": digest(digits)})
    state = training.start(spec.params(seed))
    steps = arguments.steps or fit.steps_in(60 * (arguments.minutes or 10), state, digits, spec, seed)
    return learn(arguments, state, digits, spec, fit.config(spec, steps, seed), out)


def resume(arguments: argparse.Namespace) -> int:
    """Go on from a checkpoint, exactly as the run that wrote it would have."""
    for name in FRESH:
        if getattr(arguments, name) is not None:
            raise Wrong(
                f"argument --{name}: {str(getattr(arguments, name))!r} with --resume; allowed: what the checkpoint says, no --{name}"
            )
    state, config, spec = load_run("--resume", arguments.resume)
    digits = load_digits(arguments.data, not arguments.no_download)
    if spec.digits != digest(digits):
        raise Wrong(f"argument --data: digits {digest(digits)}; allowed: those that the run began with, {spec.digits}")
    return learn(arguments, state, digits, spec, config, arguments.resume)


def learn(arguments: argparse.Namespace, state: training.State, digits: Any, spec: Spec, config: training.Config, out: Path) -> int:
    """Train, and say where the run is, and how to go on if it is not at its end."""
    what = f"{spec.model}, {spec.kind}, {spec.schedule}" if spec.model == "unet" else f"{spec.model}, {spec.schedule}"
    print(f"{what}, base {spec.base}: step {state.step} to {config.steps} on {spec.workers} threads, into {out}", flush=True)
    command = fit.resume_command(out, arguments.data, not arguments.no_download)
    try:
        state = fit.follow(state, digits, spec, config, out)
    except KeyboardInterrupt:
        print(f"\nbroken off; the last checkpoint stands. To go on:\n{command}", file=sys.stderr)
        return 130
    except FloatingPointError as error:
        print(f"\n{error}; the last checkpoint stands: {out}", file=sys.stderr)
        return 1
    if state.step == config.steps:
        print(f"done: {out}")
        return 0
    print(f"\nstopped after step {state.step} of {config.steps}. To go on:\n{command}", file=sys.stderr)
    return 130


def drawing(arguments: argparse.Namespace) -> tuple[Any, Spec, Method]:
    """The averaged network, its run and the method asked for; raises Wrong for options that do not fit together."""
    state, config, spec = load_run("--run", arguments.run, ("unet",))
    flow = spec.kind == "velocity"
    sampler = arguments.sampler or ("heun" if flow else "ddim")
    if flow and sampler != "heun":
        raise Wrong(f"argument --sampler: {sampler!r} for a run of kind velocity; allowed: heun")
    if arguments.scale is not None and arguments.classifier is None:
        raise Wrong(f"argument --scale: {arguments.scale}; allowed: with --classifier")
    unasked = 1.0 if arguments.classifier is None else 0.0
    gamma, scale = (unasked if arguments.guidance is None else arguments.guidance, 1.0 if arguments.scale is None else arguments.scale)
    method = Method(sampler, arguments.steps or SAMPLERS[sampler], gamma, judge_of(arguments.classifier, spec), scale, arguments.seed)
    return generate.network(state.averaged(config), spec), spec, method


def judge_of(file: Path | None, spec: Spec) -> Tree | None:
    """The classifier that steers, which must have learned from digits noised as the model's were."""
    if file is None:
        return None
    state, config, found = load_run("--classifier", file, ("classifier",))
    if found.schedule != spec.schedule:
        raise Wrong(
            f"argument --classifier: {str(file)!r} learned on the schedule {found.schedule}; allowed: {spec.schedule}, as --run did"
        )
    return state.averaged(config)


def sample(arguments: argparse.Namespace) -> int:
    """Draw the grid."""
    check_folder(arguments.command, arguments.out.absolute().parent)
    net, spec, method = drawing(arguments)
    asked = labels(10 * arguments.columns)
    x = generate.draw(net, spec, method, asked)
    pictures.save_grid(x[np.argsort(asked, kind="stable")], 10, arguments.out)
    print(f"picture    {arguments.out}")
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Print what can be measured: with a judge, of samples; and for diffusions the ELBO."""
    net, spec, method = drawing(arguments)
    judged = None if arguments.judge is None else load_run("--judge", arguments.judge, ("clean-classifier",))
    if judged is None and spec.kind == "velocity":
        raise Wrong("argument --judge: None for a run of kind velocity, which has no ELBO; allowed: a clean-classifier's checkpoint")
    digits = load_digits(arguments.data, not arguments.no_download)
    if judged is not None:
        asked = labels(arguments.samples)
        drawn = generate.draw(net, spec, method, asked)
        for name, text in evaluation.quality(judged[0].averaged(judged[1]), drawn, asked, digits):
            print(f"{name:<52} {text}")
    if spec.kind != "velocity":
        print("bits per dimension of held-out digits, given their labels, with standard errors:")
        for name, estimate in evaluation.bound(net, spec, digits, arguments.elbo, arguments.draws, arguments.seed):
            print(f"  {name:<50} {estimate}")
    return 0


def animate(arguments: argparse.Namespace) -> int:
    """Film the sampler at work."""
    check_folder(arguments.command, arguments.out.absolute().parent)
    net, spec, method = drawing(arguments)
    steps = generate.walk(net, spec, method, labels(10))
    states = list(contest.progress(steps, "sampling", method.steps + 1))
    shown = sorted({round(i) for i in np.linspace(0, len(states) - 1, FRAMES)})
    pictures.save_film([states[i] for i in shown], 2, arguments.out)
    print(f"animation  {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
