"""Shared by the commands of the digits toy: the usage error, the specification of a run, and the data."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refdiff import checkpoint, classifier, fast, flow, mnist, schedules, training, tree, unet
from refdiff.arrays import Array, GaussianPath
from refdiff.checks import check_integer
from refdiff.training import classification
from refdiff.tree import Tree

CLASSES, SHAPE = 10, (28, 28, 1)
MODELS = ("unet", "classifier", "clean-classifier")
KINDS = ("eps", "x0", "v", "velocity")
SCHEDULES = ("linear", "cosine")


class UsageError(Exception):
    """A wrong option: the text names it, its value and what is allowed. The command exits with code 2."""


@dataclass(frozen=True)
class Spec:
    """Specification of a run: model, prediction target, schedule ("straight" for flows, "none" for clean data) and width.

    `workers` is the number of slices of a batch, and `digits` the digest of the training data. If both are the same, a resumed
    run equals the uninterrupted one bit for bit.
    """

    model: str
    kind: str
    schedule: str
    base: int
    workers: int
    digits: str

    def __post_init__(self) -> None:
        for name, allowed in ("model", MODELS), ("kind", KINDS), ("schedule", (*SCHEDULES, "straight", "none")):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        if (self.schedule == "none") != (self.model == "clean-classifier") or (self.schedule == "straight") != (self.kind == "velocity"):
            raise ValueError(
                f"schedule = {self.schedule!r} for a {self.model} of {self.kind}; allowed: none for clean data, straight for flows"
            )
        for name, low, high in ("base", 8, 256), ("workers", 1, 1024):
            check_integer(name, getattr(self, name), low, high)

    def path(self) -> GaussianPath:
        """The path that adds noise to the data."""
        if self.schedule == "none":
            return classification.CleanPath()
        return flow.straight if self.schedule == "straight" else getattr(schedules, self.schedule)(1000)

    def params(self, seed: int) -> Tree:
        """The initial parameters."""
        if self.model == "unet":
            return unet.init(seed, base=self.base, classes=CLASSES)
        return classifier.init(seed, base=self.base, classes=CLASSES)

    def network(self) -> tuple[Any, Any]:
        """The network, and the op set for its training."""
        return (unet.unet, fast) if self.model == "unet" else (classification.as_network, classification.with_cross_entropy(fast))

    def save(self, path: Path, state: training.State, config: training.Config) -> None:
        """Write a checkpoint atomically."""
        checkpoint.save_state(path, state, config, asdict(self))


def load_run(option: str, path: Path, models: tuple[str, ...] = MODELS) -> tuple[training.State, training.Config, Spec]:
    """State, configuration and specification in the checkpoint that an option names; raises UsageError for another model."""
    try:
        state, config, extra = checkpoint.load_state(path)
        if extra.keys() != Spec.__dataclass_fields__.keys():
            raise ValueError("not written by this toy")
        spec = Spec(**extra)
        if shapes(spec.params(0)) != shapes(state.params) or spec.kind != config.kind:
            raise ValueError("parameters or configuration of another model than it says")
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"argument {option}: {str(path)!r}; allowed: a checkpoint that `train` wrote ({error})") from error
    if spec.model not in models:
        raise UsageError(f"argument {option}: {str(path)!r} holds a {spec.model}; allowed: {', '.join(models)}")
    return state, config, spec


def shapes(params: Tree) -> dict[str, tuple[int, ...]]:
    """The shape of every array of a tree, by its path."""
    return {path: leaf.shape for path, leaf in tree.flatten(params).items()}


def load_digits(folder: Path | None, download: bool) -> mnist.Digits:
    """Load the digits, and print where they come from."""
    try:
        digits = mnist.load(folder, download)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"argument --data: {None if folder is None else str(folder)!r}; allowed: a folder with the IDX files ({error})"
        ) from error
    print(digits.source, flush=True)
    return digits


def digest(digits: mnist.Digits) -> str:
    """Digest of the training data."""
    return hashlib.sha256(digits.train.tobytes() + digits.train_labels.tobytes()).hexdigest()[:16]


def labels(count: int) -> Array:
    """Labels that cycle through the classes: 0..9, 0..9, and so on."""
    return np.arange(count) % CLASSES
