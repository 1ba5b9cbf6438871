"""Pictures of digits: a grid of samples as a PNG, and an animation of sampling as a GIF. Dark ink on a light background."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refdiff import files, mnist
from refdiff.arrays import Array

GAP, ZOOM = 2, 2  # margin of a digit in pixels, and enlargement


def tile(x: Array, rows: int) -> Array:
    """Digits x (N, 28, 28, 1), row by row, as one grey image (height, width) uint8 with dark ink."""
    images = np.pad(mnist.to_pixels(x), ((0, 0), (GAP, GAP), (GAP, GAP)))
    n, height, width = images.shape
    grid = images.reshape(rows, n // rows, height, width).transpose(0, 2, 1, 3).reshape(rows * height, n // rows * width)
    return (255 - grid).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


def save_grid(x: Array, rows: int, path: Path) -> None:
    """Write digits as a PNG."""
    from matplotlib.image import imsave

    with files.replacing(path) as new:
        imsave(new, tile(x, rows), cmap="gray", vmin=0, vmax=255, format="png")


def save_animation(states: Sequence[Array], rows: int, path: Path, fps: int = 12) -> None:
    """Write a GIF with a frame for every state; the last frame is held for a second."""
    from matplotlib.animation import PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frames = [tile(x, rows) for x in states]
    height, width = frames[0].shape
    figure = Figure(figsize=(width / 100, height / 100))
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    image = ax.imshow(frames[0], cmap="gray", vmin=0, vmax=255)
    writer = PillowWriter(fps=fps)
    with files.replacing(path) as new, writer.saving(figure, str(new), dpi=100):
        for frame in frames + [frames[-1]] * fps:
            image.set_data(frame)
            writer.grab_frame()
