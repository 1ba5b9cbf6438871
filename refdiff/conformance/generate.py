"""Generate the vectors: `python -m refdiff.conformance.generate` writes all files, or those of the areas named.

The expected outputs are computed at 50 digits from `cases` and `formulas` alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np

from . import cases, operations
from .mutations import conventions, kills
from .numbers import exact, rounded
from .vectors.files import FOLDER, FORMAT, encode

DECIMALS = 25


def main(areas: Sequence[str] = (), folder: Path = FOLDER) -> None:
    """Write the files of these areas, or of all."""
    for name, text in files(areas).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def files(areas: Sequence[str] = ()) -> dict[str, str]:
    """The text of every file of these areas, or of all, by its path in the folder of"""
    names = [name for name, operation in operations.operations().items() if not areas or operation.area in areas]
    found = {"tables.json": tables_text()}
    with ProcessPoolExecutor() as pool:
        texts = pool.map(file, names)
    return found | {f"{operations.operations()[name].area}/{name}.json": text for name, text in zip(names, texts, strict=True)}


def tables_text() -> str:
    """The text of the file of tables."""
    return _text({name: encode(table) for name, table in cases.tables().items()})


def file(name: str, find_killed: Callable[..., list[str]] = kills.killed) -> str:
    """The text of one operation's file; `find_killed` gives the mutants that a case kills."""
    operation = operations.operations()[name]
    operation_cases = [case for case in cases.all_cases() if case.operation == name]
    entries = [_entry(operation, case, number) for number, case in enumerate(operation_cases, 1)]
    killed = [
        find_killed(operation, case.inputs, expected, case.tolerance) for case, (_, expected) in zip(operation_cases, entries, strict=True)
    ]
    mutants = sorted({name for names in killed for name in names})
    numbers = {name: i for i, name in enumerate(mutants)}
    listed = [{**entry, "kills": [numbers[name] for name in names]} for (entry, _), names in zip(entries, killed, strict=True)]
    head = {
        "format": FORMAT,
        "operation": operation.name,
        "area": operation.area,
        "equations": operation.equations,
        "outputs": operation.outputs,
        "rule": operation.rule,
        "conventions": conventions.choices(name),
        "mutants": mutants,
    }
    return _text({**head, "cases": listed})


def _entry(operation: operations.Operation, case: cases.Case, number: int) -> tuple[dict[str, Any], Any]:
    expected = None if case.refused else answer(operation, case.inputs)
    entry = {
        "id": f"{operation.name}/{number}",
        "level": case.level,
        "tolerance": case.tolerance,
        **({"minimal": True} if case.minimal else {}),
        **({"refused": case.refused} if case.refused else {}),
        "tags": tags(case),
        "inputs": {name: _encoded(value) for name, value in case.inputs.items()},
        "expected": {"error": True} if expected is None else {name: _expected(value) for name, value in expected.items()},
    }
    return entry, None if expected is None else {name: rounded(np.asarray(value)) for name, value in expected.items()}


def answer(operation: operations.Operation, inputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs at 50 digits, computed without a float."""
    exact_inputs = cases.prepared(inputs, exact)
    with no_floats():
        return operations.call(operation, exact_inputs)


@contextmanager
def no_floats() -> Iterator[None]:
    """A context in which arithmetic between a float and a number at 50 digits raises: the float has only 16 digits."""
    from mpmath import ctx_mp_python

    def refuse(*_: Any) -> Any:
        raise TypeError("a float met a number at 50 digits")

    before = ctx_mp_python.from_float
    ctx_mp_python.from_float = refuse
    try:
        yield
    finally:
        ctx_mp_python.from_float = before


def tags(case: cases.Case) -> dict[str, Any]:
    """The tags of a case, by which a report groups: schedule, times, kinds and sizes among the inputs."""
    found: dict[str, Any] = {}
    for name, value in case.inputs.items():
        if isinstance(value, cases.Table):
            found["schedule"] = value.name
        elif isinstance(value, dict) and isinstance(value.get("kind"), str):
            found["predicts"] = value["kind"]
        elif isinstance(value, int | str):
            found[name] = value
    return found


def _encoded(value: Any) -> Any:
    if isinstance(value, cases.Table):
        return {"table": value.name}
    if isinstance(value, dict):
        return {name: _encoded(entry) for name, entry in value.items()}
    return encode(value)


def _expected(value: Any) -> Any:
    value = np.asarray(value)
    if value.dtype.kind in "iu":
        return encode(value)
    near = rounded(value).astype(np.float64).ravel().tolist()
    decimal = [_decimal(x) for x in value.ravel().tolist()]
    return {"shape": list(value.shape), "hex": [x.hex() for x in near], "decimal": decimal}


def _decimal(x: Any) -> str:
    """A number at 50 digits rounded to DECIMALS digits, halves up: the rounding of halves by mpmath depends on its version."""
    import mpmath

    sign, mantissa, exponent, _ = getattr(x, "_mpf_", mpmath.mpf(x)._mpf_)
    if not mantissa:
        return mpmath.nstr(x, DECIMALS)
    with localcontext(prec=2000):
        value = Decimal(int(mantissa)) * Decimal(2) ** int(exponent)
    with localcontext(prec=DECIMALS, rounding=ROUND_HALF_UP):
        near = -value if sign else +value
    return mpmath.nstr(mpmath.mpf(str(near)), DECIMALS)


def _text(value: Any) -> str:
    """JSON with one line for each case and each other entry."""
    lines = [f" {json.dumps(key)}: {_lines(entry)}" for key, entry in value.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join("  " + json.dumps(entry, separators=(",", ":")) for entry in value) + "\n ]"
    return json.dumps(value)


if __name__ == "__main__":
    main(sys.argv[1:])
