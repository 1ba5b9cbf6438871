"""Pictures in one line: a schedule, points, a vector field, a grid of images, an animation.

A picture shows itself in a notebook, and `picture.save(path)` writes it. Matplotlib and Pillow are imported when they are used; no
window is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from .arrays import Array, Model
from .checks import check_arrays, check_count, check_scalar
from .data.images import to_pixels
from .process.tables import Schedule
from .sampling import orders as measured

COLORS = ("#1f6fb2", "#e8853a", "#2a9d72", "#c2528b", "#7a5cc4", "#c9a227", "#4ab3c9", "#8a6d5a")  # by label, repeating
INK, FAINT = "#222222", "#b8bcc2"
SOLVERS = ("ddim", "heun", "rk4", "dpm_solver_3", "dpmpp_2m", "dpmpp_3m", "unipc_3", "ipndm_4")  # the orders of these are drawn
GAP, ZOOM = 2, 2  # margin of an image of a grid in pixels, and its enlargement


class Picture:
    """A picture in a notebook or a file: a figure of Matplotlib (`figure`) or an image of Pillow."""

    def __init__(self, figure: Any) -> None:
        self.figure = figure

    def save(self, path: Path | str) -> None:
        """Write the picture; the file replaces an older one only when it is complete."""
        path = Path(path)
        with files.replacing(path) as new:
            self._write(new, path.suffix[1:] or "png", 150)

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self._write(buffer, "png", 100)
        return buffer.getvalue()

    def _write(self, new: Any, form: str, dpi: int) -> None:
        if hasattr(self.figure, "savefig"):
            self.figure.savefig(new, format=form, dpi=dpi)
        else:
            self.figure.save(new, format=form)


def schedule(*schedules: Schedule, names: Sequence[str] | None = None) -> Picture:
    """Signal and noise of one or more schedules over the time t, and the logarithm of their SNR."""
    if not schedules or not all(isinstance(each, Schedule) for each in schedules):
        raise TypeError(f"schedules = {schedules!r}; allowed: one Schedule or more")
    names = [f"schedule {i + 1}" for i in range(len(schedules))] if names is None else names
    figure = new_figure(9, 3.2)
    left, right = figure.subplots(1, 2)
    for i, (each, name) in enumerate(zip(schedules, names, strict=True)):
        t, color = np.arange(each.T + 1) / each.T, COLORS[i % len(COLORS)]
        left.plot(t, each.signal, color=color, label=f"signal, {name}" if len(schedules) > 1 else "signal")
        left.plot(t, each.sigma, color=color, linestyle="--", label="noise")
        right.plot(t[1:], each.log_snr[1:], color=color)
    left.legend(fontsize=8, frameon=False)
    left.set(title="signal and noise", xlabel="t / T", ylim=(0, 1.03))
    right.set(title="log SNR", xlabel="t / T")
    return Picture(figure)


def orders(names: Sequence[str] = SOLVERS, calls: Sequence[int] = (6, 12, 24, 48, 96, 192)) -> Picture:
    """The errors of solvers on the mixture of `orders.certificate`, over the number of model calls."""
    figure = new_figure(7, 4)
    ax = figure.add_subplot()
    for i, name in enumerate(names):
        nominal, each = measured.nominal(name)
        steps = [count // each for count in calls if count % each == 0]
        line = ("-", "--", ":")[i // len(COLORS) % 3]
        errors = [measured.error(name, count) for count in steps]
        ax.loglog(
            [count * each for count in steps],
            errors,
            line,
            marker="o",
            markersize=3,
            color=COLORS[i % len(COLORS)],
            label=f"{name}, order {nominal}",
        )
    ax.set(xlabel="model calls", title="error at the end of the path")
    ax.set_xticks(calls, [str(count) for count in calls])
    ax.minorticks_off()
    ax.legend(fontsize=8, frameon=False)
    return Picture(figure)


def samples(x: Array, labels: Array | None = None, data: Array | None = None, limit: float | None = None) -> Picture:
    """Points x (N, 2), coloured by their labels, on grey points of the data if they are given."""
    x, figure = _points("x", x), new_figure(4, 4)
    ax = figure.add_subplot()
    if data is not None:
        ax.plot(*_points("data", data).T, "o", markersize=2, markeredgewidth=0, color=FAINT)
    y = np.zeros(len(x), int) if labels is None else np.asarray(labels)
    if y.shape != x.shape[:1]:
        raise ValueError(f"labels has shape {y.shape}; allowed: {x.shape[:1]}, one for each point")
    ax.scatter(*x.T, s=4, linewidths=0, c=colors(y))
    _square(ax, limit)
    return Picture(figure)


def field(model: Model, t: Any, limit: float = 3.0, count: int = 21) -> Picture:
    """The vectors model(x, t), such as a velocity or a score, at count x count points of a square; their lengths are square roots."""
    limit, count = check_scalar("limit", limit, 0, open_low=True), check_count("count", count, 2, 200)
    line = np.linspace(-limit, limit, count)
    x = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    vectors, figure = arrows(_points("model(x, t)", model(x, t))), new_figure(4, 4)
    ax = figure.add_subplot()
    ax.quiver(*x.T, *vectors.T, color=INK, angles="xy", scale_units="xy", scale=8 / limit, width=0.0055, headwidth=4.5)
    _square(ax, limit)
    return Picture(figure)


def grid(x: Array, rows: int | None = None, ink: bool = False) -> Picture:
    """Images x (N, H, W, C), numbers from -1 to 1, row by row on white; negatives, such as digits dark on light, for `ink`."""
    from PIL import Image

    return Picture(Image.fromarray(tile(x, rows, ink)))


def tile(x: Array, rows: int | None = None, ink: bool = False) -> Array:
    """The pixels of `grid`: (height, width) or (height, width, 3) uint8. By default there are as many rows as columns, or one fewer."""
    levels = to_pixels(-x if ink else x)
    n = len(levels)
    rows = max(1, round(n**0.5)) if rows is None else check_count("rows", rows, 1, n)
    columns = -(-n // rows)
    margins = [(0, rows * columns - n), (GAP, GAP), (GAP, GAP)] + [(0, 0)] * (levels.ndim - 3)
    padded = np.pad(levels, margins, constant_values=255)
    _, height, width, *rest = padded.shape
    joined = padded.reshape(rows, columns, height, width, *rest).swapaxes(1, 2).reshape(rows * height, columns * width, *rest)
    return joined.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


def gif(
    states: Iterable[Array],
    path: Path | str,
    labels: Array | None = None,
    rows: int | None = None,
    ink: bool = False,
    limit: float = 3.0,
    fps: int = 12,
) -> None:
    """Write an animation of states, points (N, 2) or images (N, H, W, C), such as those of `samplers.sample`; the last is held for a second."""
    from PIL import Image

    fps = check_count("fps", fps, 1, 50)
    frames = [_frame(np.asarray(x), labels, rows, ink, limit) for x in states]
    if not frames:
        raise ValueError("states has no states; allowed: one or more")
    pictures = [Image.fromarray(frame) for frame in frames]
    times = [1000 // fps] * (len(frames) - 1) + [1000]
    with files.replacing(Path(path)) as new:
        pictures[0].save(new, format="gif", save_all=True, append_images=pictures[1:], duration=times, loop=0)


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches, for files; it needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout=None)
    FigureCanvasAgg(figure)
    return figure


def colors(labels: Array) -> list[str]:
    """A colour per label."""
    return [COLORS[y % len(COLORS)] for y in labels]


def arrows(vectors: Array) -> Array:
    """Arrows of the square root of the magnitude, relative to its 95 % quantile, so that small vectors remain visible."""
    length = np.hypot(*vectors.T)[:, None]
    return vectors / np.sqrt(np.maximum(length, 1e-12) * np.quantile(length, 0.95))


def _points(name: str, x: Array) -> Array:
    check_arrays(**{name: x})
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"{name} has shape {x.shape}; allowed: (N, 2), points in the plane")
    return x


def _square(ax: Any, limit: float | None) -> None:
    ax.set(aspect="equal", xticks=[], yticks=[])
    if limit is not None:
        ax.set(xlim=(-limit, limit), ylim=(-limit, limit))


def _frame(x: Array, labels: Array | None, rows: int | None, ink: bool, limit: float) -> Array:
    if x.ndim != 2:
        return tile(x, rows, ink)
    figure = samples(x, labels, limit=limit).figure
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]
