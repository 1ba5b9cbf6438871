"""Values as JSON on the pipe: flat arrays with their shape, numbers that are read back exactly, strings for numbers
that are not finite.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

import numpy as np

from ..messages import readable

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
        return {"shape": list(value.shape), "data": [_packed(x) for x in value.ravel().tolist()]}
    return _packed(value.item() if isinstance(value, np.generic) else value)


def _packed(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def loads(line: bytes) -> Any:
    """The value of a line. Raises ValueError if it is not JSON in UTF-8, or has a name twice in an object."""
    try:
        return json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has a name twice, of {abbreviate([name for name, _ in pairs])}")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f'{name}; allowed: the strings "nan", "inf", "-inf"')


def unpack(value: Any, name: str) -> Any:
    """The number or the array that a value of JSON stands for; error messages begin with the name."""
    if isinstance(value, dict) and "shape" in value:
        return _array(value, name)
    try:
        return _number(value)
    except (ValueError, OverflowError):
        allowed = 'an array as {"shape": [...], "data": [...]}, flat, in C order, or a number, "nan", "inf", "-inf"'
        raise ValueError(f"{name} = {abbreviate(value)}; allowed: {allowed}") from None


def _number(value: Any) -> int | float:
    """A number: an integer of more than 64 bits becomes a float. Raises OverflowError for one beyond float64."""
    if isinstance(value, str) and value in NON_FINITE:
        return NON_FINITE[value]
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else float(value)
    if type(value) is not float:
        raise ValueError("not a number")
    if math.isinf(value):  # such as 1e999
        raise OverflowError("beyond float64")
    return value


def abbreviate(value: Any) -> str:
    """A line, or a value as a line, printable and cut to the length that an error message quotes."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    try:
        text = text if isinstance(text, str) else json.dumps(text)
    except (RecursionError, ValueError):  # nested too deeply, or an integer with too many digits
        text = "a value that cannot be quoted"
    return readable(text, MAX_QUOTED)


def _array(value: dict[str, Any], name: str) -> Any:
    shape, data = value["shape"], value.get("data")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{name} has shape {abbreviate(shape)}; allowed: a list of sizes")
    if not isinstance(data, list) or len(data) != math.prod(shape):
        given = f"{len(data)} numbers" if isinstance(data, list) else f"data {abbreviate(data)}"
        raise ValueError(f"{name} has {given}; allowed: a flat list of {math.prod(shape)} for shape {abbreviate(shape)}")
    found = []
    for i, x in enumerate(data):
        try:
            found.append(_number(x))
        except (ValueError, OverflowError):
            raise ValueError(f'{name} has {abbreviate(x)} at position {i} of its data; allowed: numbers, "nan", "inf", "-inf"') from None
    integers = all(type(x) is int for x in found)
    return np.array(found, dtype=np.int64 if integers and found else np.float64).reshape(shape)
