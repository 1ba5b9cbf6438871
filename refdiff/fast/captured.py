"""What a function reads apart from its arguments. A forked worker keeps all of it as it was at the fork."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

CONSTANTS = (bool, int, float, complex, str, bytes, type(None), np.number, np.bool_)
LIBRARIES = {"refdiff", "refdiff_gpu", "numpy", "scipy", *sys.stdlib_module_names}  # what they define is constant


class _ChangeableError(Exception):
    """A value that can change without becoming another object, such as an array or an object with attributes."""


def captured(*functions: Any) -> list[Any] | None:
    """The constants and functions that these functions read, equal from call to call while nothing has changed; None if that cannot be known.

    They are sought in closures, defaults, arguments of partial functions, and global variables.
    """
    try:
        return [part for function in functions for part in _parts(function, set())]
    except _ChangeableError:
        return None


def _parts(value: Any, seen: set[int]) -> Iterator[Any]:
    if isinstance(value, CONSTANTS):
        yield type(value), repr(value)  # unlike ==, this distinguishes 0.0 from -0.0
    elif isinstance(value, tuple):
        yield from _each(value, seen)
    elif isinstance(value, SimpleNamespace):
        yield from _each([*vars(value), *vars(value).values()], seen)
    elif isinstance(value, partial):
        yield from _each([value.func, *value.args, *value.keywords, *value.keywords.values()], seen)
    elif _is_constant(value):
        yield value
    elif not isinstance(value, FunctionType):
        raise _ChangeableError
    elif id(value) not in seen:
        seen.add(id(value))
        yield value.__code__
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        yield from _each([*defaults, *cells, *vars(value).values(), *_globals(value)], seen)


def _each(values: Any, seen: set[int]) -> Iterator[Any]:
    yield len(values)
    for value in values:
        yield from _parts(value, seen)


def _is_constant(value: Any) -> bool:
    """Whether this is a module of a library, or a function or type in it without variables of its own."""
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or ""
    own = getattr(value, "__closure__", None) or not isinstance(getattr(value, "__self__", None), ModuleType | None)
    kinds = ModuleType | type | FunctionType | BuiltinFunctionType
    return isinstance(value, np.ufunc) or (isinstance(value, kinds) and not own and module.partition(".")[0] in LIBRARIES)


def _globals(function: FunctionType) -> list[Any]:
    """The values of the global variables that a function's code, or a function within it, may name."""
    return [function.__globals__[name] for name in sorted(_names(function.__code__)) if name in function.__globals__]


def _names(code: CodeType) -> set[str]:
    return set(code.co_names).union(*(_names(each) for each in code.co_consts if isinstance(each, CodeType)))
