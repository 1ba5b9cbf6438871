"""Images and weights with channels first: (B, C, H, W), kernels (out, in, height, width), matrices (out, in)."""

from __future__ import annotations

from typing import Any

import numpy as np


def _is_weight(name: str) -> bool:
    return name.removeprefix("d").split("_")[-1] == "w"


def channels_first(name: str, value: Any) -> Any:
    """An input of the kit with channels first: a weight by its name, an image by its four axes; all else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    if _is_weight(name):
        return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return value.transpose(0, 3, 1, 2) if value.ndim == 4 else value


def channels_last(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs of the library with channels last."""
    return {name: _last(name, np.asarray(value)) for name, value in outputs.items()}


def _last(name: str, value: Any) -> Any:
    if _is_weight(name):
        return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
    return value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
