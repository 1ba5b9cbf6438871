"""Drawing with matplotlib, which is imported inside functions only. No window is opened and no global state is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import files
from ..arrays import Array
from ..plots import COLORS, FAINT, INK, arrows, colors, new_figure
from ..process.tables import Schedule

GREEN, RED = "#2a9d72", "#c0392b"


class Panel(NamedTuple):
    """Points (N, 2) with labels (N,); if given, a field (positions, vectors), both (M, 2), or trajectories (steps, M, 2) with
    labels (M,).
    """

    title: str
    points: Array
    labels: Array
    field: tuple[Array, Array] | None = None
    trajectories: tuple[Array, Array] | None = None


class Curve(NamedTuple):
    """A curve of a chart."""

    name: str
    x: Array
    y: Array


class DemoFigure(NamedTuple):
    """Content of the demo's figure, row by row: schedule and noised data; fields; samples; curves, distances, guided samples.

    Every row has a caption. Distances are ratios to the noise floor; max_ratio is the largest that passes. The curves are errors
    if `converging`, otherwise losses. limit is half the side of the panels.
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
    max_ratio: float
    guided: list[Panel]
    limit: float


def save_demo(content: DemoFigure, path: Path) -> None:
    """Write the demo's figure as a PNG: four rows of six panels; a chart is as wide as two panels."""
    figure = new_figure(15.6, 13.4)
    grid = figure.add_gridspec(4, 6, left=0.045, right=0.985, top=0.912, bottom=0.045, wspace=0.12, hspace=0.44)
    figure.text(0.045, 0.972, content.title, fontsize=17, weight="bold", color=INK)
    for row, caption in enumerate(content.captions):
        figure.text(0.045, grid[row, 0].get_position(figure).y1 + 0.034, caption, fontsize=11, color=GREEN)
    _draw_schedule(_within(figure.add_subplot(grid[0, :2]), 0, 0.9), content.schedule)
    for row, column, panels in (0, 2, content.forward), (1, 0, content.fields), (2, 0, content.samples), (3, 4, content.guided):
        for i, panel in enumerate(panels):
            _draw_panel(figure.add_subplot(grid[row, column + i]), panel, content.limit)
    if content.converging:
        _draw_convergence(_within(figure.add_subplot(grid[3, :2]), 0, 0.58), content.curves)
    else:
        _draw_losses(_within(figure.add_subplot(grid[3, :2]), 0, 0.9), content.curves)
    _draw_distances(_within(figure.add_subplot(grid[3, 2:4]), 0.34, 0.96), content.distances, content.max_ratio)
    with files.replacing(path) as new:
        figure.savefig(new, dpi=110)


