"""The kernels on NumPy: an interpreter of bodies that rounds as a GPU does, refuses what a GPU would do silently, and counts.

Every thread's number is an element of an array, so a body runs once for all of them. float32 stays float32 after each operation, and
uint32 wraps. Mixed types, and reading beyond an array's end, raise.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .kernel import Bound, Kernel, Param, bind
from .parse import Node, parse

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name) for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh", "sin", "cos")
}

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "<<": np.left_shift, ">>": np.right_shift, "&": np.bitwise_and, "|": np.bitwise_or,
    "^": np.bitwise_xor, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
    "&&": np.logical_and, "||": np.logical_or,
}  # fmt: skip


LABEL: ContextVar[str] = ContextVar("LABEL", default="")  # what the calls are for


@dataclass
class Call:
    """One launch: how many threads, bytes it must read and write, elements of raw inputs it loads, operations on floating-point numbers."""

    name: str
    threads: int
    read: int
    written: int
    loads: int
    flops: int
    label: str = field(default_factory=lambda: LABEL.get())


@dataclass
class Ledger:
    """What was launched inside `with Ledger() as ledger:`."""

    calls: list[Call] = field(default_factory=list)

    def __enter__(self) -> Ledger:
        _ledgers.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _ledgers.remove(self)


_ledgers: list[Ledger] = []


def note(call: Call) -> None:
    """Put a launch down in every open ledger."""
    for ledger in _ledgers:
        ledger.calls.append(call)


def call(name: str, kernel: Kernel, inputs: tuple[Any, ...], numbers: dict[str, Any], outs: Any = None, dtype: Any = None) -> list[Any]:
    """Run a kernel on NumPy arrays: match the arguments, make the outputs unless given, interpret the body."""
    bound = bind(kernel, inputs, dict(numbers), dtype)
    outs = outs or [np.empty(bound.shape, dtype) for dtype in bound.dtypes]
    if [out.shape for out in outs] != [bound.shape] * len(kernel.outs):
        raise ValueError(f"out has shapes {[out.shape for out in outs]}; allowed: {len(kernel.outs)} of {bound.shape}")
    note((_summed if kernel.after else run)(name, kernel, bound, outs))
    return outs


def run(name: str, kernel: Kernel, bound: Bound, outs: list[Any]) -> Call:
    """Interpret a body over all its threads, one for each element of the outputs."""
    threads = _Threads(outs[0].shape, bound.T)
    read = threads.take(kernel, bound.arguments)
    threads.finish(kernel.body, kernel.outs, outs)
    written = sum(out.nbytes for out in outs)
    return Call(name, outs[0].size, read + threads.bytes, written, threads.loads, threads.flops * outs[0].size)


def _summed(name: str, kernel: Kernel, bound: Bound, outs: list[Any]) -> Call:
    """Interpret the body over all elements, sum its terms, and make the outputs of the sums."""
    whole = np.broadcast_shapes(*(np.shape(value) for value in bound.arguments))
    terms, sums = _Threads(whole, bound.T), _Threads(outs[0].shape, bound.T)
    read = terms.take(kernel, bound.arguments)
    sums.take(kernel, [value if np.ndim(value) == 0 else 0 for value in bound.arguments])
    with np.errstate(all="ignore"):
        terms.execute(parse(kernel.body))
        term = np.broadcast_to(terms.values["term"], whole)
        sums.values["a"] = np.asarray(np.add.reduce(term, axis=bound.axis, keepdims=bound.keepdims))
    sums.finish(f"{kernel.after};", kernel.outs, outs)
    flops = terms.flops * term.size + term.size + sums.flops * outs[0].size
    return Call(name, term.size, read, sum(out.nbytes for out in outs), 0, flops)


class _Threads:
    """The state of all threads: a dictionary of values, each an array over the threads or one number for all."""

    def __init__(self, shape: tuple[int, ...], T: np.dtype[Any]) -> None:
        self.shape, self.T = shape, T
        self.values: dict[str, Any] = {}
        self.types: dict[str, np.dtype[Any]] = {"i": np.dtype(np.int64)}
        self.raw: dict[str, Any] = {}
        self.mask: Any = None  # which threads are here, inside a choice
        self.loads = self.bytes = self.flops = 0

    def take(self, kernel: Kernel, arguments: list[Any]) -> int:
        """Take a call's arguments; the bytes of those that are read element by element."""
        read = 0
        for param, value in zip(kernel.ins, arguments, strict=True):
            dtype = self.types[param.name] = param.dtype(self.T)
            if not isinstance(value, np.ndarray):
                self.values[param.name] = dtype.type(value)
                continue
            if value.dtype != dtype:
                raise TypeError(f"{param.name} has dtype {value.dtype}; allowed: {dtype}")
            if param.raw:
                self.raw[param.name] = value.reshape(-1)
            else:
                self.values[param.name] = value
                read += value.nbytes
        return read

    def finish(self, body: str, params: tuple[Param, ...], outs: list[Any]) -> None:
        """Run a body, and write what it leaves for the outputs."""
        self.types |= {param.name: param.dtype(self.T) for param in params}
        if not outs[0].size:
            return
        with np.errstate(all="ignore"):
            self.execute(parse(body))
        for out, result in zip(
            outs, [np.broadcast_to(self.values[param.name], out.shape) for param, out in zip(params, outs, strict=True)], strict=True
        ):
            out[...] = result

    def execute(self, statements: list[Node]) -> None:
        for statement in statements:
            getattr(self, "_" + statement[0])(*statement[1:])

    def _assign(self, declared: str | None, name: str, value: Node) -> None:
        if declared:
            self.types[name] = self.dtype(declared)
        self.values[name] = self.typed(self.value(value), self.types[name], name)

    def _for(self, name: str, low: Node, high: Node, statements: list[Node]) -> None:
        self.types[name] = np.dtype(np.int64)
        for number in range(int(self.value(low)), int(self.value(high))):
            self.values[name] = np.int64(number)
            self.execute(statements)

    def dtype(self, name: str) -> np.dtype[Any]:
        return np.dtype(self.T if name == "T" else name)

    def typed(self, value: Any, dtype: np.dtype[Any], name: str) -> Any:
        """A value as it is, if it has the type; a literal in the type."""
        if isinstance(value, int):
            return dtype.type(value)
        if value.dtype != dtype:
            raise TypeError(f"{name} of type {dtype} is given {value.dtype}; allowed: a conversion written out")
        return value

    def value(self, node: Node) -> Any:
        return getattr(self, "of_" + node[0])(*node[1:])

    def of_int(self, value: int) -> int:
        return value

    def of_float(self, value: float) -> Any:
        raise TypeError(f"bare literal {value}; allowed: T({value}) or float64({value})")

    def of_name(self, name: str) -> Any:
        if name == "i" and "i" not in self.values:
            self.values["i"] = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        return self.values[name]

    def of_unary(self, operator: str, operand: Node) -> Any:
        value = self.value(operand)
        return {"-": np.negative, "!": np.logical_not, "~": np.invert}[operator](value)

    def of_binary(self, operator: str, left: Node, right: Node) -> Any:
        a, b = self.value(left), self.value(right)
        if isinstance(a, int) and isinstance(b, int):
            raise TypeError(f"{a} {operator} {b}; allowed: the result")
        if not isinstance(a, int) and not isinstance(b, int) and a.dtype != b.dtype:
            raise TypeError(f"{a.dtype} {operator} {b.dtype}; allowed: one type")
        kind = (b if isinstance(a, int) else a).dtype.kind
        if kind == "f":
            if isinstance(a, int) or isinstance(b, int):
                raise TypeError(f"a bare integer {operator} a floating-point number; allowed: T(...)")
            self.flops += operator in "+-*/"
        if operator in "/%":
            return _divide(a, b, operator, kind)
        return _OPERATORS[operator](a, b)

    def of_choose(self, condition: Node, yes: Node, no: Node) -> Any:
        chosen, outside = self.value(condition), self.mask
        if np.ndim(chosen) == 0:
            return self.value(yes if chosen else no)
        self.mask = chosen if outside is None else outside & chosen
        a = self.value(yes)
        self.mask = ~chosen if outside is None else outside & ~chosen
        b = self.value(no)
        self.mask = outside
        if not isinstance(a, int) and not isinstance(b, int) and a.dtype != b.dtype:
            raise TypeError(f"? {a.dtype} : {b.dtype}; allowed: one type")
        return np.where(chosen, a, b)

    def of_load(self, name: str, index: Node) -> Any:
        where, array = self.value(index), self.raw[name]
        loads = int(np.prod(self.shape))
        if self.mask is not None:
            where = np.where(self.mask, where, 0)
            loads = int(np.count_nonzero(np.broadcast_to(self.mask, self.shape)))
            if not loads:
                return array.dtype.type(0)
        if np.min(where) < 0 or np.max(where) >= array.size:
            raise IndexError(f"{name}[{np.min(where)}..{np.max(where)}]; allowed: 0..{array.size - 1}")
        self.loads += loads
        self.bytes += loads * array.itemsize
        return array[where]

    def of_call(self, name: str, arguments: list[Node]) -> Any:
        if name in ("T", "float64", "uint32", "uint64", "int64"):
            return self.convert(self.dtype(name), arguments[0])
        value = self.value(arguments[0])
        if value.dtype.kind != "f":
            raise TypeError(f"{name} of {value.dtype}; allowed: T or float64")
        self.flops += 1
        return FUNCTIONS[name](value)

    def convert(self, dtype: np.dtype[Any], argument: Node) -> Any:
        if argument[0] == "float":
            return dtype.type(argument[1])
        value = self.value(argument)
        return dtype.type(value) if isinstance(value, int) else value.astype(dtype)


def _divide(a: Any, b: Any, operator: str, kind: str) -> Any:
    """C's division: integers are cut towards zero, and the remainder has the sign of a."""
    if kind == "f":
        return np.divide(a, b)
    remainder = np.fmod(a, b)
    return remainder if operator == "%" else (a - remainder) // b
