"""What a damaged call comes to: a named error, the right answer, or one of the faults that the contract excludes."""

import linecache
import re
import traceback
import warnings

import numpy as np

from refdiff.conformance.run.processes.limit import OutOfTime, limited

from .damages import FAILS, REFUSED, SAME
from .exceptions import ALIASES, INFINITE, entry

NAMED, UNNAMED, RIGHT = "named error", "unnamed error", "right answer"
SECONDS = 10  # of computing, since other work of the machine is not to decide


def run(call, variant, arguments):
    """The leaves of a call's result, or its error."""
    try:
        with limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("error")
            return call(variant, arguments), None
    except (Exception, OutOfTime) as error:
        return None, error


def verdict(call, variant, parameter, damage, baseline, package="refdiff"):
    """The verdict on one damaged call; `baseline` are the leaves of the valid one."""
    arguments = call.arguments(variant) | {parameter: damage.value}
    before = copied(arguments)
    result, error = run(call, variant, arguments)
    if not same(before, arguments):
        return "changed input"
    if damage.rule is FAILS and isinstance(error, Exception):
        return NAMED
    if error is not None:
        found = of_error(call, parameter, damage, error)
        if found == UNNAMED and damage.rule is SAME:  # the plain argument may be wrong, too, beside the others
            _, plain_error = run(call, variant, call.arguments(variant) | {parameter: damage.plain})
            return NAMED if type(plain_error) is type(error) else found
        return found
    if entry(INFINITE, call, parameter) and not nan(result):
        return RIGHT
    if damage.rule in (REFUSED, FAILS):
        return "silent NaN" if damage.category == "NaN" and not finite(result) else "accepted"
    if damage.rule is SAME:
        plain, plain_error = run(call, variant, call.arguments(variant) | {parameter: damage.plain})
        if plain_error is not None:
            return "accepted"
        alone = not any(isinstance(each, np.ndarray) and each.dtype.kind == "f" for name, each in before.items() if name != parameter)
        fast = call.name.startswith("fast.")  # which computes unusual arguments by the reference's operations: other roundings
        return of_same(result, plain, damage, alone, fast or damage.category in ("floats", "complex"))
    if not finite(result) and finite(baseline):
        return "silent NaN"
    several = sum(isinstance(each, np.ndarray) and each.ndim > 0 for each in before.values()) > 1
    if several and damage.category == "rank" and sizes(result) > sizes(baseline):
        return "silent broadcast"
    return "widened dtype" if dtypes(baseline) and widest(result) > widest(baseline) else RIGHT


def of_error(call, parameter, damage, error):
    if isinstance(error, OutOfTime):
        return "too slow"
    if isinstance(error, Warning):
        return "warning"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    own = "/refdiff" in frame.filename and linecache.getline(frame.filename, frame.lineno).lstrip().startswith("raise")
    names = [parameter, entry(ALIASES, call, parameter) or parameter]
    if damage.category in ("rank", "batch", "empty", "structure", "floats"):  # of two arguments that do not fit, either may be named
        names += [p.name for p in call.parameters]
    if not own:
        return "raw error"
    named = any(re.search(rf"(?<![A-Za-z0-9_])({name})(?![A-Za-z0-9_])", str(error)) for name in names)
    return NAMED if named else UNNAMED


def of_same(result, plain, damage, alone, coarse):
    if [path for path, _ in result] != [path for path, _ in plain]:
        return "wrong number"
    for (_, actual), (_, expected) in zip(result, plain, strict=True):
        if isinstance(expected, str | None):
            if actual != expected:
                return "wrong number"
            continue
        a, b = np.asarray(actual), np.asarray(expected)
        if a.shape != b.shape:
            return "silent broadcast" if a.size > b.size else "wrong number"
        if a.dtype.kind not in "biufc" or not np.allclose(
            a.astype(complex), b.astype(complex), 3e-2 if coarse else 2e-6, 1e-3 if coarse else 1e-12, True
        ):
            return "wrong number"
    loose = damage.category in ("floats", "complex") or alone  # without another array the damaged one sets the precision
    return "widened dtype" if not loose and widest(result) > widest(plain) else RIGHT


def nan(leaves):
    return any(np.isnan(value).any() for _, value in leaves if getattr(value, "dtype", np.dtype(type(value))).kind in "fc")


def finite(leaves):
    return all(np.isfinite(value).all() for _, value in leaves if getattr(value, "dtype", np.dtype(type(value))).kind in "fc")


def dtypes(leaves):
    """The dtypes of all float arrays and NumPy numbers; Python's numbers have none."""
    return [value.dtype for _, value in leaves if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fc"]


def widest(leaves):
    return max((np.finfo(dtype).bits for dtype in dtypes(leaves)), default=0)


def sizes(leaves):
    return sum(np.size(value) for _, value in leaves)


def copied(value):
    """A value with copies of all its arrays, to compare with later."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(copied, value))
    return value.copy() if isinstance(value, np.ndarray) and value.ndim else value


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.asarray(a).tobytes() == np.asarray(b).tobytes()
    return True
