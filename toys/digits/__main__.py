"""Handwritten digits, or your own images, by diffusion in plain NumPy: `python -m toys.digits train`, then `sample`, `eval` or `animate`.

Exit code 0, 1 if training diverged or a file cannot be written, 2 for wrong usage, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from refdiff import mnist, plots, training
from refdiff.demo.experiment import progress_bar
from refdiff.options import Parser
from refdiff.tree import Tree

from . import data, evaluation, fit, generate
from .generate import SAMPLERS, Method
from .options import NEW_RUN_OPTIONS, add_animate, add_eval, add_sample, add_train, check_file, new_spec
from .spec import Spec, UsageError, load_run

FRAMES = 48

EXAMPLES = """\
examples:
  python -m toys.digits train --minutes 30 --out digits.npz
  python -m toys.digits train --data pictures --size 32 --out pictures.npz
  python -m toys.digits train --resume digits.npz
  python -m toys.digits train --resume digits.npz --minutes 30
  python -m toys.digits sample --run digits.npz --guidance 2
  python -m toys.digits train --model clean-classifier --minutes 2 --out clean.npz
  python -m toys.digits eval --run digits.npz --judge clean.npz
  python -m toys.digits animate --run digits.npz
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    try:
        arguments = parser().parse_args(argv)
        try:
            return int(arguments.work(arguments))
        except UsageError as error:
            arguments.command.error(str(error))
    except SystemExit as stop:  # argparse exits this way, after printing its message
        return int(stop.code or 0)
    except ModuleNotFoundError as missing:
        print(f"toys.digits: {(missing.name or '').split('.')[0]} is not installed; pip install 'refdiff[mnist]'", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"toys.digits: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = Parser("python -m toys.digits", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.set_defaults(work=lambda _: print(top.format_help(), end="") or 0)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    add_train(_command(commands, "train", "train a model of the digits, or resume training", train))
    add_sample(_command(commands, "sample", "sample a grid of digits, one class per row", sample))
    add_eval(_command(commands, "eval", "evaluate: accuracy, Frechet distance, distance to training digits, ELBO", evaluate))
    add_animate(_command(commands, "animate", "animate sampling, from noise to one digit of each class", animate))
    return top


def _command(commands: Any, name: str, text: str, work: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(work=work, command=command)
    return command


def train(arguments: argparse.Namespace) -> int:
    """Train a new model, or resume from a checkpoint."""
    if arguments.resume is not None:
        return resume(arguments)
    spec, seed = new_spec(arguments), arguments.seed or 0
    out = arguments.out or Path(f"{spec.model}.npz")
    if out.exists():
        raise UsageError(f"argument --out: {str(out)!r} exists; allowed: a new file, or --resume to go on from that one")
    check_file(arguments.command, out)
    digits = data.load(arguments)
    spec = data.with_data(spec, digits)
    state = training.start(spec.params(seed))
    seconds = None if arguments.steps else 60 * (arguments.minutes or 10)
    steps = arguments.steps or fit.steps_within(seconds, state, digits, spec, seed)
    return run_training(arguments, state, digits, spec, fit.config(spec, steps, seed), out, seconds)


def resume(arguments: argparse.Namespace) -> int:
    """Resume from a checkpoint, with the same result as the uninterrupted run, or extend the run by --steps or --minutes."""
    for name in NEW_RUN_OPTIONS:
        if getattr(arguments, name) is not None:
            raise UsageError(
                f"argument --{name}: {str(getattr(arguments, name))!r} with --resume; allowed: what the checkpoint says, no --{name}"
            )
    state, config, spec = load_run("--resume", arguments.resume)
    digits = data.load(arguments)
    if spec.digits != data.digest(digits):
        raise UsageError(f"argument --data: digits {data.digest(digits)}; allowed: those that the run began with, {spec.digits}")
    if arguments.steps or arguments.minutes:
        steps = arguments.steps or fit.steps_within(60 * arguments.minutes, state, digits, spec, config.seed)
        before, config = config, replace(config, steps=state.step + steps)
        rates = [training.rate(*each) for each in ((max(state.step, 1), before), (state.step + 1, config), (config.steps, config))]
        print(
            "extended from step {} to {}: learning rate {:.2g} so far, from {:.2g} to {:.2g} now".format(before.steps, config.steps, *rates)
        )
    elif state.step == config.steps:
        command = fit.resume_command(arguments.resume, data.options(arguments))
        print(f"finished: step {state.step} of {config.steps}. To train for 10 more minutes:\n{command} --minutes 10")
        return 0
    return run_training(arguments, state, digits, spec, config, arguments.resume, arguments.minutes and 60 * arguments.minutes)


def run_training(
    arguments: argparse.Namespace,
    state: training.State,
    digits: Any,
    spec: Spec,
    config: training.Config,
    out: Path,
    seconds: float | None,
) -> int:
    """Train, to the last step or for some seconds, and print the command that resumes the run if it is not finished."""
    what = f"{spec.model}, {spec.kind}, {spec.schedule}" if spec.model == "unet" else f"{spec.model}, {spec.schedule}"
    print(f"{what}, base {spec.base}: step {state.step} to {config.steps} on {spec.workers} threads, checkpoint {out}", flush=True)
    command = fit.resume_command(out, data.options(arguments))
    try:
        state, config = fit.train_with_checkpoints(state, digits, spec, config, out, seconds)
    except KeyboardInterrupt:
        print(f"\ninterrupted; the last checkpoint is kept. To resume:\n{command}", file=sys.stderr)
        return 130
    except (FloatingPointError, OSError) as error:  # training diverged, or the disk is full
        print(f"\n{error}; the last checkpoint is kept: {out}", file=sys.stderr)
        return 1
    if state.step == config.steps:
        print(f"done: {out}")
        return 0
    print(f"\nstopped after step {state.step} of {config.steps}. To resume:\n{command}", file=sys.stderr)
    return 130


def load_method(arguments: argparse.Namespace) -> tuple[Any, Spec, Method]:
    """The network with its EMA parameters, its run and the requested sampling method; raises UsageError for wrong options."""
    state, config, spec = load_run("--run", arguments.run, ("unet",))
    flow = spec.kind == "velocity"
    sampler = arguments.sampler or ("heun" if flow else "ddim")
    if flow and sampler != "heun":
        raise UsageError(f"argument --sampler: {sampler!r} for a run of kind velocity; allowed: heun")
    if arguments.scale is not None and arguments.classifier is None:
        raise UsageError(f"argument --scale: {arguments.scale}; allowed: with --classifier")
    if not spec.classes and arguments.guidance:
        raise UsageError(f"argument --guidance: {arguments.guidance} for a run without labels; allowed: no --guidance")
    default = 1.0 if arguments.classifier is None and spec.classes else 0.0
    gamma, scale = (default if arguments.guidance is None else arguments.guidance, 1.0 if arguments.scale is None else arguments.scale)
    method = Method(
        sampler, arguments.steps or SAMPLERS[sampler], gamma, load_classifier(arguments.classifier, spec), scale, arguments.seed
    )
    return generate.network(state.averaged(config), spec), spec, method


def load_classifier(file: Path | None, spec: Spec) -> Tree | None:
    """EMA parameters of the classifier for guidance, which must be trained on the noise schedule of the model."""
    if file is None:
        return None
    state, config, found = load_run("--classifier", file, ("classifier",))
    data.check_size("--classifier", spec, found)
    if found.schedule != spec.schedule:
        raise UsageError(
            f"argument --classifier: {str(file)!r} learned on the schedule {found.schedule}; allowed: {spec.schedule}, as --run did"
        )
    return state.averaged(config)


def sample(arguments: argparse.Namespace) -> int:
    """Sample and write the grid."""
    check_file(arguments.command, arguments.out)
    net, spec, method = load_method(arguments)
    rows = spec.classes or 10
    y = spec.labels(rows * arguments.columns)
    x = spec.crop(generate.draw_samples(net, spec, method, y))
    plots.grid(x[np.argsort(y, kind="stable")], rows, spec.ink).save(arguments.out)
    print(f"picture    {arguments.out}")
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Print measurements of the samples, if there is an evaluation classifier, and the ELBO beside published likelihoods."""
    net, spec, method = load_method(arguments)
    classifier = None if arguments.judge is None else load_run("--judge", arguments.judge, ("clean-classifier",))
    digits = data.load(arguments)
    data.check_size("--data", spec, data.with_data(spec, digits))
    if classifier is not None:
        state, config, other = classifier
        data.check_size("--judge", spec, other)
        y = spec.labels(arguments.samples)
        samples = generate.draw_samples(net, spec, method, y)
        for name, text in evaluation.quality(state.averaged(config), spec, samples, y, digits):
            print(f"{name:<52} {text}")
    print(f"bits per dimension of held-out images{', given their labels' if spec.classes else ''}, with standard errors:")
    for name, estimate in evaluation.elbo_estimate(net, spec, digits, arguments.elbo, arguments.draws, arguments.seed):
        print(f"  {name:<50} {estimate}")
    if digits.names == mnist.DIGITS:
        print(evaluation.PUBLISHED)
    return 0


def animate(arguments: argparse.Namespace) -> int:
    """Write an animation of the sampler."""
    check_file(arguments.command, arguments.out)
    net, spec, method = load_method(arguments)
    steps = generate.trajectory(net, spec, method, spec.labels(10))
    states = list(progress_bar(steps, "sampling", method.steps + 1))
    shown = sorted({round(i) for i in np.linspace(0, len(states) - 1, FRAMES)})
    plots.gif([spec.crop(states[i]) for i in shown], arguments.out, rows=2, ink=spec.ink)
    print(f"animation  {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
