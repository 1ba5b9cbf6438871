"""Checkpoints: one `.npz` file per state, replaced as a whole, with a checksum that is verified before anything is read.

`archive` states the format. Any NumPy program can read the arrays.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import files, tree
from ..checks import check_integer
from ..tree import Tree
from . import archive
from .archive import FORMAT, MANIFEST
from .loop import Config, State

__all__ = ["FORMAT", "MANIFEST", "CheckpointError", "checkpointed", "load", "load_state", "save", "save_state"]

_PARTS = ("params", "ema", "moments/m", "moments/v")  # of a state; all have the same structure


class CheckpointError(ValueError):
    """A file that is not a checkpoint, is damaged, has another format, or belongs to another run."""


def save(path: str | Path, params: Tree, **manifest: Any) -> None:
    """Write a nested dict of arrays, and further entries of the manifest, which are plain JSON values; returns when both are on the disk.

    A reader of `path` sees the old file or the new one, even after a power failure; of several writers, the last to end wins. A killed
    writer leaves a temporary folder, `.NAME.*.tmp`, which can be deleted. The mode of the file is kept, and so are the byte order
    and the layout of arrays. Raises for trees and values that would come back changed, such as masked arrays.
    """
    files.replace(path, archive.pack(params, manifest))


def load(path: str | Path) -> tuple[Tree, dict[str, Any]]:
    """The tree and the manifest of `save`. Raises CheckpointError unless every byte of the file is as `save` could have written it."""
    with Path(path).open("rb") as file, _refusing(path):
        if file.peek(2)[:2] != b"PK":
            raise ValueError(f"{os.fstat(file.fileno()).st_size} bytes that are no checkpoint of refdiff")
        return archive.unpack(file.read())


def save_state(path: str | Path, state: State, config: Config, extra: dict[str, Any] | None = None) -> None:
    """Write a state of training. The random generator has no state: seed and step determine its numbers.

    Raises unless the step is in 0..config.steps and EMA and moments have the structure of the parameters.
    """
    extra = {} if extra is None else extra
    _check_state(state, config, extra)
    arrays = {"params": state.params, "ema": state.ema, "moments": state.moments}
    save(path, arrays, config=_settings(config), step=int(state.step), rng=_position(state, config), extra=extra)


def load_state(path: str | Path, config: Config | None = None) -> tuple[State, Config, dict[str, Any]]:
    """State, configuration and extra of `save_state`, from which `training.train` resumes bit for bit.

    Raises CheckpointError unless the file holds a state that `save_state` could have written and, given a configuration, unless it was
    written by a run of the very same.
    """
    arrays, manifest = load(path)
    with _refusing(path):
        if arrays.keys() != {"params", "ema", "moments"} or not manifest.keys() >= {"config", "step", "rng", "extra"}:
            raise ValueError(f"holds {', '.join(arrays)}; allowed: a state of training, as `save_state` writes it")
        found = _config(manifest["config"], manifest.get("refdiff"))
        state, extra = State(manifest["step"], **arrays), manifest["extra"]
        _check_state(state, found, extra)
        if manifest["rng"] != _position(state, found):
            raise ValueError(f"rng = {manifest['rng']!r}; allowed: {_position(state, found)}, as config and step say")
        if config is not None and config != found:
            differing = [name for name, value in asdict(config).items() if value != getattr(found, name)]
            raise ValueError(", ".join(f"{name} = {getattr(found, name)!r}, asked for {getattr(config, name)!r}" for name in differing))
    return state, found, extra


def checkpointed(
    states: Iterable[tuple[State, float]], path: str | Path, config: Config, every: int = 500, extra: dict[str, Any] | None = None
) -> Iterator[tuple[State, float]]:
    """Yield what `training.train` yields, saving every `every` steps and when the loop ends or is left.

    Nothing is saved if training itself raises: the arrays may be halfway through a step, and the previous file stays.
    """
    check_integer("every", every, 1, 2**32)
    state, saved = None, -1
    for state, loss in states:
        if state.step % every == 0:
            save_state(path, state, config, extra)
            saved = state.step
        try:
            yield state, loss
        except GeneratorExit:  # the caller left its loop
            break
    if state is not None and state.step != saved:
        save_state(path, state, config, extra)


@contextmanager
def _refusing(path: str | Path) -> Iterator[None]:
    """Context that turns every error of its contents into a CheckpointError that names the file."""
    try:
        yield
    except (OSError, MemoryError):  # of the disk and of the machine; the checks below take no more memory than the file has bytes
        raise
    except Exception as error:  # anything that zipfile, NumPy's reader and json may raise for bytes that `save` never writes
        raise CheckpointError(f"{path}: {str(error) or repr(error)}") from error


def _check_state(state: State, config: Config, extra: Any) -> None:
    """Raise unless the state is one of this run, with EMA and moments like its parameters, and the extra is a dict."""
    if isinstance(state.step, bool) or not isinstance(state.step, int | np.integer) or not 0 <= state.step <= config.steps:
        raise ValueError(f"step = {state.step!r}; allowed: an integer, 0..{config.steps}")
    if not isinstance(extra, dict):
        raise TypeError(f"extra = {extra!r}; allowed: a dict of plain JSON values")
    leaves = tree.flatten({"params": state.params, "ema": state.ema, "moments": state.moments})
    shapes = {path: getattr(leaf, "shape", None) for path, leaf in leaves.items()}
    expected = {path: np.shape(leaf) for part in _PARTS for path, leaf in tree.flatten(state.params, part).items()}
    differing = sorted(path for path in shapes | expected if shapes.get(path, "missing") != expected.get(path, "missing"))
    for path in differing[:1]:
        raise ValueError(f"{path} has shape {shapes.get(path, 'missing')}; allowed: {expected.get(path, 'missing')}, as in params")
    for path, leaf in leaves.items():
        if leaf.dtype.kind != "f":
            raise TypeError(f"{path} has dtype {leaf.dtype}; allowed: a floating-point dtype")


def _settings(config: Config) -> dict[str, Any]:
    """The configuration as plain JSON values; JSON has no infinity, which is `clip` for no limit."""
    settings = {name: value.item() if isinstance(value, np.generic) else value for name, value in asdict(config).items()}
    return settings | {"clip": "inf"} if config.clip == math.inf else settings


def _config(settings: Any, version: Any) -> Config:
    """The configuration of `_settings`; `Config` checks the values."""
    if not isinstance(settings, dict):
        raise TypeError(f"config = {settings!r}; allowed: a dict")
    names = {field.name for field in fields(Config)}
    for what, which in ("unknown", settings.keys() - names), ("missing", names - settings.keys()):
        if which:
            raise ValueError(f"refdiff {version} wrote a configuration with {what} {', '.join(sorted(which))}")
    return Config(**settings | {"clip": math.inf} if settings["clip"] == "inf" else settings)


def _position(state: State, config: Config) -> dict[str, Any]:
    return {"generator": "Philox-4x32-10", "seed": int(config.seed), "step": int(state.step)}
