"""The tutorial's program, read from its page: run by the build for its picture and its output, and by the tests."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from typing import Any, NamedTuple

from refdiff import parallel

from .inventory import ROOT


class Run(NamedTuple):
    """The output of a run, and its variables."""

    printed: str
    names: dict[str, Any]


def blocks() -> list[str]:
    """The page's blocks of Python; the last one holds the lines that turn the diffusion into a flow."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.S | re.M)


def program(flow: bool = False) -> str:
    """The whole program; for the flow, each changed line replaces the line that sets the same names."""
    *parts, changed = blocks()
    text = "\n".join(parts)
    for line in changed.splitlines() if flow else []:
        text, count = re.subn(rf"^{re.escape(line.split(' = ')[0])} = .*$", line.replace("\\", r"\\"), text, flags=re.M)
        if count != 1:
            raise ValueError(f"the tutorial has {count} lines to be replaced by {line!r}; allowed: 1")
    return text


@cache
def run(flow: bool = False) -> Run:
    """Run the program, once in a process."""
    names: dict[str, Any] = {}
    with redirect_stdout(StringIO()) as out, parallel.one_blas_thread():
        exec(compile(program(flow), "tutorial.md", "exec"), names)
    return Run(out.getvalue(), names)
