"""Symptoms: failures that are described without a change of a formula.

There are four: a missing input check, single precision, digits that cancel, and answers that are no numbers.
"""

from __future__ import annotations

from .mutants import Mutant

UNCHECKED, ROUNDED, CANCELLED, NAN = "unchecked", "rounded", "cancelled", "nan"
TEXTS = {
    UNCHECKED: "gives an answer where only an error is right",
    ROUNDED: "correct to single precision only: everything, or a step, is computed in float32",
    NAN: "the answer is NaN or infinite where the right one is finite (a root or a logarithm below 0, 0 / 0, an overflow)",
    CANCELLED: "the formula is right, but its small answers lose digits: nearly equal numbers are subtracted",
}


def symptom(kind: str, operation: str) -> Mutant:
    """The symptom of an operation, in the form of a mutant that changes nothing."""
    return Mutant(f"{kind}: {operation}", (), text=TEXTS[kind])


def is_symptom(name: str, *kinds: str) -> bool:
    """Whether a mutant of this name is a symptom of one of these kinds, or of any kind."""
    return name.startswith(tuple(f"{kind}: " for kind in kinds or TEXTS))
