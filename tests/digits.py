"""Bars in place of handwritten digits, in MNIST's files."""

import struct

import numpy as np

from refdiff import rng


def draw(n, seed):
    """Bars, whose thickness tells the class, with a little noise."""
    labels = np.arange(n) % 10
    images = (20 * rng.uniform(seed, n, 784)).reshape(n, 28, 28)
    for image, y in zip(images, labels, strict=True):
        image[4 : 6 + 2 * y, 4:24] += 200
    return images.astype(np.uint8), labels.astype(np.uint8)


def idx(array):
    """The bytes of an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder, train=60, test=20):
    """The four files: images and labels to train on, and held out."""
    for part, n in ("train", train), ("t10k", test):
        images, labels = draw(n, n)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder
