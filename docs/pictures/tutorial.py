"""The picture of the tutorial: the states and samples of its program."""

from __future__ import annotations

from typing import Any

import numpy as np

from refdiff.plots import colors

from ..build.program import run
from .canvas import bare, panels


def tutorial() -> Any:
    figure, rows = panels(6, height=3.5, rows=2)
    for axes, name, flow in zip(rows, ("diffusion", "flow"), (False, True), strict=True):
        names = run(flow).names
        grid, trajectory, labels = names["grid"], names["states"][1], names["fresh_labels"]
        shown = [(trajectory[i], f"t = {round(float(grid[i]), 2):g}") for i in (0, *_moments(names), -1)]
        shown.append((names["states"][2][-1], "guidance 2"))
        for ax, (points, title) in zip(axes, shown, strict=True):
            ax.scatter(*points.T, s=3, c=colors(labels), linewidths=0, alpha=0.8, rasterized=True)
            bare(ax, 3.0, title)
        axes[0].set_ylabel(name)
    return figure


def _moments(names: dict[str, Any]) -> list[int]:
    """Three steps of the trajectory, at signal-to-noise ratios that the two models share."""
    signal, sigma = names["path"].signal_sigma(names["grid"])
    return [int(np.argmin(abs(signal / (signal + sigma) - share))) for share in (0.3, 0.5, 0.7)]
