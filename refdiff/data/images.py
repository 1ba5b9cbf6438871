"""Images to train on: their arrays, their scale, and one function that reads them from a folder or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, kind
from ..checks import check_arrays, check_dtype

LIMIT = 1000  # the most classes; a larger label is a mistake


class Images(NamedTuple):
    """Training and test images (N, H, W) or (N, H, W, C) uint8; labels (N,) int64 in 0..K-1, or None; source: their origin; names: of classes."""

    train: Array
    train_labels: Array | None
    test: Array
    test_labels: Array | None
    source: str
    names: tuple[str, ...] = ()


def to_model(images: Array, dtype: Any = np.float32) -> Array:
    r"""Scale grey or colour levels k (N, H, W) or (N, H, W, C) uint8 to [-1, 1]: x (N, H, W, C) of the given floating-point dtype.

    $$x = \frac{2k}{255} - 1 = \frac{2k - 255}{255}$$

    C is 1 for images (N, H, W). Raises TypeError for images of another dtype, ValueError for another shape. Source: [DDPM sec. 3.3].
    """
    if kind(images) != "u" or images.dtype != np.uint8:
        raise TypeError(f"images has dtype {getattr(images, 'dtype', None)}; allowed: uint8")
    if images.ndim not in (3, 4):
        raise ValueError(f"images has shape {images.shape}; allowed: (N, H, W) or (N, H, W, C)")
    if check_dtype(dtype).kind != "f":
        raise TypeError(f"dtype = {dtype!r}; allowed: a floating-point dtype")
    levels = ((2 * np.arange(256) - 255) / 255).astype(dtype)  # a lookup table: a float64 copy of all images would take 376 MB
    return levels[images if images.ndim == 4 else images[..., None]]


def to_pixels(x: Array) -> Array:
    r"""Round x (N, H, W, C), clipped to [-1, 1], to the nearest levels: uint8 (N, H, W) for C = 1, (N, H, W, C) otherwise.

    $$k = \mathrm{round}\left(\tfrac{255}{2} (x + 1)\right)$$

    Raises TypeError unless x is a floating-point array, ValueError for NaN, infinity, complex x or another shape.
    Source: [DDPM sec. 3.3].
    """
    x = x.astype(np.float32) if getattr(x, "dtype", None) == np.float16 else x
    check_arrays(x=x)
    if x.dtype.kind != "f" or x.ndim != 4:
        raise ValueError(f"x has dtype {x.dtype}, shape {x.shape}; allowed: real numbers, (N, H, W, C)")
    levels = np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8)
    return levels[..., 0] if levels.shape[-1] == 1 else levels


def load(path: Path | str, size: int | None = None) -> Images:
    """The images in a folder or a file, all of one size, grey or colour:

    - a folder of pictures (PNG, JPEG and others that Pillow reads), or of one folder of pictures for each class;
    - a folder with the four files of MNIST in IDX format, of images of any size, or one IDX file;
    - `.npy`: an array (N, H, W) or (N, H, W, C) uint8; `.npz`: such an array with labels, or with a test part (names in `readers.NPZ`);
    - `.csv`: one square grey image in each row, levels 0 to 255, perhaps with a first column `label`.

    Pictures that Pillow reads are cropped to a centred square of `size` pixels, if it is given. If the data have no test part, every
    tenth image of each class is a test image. Raises FileNotFoundError if there is nothing, ValueError for what cannot be used.
    """
    from . import readers  # not before: `readers` uses this module

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; allowed: a folder or a file with images")
    read = readers.of(path)
    if size is not None and read is not readers.pictures:
        raise ValueError(f"size = {size!r} for {path}; allowed: None, unless it is a folder of pictures")
    found = read(path) if size is None else readers.pictures(path, size)
    parts = split(path, *found[:2]) if found.test is None else (found.images, found.labels, found.test, found.test_labels)
    origin = f"{len(parts[0]):,} images to train on and {len(parts[2]):,} to test on, from {path}."
    return Images(*parts, origin, found.names)


def split(path: Path, images: Array, labels: Array | None) -> tuple[Array, Array | None, Array, Array | None]:
    """Training and test part: every tenth image of each class is a test image, or the last one if no class has ten."""
    if len(images) < 2:
        raise ValueError(f"{path} has {len(images)} image; allowed: 2 or more")
    test = np.zeros(len(images), bool)
    for label in [None] if labels is None else np.unique(labels):
        test[np.flatnonzero(np.ones(len(images)) if label is None else labels == label)[9::10]] = True
    test[-1] |= not test.any()
    return images[~test], None if labels is None else labels[~test], images[test], None if labels is None else labels[test]
