"""Known departures: mistakes and conventions of real implementations, each with a name, a text, and the change of the
formulas.

A change is a list of edits (formula, expression, replacement), made at every occurrence, or an operation with a formula
of `departures`.
"""

from typing import Any

from . import diffusion, elbo, layers, libraries, practice

KNOWN: dict[str, tuple[str, Any]] = (
    diffusion.KNOWN
    | libraries.KNOWN
    | practice.KNOWN
    | {f"{edits[0][0]}: {text}": (text, edits) for edits, text in elbo.KNOWN}
    | {f"{edits[0][0]}: {text}": (text, list(edits)) for text, edits in layers.KNOWN}
)
