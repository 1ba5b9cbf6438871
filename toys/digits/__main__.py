"""Handwritten digits, or your own images, by diffusion in plain NumPy: `python -m toys.digits train`, then `sample`, `eval` or `animate`.

Exit code 0, 1 if training diverged or a file cannot be written, 2 for wrong usage, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refdiff import mnist, plots
from refdiff.demo.experiment import progress_bar
from refdiff.options import Parser
from refdiff.tree import Tree

from . import data, evaluation, generate, likelihood, train
from .generate import SAMPLERS, Method
from .options import add_animate, add_eval, add_sample, add_train, check_file
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
    add_train(_command(commands, "train", "train a model of the digits, or resume training", train.train))
    add_sample(_command(commands, "sample", "sample a grid of digits, one class per row", sample))
    add_eval(_command(commands, "eval", "evaluate: accuracy, Frechet distance, distance to training digits, ELBO", evaluate))
    add_animate(_command(commands, "animate", "animate sampling, from noise to one digit of each class", animate))
    return top


def _command(commands: Any, name: str, text: str, work: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(work=work, command=command)
    return command


def load_method(arguments: argparse.Namespace) -> tuple[Any, Spec, Method]:
    """The network with its EMA parameters, its run and the requested sampling method; raises UsageError for wrong options."""
    state, config, spec = load_run("--run", arguments.run, ("unet",))
    flow = spec.kind == "velocity"
    sampler = arguments.sampler or ("heun" if flow else "ddim")
    if flow and sampler in ("ddpm", "ddim"):
        raise UsageError(f"argument --sampler: {sampler!r} for a run of kind velocity; allowed: heun, or a fast solver such as dpmpp_2m")
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
    if arguments.likelihood:
        state, config, _ = load_run("--run", arguments.run)
        found = likelihood.flow_likelihood(state.averaged(config), spec, digits, arguments.likelihood, arguments.seed)
        print(f"  {f'by the flow, {arguments.likelihood} images with uniform noise':<50} {found}")
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
