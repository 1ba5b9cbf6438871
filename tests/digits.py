"""Synthetic digits for tests: bars in the files of MNIST."""

import struct

import numpy as np

from refdiff import rng


def draw(n, seed):
    """Images of bars whose thickness is given by the class, with a little noise, and labels."""
    labels = np.arange(n) % 10
    images = (20 * rng.uniform(seed, n, 784)).reshape(n, 28, 28)
    for image, y in zip(images, labels, strict=True):
        image[4 : 6 + 2 * y, 4:24] += 200
    return images.astype(np.uint8), labels.astype(np.uint8)


def idx(array):
    """The bytes of an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder, train=60, test=20):
    """Write the four files: images and labels, for training and held out."""
    for part, n in ("train", train), ("t10k", test):
        images, labels = draw(n, n)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder
