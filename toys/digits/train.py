"""The command `train` of the digits toy: a new run, or one that is resumed or extended."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from refdiff import training

from . import data, fit
from .options import NEW_RUN_OPTIONS, check_file, new_spec
from .spec import Spec, UsageError, load_run

CLEAN = 2000  # training steps after which digits are clean, measured with base 16


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
    if spec.model == "unet" and steps < CLEAN:
        time = f", which take {seconds / 60 * CLEAN / steps:.0f} minutes here" if seconds else ""
        print(f"note: digits are rough after 300 steps, and clean after {CLEAN:,}{time}")
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
