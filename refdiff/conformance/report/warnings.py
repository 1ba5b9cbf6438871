"""Warnings: methods that are no operations, inputs that are overwritten, answers that change."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from ..operations import operations
from ..results import Finding, Result


def misspelled(implementation: Any) -> list[str]:
    """Warnings about methods whose name is almost that of an operation that the implementation does not have."""
    found = []
    for name in getattr(implementation, "methods", ()):
        near = difflib.get_close_matches(name[:100], list(operations()), 3, 0.8) if name not in operations() else []
        near = [each for each in near if not implementation.has(each)]
        if near:
            found.append(f"{name} is not an operation and was not run; is {near[0]} meant?")
    return found


def changing(again: Sequence[Finding]) -> list[str]:
    """Warnings about operations whose answer changes."""
    return [f"{', '.join(each.explained)}: {each.sentence}" for each in again if each.changed]


def overwriting(results: Sequence[Result]) -> list[str]:
    """Warnings about operations that overwrite their inputs."""
    found: dict[str, list[str]] = {}
    for result in results:
        found.setdefault(result.vector.operation, []).extend(result.overwritten)
    return [
        f"{name} writes into its input {', '.join(dict.fromkeys(inputs))}: the caller's array is changed"
        for name, inputs in found.items()
        if inputs
    ]
