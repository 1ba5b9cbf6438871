"""A template of an adapter: every operation is a method with its rule as docstring, and is skipped until it is filled in."""

from __future__ import annotations

import textwrap
from collections.abc import Collection

from ..mutations.conventions import choices
from ..operations import AREAS, Operation, chosen, operations
from ..vectors.files import load

HEAD = '''\
"""An adapter for `refdiff check`: fill in the operations that your code has, delete or leave the others.

Save it as my_adapter.py, then run: refdiff check my_adapter

Data are NumPy arrays with the batch axis first: (B, ...), images (B, H, W, C). betas (T,) starts with beta_1. Times are integers
0..T, and t = 0 is clean data; t and s are one number or an array (B,). model(x, t) and f(x, t) are callables. Return arrays in the
order of the outputs. Raise refdiff.conformance.adapter.Skip or NotImplementedError for a case that your code does not support.
"""


class Adapter:
    name = "my implementation"
    version = ""
    precision = "float64"  # or float32: the precision of the inputs and of the tolerances
'''


def template(only: Collection[str] = ()) -> str:
    """The text of a Python module, ready to run."""
    parts = [HEAD]
    for area in AREAS:
        listed = [o for o in operations().values() if o.area == area and o.name in chosen(only)]
        if listed:
            parts.append(f"    # {area}\n")
        parts += [_method(operation) for operation in listed]
    return "\n".join(parts)


def _said(operation: Operation) -> list[str]:
    """The conventions that an operation leaves open, and the wrong inputs that it should refuse, as the vectors have them."""
    open_to, refused = (
        choices(operation.name),
        list(dict.fromkeys(v.refused for v in load() if v.operation == operation.name and v.refused)),
    )
    return [
        *([f"Equally right: {'; '.join(open_to)}."] if open_to else []),
        *([f"To be refused by an error: {'; '.join(refused)}."] if refused else []),
    ]


def _method(operation: Operation) -> str:
    signature = ", ".join(["self", *(f"{name}=None" if name in operation.optional else name for name in operation.inputs)])
    rule = " ".join([operation.rule, *_said(operation)]).replace("\\", "\\\\").replace('"""', "'''")
    if rule.endswith('"'):
        rule += " "
    text = f'"""{", ".join(operation.equations)} -> {", ".join(operation.outputs)}: {rule}"""'
    lines = textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)
    body = "\n".join(f"        {line}" for line in [*lines, "raise NotImplementedError"])
    head = textwrap.wrap(f"    def {operation.name}({signature}):", 130, subsequent_indent=" " * 8)
    return "\n".join([*head, body, ""])
