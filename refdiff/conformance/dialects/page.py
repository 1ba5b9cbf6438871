"""The output of `refdiff dialects`: all dialects side by side, or one with its sources."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ...checks import check_choice
from .choices import TIMES
from .dialect import CONVENTIONS, Dialect
from .table import DIALECTS

MEANINGS = {
    "time": "what time means in the library",
    "state": "preserving: signal^2 + sigma^2 = 1; exploding: signal = 1; straight: signal + sigma = 1",
    "prediction": "default output of the network; v = signal eps - sigma x0",
    "final": "final alpha_bar of samplers; alpha_bar_1 is that of refdiff's t = 1",
    "grid": "default spacing of sampler times; leading and trailing are as in refdiff",
    "guidance": "scale: with gamma, 1 is the conditional model; with w, 0 is; gamma = 1 + w",
    "loss": "reduction of a squared error over the event",
    "elbo": "unit of the terms of the ELBO",
    "features": "order of the halves; frequencies 10000^(-i / divisor); their factor",
    "variance": "default variance of the reverse step",
    "mix": "range of the network's output for a learned variance; the upper end is beta",
    "floor": "replacement for beta-tilde = 0 at t = 1, whose logarithm is tabulated",
}
WIDTH = 100
COLUMNS = 4


def list_text() -> str:
    """All dialects in blocks of a few, with one line per convention; at most `WIDTH` columns."""
    names = tuple(DIALECTS)
    blocks = [_block(names[i : i + COLUMNS]) for i in range(0, len(names), COLUMNS)]
    meanings = [f"{name:12}{meaning}" for name, meaning in MEANINGS.items()]
    times = [f"  {name:16}{convention.meaning}" for name, convention in TIMES.items()]
    more = "refdiff dialects NAME shows one dialect with its version and its sources; - means unstated."
    return "\n\n".join([*blocks, "\n".join([meanings[0], *times, *meanings[1:]]), more])


def show_text(name: str) -> str:
    """One dialect: its version, its conventions, and the source of each. Raises for an unknown name."""
    check_choice("name", name, tuple(DIALECTS))
    dialect = DIALECTS[name]
    conventions = [f"  {convention:12}{cell(dialect, convention)}" for convention in CONVENTIONS]
    sources = [_wrapped(f"{fields}: {where}") for fields, where in dialect.sources]
    note = ["", _wrapped(dialect.note)] if dialect.note else []
    return "\n".join([dialect.name, _wrapped(dialect.version), "", *conventions, "", "sources", *sources, *note])


def cell(dialect: Dialect, convention: str) -> str:
    """A choice as text."""
    choice = getattr(dialect, convention)
    if choice is None:
        return "-"
    return f"[{choice.order}] / ({choice.divisor}), {choice.argument}" if convention == "features" else str(choice)


def _block(names: Sequence[str]) -> str:
    """A table of some dialects; features have one line for each of their parts."""
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
