"""The smallest U-Net: 2 x 4 and 4 x 4 images, one and two heads."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..formulas.unet import unet_shapes
from . import Case, numbers, refused
from .layers import pair

SIZES = {"width": 2, "embedding": 3, "features": 4, "groups": 1}


def cases() -> Iterator[Case]:
    yield from pair("unet", _inputs((2, 2, 4, 1), [0.0, 1000.0], 1), (2, 2, 4, 1))
    yield Case("unet", _inputs((1, 4, 4, 2), [250.0], 2))
    yield refused("unet", "an odd height or width", **_inputs((1, 3, 4, 1), [250.0], 1))


def _inputs(shape: tuple[int, ...], t: list[float], heads: int) -> dict[str, Any]:
    return {"params": _parameters(shape[-1], heads), "x": numbers(shape, heads), "t": np.array(t), **SIZES, "heads": heads}


def _parameters(channels: int, seed: int) -> np.ndarray:
    """Numbers in a row, weights smaller where many are added up, scales around 1."""
    parts = []
    for shapes in unet_shapes(channels, SIZES["width"], SIZES["embedding"], SIZES["features"]).values():
        for shape in shapes:
            seed += 1
            parts.append(numbers(shape, seed).ravel() / (4 if len(shape) == 4 and shape[0] == 3 else 2 if len(shape) > 1 else 1))
    return np.concatenate(parts)
