"""Run vectors against an implementation: each passes, fails, is skipped or ends in an error."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import compare, models
from ..adapter import Broken, Implementation, Skip
from ..operations import named, operations
from ..results import Result
from ..vectors.files import Vector, load

FLOAT64_INPUTS = {  # tables and coefficients, which are float64 for every precision of the data
    "betas", "log_snr", "tau", "t", "times", "signal", "sigma", "gamma", "uniform", "variance1", "variance2",
}  # fmt: skip


def run(implementation: Implementation, vectors: Iterable[Vector]) -> Iterator[Result]:
    """The results of all vectors, in order."""
    for vector in vectors:
        yield check(implementation, vector)


def select(minimal: bool = False, only: Iterable[str] = ()) -> list[Vector]:
    """The vectors of the full or the minimal set, of all areas and operations or only of those named."""
    names = set(only)
    areas = {name: operation.area for name, operation in operations().items()}
    for name in names - set(areas) - set(areas.values()):
        raise ValueError(f"only = {name!r}; allowed: areas ({', '.join(dict.fromkeys(areas.values()))}) and operations")
    return [v for v in load(minimal) if not names or names & {v.operation, areas[v.operation]}]


def check(implementation: Implementation, vector: Vector) -> Result:
    """The result of one vector."""
    given = inputs(vector, implementation.precision)
    before = {name: value.copy() for name, value in given.items() if isinstance(value, np.ndarray)}
    result = _run(implementation, vector, given)
    overwritten = (name for name, value in before.items() if not np.array_equal(value, given[name], equal_nan=value.dtype.kind == "f"))
    return result._replace(overwritten=tuple(overwritten))


def _run(implementation: Implementation, vector: Vector, given: dict[str, Any]) -> Result:
    operation = operations()[vector.operation]
    if not implementation.has(vector.operation):
        return Result(vector, "skipped", message="not offered")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            got = {name: np.asarray(value) for name, value in named(operation, implementation.answer(vector.operation, given)).items()}
    except (Skip, NotImplementedError) as reason:
        return Result(vector, "skipped", message=str(reason))
    except Broken as error:
        return Result(vector, "errored", message=str(error))
    except (Exception, SystemExit) as error:
        if vector.expected is None:
            return Result(vector, "passed", message=f"{type(error).__name__}: {error}")
        return Result(vector, "errored", message=f"{type(error).__name__}: {error}{_location(error)}")
    if vector.expected is None:
        return Result(vector, "failed", got, message="an answer, where only an error is right")
    found = compare.difference(got, vector.expected, vector.tolerance, implementation.precision)
    return Result(vector, "passed" if found is None else "failed", got, found)


KIT_FOLDERS = {Path(__file__).parent, Path(__file__).parents[1]}  # frames in these folders are the kit's own


def _location(error: BaseException) -> str:
    """The line of the adapter that led to an error: the first frame of the traceback outside the kit."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = (frame for frame in frames if Path(frame.filename).parent not in KIT_FOLDERS)
    return next((f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in outside), "")


def inputs(vector: Vector, precision: str = "float64") -> dict[str, Any]:
    """A vector's inputs for an implementation: copies in its precision, with models as callables."""
    return {name: _converted(value, "float64" if name in FLOAT64_INPUTS else precision) for name, value in vector.inputs.items()}


def _converted(value: Any, precision: str) -> Any:
    if isinstance(value, dict):
        return _in_precision(models.build(value), precision)
    if isinstance(value, np.ndarray):
        return value.astype(precision if value.dtype.kind == "f" else value.dtype)
    return value


def _in_precision(model: models.Model, precision: str) -> Callable[..., Any]:
    return lambda x, t: np.asarray(model(np.asarray(x, dtype=np.float64), t)).astype(precision)
