"""Training on the digits: the steps that fit in a time, a progress bar, a checkpoint every two minutes, and Ctrl-C."""

from __future__ import annotations

import math
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from refdiff import training
from refdiff.data.images import Images
from refdiff.demo.experiment import progress_bar
from refdiff.training import Config, State

from .spec import Spec

CHECKPOINT_INTERVAL = 120.0  # seconds from one checkpoint to the next
WARM, TIMED = 3, 60  # steps before the speed is measured, and the most steps that are measured
MEASURE_AGAIN = (0.1, 0.3, 0.6, 0.85)  # shares of the time at which the speed is measured again
TOLERANCE = 0.1  # the share of the steps to come by which the plan may be wrong
SHARE = 0.9  # share of the time that is planned for steps; the rest is for checkpoints and for a machine that slows down


def config(spec: Spec, steps: int, seed: int) -> Config:
    """Configuration of the training; labels are dropped for the U-Net only, because a classifier needs them as targets."""
    dropout, warmup = 0.1 if spec.model == "unet" else 0.0, max(1, min(200, steps // 10))
    classes = max(1, spec.classes)
    return Config(spec.kind, steps, 64, 1e-3, warmup, ema=0.995, label_dropout=dropout, classes=classes, seed=seed)


def steps_within(seconds: float, state: State, data: Images, spec: Spec, seed: int) -> int:
    """Number of steps that fit in this time, including the time of the measurement; the measured steps are discarded."""
    began = monotonic()
    with closing(run(state, data, spec, config(spec, state.step + WARM + TIMED, seed))) as states:
        for _ in islice(states, WARM):
            pass
        first, done = monotonic(), 0
        for _ in states:
            done += 1
            if monotonic() - began > 0.05 * seconds:
                break
    now = monotonic()
    return max(2, int(SHARE * (seconds - (now - began)) * done / (now - first)))


def run(state: State, data: Images, spec: Spec, config: Config) -> Iterator[tuple[State, float]]:
    """`training.train` on the images, from this state on."""
    net, L = spec.network()
    return training.train(state, spec.to_model(data.train), data.train_labels, spec.path(), config, net, L, spec.workers)


def train_with_checkpoints(
    state: State, data: Images, spec: Spec, config: Config, out: Path, seconds: float | None = None
) -> tuple[State, Config]:
    """Train to the last step or until Ctrl-C, which lets the current step finish; the state and configuration returned are saved.

    If the run should take some `seconds`, the number of steps is measured again at each of `MEASURE_AGAIN` of this time.
    """
    spec.save(out, state, config)
    bar = progress_bar(None, "training", config.steps)
    bar.n = bar.initial = bar.last_print_n = state.step  # earlier steps do not count for the speed
    clock = Clock(state.step, seconds)
    stopped, mean = False, None
    while state.step < config.steps and not stopped:
        config = clock.plan(state.step, config, bar)
        state, mean, stopped = _train_until(clock.next_measurement, state, data, spec, config, out, bar, mean)
    bar.close()
    return state, config


def _train_until(
    time: float, state: State, data: Images, spec: Spec, config: Config, out: Path, bar: Any, mean: float | None
) -> tuple[State, float | None, bool]:
    """Train until a time, the last step or Ctrl-C, and save; the state, the running mean of the loss, and whether it was Ctrl-C."""
    numbers, per = (math.prod(spec.padded), " per pixel") if spec.model == "unet" else (1, "")
    saved = monotonic()
    with deferred_interrupt() as stop_requested, closing(run(state, data, spec, config)) as states:
        for state, loss in states:
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            bar.set_postfix_str(f"loss {mean / numbers:.4g}{per}", refresh=False)
            bar.update()
            if stop_requested or monotonic() > time:
                break
            if monotonic() - saved > CHECKPOINT_INTERVAL:
                spec.save(out, state, config)
                saved = monotonic()
        spec.save(out, state, config)
    return state, mean, bool(stop_requested)


class Clock:
    """The time of a run of some `seconds`, and the number of steps that fit in what is left of it."""

    def __init__(self, step: int, seconds: float | None) -> None:
        self.began, self.seconds = monotonic(), seconds
        self.step, self.since, self.left = step, self.began, list(MEASURE_AGAIN)
        self.next_measurement = math.inf if seconds is None else self.began

    def plan(self, step: int, config: Config, bar: Any) -> Config:
        """The configuration with as many steps as fit, if that is far from its own, by the speed since the last measurement."""
        if self.seconds is None or not self.left:
            self.next_measurement = math.inf
            return config
        now, done = monotonic(), step - self.step
        self.next_measurement = self.began + self.left.pop(0) * self.seconds
        if done:
            steps = step + max(1, int((self.began + self.seconds - now) * done / (now - self.since)))
            if abs(steps - config.steps) > TOLERANCE * (config.steps - step):
                bar.write(f"measured again: {steps} steps in the time instead of {config.steps}", file=sys.stderr)
                config, bar.total = replace(config, steps=steps), steps
        self.step, self.since = step, now
        return config


@contextmanager
def deferred_interrupt() -> Iterator[list[int]]:
    """Context in which the first Ctrl-C only fills the list, as steps change arrays in place; the second interrupts at once."""
    stop_requested: list[int] = []

    def note(number: int, frame: object) -> None:
        stop_requested.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop_requested
    finally:
        signal.signal(signal.SIGINT, before)


def resume_command(out: Path, data: Sequence[str]) -> str:
    """The command that resumes the run, with the options that name its data."""
    return shlex.join([sys.executable, "-m", "toys.digits", "train", "--resume", str(out), *data])
