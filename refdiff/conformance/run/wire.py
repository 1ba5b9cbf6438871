"""Values as JSON on the pipe: flat arrays with their shape, numbers that are read back exactly, strings for numbers
that are not finite.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
MAX_QUOTED = 200  # characters of a line that an error message quotes


def pack(value: Any, name: str = "") -> Any:
    """A value for JSON; a callable as the name by which the program can call it."""
    if callable(value):
        return {"callable": name}
    if isinstance(value, dict):
        return {key: pack(entry, key) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [pack(entry, name) for entry in value]
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "data": [_number(x) for x in value.ravel().tolist()]}
    return _number(value.item() if isinstance(value, np.generic) else value)


def unpack(value: Any, name: str) -> Any:
    """The value of JSON: an array, a number, a string, or several by name; error messages begin with the name."""
    if isinstance(value, dict) and "shape" in value:
        return _array(value, name)
    if isinstance(value, dict):
        return {key: unpack(entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, list):
        raise ValueError(f'{name} = {abbreviate(value)}; allowed: an array as {{"shape": [...], "data": [...]}}, flat, in C order')
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


def abbreviate(value: Any) -> str:
    """A line, or a value as a line, cut to the length that an error message quotes."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    text = text if isinstance(text, str) else json.dumps(text)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}... ({len(text)} characters)"


def _number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def _array(value: dict[str, Any], name: str) -> Any:
    shape, data = value["shape"], value.get("data")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{name} has shape {abbreviate(shape)}; allowed: a list of sizes")
    if not isinstance(data, list) or len(data) != math.prod(shape):
        given = f"{len(data)} numbers" if isinstance(data, list) else f"data {abbreviate(data)}"
        raise ValueError(f"{name} has {given}; allowed: a flat list of {math.prod(shape)} for shape {abbreviate(shape)}")
    found = [NON_FINITE.get(x, x) if isinstance(x, str) else x for x in data]
    for i, x in enumerate(found):
        if type(x) not in (int, float):
            raise ValueError(f'{name} has {abbreviate(x)} at position {i} of its data; allowed: numbers, "nan", "inf", "-inf"')
    integers = all(type(x) is int and -(2**63) <= x < 2**63 for x in found)
    return np.array(found, dtype=np.int64 if integers and found else np.float64).reshape(shape)
