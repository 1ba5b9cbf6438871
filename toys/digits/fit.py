"""Training on the digits: how many steps fit in the time, a bar, a checkpoint every two minutes, and an orderly end at Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic

from refdiff import mnist, training
from refdiff.data.mnist import Digits
from refdiff.demo import experiment as contest
from refdiff.training import Config, State

from .spec import Spec

EVERY = 120.0  # seconds from one checkpoint to the next
WARM, TIMED = 3, 60  # steps before the speed is measured, and at most of the measurement
SHARE = 0.9  # of the time given, for steps; the rest is for checkpoints, and for a machine that slows down


def config(spec: Spec, steps: int, seed: int) -> Config:
    """How the digits are learned; a classifier always sees its labels, which it is not told."""
    dropout = 0.1 if spec.model == "unet" else 0.0
    return Config(
        spec.kind, steps, batch=64, rate=1e-3, warmup=max(1, min(200, steps // 10)), ema=0.995, label_dropout=dropout, classes=10, seed=seed
    )


def steps_in(seconds: float, state: State, digits: Digits, spec: Spec, seed: int) -> int:
    """How many steps fit in this time, the time of measuring it included; what the steps measured learn is thrown away."""
    began = monotonic()
    with closing(run(state, digits, spec, config(spec, WARM + TIMED, seed))) as states:
        for _ in islice(states, WARM):
            pass
        first, done = monotonic(), 0
        for _ in states:
            done += 1
            if monotonic() - began > 0.05 * seconds:
                break
    now = monotonic()
    return max(2, int(SHARE * (seconds - (now - began)) * done / (now - first)))


def run(state: State, digits: Digits, spec: Spec, config: Config) -> Iterator[tuple[State, float]]:
    """`training.train` on the digits, from this state on."""
    net, L = spec.network()
    return training.train(state, mnist.to_model(digits.train), digits.train_labels, spec.path(), config, net, L, spec.workers)


def follow(state: State, digits: Digits, spec: Spec, config: Config, out: Path) -> State:
    """Train to the end or to Ctrl-C, which lets the step at hand finish; the state reached is then in the file."""
    spec.save(out, state, config)
    bar = contest.progress(None, "learning", config.steps)
    bar.n = bar.initial = bar.last_print_n = state.step  # what was done before does not count as speed
    saved, mean = monotonic(), None
    with orderly() as asked, closing(run(state, digits, spec, config)) as states:
        for state, loss in states:
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            bar.set_postfix_str(f"loss {mean:.4g}", refresh=False)
            bar.update()
            if asked or monotonic() - saved > EVERY:
                spec.save(out, state, config)
                saved = monotonic()
            if asked:
                break
        spec.save(out, state, config)
    bar.close()
    return state


@contextmanager
def orderly() -> Iterator[list[int]]:
    """Ctrl-C fills the list instead of breaking in, as steps work in place; a second one breaks in, and the last checkpoint stands."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def resume_command(out: Path, data: Path | None, download: bool) -> str:
    """What to type to go on."""
    words = [sys.executable, "-m", "toys.digits", "train", "--resume", str(out)]
    words += ["--data", str(data)] if data else []
    return shlex.join(words + ([] if download else ["--no-download"]))


def same_data(spec: Spec, found: str) -> bool:
    """Whether the run was trained on the data found."""
    return spec == replace(spec, digits=found)
