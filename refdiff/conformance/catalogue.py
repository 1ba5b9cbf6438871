"""Known mistakes and conventions of real implementations, each as an edit of a formula, and all mutants together by name."""

from __future__ import annotations

from functools import cache

from .changes import composed
from .mutants import Mutant


@cache
def everything() -> dict[str, Mutant]:
    """All mutants: the known ones, then the composed ones."""
    return {**composed()}
