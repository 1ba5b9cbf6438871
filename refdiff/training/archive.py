"""The format of a checkpoint: a tree of arrays and a manifest as the bytes of a sealed `.npz` archive, and back.

The archive has one array per path of the tree, a JSON text named `manifest`, and, as its comment, the SHA-256 of everything before it.
The checksum finds damage. The contents are checked as well, because anybody can compute a checksum.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from io import BytesIO
from typing import Any

import numpy as np

from .. import __version__, tree
from ..arrays import Array, device_get
from ..tree import Tree

FORMAT = 2  # 1, of refdiff 0.1: other names of parameters, and "average" for "ema"
MANIFEST = "manifest"
_SEAL = b"refdiff sha256 "  # 64 hexadecimal digits follow, the last of the file
_RESERVED = {"format", "refdiff", "arrays"}
_HEADER = 2000  # characters; the header of an array of 64 dimensions is shorter, and Python's parser fails from 6000 on


def pack(params: Tree, manifest: dict[str, Any]) -> bytes:
    """The archive of a nested dict of arrays and a manifest; raises for trees and values that would come back changed."""
    params = tree.map(device_get, params)
    check_tree(params)
    arrays = {name: np.asarray(leaf) for name, leaf in tree.flatten(params).items()} if params else {}
    for name in _RESERVED & manifest.keys():
        raise ValueError(f"manifest has {name!r}; allowed: names other than {', '.join(sorted(_RESERVED))}")
    described = {name: _describe(array) for name, array in arrays.items()}
    text = _encode(manifest | {"format": FORMAT, "refdiff": __version__, "arrays": described})
    return _sealed({MANIFEST: np.frombuffer(text.encode(), np.uint8)} | arrays)


def unpack(data: bytes) -> tuple[Tree, dict[str, Any]]:
    """The tree and the manifest of an archive. An archive that `pack` could not have written raises some error."""
    _check_seal(data)
    with zipfile.ZipFile(BytesIO(data)) as archive:
        _check_members(archive, len(data))
        manifest = _decode(_read(archive, MANIFEST).tobytes().decode())
        arrays = {name: _read(archive, name) for name in manifest["arrays"]}
        unlisted = {*archive.namelist()} - {f"{name}.npy" for name in (MANIFEST, *arrays)}
    if unlisted:
        raise ValueError(f"holds {', '.join(sorted(unlisted))}; allowed: the arrays that the manifest lists")
    for name, array in arrays.items():
        if _describe(array) != manifest["arrays"][name]:
            raise ValueError(f"array {name} is not the one that the manifest describes")
    return _unflatten(arrays), manifest


def check_tree(node: Tree, path: str = "") -> None:
    """Raise unless the node comes back the same from flattening, writing and unflattening."""
    if not isinstance(node, dict):
        if not path or path == MANIFEST or not _is_plain(node):
            raise TypeError(
                f"params{path and f' at {path}'} = {node!r}; allowed: a dict of arrays of numbers, none of them named {MANIFEST!r}"
            )
        return
    if path and not node:
        raise ValueError(f"params at {path} is an empty dict; allowed: dicts that hold arrays")
    for key, child in node.items():
        if not isinstance(key, str) or not key or not key.isprintable() or "/" in key or "\\" in key:
            raise ValueError(f"params has key {key!r}; allowed: printable strings without slashes")
        check_tree(child, f"{path}/{key}" if path else key)


def _is_plain(node: Any) -> bool:
    """Whether a node is an array or a scalar of numbers, and no more: a mask, a subclass or metadata would be lost."""
    return isinstance(node, np.ndarray | np.generic) and type(node) in (np.ndarray, node.dtype.type) and _holds_numbers(node.dtype)


def _holds_numbers(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biufc" and not dtype.metadata


def _describe(array: Array) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest}


def _encode(manifest: dict[str, Any]) -> str:
    try:
        text = json.dumps(manifest, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"manifest = {manifest!r}; allowed: plain JSON values ({error})") from error
    if json.loads(text) != manifest:
        raise ValueError(f"manifest = {manifest!r}; allowed: values that JSON gives back unchanged (no tuples, no numbers as keys)")
    return text


def _sealed(arrays: dict[str, Array]) -> bytes:
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
    if not body.endswith(_SEAL) or hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError(f"{len(data)} bytes that are damaged, cut short, or not written by refdiff: their end is not their sha256")


def _unflatten(arrays: dict[str, Array]) -> Tree:
    params = tree.unflatten(arrays)
    check_tree(params)
    if tree.flatten(params).keys() != arrays.keys():
        raise ValueError(f"holds {', '.join(arrays)}; allowed: names that are no part of another's path")
    return params


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Raise unless each member has a name of its own and its bytes as they are: so together they take no more memory than the file."""
    members = archive.infolist()
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member.filename!r} is compressed; allowed: members as they are")
    if len({member.filename for member in members}) < len(members) or sum(member.file_size for member in members) > size:
        raise ValueError(f"holds {len(members)} members that share names or bytes; allowed: members of their own")


def _decode(text: str) -> dict[str, Any]:
    """The manifest, of this format, with no number, name or value that `_encode` would not write."""
    manifest = json.loads(text)
    if not isinstance(manifest, dict):
        raise TypeError(f"manifest = {manifest!r:.80}; allowed: a dict")
    if manifest.get("format") != FORMAT:
        raise ValueError(f"format = {manifest.get('format')!r:.80} of refdiff {manifest.get('refdiff')!s:.80}; allowed: {FORMAT}")
    if not isinstance(manifest.get("arrays"), dict) or json.dumps(manifest, allow_nan=False) != text:
        raise ValueError(f"manifest = {text:.80}; allowed: a dict of arrays and other values, in the words of Python's json")
    return manifest


def _read(archive: zipfile.ZipFile, name: str) -> Array:
    """An array of the archive; takes memory for no more numbers than the member holds."""
    data = archive.read(f"{name}.npy")
    file = BytesIO(data)
    np.lib.format.read_magic(file)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
    if not _holds_numbers(dtype) or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError(f"{name}.npy has dtype {dtype}, shape {shape} in {len(data)} bytes; allowed: numbers, all of them and no more")
    return np.ndarray(shape, dtype, data, file.tell(), order="F" if fortran else "C").copy("K")
