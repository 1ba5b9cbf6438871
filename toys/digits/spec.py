"""Shared by the commands of the digits toy: the usage error, and the specification of a run."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refdiff import checkpoint, classifier, fast, flow, flow_times, images, schedules, training, tree, unet
from refdiff.arrays import Array, GaussianPath
from refdiff.checks import check_integer, check_tuple
from refdiff.process.tables import Schedule
from refdiff.training import classification
from refdiff.tree import Tree

MULTIPLE = 4  # heights and widths are padded to a multiple of it, because the networks halve them twice
MODELS = ("unet", "classifier", "clean-classifier")
KINDS = ("eps", "x0", "v", "velocity")
SCHEDULES = ("linear", "cosine")
TIMES = ("uniform", "logit-normal")


class UsageError(Exception):
    """A wrong option: the text names it, its value and what is allowed. The command exits with code 2."""


@dataclass(frozen=True)
class Spec:
    """Specification of a run: model, prediction target, schedule ("straight" for flows, "none" for clean data) and width.

    `workers` is the number of slices of a batch, and `digits` the digest of the training data. If both are the same, a resumed
    run equals the uninterrupted one bit for bit. `size` is the height, width and number of colours of an image, `classes` the number
    of labels, 0 for data without labels, and `ink` whether pictures are shown as negatives, dark on light. `times` is the density of the
    times at which a flow is trained.
    """

    model: str
    kind: str
    schedule: str
    base: int
    workers: int
    digits: str
    size: tuple[int, ...] = (28, 28, 1)
    classes: int = 10
    ink: bool = True
    times: str = "uniform"

    def __post_init__(self) -> None:
        for name, allowed in ("model", MODELS), ("kind", KINDS), ("schedule", (*SCHEDULES, "straight", "none")), ("times", TIMES):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        if (self.schedule == "none") != (self.model == "clean-classifier") or (self.schedule == "straight") != (self.kind == "velocity"):
            raise ValueError(
                f"schedule = {self.schedule!r} for a {self.model} of {self.kind}; allowed: none for clean data, straight for flows"
            )
        if self.times != "uniform" and self.kind != "velocity":
            raise ValueError(f"times = {self.times!r} for {self.kind}; allowed: uniform, but for velocity")
        for name, low, high in ("base", 8, 256), ("workers", 1, 1024), ("classes", 0, images.LIMIT):
            check_integer(name, getattr(self, name), low, high)
        if len(check_tuple("size", self.size, 1)) != 3 or self.size[2] not in (1, 3):
            raise ValueError(f"size = {self.size}; allowed: height, width, and 1 or 3 colours")
        if self.model != "unet" and self.classes < 2:
            raise ValueError(f"classes = {self.classes} for a {self.model}; allowed: 2 or more")

    def path(self) -> GaussianPath:
        """The path that adds noise to the data."""
        if self.schedule == "none":
            return classification.CleanPath()
        if self.schedule == "straight":
            return flow_times.logit_normal() if self.times == "logit-normal" else flow.straight
        return getattr(schedules, self.schedule)(1000)

    def diffusion(self) -> Schedule:
        """The noise schedule; for flows, and for clean data, the linear one."""
        path = self.path()
        return path if isinstance(path, Schedule) else schedules.linear(1000)

    def params(self, seed: int) -> Tree:
        """The initial parameters."""
        if self.model == "unet":
            return unet.init(seed, self.size[2], self.base, classes=self.classes)
        return classifier.init(seed, self.size[2], self.base, self.classes)

    def network(self) -> tuple[Any, Any]:
        """The network, and the op set for its training."""
        return (unet.unet, fast) if self.model == "unet" else (classification.as_network, classification.with_cross_entropy(fast))

    @property
    def padded(self) -> tuple[int, ...]:
        """Height, width and colours of what the networks see."""
        height, width, colours = self.size
        return height + -height % MULTIPLE, width + -width % MULTIPLE, colours

    def to_model(self, levels: Array, dtype: Any = np.float32) -> Array:
        """Images as the networks see them: scaled to [-1, 1], and padded at the right and lower edge by repeating the last pixels."""
        x = images.to_model(levels, dtype)
        more = [(0, new - old) for new, old in zip(self.padded, self.size, strict=True)]
        return np.pad(x, [(0, 0), *more], "edge") if self.padded != self.size else x

    def crop(self, x: Array) -> Array:
        """Images without the padding."""
        return x[:, : self.size[0], : self.size[1]]

    def labels(self, count: int) -> Array:
        """Labels that cycle through the classes: 0..9, 0..9, and so on; zeros for data without labels."""
        return np.arange(count) % max(1, self.classes)

    def save(self, path: Path, state: training.State, config: training.Config) -> None:
        """Write a checkpoint atomically."""
        checkpoint.save_state(path, state, config, asdict(self) | {"size": list(self.size)})


def load_run(option: str, path: Path, models: tuple[str, ...] = MODELS) -> tuple[training.State, training.Config, Spec]:
    """State, configuration and specification in the checkpoint that an option names; raises UsageError for another model."""
    try:
        state, config, extra = checkpoint.load_state(path)
        fields = Spec.__dataclass_fields__
        if not {name for name in fields if fields[name].default is MISSING} <= extra.keys() <= fields.keys():
            raise ValueError("not written by this toy")
        spec = Spec(**{name: tuple(value) if name == "size" else value for name, value in extra.items()})
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
