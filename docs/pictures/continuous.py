"""Pictures of continuous time: reverse processes, Langevin dynamics, and densities by the flow."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff import fast, flow, gaussian, langevin, likelihood, mlp, oracles, rng, samplers, sde, training
from refdiff.demo.exact import as_dataset, fit_mixture
from refdiff.plots import COLORS

from .canvas import bare, panels

LINE = oracles.mixture([[-1.2], [1.2]], [[[0.04]], [[0.04]]], [0.4, 0.6])
ANGLES = np.pi / 4 * np.arange(8)
CENTRES = 1.4 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
EIGHT = oracles.mixture(CENTRES, [0.02 * np.eye(2)] * 8)
GREY = "#868c95"  # on light and on dark pages


def trajectories() -> Any:
    """States of the reverse process for four k, from the same starts and with the same noise, over the exact density."""
    path, grid, start = sde.vp(0.1, 12.0), np.linspace(1.0, 0.002, 251), rng.normal(3, 8, (1,))
    axis = np.linspace(-3.2, 3.2, 120)
    density = np.stack([np.exp(LINE.log_density(axis[:, None], *path.signal_sigma(t))) for t in grid[::2]], axis=1)
    figure, axes = panels(4, height=2.5)
    for ax, k in zip(axes, (0.0, 0.5, 1.0, 2.0), strict=True):

        def step(model: Any, x: Any, t: Any, s: Any, noise: Any, k: float = k) -> Any:
            return sde.euler_maruyama_step(x, t, s, model(x, t), path, noise, k)

        states = list(samplers.sample(LINE.model(path, "score"), step, grid, start, rng.Normals(4, 8, (1,))))
        _shade(ax, np.sqrt(density), (0, 1, -3.2, 3.2), 0.7)
        ax.plot(1 - grid, np.stack(states)[:, :, 0], linewidth=0.8, color=COLORS[0])
        ax.set(title=f"k = {k:g}", xticks=(0, 1), xticklabels=("noise", "data"), yticks=[], aspect="auto")
    return figure


def stuck() -> Any:
    """Langevin dynamics at the level of the data, and annealed, from the same starts at the right."""
    count, sigmas = 240, np.geomspace(3.0, 0.05, 8)
    start = [1.0, 0.3] + 0.25 * rng.normal(0, count, (2,))
    x = start
    for i in range(400):
        x = langevin.ula_step(x, EIGHT.score(x, 1.0, 0.05), 0.004, rng.normal(1, count, (2,), i))
    noise = rng.Normals(2, count, (2,))
    annealed = samplers.last(langevin.annealed(lambda x, sigma: EIGHT.score(x, 1.0, sigma), start, sigmas, 50, 0.0006, noise))
    figure, axes = panels(3, height=3.0)
    for ax, points, title in zip(axes, (start, x, annealed), ("start", "Langevin dynamics", "annealed"), strict=True):
        nearest = np.linalg.norm(points[:, None] - CENTRES, axis=2).argmin(axis=1)
        modes = (np.bincount(nearest, minlength=8) >= count / 16).sum()
        ax.scatter(*CENTRES.T, s=160, facecolors="none", edgecolors=GREY)
        ax.scatter(*points.T, s=4, color=COLORS[0], linewidths=0, rasterized=True)
        bare(ax, 2.3, title if points is start else f"{title}: {modes} of 8 modes")
    return figure


def densities() -> Any:
    """The density of two moons: the mixture in closed form, the mixture by its flow, and a small trained network by its flow."""
    mixture, limit, side = fit_mixture("two_moons"), 2.4, 30
    axis = np.linspace(-limit, limit, side)
    cells = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    network = training.as_model(_trained(as_dataset(mixture)(4000, 0)[0]), flow.straight)
    fields = [mixture.model(flow.straight, "velocity"), lambda x, t: network(x, np.full(len(x), t))]
    maps = [mixture.log_density(cells, 1.0, 0.0), *(_log_density(field, cells) for field in fields)]
    figure, axes = panels(3, height=3.0)
    for ax, log, title in zip(axes, maps, ("closed form", "exact velocity, by its flow", "trained network, by its flow"), strict=True):
        _shade(ax, np.exp(log).reshape(side, side), (-limit, limit, -limit, limit), 1.0)
        bare(ax, limit, title)
    return figure


def _trained(points: Any) -> Any:
    """Parameters of a small network for the velocity."""
    config = training.Config("velocity", steps=2500, batch=96, rate=1e-2, ema=0.99, seed=1)
    *_, (state, _) = training.train(
        training.start(mlp.init(0, 2, width=64)), points.astype(np.float32), None, flow.straight, config, L=fast
    )
    return state.averaged(config)


def _log_density(field: Any, x: Any) -> Any:
    def prior(noise: Any) -> Any:
        return gaussian.log_density(noise, 0 * noise, 1.0)

    return likelihood.log_likelihood(field, x, 1.0, 0.0, prior, rtol=1e-2, atol=1e-2, method="RK45")[0]


def _shade(ax: Any, density: Any, extent: Any, strength: float) -> None:
    """A density as a grey that lets the page show through where it is 0."""
    from matplotlib.colors import to_rgb

    alpha = strength * density / density.max()
    ax.imshow(np.dstack([*(0 * alpha + part for part in to_rgb(GREY)), alpha]), extent=extent, origin="lower", interpolation="bilinear")
