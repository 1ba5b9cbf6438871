"""What a body must not do, though it would compile: each rule a line, each complaint a sentence. `python -m refdiff_gpu.lint` runs it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ..emulator.interpreter import FUNCTIONS
from ..emulator.parse import TYPES, Node, parse
from ..kernels.table import KERNELS, Kernel

RESERVED = {"i", "n", "T", "a", "term"}  # the place, CuPy's own count, the precision, a sum and its terms


def lint(kernel: Kernel) -> list[str]:
    """Complaints about a kernel, none if it is in order."""
    statements = parse(kernel.body + (f"{kernel.after};" if kernel.after else ""))
    return [*_names(kernel, statements), *_expressions(kernel, statements), *_outputs(kernel, statements), *_renamed(kernel)]


def _names(kernel: Kernel, statements: list[Node]) -> Iterator[str]:
    """Parameters: used, not written, not redeclared, with names of their own."""
    names = [param.name for param in (*kernel.ins, *kernel.outs)]
    yield from (f"two parameters are named {name}" for name, count in Counter(names).items() if count > 1)
    yield from (f"{name} is a reserved name" for name in RESERVED & set(names))
    yield from (f"{p.ctype} {p.name} is of no known type" for p in (*kernel.ins, *kernel.outs) if p.ctype not in TYPES)
    used = {node[1] for node in walk(statements) if node[0] in ("name", "load")}
    yield from (f"{param.name} is never read" for param in kernel.ins if param.name not in used)
    yield from (f"{name} is declared, never read" for name in _declared(statements) if name not in used | {"term"})
    assigned = {node[2] for node in walk(statements) if node[0] == "assign"}
    yield from (f"{param.name} is an input, and written" for param in kernel.ins if param.name in assigned)
    known = set(names) | {"i"} | ({"a", "term"} if kernel.after else set())
    yield from (f"{name} is not declared" for name in (used | assigned) - known - set(_declared(statements)) - _counters(statements))
    yield from (f"{name} is declared twice" for name, count in Counter(_declared(statements)).items() if count > 1)


def _expressions(kernel: Kernel, statements: list[Node]) -> Iterator[str]:
    """Literals with a type, functions of the list, indices for raw inputs and for those only."""
    raw = {param.name for param in kernel.ins if param.raw}
    typed = [node[2][0] for node in walk(statements) if node[0] == "call" and node[1] in ("T", "float64")]
    for node in walk(statements):
        if node[0] == "float" and not any(node is each for each in typed):
            yield f"{node[1]} is a bare literal"
        elif node[0] == "call" and node[1] not in {*FUNCTIONS, *TYPES} - {"bool"}:
            yield f"{node[1]} is not one of the functions"
        elif (node[0] == "load" and node[1] not in raw) or (node[0] == "name" and node[1] in raw):
            yield f"{node[1]} is {'not ' if node[0] == 'load' else ''}raw"


def _outputs(kernel: Kernel, statements: list[Node]) -> Iterator[str]:
    """Outputs: written once, outside loops, and not read."""
    top = Counter(node[2] for node in statements if node[0] == "assign")
    everywhere = Counter(node[2] for node in walk(statements) if node[0] == "assign")
    read = {node[1] for node in walk(statements) if node[0] in ("name", "load")}
    for param in kernel.outs:
        if top[param.name] != 1 or everywhere[param.name] != 1:
            yield f"{param.name} is written {everywhere[param.name]} times, {top[param.name]} of them outside loops"
        if param.name in read:
            yield f"{param.name} is an output, and read"
    inputs, outputs, written = ({param.name for param in params} for params in (kernel.ins, kernel.outs, ()))
    for statement in statements:
        late = {node[1] for node in walk(statement) if node[0] in ("name", "load")} & inputs if written else set()
        yield from (f"{name} is read after {', '.join(written)} is written, which may lie in the same place" for name in sorted(late))
        written |= outputs & set(statement[2:3]) if statement[0] == "assign" else set()
    if kernel.after and len(kernel.outs) != 1:
        yield "a sum has more than one output"


def _renamed(kernel: Kernel) -> Iterator[str]:
    """Where CuPy hands a sum of one input on to CUB, it renames both parameters letter by letter, even within other words."""
    if kernel.after and len(kernel.ins) == 1:
        for param, text in (kernel.ins[0], f"return term; {kernel.body}"), (kernel.outs[0], kernel.after):
            if text.count(param.name) != len(re.findall(rf"\b{param.name}\b", text)):
                yield f"{param.name} is part of another word, which CuPy would change"


def walk(node: Node | list[Node]) -> Iterator[Node]:
    """All nodes of a body."""
    if isinstance(node, tuple):
        yield node
    for each in node:
        if isinstance(each, tuple | list):
            yield from walk(each)


def _declared(statements: list[Node]) -> list[str]:
    return [node[2] for node in walk(statements) if node[0] == "assign" and node[1]]


def _counters(statements: list[Node]) -> set[str]:
    return {node[1] for node in walk(statements) if node[0] == "for"}


if __name__ == "__main__":
    complaints = [f"{name}: {complaint}" for name, kernel in KERNELS.items() for complaint in lint(kernel)]
    print("\n".join(complaints) or f"{len(KERNELS)} kernels in order")
    raise SystemExit(bool(complaints))
