"""Checkpoints: one `.npz` file per state, replaced atomically, with a checksum that is verified before anything is read.

A file is a plain NumPy archive. It has one array for each path of the tree, and a JSON text named `manifest`. The comment of the archive is
the SHA-256 of everything before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, tree
from ..arrays import Array, check_integer, device_get
from ..tree import Tree
from .loop import Config, State

FORMAT = 2  # 1, of refdiff 0.1: other names of parameters, and "average" for "ema"
MANIFEST = "manifest"
_SEAL = b"refdiff sha256 "  # 64 hexadecimal digits follow, the last of the file
_RESERVED = {"format", "refdiff", "arrays"}


class CheckpointError(ValueError):
    """A file that is not a checkpoint, is damaged, has another format, or belongs to another run."""


def save(path: str | Path, params: Tree, **manifest: Any) -> None:
    """Write a checkpoint: a nested dict of arrays, and keyword arguments as further entries of the manifest. Returns when both are on the disk.

    The keyword arguments are plain JSON values. A reader of `path` sees the old file or the new one, even after a power failure. Only one
    process may write to a path: the temporary file beside it, `.{name}.tmp`, has a fixed name, so that killed runs leave at most one.
    Raises for trees and values that `load` would not return unchanged.
    """
    params = tree.map(device_get, params)
    _check_tree(params)
    arrays = {name: np.asarray(leaf) for name, leaf in tree.flatten(params).items()} if params else {}
    for name in _RESERVED & manifest.keys():
        raise ValueError(f"manifest has {name!r}; allowed: names other than {', '.join(sorted(_RESERVED))}")
    manifest |= {"format": FORMAT, "refdiff": __version__, "arrays": {name: _describe(array) for name, array in arrays.items()}}
    _replace(os.path.realpath(path), _sealed_archive({MANIFEST: _encode(manifest)} | arrays))


def load(path: str | Path) -> tuple[Tree, dict[str, Any]]:
    """Load a checkpoint: the tree and the manifest that `save` wrote. Raises CheckpointError if any byte of the file has changed."""
    data = Path(path).read_bytes()
    try:
        _check_seal(data)
        return _unpack(data)
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: {error}") from error


def save_state(path: str | Path, state: State, config: Config, extra: dict[str, Any] | None = None) -> None:
    """Write a training state. The random generator has no state to save: seed and step determine its numbers."""
    arrays = {"params": state.params, "ema": state.ema, "moments": state.moments}
    position = {"generator": "Philox-4x32-10", "seed": config.seed, "step": state.step}
    save(path, arrays, config=asdict(config), step=state.step, rng=position, extra=extra or {})


def load_state(path: str | Path, config: Config | None = None) -> tuple[State, Config, dict[str, Any]]:
    """Load a training state: the state, configuration and extra of `save_state`. `training.train` resumes from it bit for bit.

    If a configuration is given, raises CheckpointError unless it equals the one in the file.
    """
    arrays, manifest = load(path)
    if "config" not in manifest or arrays.keys() != {"params", "ema", "moments"}:
        raise CheckpointError(f"{path}: holds {', '.join(arrays)}; allowed: a state of training, as `save_state` writes it")
    unknown = manifest["config"].keys() - {field.name for field in fields(Config)}
    if unknown:
        raise CheckpointError(f"{path}: refdiff {manifest['refdiff']} wrote a configuration with unknown {', '.join(sorted(unknown))}")
    found = Config(**manifest["config"])
    if config is not None and config != found:
        differing = [name for name, value in asdict(config).items() if value != getattr(found, name)]
        raise CheckpointError(
            f"{path}: " + ", ".join(f"{name} = {getattr(found, name)!r}, asked for {getattr(config, name)!r}" for name in differing)
        )
    return State(manifest["step"], **arrays), found, manifest["extra"]


def checkpointed(
    states: Iterable[tuple[State, float]], path: str | Path, config: Config, every: int = 500, extra: dict[str, Any] | None = None
) -> Iterator[tuple[State, float]]:
    """Yield what `training.train` yields; save a checkpoint every `every` steps, and at the end of the loop, also after `break`.

    Nothing is saved if training itself raises, since the arrays may be halfway through a step. The previous file stays.
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


def _check_tree(node: Tree, path: str = "") -> None:
    """Raise unless the node comes back the same from flattening, writing and unflattening."""
    if not isinstance(node, dict):
        if not path or path == MANIFEST or not isinstance(node, np.ndarray | np.generic) or node.dtype.kind not in "biufc":
            raise TypeError(
                f"params{path and f' at {path}'} = {node!r}; allowed: a dict of arrays of numbers, none of them named {MANIFEST!r}"
            )
        return
    if path and not node:
        raise ValueError(f"params at {path} is an empty dict; allowed: dicts that hold arrays")
    for key, child in node.items():
        if not isinstance(key, str) or not key or not key.isprintable() or "/" in key or "\\" in key:
            raise ValueError(f"params has key {key!r}; allowed: printable strings without slashes")
        _check_tree(child, f"{path}/{key}" if path else key)


def _describe(array: Array) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest}


def _encode(manifest: dict[str, Any]) -> Array:
    try:
        text = json.dumps(manifest, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"manifest = {manifest!r}; allowed: plain JSON values ({error})") from error
    if json.loads(text) != manifest:
        raise ValueError(f"manifest = {manifest!r}; allowed: values that JSON gives back unchanged (no tuples, no numbers as keys)")
    return np.frombuffer(text.encode(), np.uint8)


def _sealed_archive(arrays: dict[str, Array]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        archive.comment = _SEAL + bytes(64)
    body = buffer.getvalue()[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def _check_seal(data: bytes) -> None:
    body, digest = data[:-64], data[-64:]
    if not data.startswith(b"PK"):
        raise ValueError(f"{len(data)} bytes that are no checkpoint of refdiff")
    if not body.endswith(_SEAL) or hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(f"{len(data)} bytes that are damaged, cut short, or not written by refdiff: their end is not their sha256")


def _unpack(data: bytes) -> tuple[Tree, dict[str, Any]]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        manifest = json.loads(_read(archive, MANIFEST).tobytes())
        if manifest["format"] != FORMAT:
            raise ValueError(f"format = {manifest['format']!r} of refdiff {manifest.get('refdiff')}; allowed: {FORMAT}")
        arrays = {name: _read(archive, name) for name in manifest["arrays"]}
    for name, array in arrays.items():
        if _describe(array) != manifest["arrays"][name]:
            raise ValueError(f"array {name} is not the one that the manifest describes")
    return tree.unflatten(arrays), manifest


def _read(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(f"{name}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _replace(path: str, data: bytes) -> None:
    """Write beside the file, push to the disk, then rename: a name leads to all of the old data or all of the new."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened, nor need it be
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
