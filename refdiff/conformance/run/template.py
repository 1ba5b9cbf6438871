"""An adapter to fill in: every operation as a method that has its rule to read, and is skipped until it answers."""

from __future__ import annotations

import textwrap
from collections.abc import Collection

from ..operations import AREAS, Operation, operations

HEAD = '''\
"""An adapter for `refdiff check`: fill in what your code has, delete or leave what it has not.

Save as my_adapter.py, then run: refdiff check my_adapter

Data are NumPy arrays, examples first: (B, ...), images (B, H, W, C). betas (T,) starts with beta_1. Times are integers 0..T, t = 0
is clean data; t and s are one number or an array (B,). model(x, t) and f(x, t) are callables to be called. Give arrays back, in the
order of the outputs. Raise refdiff.conformance.adapter.Skip for a case that your code cannot have, and NotImplementedError likewise.
"""


class Adapter:
    name = "my implementation"
    version = ""
    precision = "float64"  # or float32: arrays come in it, and answers are judged by it
'''


def template(only: Collection[str] = ()) -> str:
    """The text of a Python module, ready to run."""
    found = [HEAD]
    for area in AREAS:
        mine = [o for o in operations().values() if o.area == area and (not only or o.name in only or area in only)]
        if mine:
            found.append(f"    # {area}\n")
        found += [_method(operation) for operation in mine]
    return "\n".join(found)


def _method(operation: Operation) -> str:
    given = ", ".join(["self", *(f"{name}=None" if name in operation.optional else name for name in operation.inputs)])
    rule = operation.rule.replace("\\", "\\\\").replace('"""', "'''")
    if rule.endswith('"'):
        rule += " "
    text = f'"""{", ".join(operation.equations)} -> {", ".join(operation.outputs)}: {rule}"""'
    lines = textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)
    body = "\n".join(f"        {line}" for line in [*lines, "raise NotImplementedError"])
    head = textwrap.wrap(f"    def {operation.name}({given}):", 130, subsequent_indent=" " * 8)
    return "\n".join([*head, body, ""])
