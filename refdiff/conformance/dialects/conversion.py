"""A conversion: inputs for a library, and the function that takes its outputs back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Inputs = dict[str, Any]
Outputs = dict[str, Any]


class Conversion(NamedTuple):
    """Inputs for a library, and the function that takes its outputs by name back."""

    inputs: Inputs
    back: Callable[[Outputs], Outputs]


def same(outputs: Outputs) -> Outputs:
    """Outputs that need no conversion."""
    return outputs
