"""What the commands of the digits toy share: the error of wrong use, what a checkpoint was a run of, and the digits."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refdiff import checkpoint, classifier, fast, flow, mnist, schedules, training, unet
from refdiff.arrays import Array, GaussianPath
from refdiff.training import classification
from refdiff.tree import Tree

CLASSES, SHAPE = 10, (28, 28, 1)
MODELS = ("unet", "classifier", "clean-classifier")
KINDS = ("eps", "x0", "v", "velocity")
SCHEDULES = ("linear", "cosine")


class Wrong(Exception):
    """A wrong option: the text names it, its value and what is allowed. The command ends with exit code 2."""


@dataclass(frozen=True)
class Spec:
    """What is trained: the model, its objective, its schedule ("straight" for flows, "none" for clean data) and its width.

    `workers` slices each batch, and `digits` is the digest of the training data: a run goes on bit for bit with the same of both.
    """

    model: str
    kind: str
    schedule: str
    base: int
    workers: int
    digits: str

    def path(self) -> GaussianPath:
        """How data is noised."""
        if self.schedule == "none":
            return classification.CleanPath()
        return flow.straight if self.schedule == "straight" else getattr(schedules, self.schedule)(1000)

    def params(self, seed: int) -> Tree:
        """The parameters before training."""
        if self.model == "unet":
            return unet.init(seed, base=self.base, classes=CLASSES)
        return classifier.init(seed, base=self.base, classes=CLASSES)

    def network(self) -> tuple[Any, Any]:
        """The network, and the op set that trains it."""
        return (unet.unet, fast) if self.model == "unet" else (classification.as_network, classification.with_cross_entropy(fast))

    def save(self, path: Path, state: training.State, config: training.Config) -> None:
        """Write a checkpoint, whole or not at all."""
        checkpoint.save_state(path, state, config, asdict(self))


def load_run(option: str, path: Path, models: tuple[str, ...] = MODELS) -> tuple[training.State, training.Config, Spec]:
    """The run in a checkpoint that the option names; raises Wrong unless it is one of a model allowed."""
    try:
        state, config, extra = checkpoint.load_state(path)
        spec = Spec(**extra)
    except (OSError, ValueError, TypeError) as error:
        reason = "not written by this toy" if isinstance(error, TypeError) else error
        raise Wrong(f"argument {option}: {str(path)!r}; allowed: a checkpoint that `train` wrote ({reason})") from error
    if spec.model not in models:
        raise Wrong(f"argument {option}: {str(path)!r} holds a {spec.model}; allowed: {', '.join(models)}")
    return state, config, spec


def load_digits(folder: Path | None, download: bool) -> mnist.Digits:
    """The digits, and a line that says where they come from."""
    try:
        digits = mnist.load(folder, download)
    except (OSError, ValueError) as error:
        raise Wrong(
            f"argument --data: {None if folder is None else str(folder)!r}; allowed: a folder with the IDX files ({error})"
        ) from error
    print(digits.source, flush=True)
    return digits


def digest(digits: mnist.Digits) -> str:
    """A name of the training data: the same bytes have the same."""
    return hashlib.sha256(digits.train.tobytes() + digits.train_labels.tobytes()).hexdigest()[:16]


def labels(count: int) -> Array:
    """The classes in turn, 0..9, 0..9, and so on."""
    return np.arange(count) % CLASSES
