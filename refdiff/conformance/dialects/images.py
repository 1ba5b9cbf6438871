"""Images and weights with channels first: (B, C, H, W), kernels (out, in, height, width), matrices (out, in)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np


def _is_weight(name: str) -> bool:
    return re.fullmatch(r"d?(\w+_)?w\d*|weight", name) is not None


def channels_first(name: str, value: Any) -> Any:
    """An input of the kit with channels first: a weight by its name, an image by its four axes; all else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    if _is_weight(name):
        return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
    return np.moveaxis(value, -1, value.ndim - 3) if value.ndim in (4, 5) else value


def channels_last(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs of the library with channels last."""
    return {name: _last(name, np.asarray(value)) for name, value in outputs.items()}


def _last(name: str, value: Any) -> Any:
    if _is_weight(name):
        return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
    return np.moveaxis(value, value.ndim - 3, -1) if value.ndim in (4, 5) else value
