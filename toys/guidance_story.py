"""What guidance above 1 samples from: `python toys/guidance_story.py` writes guidance.png and prints the numbers in it.

The data are three Gaussians in the plane, one for each label, whose scores and class posteriors are known exactly; there is no network.
At time 0 guidance promises the density p(x) p(y | x)^gamma. At every other time it follows the gradient of p_t(x) p_t(y | x)^gamma,
and those densities are not the noised versions of the first: the promise holds for gamma = 0 and 1 only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refdiff import flow, guidance, metrics, oracles, plots, rng, samplers

SHOWN = (0.0, 1.0, 2.0, 4.0)
SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
LIMIT, CELLS = 4.2, 281
CLASS = 0
ANGLES = 2 * np.pi * (np.arange(3) / 3 + 1 / 4)
DATA = oracles.mixture(1.1 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), [np.eye(2) / 2] * 3, labels=range(3))


class Point(NamedTuple):
    """One scale: points of the guided sampler, points of the promised density, and what is measured of both."""

    gamma: float
    guided: np.ndarray
    promised: np.ndarray

    @property
    def distance(self) -> float:
        return metrics.energy_distance(self.guided, self.promised)


def promised_density(gamma: float) -> np.ndarray:
    """p(x) p(y | x)^gamma on a square grid, (CELLS, CELLS), of sum 1."""
    axis = np.linspace(-LIMIT, LIMIT, CELLS)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log = DATA.log_density(x, 1.0, 0.0) + gamma * DATA.log_class(x, 1.0, 0.0)[:, CLASS]
    density = np.exp(log - log.max())
    return (density / density.sum()).reshape(CELLS, CELLS)


def promised_points(gamma: float, count: int, seed: int) -> np.ndarray:
    """Points (count, 2) of the promised density: cells of the grid by their weight, and a place in the cell."""
    cumulative = np.cumsum(promised_density(gamma).ravel())
    uniform = rng.uniform(seed, count, 3, stream=rng.DATA)
    cell = np.minimum(np.searchsorted(cumulative, uniform[:, 0] * cumulative[-1], side="right"), cumulative.size - 1)
    width = 2 * LIMIT / (CELLS - 1)
    return np.stack([cell % CELLS, cell // CELLS], axis=1) * width - LIMIT + (uniform[:, 1:] - 0.5) * width


def guided_points(gamma: float, count: int, steps: int, seed: int) -> np.ndarray:
    """Points (count, 2) of the flow whose velocity is guided at every time, by Heun's method; the exact velocities of the data."""
    model = guidance.guided(DATA.model(flow.straight, "velocity"), np.full(count, CLASS), gamma, DATA.classes)
    start = rng.normal(seed, count, (2,), stream=rng.START)
    return samplers.last(samplers.sample(model, samplers.heun_step, np.linspace(0, 1, steps + 1), start))


def fidelity(x: np.ndarray) -> float:
    """Mean probability of the label."""
    return float(np.exp(DATA.log_class(x, 1.0, 0.0)[:, CLASS]).mean())


def coverage(x: np.ndarray) -> float:
    """The spread of the points over that of the label's own data: the root of the ratio of the covariances' determinants."""
    return float(np.sqrt(np.linalg.det(np.cov(x.T)))) / 0.5


def measure(count: int, steps: int, seed: int) -> list[Point]:
    return [Point(gamma, guided_points(gamma, count, steps, seed), promised_points(gamma, count, seed + 1)) for gamma in SCALES]


def table(points: list[Point]) -> str:
    floor = metrics.energy_distance(promised_points(1.0, len(points[0].guided), 7), promised_points(1.0, len(points[0].guided), 8))
    lines = [f"{'gamma':>6}{'label kept by':>24}{'spread':>22}{'distance between':>20}"]
    lines.append(f"{'':>6}{'sampler':>12}{'promise':>12}{'sampler':>11}{'promise':>11}{'them':>20}")
    for each in points:
        kept, spread = ([of(x) for x in (each.guided, each.promised)] for of in (fidelity, coverage))
        lines.append(f"{each.gamma:6.1f}{kept[0]:12.3f}{kept[1]:12.3f}{spread[0]:11.3f}{spread[1]:11.3f}{each.distance:20.4f}")
    return "\n".join([*lines, f"Distance is the energy distance; two sets of one density, of as many points, are {floor:.4f} apart."])


def draw(points: list[Point], path: Path) -> None:
    """Densities promised and points drawn for some scales, and the trade over all of them."""
    figure = plots.new_figure(15.6, 7.6)
    axes = figure.subplots(2, 4)
    for ax, gamma in zip(axes[0], SHOWN, strict=True):
        point = next(each for each in points if each.gamma == gamma)
        ax.imshow(promised_density(gamma), extent=(-LIMIT, LIMIT) * 2, origin="lower", cmap="Blues")
        ax.plot(*point.guided[:600].T, ".", color=plots.COLORS[1], markersize=2.5)
        ax.set(title=f"gamma = {gamma:g}", xticks=[], yticks=[], xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT))
    grid = axes[1, 0].get_gridspec()
    for ax in axes[1]:
        ax.remove()
    for column, (name, of) in enumerate((("probability of the label", fidelity), ("spread over that of the data", coverage))):
        ax = figure.add_subplot(grid[1, column])
        for which, color in (("promised", plots.COLORS[0]), ("guided", plots.COLORS[1])):
            ax.plot(SCALES, [of(getattr(each, which)) for each in points], "o-", color=color, label=which)
        ax.set(title=name, xlabel="gamma")
        ax.legend(frameon=False)
    ax = figure.add_subplot(grid[1, 2:])
    for which, color, above in (("promised", plots.COLORS[0], -13), ("guided", plots.COLORS[1], 7)):
        x, y = ([of(getattr(each, which)) for each in points] for of in (coverage, fidelity))
        ax.plot(x, y, "o-", color=color, label=which)
        for gamma, *place in zip(SCALES, x, y, strict=True):
            ax.annotate(f"{gamma:g}", place, textcoords="offset points", xytext=(1, above), fontsize=8, color=color)
    ax.set(title="the trade, scale by scale", xlabel="spread", ylabel="probability of the label")
    figure.suptitle("Blue: the density p(x) p(y | x)^gamma that guidance promises. Points: what the guided sampler gives. Exact scores.")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2000, help="points of each kind (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="steps of Heun's method (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("."), help="folder of the picture (default: here)")
    options = parser.parse_args(argv)
    if options.points < 10 or options.steps < 1 or not options.out.is_dir():
        parser.error(f"--points {options.points} --steps {options.steps} --out {options.out}; allowed: 10 or more, 1 or more, a folder")
    points = measure(options.points, options.steps, options.seed)
    print(table(points))
    draw(points, options.out / "guidance.png")
    print(f"picture    {options.out / 'guidance.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
