"""What `refdiff dialects` prints: all dialects side by side, or one with its sources."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ...arrays import check_choice
from .choices import TIMES
from .dialect import CONVENTIONS, Dialect
from .table import DIALECTS

MEANINGS = {
    "time": "what the library calls time",
    "state": "preserving: signal^2 + sigma^2 = 1; exploding: signal = 1; straight: signal + sigma = 1",
    "prediction": "what the network answers by default; v = signal eps - sigma x0",
    "final": "alpha_bar where samplers end; alpha_bar_1 is that of our t = 1",
    "grid": "default spacing of sampler times; leading and trailing are refdiff's own",
    "guidance": "gamma: 1 is plain conditional; w: 0 is, gamma = 1 + w",
    "loss": "how a squared error is reduced over the event",
    "bound": "unit of the terms of the ELBO",
    "features": "order of the halves; frequencies 10000^(-i / divisor); what they multiply",
    "variance": "default of the reverse step",
    "mix": "range of the network's answer for a learned variance; the upper end is beta",
    "floor": "what replaces beta-tilde = 0 of t = 1 where its logarithm is tabulated",
}
WIDTH = 100
COLUMNS = 4


def list_text() -> str:
    """All dialects, a few to a block, conventions down the side; at most `WIDTH` columns."""
    names = tuple(DIALECTS)
    blocks = [_block(names[i : i + COLUMNS]) for i in range(0, len(names), COLUMNS)]
    meanings = [f"{name:12}{meaning}" for name, meaning in MEANINGS.items()]
    times = [f"  {name:16}{clock.meaning}" for name, clock in TIMES.items()]
    more = "refdiff dialects NAME shows one with its version and its sources; - is unstated."
    return "\n\n".join([*blocks, "\n".join([meanings[0], *times, *meanings[1:]]), more])


def show_text(name: str) -> str:
    """One dialect: what it describes, its conventions, and where each is visible. Raises for an unknown name."""
    check_choice("name", name, tuple(DIALECTS))
    dialect = DIALECTS[name]
    conventions = [f"  {convention:12}{cell(dialect, convention)}" for convention in CONVENTIONS]
    sources = [_wrapped(f"{fields}: {where}") for fields, where in dialect.sources]
    note = ["", _wrapped(dialect.note)] if dialect.note else []
    return "\n".join([dialect.name, _wrapped(dialect.version), "", *conventions, "", "seen in", *sources, *note])


def cell(dialect: Dialect, convention: str) -> str:
    """A choice as text."""
    choice = getattr(dialect, convention)
    if choice is None:
        return "-"
    return f"[{choice.order}] / ({choice.divisor}), {choice.argument}" if convention == "features" else str(choice)


def _block(names: Sequence[str]) -> str:
    """A table of some dialects; features take a line for each of their parts."""
    width = (WIDTH - 12) // COLUMNS
    rows = [("", *names)]
    for convention in CONVENTIONS:
        if convention == "features":
            rows += zip(("features", "  divisor", "  argument"), *(DIALECTS[name].features or "---" for name in names), strict=True)
        else:
            rows.append((convention, *(cell(DIALECTS[name], convention) for name in names)))
    return "\n".join((f"{row[0]:12}" + "".join(f"{text:{width}}" for text in row[1:])).rstrip() for row in rows)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
