"""The style of all pictures: colours on light and dark pages, fonts and frames."""

from __future__ import annotations

from typing import Any

from refdiff.plots import COLORS, FAINT

INK = "#1d2228"
DARK = {INK: "#dde1e6", FAINT: "#565f69", COLORS[0]: "#64abe8", COLORS[2]: "#4cc796", COLORS[3]: "#e07fb0", COLORS[4]: "#a58be6"}
STYLE_OF_DARK = 'data-theme="dark"'
STYLE = {
    "svg.hashsalt": "refdiff",
    "svg.fonttype": "path",
    "mathtext.fontset": "dejavusans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}


def panels(columns: int, width: float = 9.0, height: float = 3.2, rows: int = 1) -> tuple[Any, Any]:
    """A figure and its axes, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)[0] if rows == 1 else figure.subplots(rows, columns)


def bare(ax: Any, limit: float, title: str = "") -> None:
    """A square without ticks, for points in the plane."""
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[], title=title)
    for spine in ax.spines.values():
        spine.set_visible(True)
