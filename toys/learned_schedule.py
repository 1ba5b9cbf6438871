"""A noise schedule learns to lower the variance of the loss: `python -m toys.learned_schedule` writes learned_schedule.png.

The data are numbers from N(0, c), whose best model is known: there is no network but that of the schedule. Its ends are fixed, so the mean
of the loss cannot change, and the gradient of the loss's square moves the shape. For these data the schedule of least variance has a
closed form, which is drawn too. Exit code 0, 2 for wrong usage, 130 if interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refdiff import learned_schedule, optim, plots, rng, vdm
from refdiff.arrays import Array, sigmoid
from refdiff.demo.experiment import progress_bar
from refdiff.objectives.vdm import Curve
from refdiff.options import Parser, integer, number
from refdiff.tree import Params

SHOTS = 5  # schedules that are drawn, from the first to the last


class Setting(NamedTuple):
    """The variance of the data, and the ends of the schedule."""

    variance: float
    gamma_0: float
    gamma_1: float

    def straight(self, t: Array) -> tuple[Array, Array]:
        return self.gamma_0 + (self.gamma_1 - self.gamma_0) * t, self.gamma_1 - self.gamma_0 + 0 * t

    def best(self, t: Array) -> tuple[Array, Array]:
        return learned_schedule.optimal_gamma(t, self.variance, self.gamma_0, self.gamma_1)

    def loss(self) -> float:
        """The mean of the loss, whatever the schedule."""
        return float(vdm.gaussian_loss(self.variance, self.gamma_1, self.gamma_0))

    def model(self, x: Array, gamma: Array) -> Array:
        """The best prediction of the noise."""
        kept, noise = sigmoid(-gamma), sigmoid(gamma)
        return x * (np.sqrt(noise) / (self.variance * kept + noise))[:, None]

    def second_moment(self, curve: Curve, t: Array) -> Array:
        """E[L^2] at each time: three times the squared mean, as for every squared normal number."""
        gamma, rate = curve(t)
        return 3 * (rate * vdm.gaussian_mmse(self.variance, gamma) * np.exp(-gamma) / 2) ** 2


class Run(NamedTuple):
    """Parameters of the schedule at some steps, and E[L^2] at these steps and more."""

    shots: list[Params]
    steps: list[int]
    moments: list[float]


def quadrature() -> tuple[Array, Array]:
    """Nodes and weights on 0..1, in cells that become smaller towards 1, where the best schedule is steep."""
    edges = 1 - np.append(10.0 ** -np.arange(0, 8, 0.5), 0)
    x, w = np.polynomial.legendre.leggauss(60)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + x)).ravel(), (half * w).ravel()


def as_curve(p: Params) -> Curve:
    return lambda t: learned_schedule.gamma(p, t)[0]


def mean_square(setting: Setting, curve: Curve) -> float:
    """E[L^2] over the time."""
    t, weights = quadrature()
    return float(weights @ setting.second_moment(curve, t))


def train(setting: Setting, width: int, steps: int, batch: int, seed: int) -> Run:
    """Train the shape of the schedule by Adam, on fresh data, noise and stratified times in every step."""
    p = learned_schedule.init(width, setting.gamma_0, setting.gamma_1)
    state, run = optim.init(p), Run([p], [0], [mean_square(setting, as_curve(p))])
    bar = progress_bar(None, "training", steps)
    for step in range(1, steps + 1):
        t = vdm.stratified_times(float(rng.uniform(seed, 1, step=step)[0, 0]), batch)
        x0, noise = (rng.normal(seed, batch, (1,), step, stream) for stream in (rng.DATA, rng.NOISE))
        (gamma, rate), vjp = learned_schedule.gamma(p, t)
        error, slope = learned_schedule.error_and_slope(setting.model, x0 * setting.variance**0.5, noise, gamma)
        grads = learned_schedule.gradient(error, slope, rate, vjp)
        p, state = optim.adam(p, grads | {"ends": 0 * grads["ends"]}, state, step, 0.03 * (1 - step / (steps + 1)))
        if step * 40 % steps < 40:
            run.steps.append(step)
            run.moments.append(mean_square(setting, as_curve(p)))
        if step in [steps * k**2 // (SHOTS - 1) ** 2 for k in range(1, SHOTS)]:
            run.shots.append(p)
        bar.update()
    bar.close()
    return run


def table(setting: Setting, run: Run) -> str:
    rows = (("straight", setting.straight), ("learned", as_curve(run.shots[-1])), ("best", setting.best))
    lines = [f"{'schedule':<10}{'E[L]':>10}{'E[L^2]':>10}{'gamma at t = 1/2':>20}"]
    t, weights = quadrature()
    for name, curve in rows:
        mean = weights @ np.sqrt(setting.second_moment(curve, t) / 3)
        lines.append(f"{name:<10}{mean:10.4f}{mean_square(setting, curve):10.2f}{float(curve(np.array(0.5))[0]):20.3f}")
    return "\n".join([*lines, f"E[L] in closed form {setting.loss():.4f}, the least E[L^2] {3 * setting.loss() ** 2:.2f}"])


def draw(setting: Setting, run: Run, path: Path) -> None:
    """The schedules, E[L^2] at each time, and E[L^2] during training."""
    figure = plots.new_figure(13, 4)
    left, middle, right = figure.subplots(1, 3)
    t, fine = np.linspace(0, 1, 400), np.linspace(0, 0.999, 400)
    for i, p in enumerate(run.shots):
        style = {
            "color": plots.COLORS[0],
            "alpha": min(1.0, 0.2 + 0.8 * i / (len(run.shots) - 1)),
            "label": "learned" if p is run.shots[-1] else None,
        }
        left.plot(t, as_curve(p)(t)[0], **style)
        middle.semilogy(fine, setting.second_moment(as_curve(p), fine), **style)
    left.plot(t, setting.best(t)[0], "--", color=plots.COLORS[1], label="least variance, closed form")
    middle.semilogy(fine, setting.second_moment(setting.best, fine), "--", color=plots.COLORS[1], label="least variance, closed form")
    right.plot(run.steps, run.moments, color=plots.COLORS[0], label="learned")
    right.axhline(3 * setting.loss() ** 2, linestyle="--", color=plots.COLORS[1], label="least")
    left.set(title=r"$\gamma(t) = -\log\,\mathrm{SNR}$", xlabel="t")
    middle.set(title=r"$E[L^2]$ at each time", xlabel="t", ylim=(1, None))
    right.set(title=r"$E[L^2]$ over all times", xlabel="training step", ylim=(0, None))
    for ax in (left, middle, right):
        ax.legend(fontsize=8, frameon=False)
    figure.tight_layout()
    plots.Picture(figure).save(path)


def run(options: argparse.Namespace) -> int:
    """Train, print, draw."""
    if not options.out.parent.is_dir():
        raise ValueError(f"argument --out: {str(options.out)!r}; allowed: a file in a folder that exists")
    setting = Setting(options.variance, -options.log_snr, options.log_snr)
    found = train(setting, options.width, options.steps, options.batch, options.seed)
    print(table(setting, found))
    draw(setting, found, options.out)
    print(f"picture    {options.out}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = Parser("python -m toys.learned_schedule", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variance", type=number(1e-3, 1e3), default=0.25, metavar="C", help="variance of the data (default 0.25)")
    parser.add_argument("--log-snr", type=number(0.5, 20), default=float(np.log(1e4)), metavar="X", help="log-SNR at t = 0, and minus that at t = 1 (default log 10000)")  # fmt: skip
    parser.add_argument("--width", type=integer(1, 4096), default=64, metavar="N", help="sigmoids of the schedule (default 64)")
    parser.add_argument("--steps", type=integer(4, 10**7), default=6000, metavar="N", help="training steps (default 6000)")
    parser.add_argument("--batch", type=integer(1, 10**6), default=512, metavar="N", help="times in each step (default 512)")
    parser.add_argument("--seed", type=integer(0, 2**64 - 1), default=0, metavar="N", help="seed of all random numbers (default 0)")
    parser.add_argument("--out", type=Path, default=Path("learned_schedule.png"), metavar="FILE", help="the picture (default ./learned_schedule.png)")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    try:
        return run(parser().parse_args(argv))
    except SystemExit as stop:  # argparse exits this way, after printing its message
        return int(stop.code or 0)
    except (OSError, ValueError) as error:
        print(f"python -m toys.learned_schedule: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
