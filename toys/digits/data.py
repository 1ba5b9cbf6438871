"""The images that the digits toy learns from: MNIST, Fashion-MNIST, or those in a file or folder."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from refdiff import fashion, images, mnist
from refdiff.data.images import Images

from .spec import Spec, UsageError


def load(arguments: argparse.Namespace) -> Images:
    """Load the images that the options name, and print where they come from."""
    if arguments.size is not None and arguments.data is None:
        raise UsageError(f"argument --size: {arguments.size}; allowed: with --data")
    download, data = not arguments.no_download, arguments.data
    try:
        if arguments.fashion:
            found = fashion.load(download)
        else:
            found = mnist.load(None, download) if data is None else images.load(data, arguments.size)
    except ModuleNotFoundError:
        raise
    except (OSError, ValueError) as error:
        option = "--fashion" if arguments.fashion else f"--data: {None if data is None else str(data)!r}"
        raise UsageError(f"argument {option}; allowed: a folder or a file with images ({error})") from error
    print(found.source, flush=True)
    return found


def with_data(spec: Spec, found: Images) -> Spec:
    """The specification of a run on these images."""
    if spec.model != "unet" and len(found.names) < 2:
        raise UsageError(f"argument --model: {spec.model!r} for images without labels; allowed: unet")
    size = (*found.train.shape[1:3], 1 if found.train.ndim == 3 else 3)
    ink = size[2] == 1 and float(np.median(found.train[:1000])) == 0  # most pixels are black: a drawing on black
    return replace(spec, size=size, classes=len(found.names), ink=ink, digits=digest(found))


def check_size(option: str, spec: Spec, other: Spec) -> None:
    """Raise UsageError unless both are for images of the same size with equally many labels."""
    if (other.size, other.classes) != (spec.size, spec.classes):
        size, allowed = ("{} x {} x {} with {} labels".format(*each.size, each.classes) for each in (other, spec))
        raise UsageError(f"argument {option}: images of {size}; allowed: {allowed}, as --run learned")


def digest(found: Images) -> str:
    """Digest of the training data."""
    labels = b"" if found.train_labels is None else found.train_labels.tobytes()
    return hashlib.sha256(found.train.tobytes() + labels).hexdigest()[:16]


def options(arguments: argparse.Namespace) -> Sequence[str]:
    """The options that name the same images again."""
    words = ["--fashion"] if arguments.fashion else []
    words += ["--data", str(Path(arguments.data))] if arguments.data else []
    words += ["--size", str(arguments.size)] if arguments.size else []
    return words + (["--no-download"] if arguments.no_download else [])
