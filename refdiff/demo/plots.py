"""Pictures, by matplotlib, which is imported here alone and only inside functions. No window is opened and no global state touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..process.tables import Schedule

COLORS = ("#1f6fb2", "#e8853a", "#2a9d72", "#c2528b", "#7a5cc4", "#c9a227", "#4ab3c9", "#8a6d5a")  # by label, then again
INK, FAINT, GOOD = "#222222", "#b8bcc2", "#2a9d72"
TIGHT = {"pad": 0.6, "facecolor": "white", "edgecolor": "none"}


class Panel(NamedTuple):
    """Points (N, 2) with labels (N,); arrows, if any, as (places, vectors), both (M, 2); paths (steps, M, 2) with labels (M,)."""

    title: str
    points: Array
    labels: Array
    arrows: tuple[Array, Array] | None = None
    paths: tuple[Array, Array] | None = None


class Curve(NamedTuple):
    """A line of a chart."""

    name: str
    x: Array
    y: Array


class Story(NamedTuple):
    """All of the picture, row by row: the schedule and noised data; fields; samples; a chart, distances, guided samples.

    Every row has a caption; limit is half the side of the squares; bound is how many floors a good sampler may be away.
    """

    title: str
    captions: tuple[str, ...]
    schedule: Schedule
    forward: list[Panel]
    fields: list[Panel]
    samples: list[Panel]
    curves: list[Curve]
    converging: bool
    distances: list[tuple[str, float]]
    bound: float
    guided: list[Panel]
    limit: float


def save_story(story: Story, path: Path) -> None:
    """Write the story as a PNG: four rows of six squares, of which charts take two."""
    figure = new_figure(15.6, 13.4)
    grid = figure.add_gridspec(4, 6, left=0.045, right=0.985, top=0.912, bottom=0.045, wspace=0.12, hspace=0.44)
    figure.text(0.045, 0.972, story.title, fontsize=17, weight="bold", color=INK)
    for row, caption in enumerate(story.captions):
        figure.text(0.045, grid[row, 0].get_position(figure).y1 + 0.034, caption, fontsize=11, color=GOOD)
    _draw_schedule(_within(figure.add_subplot(grid[0, :2]), 0, 0.9), story.schedule)
    for row, column, panels in (0, 2, story.forward), (1, 0, story.fields), (2, 0, story.samples), (3, 4, story.guided):
        for i, panel in enumerate(panels):
            _draw_panel(figure.add_subplot(grid[row, column + i]), panel, story.limit)
    if story.converging:
        _draw_convergence(_within(figure.add_subplot(grid[3, :2]), 0, 0.58), story.curves)
    else:
        _draw_losses(_within(figure.add_subplot(grid[3, :2]), 0, 0.9), story.curves)
    _draw_distances(_within(figure.add_subplot(grid[3, 2:4]), 0.34, 0.96), story.distances, story.bound)
    figure.savefig(path, dpi=110)


def save_animation(frames: list[list[Panel]], path: Path, limit: float, fps: int = 12) -> None:
    """Write a GIF whose frames each show the same number of panels side by side; the last one stays for a third of the time."""
    from matplotlib.animation import PillowWriter

    figure = new_figure(3.3 * len(frames[0]), 3.5)
    axes = figure.subplots(1, len(frames[0]), squeeze=False)[0]
    figure.subplots_adjust(left=0.02, right=0.98, top=0.88, bottom=0.02, wspace=0.06)
    writer = PillowWriter(fps=fps)
    with writer.saving(figure, str(path), dpi=90):
        drawn = [_draw_panel(ax, panel, limit) for ax, panel in zip(axes, frames[0], strict=True)]
        for panels in frames + [frames[-1]] * (len(frames) // 3):
            for ax, panel, lines in zip(axes, panels, drawn, strict=True):
                ax.set_title(panel.title)
                for line, members in zip(lines, _by_label(panel), strict=True):
                    line.set_data(*members.T)
            writer.grab_frame()


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def colors(labels: Array) -> list[str]:
    """A colour per label."""
    return [COLORS[y % len(COLORS)] for y in labels]


def _by_label(panel: Panel) -> list[Array]:
    """The points of each label."""
    return [panel.points[panel.labels == y] for y in np.unique(panel.labels)]


def _draw_panel(ax: Any, panel: Panel, limit: float) -> list[Any]:
    """Draw a square; the point clouds, one per label, for an animation to move."""
    alpha = 0.2 if panel.arrows or panel.paths else 0.6
    clouds = [
        ax.plot(*members.T, linestyle="", marker="o", markersize=1.7, markeredgewidth=0, color=color, alpha=alpha, zorder=1)[0]
        for members, color in zip(_by_label(panel), colors(np.unique(panel.labels)), strict=True)
    ]
    if panel.arrows is not None:
        (x, y), arrows = panel.arrows[0].T, _shortened(panel.arrows[1])
        ax.quiver(x, y, *arrows.T, color=INK, angles="xy", scale_units="xy", scale=8 / limit, width=0.0055, headwidth=4.5, zorder=2)
    if panel.paths is not None:
        states, labels = panel.paths
        for i, color in enumerate(colors(labels)):
            ax.plot(*states[:, i].T, color=color, linewidth=0.9, alpha=0.8, zorder=2)
        ax.scatter(*states[0].T, s=7, facecolors="white", edgecolors=FAINT, linewidths=0.7, zorder=3)
        ax.scatter(*states[-1].T, s=7, c=colors(labels), linewidths=0, zorder=4)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    _finish(ax, panel.title)
    return clouds


def _shortened(vectors: Array) -> Array:
    """Vectors whose length is the square root of what it was, in units of a long one: the short ones can still be seen."""
    length = np.hypot(*vectors.T)[:, None]
    return vectors / np.sqrt(np.maximum(length, 1e-12) * np.quantile(length, 0.95))


def _draw_schedule(ax: Any, schedule: Schedule) -> None:
    t = np.arange(schedule.T + 1)
    lines = [
        *ax.plot(t, schedule.signal, color=COLORS[0], label=r"signal $\sqrt{\bar\alpha_t}$"),
        *ax.plot(t, schedule.sigma, color=COLORS[1], label=r"noise $\sqrt{1-\bar\alpha_t}$"),
    ]
    ax.set(xlim=(0, schedule.T), ylim=(0, 1.03))
    twin = ax.twinx()
    lines += twin.plot(t[1:], schedule.log_snr[1:], color=GOOD, linestyle="--", label="log SNR, right scale")
    ax.legend(handles=lines, fontsize=8.5, frameon=False, loc="center", bbox_to_anchor=(0.74, 0.68))
    _finish(ax, "how much signal is left at time t")
    _soften(twin)


def _draw_losses(ax: Any, curves: list[Curve]) -> None:
    for curve, color in zip(curves, COLORS, strict=False):
        ax.plot(curve.x, curve.y, color=color, linewidth=1.2, label=curve.name)
    ax.set(xlabel="training step", ylim=(0, None), xlim=(0, None))
    ax.legend(fontsize=8.5, frameon=False, loc="upper right")
    _finish(ax, "loss while learning, running mean")


def _draw_convergence(ax: Any, curves: list[Curve]) -> None:
    for i, curve in enumerate(curves):
        color, mark = COLORS[i % len(COLORS)], "osD^vP*X<>"[i % 10]
        ax.loglog(curve.x, curve.y, color=color, marker=mark, markersize=3.5, linewidth=1.1, label=curve.name)
    ax.set_xticks(curves[0].x, [str(int(x)) for x in curves[0].x])
    ax.minorticks_off()
    ax.set(xlabel="steps")
    ax.legend(
        fontsize=7.5,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        handlelength=1.4,
        title="measured order",
        title_fontsize=8,
    )
    _finish(ax, "error against the exact answer")


def _draw_distances(ax: Any, distances: list[tuple[str, float]], bound: float) -> None:
    names, values = zip(*distances, strict=True)
    y = np.arange(len(values))
    ax.axvline(1, color=GOOD, linewidth=1)
    ax.axvline(bound, color="#c0392b", linewidth=1, linestyle=":")
    ax.hlines(y, 1, values, color=COLORS[0], linewidth=1.4)
    ax.plot(values, y, "o", color=COLORS[0], markersize=5)
    for i, value in enumerate(values):
        ax.text(max(value, 1) * 1.25, i, f"{value:.1f}", va="center", fontsize=8.5, color=INK, bbox=TIGHT)
    ax.text(1, -0.75, "floor", ha="right", fontsize=8, color=GOOD)
    ax.text(bound, -0.75, f" {bound:g}, allowed", fontsize=8, color="#c0392b")
    ax.set_yticks(y, names)
    ax.set(xscale="log", xlim=(0.5, max(values) * 4), ylim=(len(values) - 0.4, -1.2))
    _finish(ax, "distance to fresh data, in floors")


def _within(ax: Any, left: float, right: float) -> Any:
    """The axes shrunk to a part of their width, to leave room for names."""
    box = ax.get_position()
    ax.set_position((box.x0 + left * box.width, box.y0, (right - left) * box.width, box.height))
    return ax


def _finish(ax: Any, title: str) -> None:
    ax.set_title(title, fontsize=9.5, color=INK, pad=4)
    _soften(ax)


def _soften(ax: Any) -> None:
    ax.tick_params(labelsize=8, colors="#555555", length=2.5)
    ax.xaxis.label.set(fontsize=8.5, color="#555555")
    for spine in ax.spines.values():
        spine.set(color=FAINT, linewidth=0.7)