def save_animation(frames: list[list[Panel]], path: Path, limit: float, fps: int = 12) -> None:
    """Write a GIF whose frames are rows of equally many panels; the last frame is held for a third of the running time."""
    from matplotlib.animation import PillowWriter

    figure = new_figure(3.3 * len(frames[0]), 3.5)
    axes = figure.subplots(1, len(frames[0]), squeeze=False)[0]
    figure.subplots_adjust(left=0.02, right=0.98, top=0.88, bottom=0.02, wspace=0.06)
    writer = PillowWriter(fps=fps)
    with files.replacing(path) as new, writer.saving(figure, str(new), dpi=90):
        drawn = [_draw_panel(ax, panel, limit) for ax, panel in zip(axes, frames[0], strict=True)]
        for panels in frames + [frames[-1]] * (len(frames) // 3):
            for ax, panel, lines in zip(axes, panels, drawn, strict=True):
                ax.set_title(panel.title)
                for line, members in zip(lines, _by_label(panel), strict=True):
                    line.set_data(*members.T)
            writer.grab_frame()


def _by_label(panel: Panel) -> list[Array]:
    """The points of each label."""
    return [panel.points[panel.labels == y] for y in np.unique(panel.labels)]


def _draw_panel(ax: Any, panel: Panel, limit: float) -> list[Any]:
    """Draw a panel; returns the point clouds, one per label, which an animation updates."""
    alpha = 0.2 if panel.field or panel.trajectories else 0.6
    clouds = [
        ax.plot(*members.T, linestyle="", marker="o", markersize=1.7, markeredgewidth=0, color=color, alpha=alpha, zorder=1)[0]
        for members, color in zip(_by_label(panel), colors(np.unique(panel.labels)), strict=True)
    ]
    if panel.field is not None:
        (x, y), vectors = panel.field[0].T, arrows(panel.field[1])
        ax.quiver(x, y, *vectors.T, color=INK, angles="xy", scale_units="xy", scale=8 / limit, width=0.0055, headwidth=4.5, zorder=2)
    if panel.trajectories is not None:
        states, labels = panel.trajectories
        for i, color in enumerate(colors(labels)):
            ax.plot(*states[:, i].T, color=color, linewidth=0.9, alpha=0.8, zorder=2)
        ax.scatter(*states[0].T, s=7, facecolors="white", edgecolors=FAINT, linewidths=0.7, zorder=3)
        ax.scatter(*states[-1].T, s=7, c=colors(labels), linewidths=0, zorder=4)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    _finish_axes(ax, panel.title)
    return clouds


def _draw_schedule(ax: Any, schedule: Schedule) -> None:
    t = np.arange(schedule.T + 1)
    lines = [
        *ax.plot(t, schedule.signal, color=COLORS[0], label=r"signal $\sqrt{\bar\alpha_t}$"),
        *ax.plot(t, schedule.sigma, color=COLORS[1], label=r"noise $\sqrt{1-\bar\alpha_t}$"),
    ]
    ax.set(xlim=(0, schedule.T), ylim=(0, 1.03))
    twin = ax.twinx()
    lines += twin.plot(t[1:], schedule.log_snr[1:], color=GREEN, linestyle="--", label="log SNR (right axis)")
    ax.legend(handles=lines, fontsize=8.5, frameon=False, loc="center", bbox_to_anchor=(0.74, 0.68))
    _finish_axes(ax, "noise schedule over time t")
    _style_axes(twin)


def _draw_losses(ax: Any, curves: list[Curve]) -> None:
    for curve, color in zip(curves, COLORS, strict=False):
        ax.plot(curve.x, curve.y, color=color, linewidth=1.2, label=curve.name)
    ax.set(xlabel="training step", ylim=(0, None), xlim=(0, None))
    ax.legend(fontsize=8.5, frameon=False, loc="upper right")
    _finish_axes(ax, "training loss (running mean)")


def _draw_convergence(ax: Any, curves: list[Curve]) -> None:
    for i, curve in enumerate(curves):
        color, mark = COLORS[i % len(COLORS)], "osD^vP*X<>"[i % 10]
        ax.loglog(curve.x, curve.y, color=color, marker=mark, markersize=3.5, linewidth=1.1, label=curve.name)
    ax.set_xticks(curves[0].x, [str(int(x)) for x in curves[0].x])
    ax.minorticks_off()
    ax.set(xlabel="number of steps")
    ax.legend(
        fontsize=7.5,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        handlelength=1.4,
        title="measured order",
        title_fontsize=8,
    )
    _finish_axes(ax, "error of each sampler")


def _draw_distances(ax: Any, distances: list[tuple[str, float]], max_ratio: float) -> None:
    names, ratios = zip(*distances, strict=True)
    y = np.arange(len(ratios))
    ax.axvline(1, color=GREEN, linewidth=1)
    ax.axvline(max_ratio, color=RED, linewidth=1, linestyle=":")
    ax.hlines(y, 1, ratios, color=COLORS[0], linewidth=1.4)
    ax.plot(ratios, y, "o", color=COLORS[0], markersize=5)
    for i, ratio in enumerate(ratios):
        ax.text(0.97, i, f"{ratio:.1f}", transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=8.5, color=INK)
    ax.text(0.94, -0.75, "noise floor", ha="right", fontsize=8, color=GREEN)
    ax.text(1.06 * max_ratio, -0.75, f"limit {max_ratio:g}", fontsize=8, color=RED)
    ax.set_yticks(y, names)
    ax.set(xscale="log", xlim=(min(0.1, 0.8 * min(ratios)), max(ratios) * 5), ylim=(len(ratios) - 0.4, -1.2))
    ax.xaxis.set_major_formatter("{x:g}")
    _finish_axes(ax, "energy distance / noise floor")


def _within(ax: Any, left: float, right: float) -> Any:
    """The axes narrowed to a part of their width, to leave space for names."""
    box = ax.get_position()
    ax.set_position((box.x0 + left * box.width, box.y0, (right - left) * box.width, box.height))
    return ax


def _finish_axes(ax: Any, title: str) -> None:
    ax.set_title(title, fontsize=9.5, color=INK, pad=4)
    _style_axes(ax)


def _style_axes(ax: Any) -> None:
    ax.tick_params(labelsize=8, colors="#555555", length=2.5)
    ax.xaxis.label.set(fontsize=8.5, color="#555555")
    for spine in ax.spines.values():
        spine.set(color=FAINT, linewidth=0.7)
