"""The files of the vectors: reading and writing them. docs/vectors.md describes the format."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...arrays import read_only

FORMAT = 2  # 2: the levels accuracy, refusal and convention, and the reason of a refusal
LEVELS = ("must", "accuracy", "refusal", "convention")
FOLDER = Path(str(resources.files(__package__)))


class Vector(NamedTuple):
    """One vector: its inputs, the expected outputs (None for an error), the level and tolerance, the mutants that it kills,
    and what is to be refused, where only an error is right.
    """

    id: str
    operation: str
    level: str
    tolerance: str
    minimal: bool
    tags: dict[str, Any]
    inputs: dict[str, Any]
    expected: dict[str, Any] | None
    kills: list[str]
    refused: str


@cache
def load(minimal: bool = False, folder: Path = FOLDER) -> tuple[Vector, ...]:
    """All vectors of a folder, or the minimal set, in the order of the areas and of the files."""
    tables = {name: decode(value) for name, value in json.loads((folder / "tables.json").read_text(encoding="utf-8")).items()}
    found: list[Vector] = []
    for path in sorted(folder.glob("*/*.json")):
        file = json.loads(path.read_text(encoding="utf-8"))
        if file["format"] != FORMAT:
            raise ValueError(f"{path} has format {file['format']!r}; allowed: {FORMAT}")
        found += [_vector(file, case, tables) for case in file["cases"] if case.get("minimal") or not minimal]
    return tuple(found)


def _vector(file: dict[str, Any], case: dict[str, Any], tables: dict[str, Any]) -> Vector:
    inputs = {name: decode(value, tables) for name, value in case["inputs"].items()}
    expected = None if case["expected"] == {"error": True} else {name: decode(value) for name, value in case["expected"].items()}
    kills = [file["mutants"][i] for i in case["kills"]]
    given = case["id"], file["operation"], case["level"], case["tolerance"], case.get("minimal", False), case["tags"]
    return Vector(*given, inputs, expected, kills, case.get("refused", ""))


def encode(value: Any) -> Any:
    """A value for a file: floats as hex and decimal, arrays flat with their shape; integers, strings and null unchanged."""
    if isinstance(value, dict):
        return {name: encode(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
        return {"shape": list(value.shape), "integers": value.ravel().tolist()}
    if isinstance(value, np.ndarray):
        flat = value.ravel().tolist()
        return {"shape": list(value.shape), "hex": [x.hex() for x in flat], "decimal": [repr(x) for x in flat]}
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return {"hex": float(value).hex(), "decimal": repr(float(value))}
    return value


def decode(value: Any, tables: dict[str, Any] | None = None) -> Any:
    """The value that `encode` wrote, or the table of a name; arrays are read-only."""
    if not isinstance(value, dict):
        return value
    if "table" in value:
        return (tables or {})[value["table"]]
    if "integers" in value:
        return read_only(np.array(value["integers"], dtype=np.int64).reshape(value["shape"]))
    if "shape" in value:
        return read_only(np.array([float.fromhex(x) for x in value["hex"]]).reshape(value["shape"]))
    if "hex" in value:
        return float.fromhex(value["hex"])
    return {name: decode(entry, tables) for name, entry in value.items()}
