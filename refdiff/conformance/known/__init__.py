"""Known mistakes and conventions of real implementations: name, what it says of one, and the edits of formulas that make it.

Edits are (formula, expression, what it becomes), every occurrence; where no edit will do, an operation and a formula of `departures`.
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
