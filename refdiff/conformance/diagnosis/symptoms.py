"""Symptoms: failures that are described without a change of a formula.

There are two: a missing input check and lost precision.
"""

from __future__ import annotations

from .mutants import Mutant

UNCHECKED, ROUNDED = "unchecked", "rounded"
TEXTS = {
    UNCHECKED: "gives an answer where only an error is right",
    ROUNDED: "correct to single precision only (a step is computed in float32, or a small constant is added)",
}


def symptom(kind: str, operation: str) -> Mutant:
    """The symptom of an operation, in the form of a mutant that changes nothing."""
    return Mutant(f"{kind}: {operation}", (), text=TEXTS[kind])


def is_symptom(name: str, *kinds: str) -> bool:
    """Whether a mutant of this name is a symptom of one of these kinds, or of any kind."""
    return name.startswith(tuple(f"{kind}: " for kind in kinds or TEXTS))
