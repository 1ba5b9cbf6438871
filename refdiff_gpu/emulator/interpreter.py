"""A vectorized interpreter of kernel bodies: every variable is an array over all threads, or one shared number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels.kernel import Kernel, Param
from .parse import Node, parse

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name) for name in ("sqrt", "exp", "expm1", "log", "log1p", "tanh", "sin", "cos")
}

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "<<": np.left_shift, ">>": np.right_shift, "&": np.bitwise_and, "|": np.bitwise_or,
    "^": np.bitwise_xor, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
    "&&": np.logical_and, "||": np.logical_or,
}  # fmt: skip


class Interpreter:
    """The variables of all threads, and their cost: `loads` and `bytes` of raw inputs, `flops` of a thread."""

    def __init__(self, shape: tuple[int, ...], T: np.dtype[Any]) -> None:
        self.shape, self.T = shape, T
        self.values: dict[str, Any] = {}
        self.dtypes: dict[str, np.dtype[Any]] = {"i": np.dtype(np.int64)}
        self.raw: dict[str, Any] = {}
        self.mask: Any = None  # the threads that evaluate the current branch of a conditional; None: all
        self.loads = self.bytes = self.flops = 0

    def bind_arguments(self, kernel: Kernel, arguments: list[Any]) -> int:
        """Store the arguments of a call; the number of bytes of the inputs that are read element by element."""
        read = 0
        for param, value in zip(kernel.in_params, arguments, strict=True):
            dtype = self.dtypes[param.name] = param.dtype(self.T)
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

    def run(self, body: str, params: tuple[Param, ...], outs: list[Any]) -> None:
        """Execute a body, and write the values of its output parameters to `outs`."""
        self.dtypes |= {param.name: param.dtype(self.T) for param in params}
        if not outs[0].size:
            return
        with np.errstate(all="ignore"):
            self.execute(parse(body))
        results = [np.broadcast_to(self.values[param.name], out.shape) for param, out in zip(params, outs, strict=True)]
        for out, result in zip(outs, results, strict=True):
            out[...] = result

    def execute(self, statements: list[Node]) -> None:
        for statement in statements:
            getattr(self, "_exec_" + statement[0])(*statement[1:])

    def _exec_assign(self, declared: str | None, name: str, value: Node) -> None:
        if declared:
            self.dtypes[name] = self._dtype(declared)
        self.values[name] = self._assignable(self.evaluate(value), self.dtypes[name], name)

    def _exec_for(self, name: str, low: Node, high: Node, statements: list[Node]) -> None:
        self.dtypes[name] = np.dtype(np.int64)
        for number in range(int(self.evaluate(low)), int(self.evaluate(high))):
            self.values[name] = np.int64(number)
            self.execute(statements)

    def _dtype(self, name: str) -> np.dtype[Any]:
        return np.dtype(self.T if name == "T" else name)

    def _assignable(self, value: Any, dtype: np.dtype[Any], name: str) -> Any:
        """The value if it has the dtype, or a literal converted to it."""
        if isinstance(value, int):
            return dtype.type(value)
        if value.dtype != dtype:
            raise TypeError(f"{name} of type {dtype} is given {value.dtype}; allowed: a conversion written out")
        return value

    def evaluate(self, node: Node) -> Any:
        """The value of an expression: an array over the threads, one number, or an int for an integer literal."""
        return getattr(self, "_eval_" + node[0])(*node[1:])

    def _eval_int(self, value: int) -> int:
        return value

    def _eval_float(self, value: float) -> Any:
        raise TypeError(f"bare literal {value}; allowed: T({value}) or float64({value})")

    def _eval_name(self, name: str) -> Any:
        if name == "i" and "i" not in self.values:
            self.values["i"] = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        return self.values[name]

    def _eval_unary(self, operator: str, operand: Node) -> Any:
        value = self.evaluate(operand)
        return {"-": np.negative, "!": np.logical_not, "~": np.invert}[operator](value)

    def _eval_binary(self, operator: str, left: Node, right: Node) -> Any:
        a, b = self.evaluate(left), self.evaluate(right)
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

    def _eval_conditional(self, condition: Node, yes: Node, no: Node) -> Any:
        chosen, outer = self.evaluate(condition), self.mask
        if np.ndim(chosen) == 0:
            return self.evaluate(yes if chosen else no)
        self.mask = chosen if outer is None else outer & chosen
        a = self.evaluate(yes)
        self.mask = ~chosen if outer is None else outer & ~chosen
        b = self.evaluate(no)
        self.mask = outer
        if not isinstance(a, int) and not isinstance(b, int) and a.dtype != b.dtype:
            raise TypeError(f"? {a.dtype} : {b.dtype}; allowed: one type")
        return np.where(chosen, a, b)

    def _eval_load(self, name: str, index: Node) -> Any:
        where, array = self.evaluate(index), self.raw[name]
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

    def _eval_call(self, name: str, arguments: list[Node]) -> Any:
        if name in ("T", "float64", "uint32", "uint64", "int32", "int64"):
            return self._convert(self._dtype(name), arguments[0])
        value = self.evaluate(arguments[0])
        if value.dtype.kind != "f":
            raise TypeError(f"{name} of {value.dtype}; allowed: T or float64")
        self.flops += 1
        return FUNCTIONS[name](value)

    def _convert(self, dtype: np.dtype[Any], argument: Node) -> Any:
        if argument[0] == "float":
            return dtype.type(argument[1])
        value = self.evaluate(argument)
        return dtype.type(value) if isinstance(value, int) else value.astype(dtype)


def _divide(a: Any, b: Any, operator: str, kind: str) -> Any:
    """Division as in C: integer quotients are rounded towards zero, and the remainder has the sign of a."""
    if kind == "f":
        return np.divide(a, b)
    remainder = np.fmod(a, b)
    return remainder if operator == "%" else (a - remainder) // b
