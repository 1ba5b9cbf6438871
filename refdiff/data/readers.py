"""The readers of `images.load`, one for each layout: each gives arrays of images, their labels and the names of the classes."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from .idx import NAMES, find, read_folder, read_idx
from .images import LIMIT

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
NPZ: tuple[tuple[str, ...], ...] = (  # the names of arrays that are in use: images, labels, test images, test labels
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels"),
    ("x", "y"),
    ("images",),
    ("x",),
    ("arr_0", "arr_1"),
    ("arr_0",),
)


class Read(NamedTuple):
    """What a file holds: images, labels, the names of the classes, and a test part if it has one."""

    images: Array
    labels: Array | None = None
    names: tuple[str, ...] = ()
    test: Array | None = None
    test_labels: Array | None = None


def of(path: Path) -> Callable[[Path], Read]:
    """The reader of a folder or a file."""
    if path.is_dir():
        return idx_folder if find(path, NAMES[0]) else pictures
    return {".npy": array_file, ".npz": array_file, ".csv": csv}.get(path.suffix.lower(), idx_file)


def idx_folder(folder: Path) -> Read:
    """The four files of MNIST."""
    train, labels, test, test_labels = read_folder(folder)
    return Read(train, labels, class_names(folder, np.concatenate([labels, test_labels])), test, test_labels)


def idx_file(path: Path) -> Read:
    """One IDX file of images, without labels."""
    return Read(check_images(path, read_idx(path)))


def array_file(path: Path) -> Read:
    """What NumPy saved: one array of images, or arrays by one of the groups of names `NPZ`, such as `images` and `labels`."""
    found = _arrays(path)
    names = next((group for group in (("",), *NPZ) if set(group) <= set(found)), None)
    if names is None:
        raise ValueError(f"{path} has the arrays {', '.join(found)}; allowed: {'; '.join(', '.join(group) for group in NPZ)}")
    arrays = [found[name] for name in names]
    images = [check_images(path, each) for each in arrays[::2]]
    labels = [check_labels(path, *each) for each in zip(arrays[1::2], images, strict=False)]
    if len(images) == 1:
        return Read(images[0], labels[0], class_names(path, labels[0])) if labels else Read(images[0])
    if images[1].shape[1:] != images[0].shape[1:]:
        raise ValueError(f"{path}: {names[2]} has shape {images[1].shape}; allowed: (N, ...) as {names[0]}, {images[0].shape}")
    return Read(images[0], labels[0], class_names(path, np.concatenate(labels)), images[1], labels[1])


def csv(path: Path) -> Read:
    """A square grey image in each row; a first column `label` holds the classes. A line of names above the numbers is optional."""
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline()
    header = not all(re.fullmatch(r"[\s\d.eE+-]*", field) for field in first.split(","))
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=int(header), ndmin=2, dtype=np.int64, encoding="utf-8-sig")
    except ValueError as error:
        raise ValueError(f"{path} is not a table of whole numbers ({error}); allowed: levels from 0 to 255, separated by commas") from error
    labels = None
    if header and first.split(",")[0].strip(" \"'").lower() in ("label", "labels", "class"):
        labels, table = table[:, 0], table[:, 1:]
    side = round(table.shape[1] ** 0.5)
    if side**2 != table.shape[1] or not table.size or table.min() < 0 or table.max() > 255:
        raise ValueError(f"{path} has {table.shape[1]} numbers in a row; allowed: a square number of levels from 0 to 255, after a label")
    images = table.astype(np.uint8).reshape(-1, side, side)
    return Read(images) if labels is None else Read(images, labels, class_names(path, labels))


def pictures(folder: Path, size: int | None = None) -> Read:
    """The pictures in a folder, or in its folders, one for each class in the order of their names; grey if all of them are."""
    groups = [each for each in sorted(folder.iterdir()) if each.is_dir() and not each.name.startswith(".")]
    loose = _files(folder)
    if bool(groups) == bool(loose):
        found = f"{len(loose)} pictures and {len(groups)} folders"
        raise ValueError(f"{folder} has {found}; allowed: pictures ({', '.join(SUFFIXES)}), or a folder of pictures for each class")
    paths = [(label, path) for label, group in enumerate(groups or [folder]) for path in _files(group)]
    empty = [group.name for label, group in enumerate(groups) if label not in {label for label, _ in paths}]
    if empty:
        raise ValueError(f"{folder} has no pictures in {', '.join(empty)}; allowed: a folder of pictures for each class")
    images = [_picture(path, size) for _, path in paths]
    for (_, path), image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            sizes = ["{1} x {0}".format(*each.shape) for each in (image, images[0])]
            raise ValueError(
                f"{path} has {sizes[0]} pixels; allowed: {sizes[1]}, as {paths[0][1].name}, or a size to which all are cropped"
            )
    x = np.stack(images)
    x = x[..., 0] if (x == x[..., :1]).all() else x
    return Read(x, np.array([label for label, _ in paths]), tuple(group.name for group in groups)) if groups else Read(x)


def check_images(path: Path, x: Array) -> Array:
    """The images; raises ValueError for an array of another dtype or shape."""
    if x.dtype != np.uint8:
        raise ValueError(
            f"{path} has dtype {x.dtype}; allowed: uint8, levels 0 to 255; np.rint(255 * x).astype(np.uint8) for numbers 0 to 1"
        )
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        raise ValueError(f"{path} has shape {x.shape}, channels first; allowed: (N, H, W, C), which np.moveaxis(x, 1, -1) gives")
    if not (x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3))) or not x.size:
        raise ValueError(f"{path} has shape {x.shape}; allowed: (N, H, W), or (N, H, W, C) with 1 or 3 colours C")
    return x[..., 0] if x.ndim == 4 and x.shape[3] == 1 else x


def check_labels(path: Path, labels: Array, images: Array) -> Array:
    """The labels (N,) int64, also of an array (N, 1); raises ValueError for others than whole numbers from 0, one for each image."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(f"{path} has labels of dtype {labels.dtype}, shape {labels.shape}; allowed: integers, {images.shape[:1]}")
    return labels.astype(np.int64)


def class_names(path: Path, labels: Array) -> tuple[str, ...]:
    """The classes 0, 1, ... up to the largest label."""
    if labels.min() < 0 or labels.max() >= LIMIT:
        raise ValueError(f"{path} has labels from {labels.min()} to {labels.max()}; allowed: 0 to {LIMIT - 1}")
    return tuple(map(str, range(labels.max() + 1)))


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES and not each.name.startswith("."))


def _picture(path: Path, size: int | None) -> Array:
    """A picture (H, W, 3), turned as its camera says, on white where it is transparent."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            if file.mode.startswith(("I", "F")):
                raise ValueError(f"{path} has the mode {file.mode}; allowed: pictures of 8 bits for each colour")
            picture = ImageOps.exif_transpose(file).convert("RGBA")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no picture that Pillow reads ({error})") from error
    picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return np.asarray(picture if size is None else ImageOps.fit(picture, (size, size)))


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file by name; the array of `np.save` has the name "", and arrays without images or labels are not read."""
    wanted = {name for group in NPZ for name in group}
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            return {name: loaded[name] if name in wanted else np.empty(0) for name in loaded.files}
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no file of NumPy's ({error}); allowed: what np.save or np.savez wrote") from error
