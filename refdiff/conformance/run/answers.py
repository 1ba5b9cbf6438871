"""Ask an implementation in this process: one vector in, one answer out, whatever the implementation raises or returns."""

from __future__ import annotations

import importlib
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import models
from ..adapter import Adapter, Broken, Implementation, Skip
from ..dialects.declared import Conversion, converted, to_numpy
from ..messages import described, readable
from ..operations import Operation, named, operations
from ..vectors.files import Vector, load
from .processes.limit import OutOfTime

FLOAT64_INPUTS = {  # tables and coefficients, which are float64 for every precision of the data
    "betas", "log_snr", "tau", "t", "times", "signal", "sigma", "signal_rate", "sigma_rate", "gamma", "uniform", "variance1", "variance2", "drift_rate", "g2",
}  # fmt: skip
MAX_NUMBERS = 10**5  # of an output
NOT_THEIRS = {
    Path(__file__).parent,
    Path(__file__).parents[1],
    Path(__file__).parent / "processes",
    Path(importlib.__file__).parent,
    Path(),
}  # folders of the kit, and of import

NUMPY = Path(np.__file__).parent


class Answer(NamedTuple):
    """An answer: its kind, the message of the last three kinds, the outputs of the first, and the inputs that were overwritten.

    The kinds are "outputs"; "error", an exception that the implementation raised, which is right for some vectors;
    "broken", which is never right: it returned no arrays, or wanted to end the process; and "skipped".
    """

    kind: str
    message: str = ""
    outputs: dict[str, Any] | None = None
    overwritten: tuple[str, ...] = ()


def ask(implementation: Implementation, vector: Vector) -> Answer:
    """The answer to one vector; only KeyboardInterrupt and OutOfTime are raised."""
    if not implementation.has(vector.operation):
        return Answer("skipped", "not offered")
    operation, given = operations()[vector.operation], inputs(vector, implementation.precision)
    try:
        conversion = converted(operation, given, getattr(implementation, "dialect", {}))
    except Skip as reason:
        return Answer("skipped", readable(reason))
    except Exception as error:  # of the conversion, not of the implementation: never a right answer
        return Answer("broken", f"the declared dialect cannot be applied: {described(error)}")
    before = {name: to_numpy(value).copy() for name, value in conversion.inputs.items() if _is_array(value)}
    answer = _answer(implementation, operation, conversion)
    changed = [name for name, value in before.items() if not _same(value, to_numpy(conversion.inputs[name]))]
    return answer._replace(overwritten=tuple(changed))


def _is_array(value: Any) -> bool:
    return isinstance(to_numpy(value), np.ndarray)


def _answer(implementation: Implementation, operation: Operation, conversion: Conversion) -> Answer:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            returned = implementation.answer(operation.name, conversion.inputs)
            return Answer("outputs", "", _outputs(operation, conversion, returned))
    except (Skip, NotImplementedError) as reason:
        return Answer("skipped", readable(reason))
    except Broken as error:
        return Answer("broken", readable(error))
    except (KeyboardInterrupt, OutOfTime):
        raise
    except BaseException as error:  # SystemExit, for example, is no right answer
        return Answer("error" if isinstance(error, Exception) else "broken", described(error) + _location(error))


def _outputs(operation: Operation, conversion: Conversion, returned: Any) -> dict[str, Any]:
    """The outputs as arrays in the kit's conventions, copied, since an implementation may use a buffer again. Raises `Broken`."""
    try:
        by_name = {name: value for name, value in named(operation, returned).items() if name in operation.outputs}
        return {name: _array(name, value) for name, value in conversion.back(by_name).items()}
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Broken(f"returned no arrays: {described(error)}") from None


def _array(name: str, value: Any) -> Any:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(f"{name} has masked elements; allowed: numbers")
    found = np.asarray(value)
    if found.size > MAX_NUMBERS:
        raise ValueError(f"{name} has shape {found.shape}; allowed: at most {MAX_NUMBERS:,} numbers")
    return np.array(found, dtype=np.float64 if found.dtype.kind == "f" and found.itemsize > 8 else None)


def _same(before: Any, after: Any) -> bool:
    """Whether an input is as it was."""
    return bool(after.dtype == before.dtype and np.array_equal(before, after, equal_nan=before.dtype.kind == "f"))


def _location(error: BaseException) -> str:
    """The line of the adapter that led to an error, and the line of the library that raised it: the first and the last frame of the
    traceback outside the kit and NumPy. A syntax error names its own.
    """
    try:
        frames = ((Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__))
        theirs = [(file, line) for file, line in frames if file.parent not in NOT_THEIRS and NUMPY not in file.parents]
        if not theirs or isinstance(error, SyntaxError):
            return ""
        ends = theirs[:1] if theirs[0][0] == theirs[-1][0] else [theirs[0], theirs[-1]]
        return f" ({'; '.join(f'{readable(file.name)}, line {line}' for file, line in ends)})"
    except Exception:
        return ""


def start_error(name: str, error: BaseException) -> str:
    """Why an adapter cannot be used: the error of its import or of its class."""
    text = readable(error)
    if isinstance(error, ValueError) and "; allowed: " in text:
        return text
    allowed = "a module that can be imported, and a class to be called without arguments"
    return f"{name!r} gave {described(error)}{_location(error)}; allowed: {allowed}"


def repeat(target: Any, id: str) -> tuple[Any, Any]:
    """What an adapter's object gives for a vector by its id, and what is right, None where only an error is; errors are raised."""
    vector = next((vector for vector in load() if vector.id == id), None)
    if vector is None:
        raise ValueError(f"id = {id!r}; allowed: an operation and a number, such as q_sample/1")
    implementation = Adapter(target)
    operation = operations()[vector.operation]
    conversion = converted(operation, inputs(vector, implementation.precision), implementation.dialect)
    got = _outputs(operation, conversion, implementation.answer(operation.name, conversion.inputs))
    found, right = (tuple((outputs or {}).values()) for outputs in (got, vector.expected))
    return tuple(each[0] if len(each) == 1 else each or None for each in (found, right))  # type: ignore[return-value]


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
