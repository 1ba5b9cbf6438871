"""The distribution of guided samples: `python toys/guidance.py` writes guidance.png and prints the measurements in it.

The data are three Gaussians in the plane, one for each label. Their scores and class probabilities are known exactly; there is no
network. The formula of guidance suggests the target density p(x) p(y | x)^gamma. At time t the sampler follows the gradient of
log p_t(x) p_t(y | x)^gamma. These densities are not the noised versions of the target, so the samples follow the target only for
gamma = 0 and gamma = 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refdiff import files, flow, guidance, metrics, oracles, plots, rng, samplers

SHOWN = (0.0, 1.0, 2.0, 4.0)
SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
LIMIT, CELLS = 4.2, 281
LABEL = 0
ANGLES = 2 * np.pi * (np.arange(3) / 3 + 1 / 4)
DATA = oracles.mixture(1.1 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), [np.eye(2) / 2] * 3, labels=range(3))


class Result(NamedTuple):
    """Samples of the guided sampler and of the target density, for one guidance scale."""

    gamma: float
    guided: np.ndarray
    target: np.ndarray

    @property
    def distance(self) -> float:
        return metrics.energy_distance(self.guided, self.target)


def target_density(gamma: float) -> np.ndarray:
    """p(x) p(y | x)^gamma on a square grid, (CELLS, CELLS), of sum 1."""
    axis = np.linspace(-LIMIT, LIMIT, CELLS)
    x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log = DATA.log_density(x, 1.0, 0.0) + gamma * DATA.log_class(x, 1.0, 0.0)[:, LABEL]
    density = np.exp(log - log.max())
    return (density / density.sum()).reshape(CELLS, CELLS)


def target_samples(gamma: float, count: int, seed: int) -> np.ndarray:
    """Samples (count, 2) of the target density: grid cells drawn by their probability, and a uniform position in the cell."""
    cumulative = np.cumsum(target_density(gamma).ravel())
    uniform = rng.uniform(seed, count, 3, stream=rng.DATA)
    cell = np.minimum(np.searchsorted(cumulative, uniform[:, 0] * cumulative[-1], side="right"), cumulative.size - 1)
    width = 2 * LIMIT / (CELLS - 1)
    return np.stack([cell % CELLS, cell // CELLS], axis=1) * width - LIMIT + (uniform[:, 1:] - 0.5) * width


def guided_samples(gamma: float, count: int, steps: int, seed: int) -> np.ndarray:
    """Samples (count, 2) of the flow with classifier-free guidance of the exact velocity, by Heun's method."""
    model = guidance.guided(DATA.model(flow.straight, "velocity"), np.full(count, LABEL), gamma, DATA.classes)
    start = rng.normal(seed, count, (2,), stream=rng.START)
    return samplers.last(samplers.sample(model, samplers.heun_step, np.linspace(0, 1, steps + 1), start))


def label_probability(x: np.ndarray) -> float:
    """Mean class probability of the label."""
    return float(np.exp(DATA.log_class(x, 1.0, 0.0)[:, LABEL]).mean())


def relative_spread(x: np.ndarray) -> float:
    """Spread relative to the data of the label: the square root of the ratio of the determinants of the covariances."""
    return float(np.sqrt(np.linalg.det(np.cov(x.T)))) / 0.5


def measure(count: int, steps: int, seed: int) -> list[Result]:
    return [Result(gamma, guided_samples(gamma, count, steps, seed), target_samples(gamma, count, seed + 1)) for gamma in SCALES]


def table(results: list[Result]) -> str:
    count = len(results[0].guided)
    floor = metrics.energy_distance(target_samples(1.0, count, 7), target_samples(1.0, count, 8))
    lines = [f"{'guidance':>8}{'label probability':>24}{'relative spread':>22}{'energy distance':>20}"]
    lines.append(f"{'scale':>8}{'guided':>12}{'target':>12}{'guided':>11}{'target':>11}{'guided to target':>20}")
    for each in results:
        probability, spread = ([f(x) for x in (each.guided, each.target)] for f in (label_probability, relative_spread))
        lines.append(
            f"{each.gamma:8.1f}{probability[0]:12.3f}{probability[1]:12.3f}{spread[0]:11.3f}{spread[1]:11.3f}{each.distance:20.4f}"
        )
    return "\n".join([*lines, f"Noise floor of the distance, between two sets of samples of one density: {floor:.4f}."])


def draw(results: list[Result], path: Path) -> None:
    """Target densities and guided samples for some scales, and label probability and spread for all scales."""
    figure = plots.new_figure(15.6, 7.6)
    axes = figure.subplots(2, 4)
    for ax, gamma in zip(axes[0], SHOWN, strict=True):
        result = next(each for each in results if each.gamma == gamma)
        ax.imshow(target_density(gamma), extent=(-LIMIT, LIMIT) * 2, origin="lower", cmap="Blues")
        ax.plot(*result.guided[:600].T, ".", color=plots.COLORS[1], markersize=2.5)
        ax.set(title=rf"guidance scale $\gamma = {gamma:g}$", xticks=[], yticks=[], xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT))
    grid = axes[1, 0].get_gridspec()
    for ax in axes[1]:
        ax.remove()
    for column, (name, f) in enumerate((("label probability", label_probability), ("relative spread", relative_spread))):
        ax = figure.add_subplot(grid[1, column])
        for which, color in (("target", plots.COLORS[0]), ("guided", plots.COLORS[1])):
            ax.plot(SCALES, [f(getattr(each, which)) for each in results], "o-", color=color, label=which)
        ax.set(title=name, xlabel=r"guidance scale $\gamma$")
        ax.legend(frameon=False)
    ax = figure.add_subplot(grid[1, 2:])
    for which, color, offsets in (("target", plots.COLORS[0], (7, -13)), ("guided", plots.COLORS[1], (-13, 7))):
        x, y = ([f(getattr(each, which)) for each in results] for f in (relative_spread, label_probability))
        ax.plot(x, y, "o-", color=color, label=which)
        for gamma, *position in zip(SCALES, x, y, strict=True):
            ax.annotate(f"{gamma:g}", position, textcoords="offset points", xytext=(1, offsets[gamma >= 1]), fontsize=8, color=color)
    ax.set(title=r"label probability and spread at each $\gamma$", xlabel="relative spread", ylabel="label probability")
    ax.margins(y=0.12)
    ax.legend(frameon=False)
    figure.suptitle(r"Blue: target density $p(x)\,p(y\,|\,x)^\gamma$. Points: samples of the guided sampler, with exact scores.")
    figure.tight_layout()
    with files.replacing(path) as new:
        figure.savefig(new, dpi=110)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2000, help="samples of each kind (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="steps of Heun's method (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder of the picture (default: here)")
    options = parser.parse_args(argv)
    if options.points < 10 or options.steps < 1 or not options.out.is_dir():
        parser.error(f"--points {options.points} --steps {options.steps} --out {options.out}; allowed: 10 or more, 1 or more, a folder")
    results = measure(options.points, options.steps, options.seed)
    print(table(results))
    draw(results, options.out / "guidance.png")
    print(f"picture    {options.out / 'guidance.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
