"""What a kernel is: text, in a subset of C that a GPU, a C++ compiler and a small interpreter in NumPy all read the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Rule = Callable[..., tuple[Shape, dict[str, Any]]]  # (*inputs, **numbers) -> shape of the outputs, numbers the body needs

PREAMBLE = (
    "typedef int int32; typedef unsigned int uint32; typedef unsigned long long uint64; typedef long long int64; typedef double float64;\n"
)


@dataclass(frozen=True)
class Param:
    """One array or number: its type in the body, its name, and whether the body may index it (raw) or is given its own element."""

    ctype: str
    name: str
    raw: bool

    def dtype(self, T: Any) -> np.dtype[Any]:
        """The type as NumPy calls it, T standing for the precision of the call."""
        return np.dtype(T if self.ctype == "T" else self.ctype)


@dataclass(frozen=True)
class Kernel:
    """What one of many threads does: read its element of every input, any element of a raw one, and write its element of every output.

    Inputs are broadcast against each other, and outputs have their shape; where all are raw, `rule` gives the shape, and the
    body finds its place by the number `i` of its output's element, counted along the last axis first. T is float or double.

    A sum has `after`: its body ends in a `term` for every element of the broadcast inputs, and `after` makes the output from the
    sum `a` of the terms over the axes that the call names.
    """

    inputs: str
    outputs: str
    body: str
    rule: Rule | None = None
    after: str = ""

    @cached_property
    def ins(self) -> tuple[Param, ...]:
        return params(self.inputs)

    @cached_property
    def outs(self) -> tuple[Param, ...]:
        return params(self.outputs)


def params(text: str) -> tuple[Param, ...]:
    """'T x, raw int64 y' as parameters."""
    words = [each.split() for each in text.split(",")]
    return tuple(Param(each[-2], each[-1], each[0] == "raw") for each in words)


@dataclass(frozen=True)
class Bound:
    """A call made ready: the arguments in order, and the shape and types of what comes out."""

    arguments: list[Any]
    shape: Shape
    dtypes: list[np.dtype[Any]]
    T: np.dtype[Any]
    axis: Shape = ()
    keepdims: bool = False


def bind(kernel: Kernel, inputs: tuple[Any, ...], numbers: dict[str, Any], dtype: Any = None) -> Bound:
    """Match arguments with parameters: arrays in order, then numbers by name; raises TypeError for a wrong count or precision."""
    axis, keepdims = numbers.pop("axis", ()), numbers.pop("keepdims", False)
    shape, numbers = kernel.rule(*inputs, **numbers) if kernel.rule else (None, numbers)
    names = [param.name for param in kernel.ins]
    given = dict(zip(names, inputs, strict=False)) | numbers
    if len(inputs) > len(names) or given.keys() != set(names):
        raise TypeError(f"{len(inputs)} inputs, numbers {', '.join(numbers) or 'none'}; allowed: {kernel.inputs}")
    precision = _precision(kernel, given, dtype)
    whole = np.broadcast_shapes(*(getattr(given[param.name], "shape", ()) for param in kernel.ins if not param.raw))
    axis = _axes(axis, len(whole)) if kernel.after else ()
    if shape is None:
        shape = _summed(whole, axis, keepdims)
    return Bound([given[name] for name in names], shape, [param.dtype(precision) for param in kernel.outs], precision, axis, keepdims)


def _axes(axis: Any, ndim: int) -> Shape:
    """The axes named; None names all."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(each % ndim for each in axes))


def _summed(shape: Shape, axis: Shape, keepdims: bool) -> Shape:
    """What is left of a shape."""
    if keepdims:
        return tuple(1 if k in axis else size for k, size in enumerate(shape))
    return tuple(size for k, size in enumerate(shape) if k not in axis)


def _precision(kernel: Kernel, given: dict[str, Any], dtype: Any) -> np.dtype[Any]:
    """The one precision of all arrays of type T, or the one asked for where there is none."""
    arrays = {p.name: given[p.name] for p in kernel.ins if p.ctype == "T" and is_array(given[p.name])}
    typed = any(param.ctype == "T" for param in (*kernel.ins, *kernel.outs))
    found = {np.dtype(array.dtype) for array in arrays.values()} or {np.dtype(dtype if typed and dtype else np.float64)}
    if len(found) > 1 or not found <= {np.dtype(np.float32), np.dtype(np.float64)}:
        described = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise TypeError(f"precisions: {described or dtype}; allowed: all float32 or all float64")
    return found.pop()


def is_array(value: Any) -> bool:
    """An array of any library, not a number."""
    return hasattr(value, "shape") and not isinstance(value, np.generic)
