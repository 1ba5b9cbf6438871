"""Pictures: a grid of samples as a PNG, and an animation of sampling as a GIF. Drawings on black are shown dark on light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refdiff import files, images
from refdiff.arrays import Array

GAP, ZOOM = 2, 2  # margin of a digit in pixels, and enlargement


def tile(x: Array, rows: int, ink: bool = True) -> Array:
    """Images x (N, H, W, C), row by row, as one image (height, width) or (height, width, 3) uint8; negatives for `ink`."""
    levels = images.to_pixels(-x if ink else x)
    padded = np.pad(levels, [(0, 0), (GAP, GAP), (GAP, GAP)] + [(0, 0)] * (levels.ndim - 3), constant_values=255)
    n, height, width, *colours = padded.shape
    grid = padded.reshape(rows, n // rows, height, width, *colours).swapaxes(1, 2).reshape(rows * height, n // rows * width, *colours)
    return grid.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


def save_grid(x: Array, rows: int, path: Path, ink: bool = True) -> None:
    """Write images as a PNG."""
    from matplotlib.image import imsave

    with files.replacing(path) as new:
        imsave(new, tile(x, rows, ink), cmap="gray", vmin=0, vmax=255, format="png")


def save_animation(states: Sequence[Array], rows: int, path: Path, ink: bool = True, fps: int = 12) -> None:
    """Write a GIF with a frame for every state; the last frame is held for a second."""
    from matplotlib.animation import PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frames = [tile(x, rows, ink) for x in states]
    height, width = frames[0].shape[:2]
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
