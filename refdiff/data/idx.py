"""IDX, the file format of MNIST: an array of unsigned bytes with its shape.

Two zero bytes, a byte for the element type, a byte for the number of dimensions, each dimension as a big-endian uint32, then the
elements in C order.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ..arrays import Array

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_RATIO = 1032  # the largest ratio of compression that gzip can reach


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


def spellings(name: str) -> list[str]:
    """The names that a file of MNIST has in use: gzipped or not, with a hyphen or a dot before `idx`."""
    return [spelling + end for spelling in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]


def find(folder: Path, name: str) -> Path | None:
    """The file of this name in any spelling, or None."""
    return next((folder / spelling for spelling in spellings(name) if (folder / spelling).is_file()), None)


def read_folder(folder: Path, size: tuple[int, int] | None = None, classes: int = 256) -> tuple[Array, Array, Array, Array]:
    """Images, labels, test images and test labels in the four files of a folder; raises an error that names the wrong file.

    The images have this size, or any one size, and the labels are less than `classes`.
    """
    paths = []
    for name in NAMES:
        path = find(folder, name)
        if path is None:
            raise FileNotFoundError(f"{folder} has no file {name}; allowed: a folder with one of {', '.join(spellings(name))}")
        paths.append(path)
    train, labels = _read_pair(paths[0], paths[1], size, classes)
    return train, labels, *_read_pair(paths[2], paths[3], train.shape[1:], classes)


def _read_pair(images_path: Path, labels_path: Path, size: tuple[int, ...] | None, classes: int) -> tuple[Array, Array]:
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.shape[1:] != (size or images.shape[1:]):
        raise ValueError(f"{images_path} has shape {images.shape}; allowed: ({', '.join(map(str, ('N', *(size or 'HW'))))})")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{labels_path} has shape {labels.shape}; allowed: {images.shape[:1]}, a label for each image of {images_path}")
    if labels.max() >= classes:
        raise ValueError(f"{labels_path} has label {labels.max()}; allowed: 0 to {classes - 1}")
    return images, labels.astype(np.int64)
