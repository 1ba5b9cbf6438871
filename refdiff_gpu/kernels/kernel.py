"""The definition of a kernel: source text in a subset of C that GPU, C++ compiler and interpreter read the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Shape = tuple[int, ...]
ShapeRule = Callable[..., tuple[Shape, dict[str, Any]]]  # (*inputs, **numbers) -> shape of the outputs, numbers that the body needs

PREAMBLE = (
    "typedef int int32; typedef unsigned int uint32; typedef unsigned long long uint64; typedef long long int64; typedef double float64;\n"
)


@dataclass(frozen=True)
class Param:
    """One array or number: its type in the body, its name, and whether the body indexes it (raw) or gets its element."""

    ctype: str
    name: str
    raw: bool

    def dtype(self, T: Any) -> np.dtype[Any]:
        """The NumPy dtype of the parameter, where T is the precision of the call."""
        return np.dtype(T if self.ctype == "T" else self.ctype)


@dataclass(frozen=True)
class Kernel:
    """The work of one thread: read an element of every input, any elements of raw inputs, write an element of every output.

    Inputs are broadcast against each other, and the outputs have the broadcast shape. If all inputs are raw,
    `shape_rule` gives the shape, and the body computes its indices from the number `i` of its output element, counted
    along the last axis first. T is float or double.

    A reduction has a `post_map`: the body ends in a `term` for every element of the broadcast inputs, and `post_map`
    computes the output from the sum `a` of the terms over the axes that the call names.
    """

    inputs: str
    outputs: str
    body: str
    shape_rule: ShapeRule | None = None
    post_map: str = ""

    @cached_property
    def in_params(self) -> tuple[Param, ...]:
        return parse_params(self.inputs)

    @cached_property
    def out_params(self) -> tuple[Param, ...]:
        return parse_params(self.outputs)


def parse_params(text: str) -> tuple[Param, ...]:
    """The parameters of a declaration such as 'T x, raw int64 y'."""
    words = [each.split() for each in text.split(",")]
    return tuple(Param(each[-2], each[-1], each[0] == "raw") for each in words)


@dataclass(frozen=True)
class BoundCall:
    """A call with its arguments in the order of the parameters, and the shape and dtypes of the outputs."""

    arguments: list[Any]
    shape: Shape
    dtypes: list[np.dtype[Any]]
    T: np.dtype[Any]
    axis: Shape = ()
    keepdims: bool = False


def bind(kernel: Kernel, inputs: tuple[Any, ...], numbers: dict[str, Any], dtype: Any = None) -> BoundCall:
    """Match arguments with parameters: arrays in order, then numbers by name.

    Raises TypeError for a wrong count or precision.
    """
    axis, keepdims = numbers.pop("axis", ()), numbers.pop("keepdims", False)
    shape, numbers = kernel.shape_rule(*inputs, **numbers) if kernel.shape_rule else (None, numbers)
    names = [param.name for param in kernel.in_params]
    given = dict(zip(names, inputs, strict=False)) | numbers
    if len(inputs) > len(names) or given.keys() != set(names):
        raise TypeError(f"{len(inputs)} inputs, numbers {', '.join(numbers) or 'none'}; allowed: {kernel.inputs}")
    precision = _precision(kernel, given, dtype)
    broadcast = np.broadcast_shapes(*(getattr(given[param.name], "shape", ()) for param in kernel.in_params if not param.raw))
    axis = _normalize_axis(axis, len(broadcast)) if kernel.post_map else ()
    if shape is None:
        shape = _reduced_shape(broadcast, axis, keepdims)
    dtypes = [param.dtype(precision) for param in kernel.out_params]
    return BoundCall([given[name] for name in names], shape, dtypes, precision, axis, keepdims)


def _normalize_axis(axis: Any, ndim: int) -> Shape:
    """The axes as sorted non-negative numbers; None means all."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(each % ndim for each in axes))


def _reduced_shape(shape: Shape, axis: Shape, keepdims: bool) -> Shape:
    """The shape after a reduction over some axes."""
    if keepdims:
        return tuple(1 if k in axis else size for k, size in enumerate(shape))
    return tuple(size for k, size in enumerate(shape) if k not in axis)


def _precision(kernel: Kernel, given: dict[str, Any], dtype: Any) -> np.dtype[Any]:
    """The one precision of all arrays of type T, or `dtype` if there is no such array."""
    arrays = {p.name: given[p.name] for p in kernel.in_params if p.ctype == "T" and is_array(given[p.name])}
    typed = any(param.ctype == "T" for param in (*kernel.in_params, *kernel.out_params))
    found = {np.dtype(array.dtype) for array in arrays.values()} or {np.dtype(dtype if typed and dtype else np.float64)}
    if len(found) > 1 or not found <= {np.dtype(np.float32), np.dtype(np.float64)}:
        described = ", ".join(f"{name} {array.dtype}" for name, array in arrays.items())
        raise TypeError(f"precisions: {described or dtype}; allowed: all float32 or all float64")
    return found.pop()


def is_array(value: Any) -> bool:
    """Whether a value is an array of any library, and not a number."""
    return hasattr(value, "shape") and not isinstance(value, np.generic)
