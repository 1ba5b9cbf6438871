"""Run `refdiff orders`: print the row of each method when it is measured, and draw the errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import plots
from ..sampling import orders


def run(names: Sequence[str], steps: int, out: Path | None) -> int:
    """Print the table of these methods, with `steps` and twice as many steps, and write the picture if a file is given; returns 0."""
    print(orders.HEAD, flush=True)
    for name in names:
        print(orders.line(*orders.certificate([name], steps)), flush=True)
    if out is not None:
        plots.orders(names).save(out)
        print(f"picture {out}")
    return 0
