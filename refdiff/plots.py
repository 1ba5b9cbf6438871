"""Pictures, by matplotlib, which is imported here alone and only inside functions. No window is opened and no global state touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .arrays import Array
from .tables import Schedule

COLORS = ("#1f6fb2", "#e8853a", "#2a9d72", "#c2528b", "#7a5cc4", "#c9a227", "#4ab3c9", "#8a6d5a")  # by label, then again
INK, FAINT, GOOD = "#222222", "#b8bcc2", "#2a9d72"


class Panel(NamedTuple):
    """Points (N, 2) with labels (N,) or None; arrows, if any, as (places, vectors), both (M, 2); paths (steps, M, 2) with labels (M,)."""

    title: str
    points: Array
    labels: Array | None = None
    arrows: tuple[Array, Array] | None = None
    paths: tuple[Array, Array] | None = None


class Curve(NamedTuple):
    """A line of a chart."""

    name: str
    x: Array
    y: Array


class Story(NamedTuple):
    """All of the picture, row by row: the schedule and noised data; fields; samples; a chart, distances and guided samples."""

    title: str
    schedule: Schedule
    forward: list[Panel]
    fields: list[Panel]
    samples: list[Panel]
    curves: list[Curve]
    converging: bool
    bars: list[tuple[str, float]]
    bound: float | None
    guided: list[Panel]
    limit: float


def save_story(story: Story, path: Path) -> None:
    """Write the story as a PNG: four rows of six squares, the first two and the charts two squares wide."""
    figure = _figure(15.6, 11.4)
    grid = figure.add_gridspec(4, 6, left=0.045, right=0.985, top=0.925, bottom=0.045, wspace=0.16, hspace=0.36)
    figure.text(0.045, 0.965, story.title, fontsize=16, weight="bold", color=INK)
    _draw_schedule(figure.add_subplot(grid[0, :2]), story.schedule)
    for row, column, panels in (0, 2, story.forward), (1, 0, story.fields), (2, 0, story.samples), (3, 4, story.guided):
        for i, panel in enumerate(panels):
            _draw_panel(figure.add_subplot(grid[row, column + i]), panel, story.limit)
    (_draw_convergence if story.converging else _draw_losses)(figure.add_subplot(grid[3, :2]), story.curves)
    _draw_bars(_indented(figure.add_subplot(grid[3, 2:4])), story.bars, story.bound)
    figure.savefig(path, dpi=110)


def save_animation(frames: list[list[Panel]], path: Path, limit: float, fps: int = 12, hold: int = 18) -> None:
    """Write a GIF whose frames each show the same number of panels side by side; the last one stays for `hold` frames."""
    from matplotlib.animation import PillowWriter

    figure = _figure(3.3 * len(frames[0]), 3.5)
    axes = figure.subplots(1, len(frames[0]), squeeze=False)[0]
    figure.subplots_adjust(left=0.02, right=0.98, top=0.88, bottom=0.02, wspace=0.06)
    writer = PillowWriter(fps=fps)
    with writer.saving(figure, str(path), dpi=90):
        for panels in frames + [frames[-1]] * hold:
            for ax, panel in zip(axes, panels, strict=True):
                ax.clear()
                _draw_panel(ax, panel, limit)
            writer.grab_frame()


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def colors(labels: Array | None) -> Any:
    """A colour per point."""
    return INK if labels is None else np.array(COLORS)[np.asarray(labels) % len(COLORS)]


def _draw_panel(ax: Any, panel: Panel, limit: float) -> None:
    faded = panel.arrows is not None or panel.paths is not None
    ax.scatter(*panel.points.T, s=2.5, c=colors(panel.labels), alpha=0.18 if faded else 0.55, linewidths=0, zorder=1)
    if panel.arrows is not None:
        (x, y), (u, v) = panel.arrows[0].T, panel.arrows[1].T
        long = np.quantile(np.hypot(u, v), 0.95)
        ax.quiver(x, y, u, v, color=INK, angles="xy", scale_units="xy", scale=long * 9 / limit, width=0.005, headwidth=4.5, zorder=2)
    if panel.paths is not None:
        states, labels = panel.paths
        for i, color in enumerate(colors(labels)):
            ax.plot(*states[:, i].T, color=color, linewidth=0.9, alpha=0.8, zorder=2)
        ax.scatter(*states[0].T, s=7, facecolors="white", edgecolors=FAINT, linewidths=0.7, zorder=3)
        ax.scatter(*states[-1].T, s=7, c=colors(labels), linewidths=0, zorder=4)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    ax.set_title(panel.title, fontsize=9.5, color=INK, pad=4)
    _soften(ax)


def _draw_schedule(ax: Any, schedule: Schedule) -> None:
    t = np.arange(schedule.T + 1)
    lines = [
        *ax.plot(t, schedule.signal, color=COLORS[0], label=r"signal $\sqrt{\bar\alpha_t}$"),
        *ax.plot(t, schedule.sigma, color=COLORS[1], label=r"noise $\sqrt{1-\bar\alpha_t}$"),
    ]
    ax.set(xlim=(0, schedule.T), ylim=(0, 1.03), xlabel="time t")
    twin = ax.twinx()
    lines += twin.plot(t[1:], schedule.log_snr[1:], color=GOOD, linestyle="--", label="log SNR (right)")
    twin.axhline(0, color=FAINT, linewidth=0.6)
    ax.legend(handles=lines, fontsize=8, frameon=False, loc="center", bbox_to_anchor=(0.66, 0.62))
    ax.set_title("how much signal is left at time t", fontsize=9.5, color=INK, pad=4)
    for axis in ax, twin:
        _soften(axis)


def _draw_losses(ax: Any, curves: list[Curve]) -> None:
    for curve, color in zip(curves, COLORS, strict=False):
        ax.plot(curve.x, curve.y, color=color, linewidth=1.2, label=curve.name)
    ax.set(xlabel="training step", ylim=(0, None), xlim=(0, None))
    ax.set_title(r"loss $\|p_\theta(x_t, t) - target\|^2$, running mean", fontsize=9.5, color=INK, pad=4)
    ax.legend(fontsize=8, frameon=False)
    _soften(ax)


def _draw_convergence(ax: Any, curves: list[Curve]) -> None:
    marks = "osD^vP*X<>"
    for i, curve in enumerate(curves):
        color, mark = COLORS[i % len(COLORS)], marks[i % len(marks)]
        ax.loglog(curve.x, curve.y, color=color, marker=mark, markersize=3.5, linewidth=1.1, label=curve.name)
    ax.set_xticks(curves[0].x, [str(int(x)) for x in curves[0].x])
    ax.minorticks_off()
    ax.set(xlabel="steps")
    ax.set_title("error against the exact answer, with the measured order", fontsize=9.5, color=INK, pad=4)
    ax.legend(fontsize=6.5, frameon=False, ncols=1, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.5)
    _soften(ax)


def _draw_bars(ax: Any, bars: list[tuple[str, float]], bound: float | None) -> None:
    names, values = zip(*bars, strict=True)
    y = np.arange(len(bars))
    ax.barh(y, values, color=[GOOD, *[COLORS[0]] * (len(bars) - 2), FAINT], height=0.62)
    ax.set_yticks(y, names, fontsize=8)
    ax.invert_yaxis()
    ax.set(xscale="log", xlim=(0.3, max(values) * 3))
    for i, value in enumerate(values):
        ax.text(value * 1.08, i, f"{value:.1f}", va="center", fontsize=8, color=INK)
    if bound is not None:
        ax.axvline(bound, color="#c0392b", linewidth=0.9, linestyle=":")
    ax.set_title("energy distance to fresh data, in floors", fontsize=9.5, color=INK, pad=4)
    _soften(ax)


def _indented(ax: Any) -> Any:
    """Room on the left for names."""
    box = ax.get_position()
    ax.set_position((box.x0 + 0.105, box.y0, box.width - 0.105, box.height))
    return ax


def _soften(ax: Any) -> None:
    ax.tick_params(labelsize=8, colors="#555555", length=2.5)
    ax.xaxis.label.set(fontsize=8.5, color="#555555")
    for spine in ax.spines.values():
        spine.set(color=FAINT, linewidth=0.7)
