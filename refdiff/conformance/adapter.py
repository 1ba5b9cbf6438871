"""Adapters: a Python class with any of the operations as methods, found by its dotted name.

`run.isolated` runs an adapter in a process of its own, `run.pipe` is the interface to a program.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any, Protocol

from .messages import one_line, readable

MAX_METHODS = 1000  # names of an object that are looked at


class Skip(Exception):
    """Raised by an implementation that does not support a vector: the vector is skipped, not failed."""


class Broken(Exception):
    """Raised by an interface that could not send a request or read an answer: the vector is an error, even where an
    error is right.
    """


class Implementation(Protocol):
    """The interface of an implementation: which operations it has, and their answers."""

    name: str
    version: str
    precision: str

    def has(self, operation: str) -> bool: ...

    def answer(self, operation: str, inputs: dict[str, Any]) -> Any: ...


class Adapter:
    """A Python object whose methods are operations: each takes its inputs by name and returns NumPy arrays.

    The object may declare the conventions of its library as `dialect`, which dialects.declared describes.

    It may have `name`, `version` and `precision` ("float64" or "float32"); the inputs have that precision. `called` is the
    import and the expression by which Python code gets the object.
    """

    who, broken = "the adapter", ""

    def __init__(self, target: Any, called: tuple[str, str] = ("", "")) -> None:
        self.called = called
        self.target = target() if inspect.isclass(target) else target
        described = type(self.target).__name__ if not inspect.ismodule(self.target) else self.target.__name__
        self.name = one_line(getattr(self.target, "name", described))
        versions = (getattr(self.target, each, None) for each in ("version", "__version__"))
        self.version = next((one_line(each) for each in versions if each is not None and not inspect.ismodule(each)), "")
        given = getattr(self.target, "precision", "float64")
        self.precision = str.__getitem__(given, slice(10)) if isinstance(given, str) else ""  # a plain str, also of a subclass
        if self.precision not in ("float64", "float32"):
            raise ValueError(f"precision = {given!r}; allowed: float64, float32")
        self.dialect = getattr(self.target, "dialect", {})
        self.methods = _public_methods(self.target)

    def has(self, operation: str) -> bool:
        """Whether the object has this operation; one whose lookup raises is there, and raises again when it is called."""
        try:
            return callable(getattr(self.target, operation, None))
        except KeyboardInterrupt:
            raise
        except BaseException:
            return True

    def defined(self, operation: str) -> str:
        """The file and the line of a method, or an empty string where Python does not know them."""
        try:
            code = inspect.unwrap(getattr(self.target, operation)).__code__
            return f"{one_line(Path(code.co_filename).name)}, line {int(code.co_firstlineno)}"
        except KeyboardInterrupt:
            raise
        except BaseException:  # a property may raise anything
            return ""

    def answer(self, operation: str, inputs: dict[str, Any]) -> Any:
        """The return value of the object's method. Raises `Broken` if the method does not take these inputs by name."""
        method = getattr(self.target, operation)
        try:
            inspect.signature(method).bind(**inputs)
        except TypeError as error:
            raise Broken(f"{operation}: {readable(error)}; allowed: {', '.join(inputs)} as names of inputs") from None
        except ValueError:  # a builtin without a signature
            pass
        return method(**inputs)


def _public_methods(target: Any) -> list[str]:
    """The names of an object's methods, or of the functions that a module defines, without those that begin with _."""
    try:
        names = [name for name in dir(target)[:MAX_METHODS] if not name.startswith("_")]
        return [one_line(name) for name in names if _is_own_method(target, name)]
    except Exception:
        return []


def _is_own_method(target: Any, name: str) -> bool:
    value: Any = inspect.getattr_static(target, name, None)
    value = getattr(value, "__func__", value)
    return callable(value) and (not inspect.ismodule(target) or getattr(value, "__module__", None) == target.__name__)


def find(name: str) -> Adapter:
    """The adapter of a dotted name, also from the current folder, or of a Python file: "module:Class", "file.py:Class", or without
    the class, for a module with a class `Adapter` or with operations.
    """
    file = re.fullmatch(r"(.*\.py)(?::(\w+))?", name)
    module_name, _, attribute = (Path(file[1]).stem, "", file[2]) if file else name.partition(":")
    if file and not Path(file[1]).is_file():
        raise ValueError(f"adapter = {name!r}: there is no file {file[1]}; allowed: a Python file, module or module:Class")
    sys.path.insert(0, folder := str(Path(file[1]).absolute().parent) if file else "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name != module_name.split(".")[0] and missing.name != module_name:
            raise
        raise ValueError(f"adapter = {name!r}: no module {module_name!r} here or installed; allowed: module or module:Class") from None
    finally:
        with contextlib.suppress(ValueError):  # the module may have changed the path
            sys.path.remove(folder)
    name_found = attribute or "Adapter"
    target = getattr(module, name_found, None)
    if attribute and target is None:
        raise ValueError(f"adapter = {name!r}: {module_name} has no {attribute!r}; allowed: the name of a class in it")
    path = f"import sys; sys.path.insert(0, {folder!r})\n" if file and Path(folder) != Path.cwd() else ""
    if target is None:
        return Adapter(module, (f"{path}import {module_name} as adapter", "adapter"))
    made = f"{name_found}()" if inspect.isclass(target) else name_found
    return Adapter(target, (f"{path}from {module_name} import {name_found}", made))
