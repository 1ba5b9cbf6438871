"""A lint for kernel bodies: rules that no compiler checks. `python -m refdiff_gpu.proof.lint` prints violations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ..emulator.interpreter import FUNCTIONS
from ..emulator.parse import TYPES, Node, parse
from ..kernels.kernel import Kernel
from ..kernels.table import KERNELS

RESERVED = {"i", "n", "T", "a", "term"}  # the thread number, CuPy's count of threads, the precision, a sum and its terms


def lint(kernel: Kernel) -> list[str]:
    """The violations in a kernel, as sentences; an empty list if there are none."""
    statements = parse(kernel.body + (f"{kernel.post_map};" if kernel.post_map else ""))
    return [*_names(kernel, statements), *_expressions(kernel, statements), *_outputs(kernel, statements), *_cub_names(kernel)]


def _names(kernel: Kernel, statements: list[Node]) -> Iterator[str]:
    """Parameters are read, not written, not redeclared, and have unique names."""
    names = [param.name for param in (*kernel.in_params, *kernel.out_params)]
    yield from (f"two parameters are named {name}" for name, count in Counter(names).items() if count > 1)
    yield from (f"{name} is a reserved name" for name in RESERVED & set(names))
    yield from (f"{p.ctype} {p.name} is of no known type" for p in (*kernel.in_params, *kernel.out_params) if p.ctype not in TYPES)
    used = {node[1] for node in walk(statements) if node[0] in ("name", "load")}
    yield from (f"{param.name} is never read" for param in kernel.in_params if param.name not in used)
    yield from (f"{name} is declared, never read" for name in _declared(statements) if name not in used | {"term"})
    assigned = {node[2] for node in walk(statements) if node[0] == "assign"}
    yield from (f"{param.name} is an input, and written" for param in kernel.in_params if param.name in assigned)
    known = set(names) | {"i"} | ({"a", "term"} if kernel.post_map else set())
    yield from (f"{name} is not declared" for name in (used | assigned) - known - set(_declared(statements)) - _loop_variables(statements))
    yield from (f"{name} is declared twice" for name, count in Counter(_declared(statements)).items() if count > 1)


def _expressions(kernel: Kernel, statements: list[Node]) -> Iterator[str]:
    """Literals have a type, functions are on the list, and raw inputs, and only those, are indexed."""
    raw = {param.name for param in kernel.in_params if param.raw}
    typed = [node[2][0] for node in walk(statements) if node[0] == "call" and node[1] in ("T", "float64")]
    for node in walk(statements):
        if node[0] == "float" and not any(node is each for each in typed):
            yield f"{node[1]} is a bare literal"
        elif node[0] == "call" and node[1] not in {*FUNCTIONS, *TYPES} - {"bool"}:
            yield f"{node[1]} is not one of the functions"
        elif (node[0] == "load" and node[1] not in raw) or (node[0] == "name" and node[1] in raw):
            yield f"{node[1]} is {'not ' if node[0] == 'load' else ''}raw"


def _outputs(kernel: Kernel, statements: list[Node]) -> Iterator[str]:
    """Outputs are written once, outside loops, and not read."""
    top = Counter(node[2] for node in statements if node[0] == "assign")
    anywhere = Counter(node[2] for node in walk(statements) if node[0] == "assign")
    read = {node[1] for node in walk(statements) if node[0] in ("name", "load")}
    for param in kernel.out_params:
        if top[param.name] != 1 or anywhere[param.name] != 1:
            yield f"{param.name} is written {anywhere[param.name]} times, {top[param.name]} of them outside loops"
        if param.name in read:
            yield f"{param.name} is an output, and read"
    inputs, outputs, written = ({param.name for param in params} for params in (kernel.in_params, kernel.out_params, ()))
    for statement in statements:
        late = {node[1] for node in walk(statement) if node[0] in ("name", "load")} & inputs if written else set()
        yield from (f"{name} is read after {', '.join(written)} is written, which may be the same memory" for name in sorted(late))
        written |= outputs & set(statement[2:3]) if statement[0] == "assign" else set()
    if kernel.post_map and len(kernel.out_params) != 1:
        yield "a sum has more than one output"


def _cub_names(kernel: Kernel) -> Iterator[str]:
    """No parameter of a one-input reduction is part of another word: for CUB, CuPy renames it everywhere in the text."""
    if kernel.post_map and len(kernel.in_params) == 1:
        for param, text in (kernel.in_params[0], f"return term; {kernel.body}"), (kernel.out_params[0], kernel.post_map):
            if text.count(param.name) != len(re.findall(rf"\b{param.name}\b", text)):
                yield f"{param.name} is part of another word, which CuPy would change"


def walk(node: Node | list[Node]) -> Iterator[Node]:
    """All nodes of a parsed body."""
    if isinstance(node, tuple):
        yield node
    for each in node:
        if isinstance(each, tuple | list):
            yield from walk(each)


def _declared(statements: list[Node]) -> list[str]:
    return [node[2] for node in walk(statements) if node[0] == "assign" and node[1]]


def _loop_variables(statements: list[Node]) -> set[str]:
    return {node[1] for node in walk(statements) if node[0] == "for"}


if __name__ == "__main__":
    violations = [f"{name}: {violation}" for name, kernel in KERNELS.items() for violation in lint(kernel)]
    print("\n".join(violations) or f"{len(KERNELS)} kernels in order")
    raise SystemExit(bool(violations))
