"""Pictures of flows, samplers, guidance and scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff import data, flow, oracles, plots, rng, samplers
from refdiff import guidance as guide
from refdiff.demo.convergence import level_schedule
from refdiff.demo.exact import fit_mixture
from refdiff.plots import COLORS, colors

from .canvas import INK, bare, panels

ANGLES = 2 * np.pi * (np.arange(3) / 3 + 1 / 4)
THREE = oracles.mixture(1.1 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), [np.eye(2) / 2] * 3, labels=range(3))


def paths() -> Any:
    """Position upwards, flow time to the right; the same noise in all three panels."""
    oracle = oracles.mixture([[-1.5], [1.5]], [[[0.03]], [[0.03]]])
    noise, t = rng.normal(2, 24, (1,)), np.linspace(0, 1, 51)
    points = oracle.sample(rng.uniform(3, 24)[:, 0], rng.normal(4, 24, (1,)))
    field = oracle.model(flow.straight, "velocity")
    marginal = np.stack(list(samplers.sample(field, samplers.heun_step, t, noise)))[:, :, 0]
    order = flow.couple_optimally(points, noise)
    straight = [np.stack([flow.interpolate(x, noise, u)[:, 0] for u in t]) for x in (points, points[order])]
    figure, axes = panels(3, height=2.9)
    titles = ("independent pairs", "optimal-transport pairs", "mean velocity for independent pairs")
    for ax, lines, title in zip(axes, (*straight, marginal), titles, strict=True):
        for i, end in enumerate(lines[-1]):
            ax.plot(t, lines[:, i], color=COLORS[0] if end < 0 else COLORS[1], linewidth=0.9)
        ax.set(title=title, xticks=(0, 1), xticklabels=("noise", "data"), yticks=[], ylim=(-3.4, 3.4))
    return figure


def convergence() -> Any:
    """Distance from the exact end of the same path, over the number of model calls."""
    mixture, x, counts = fit_mixture("two_moons"), rng.normal(0, 16, (2,)), 2 ** np.arange(3, 8)
    field = mixture.model(flow.straight, "velocity")
    exact = samplers.solve_adaptive(field, x, 0.0, 1.0, rtol=1e-9, atol=1e-10)
    figure, (ax,) = panels(1, width=7, height=3.4)
    for (name, step, calls), color in zip(STEPS, COLORS, strict=False):
        ends = [samplers.last(samplers.sample(field, step, np.linspace(0, 1, n // calls + 1), x)) for n in counts]
        ax.loglog(counts, [_rms(end - exact) for end in ends], "o-", color=color, label=name)
    ax.loglog(counts, _ddim_errors(mixture, x, counts), "s--", color=COLORS[3], label="DDIM, order 1")
    ax.set(xlabel="model calls", title="error at the end of the path")
    ax.set_xticks(counts, [str(n) for n in counts])
    ax.minorticks_off()
    ax.legend()
    return figure


def orders() -> Any:
    """The errors of some solvers, as `refdiff orders` draws them."""
    return plots.orders().figure


STEPS = (
    ("Euler, order 1", samplers.euler_step, 1),
    ("Heun, order 2", samplers.heun_step, 2),
    ("Runge-Kutta, order 4", samplers.rk4_step, 4),
)


def _ddim_errors(mixture: Any, x: Any, counts: Any) -> list[float]:
    """Distances of DDIM from the end of the ODE that it discretizes: the flow's ODE, from the starting time of the diffusion."""
    signal, sigma = (float(level[-1]) for level in (level_schedule(1).signal, level_schedule(1).sigma))
    field = mixture.model(flow.straight, "velocity")
    exact = samplers.solve_adaptive(field, x / (signal + sigma), signal / (signal + sigma), 1.0, rtol=1e-7, atol=1e-8)

    def end(steps: int) -> Any:
        schedule = level_schedule(steps)
        step = samplers.stepper(samplers.ddim_step, schedule)
        return samplers.last(samplers.sample(mixture.model(schedule), step, np.arange(steps, -1, -1), x))

    return [_rms(end(steps) - exact) for steps in counts]


def _rms(error: Any) -> float:
    return float(np.sqrt((error**2).sum(axis=1).mean()))


def guidance() -> Any:
    """Contours of the guided density at time 0, and samples of the sampler with guidance at every time."""
    scales, limit = (0.0, 1.0, 3.0, 6.0), 3.6
    axis = np.linspace(-limit, limit, 121)
    cells = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    figure, axes = panels(4, height=2.6)
    for ax, gamma in zip(axes, scales, strict=True):
        log = THREE.log_density(cells, 1.0, 0.0) + gamma * THREE.log_class(cells, 1.0, 0.0)[:, 0]
        ax.contour(axis, axis, np.exp(log - log.max()).reshape(121, 121), levels=(0.05, 0.2, 0.4, 0.6, 0.8), colors=INK, linewidths=0.7)
        model = guide.guided(THREE.model(flow.straight, "velocity"), np.zeros(250, int), gamma, THREE.classes)
        points = samplers.last(samplers.sample(model, samplers.heun_step, np.linspace(0, 1, 21), rng.normal(0, 250, (2,))))
        ax.scatter(*points.T, s=5, color=COLORS[1], linewidths=0, rasterized=True)
        bare(ax, limit, rf"$\gamma$ = {gamma:g}")
    return figure


def scores() -> Any:
    """The score of noised data: it points to the posterior mean of the data."""
    mixture, points = fit_mixture("two_moons"), data.load("two_moons", 700)
    levels, limit = ((0.98, 0.2), (0.8, 0.6), (0.3, 0.954)), 2.8
    axis = np.linspace(-limit * 0.9, limit * 0.9, 15)
    positions = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    figure, axes = panels(3, height=3.2)
    for ax, (signal, sigma) in zip(axes, levels, strict=True):
        noised = signal * points[0] + sigma * rng.normal(5, len(points[0]), (2,))
        ax.scatter(*noised.T, s=3, c=colors(points[1]), linewidths=0, alpha=0.5, rasterized=True)
        arrows = mixture.score(positions, signal, sigma) * sigma
        arrows = arrows / np.sqrt(np.linalg.norm(arrows, axis=1, keepdims=True) + 1e-9)
        ax.quiver(*positions.T, *arrows.T, color=INK, angles="xy", scale_units="xy", scale=5, width=0.005)
        bare(ax, limit, f"signal {signal:g}, noise {sigma:g}")
    return figure
