"""Operations of refdiff: images."""

from __future__ import annotations

from typing import Any

from ...networks import layers, residual


def conv(x: Any, w: Any, b: Any, stride: int) -> Any:
    return layers.conv({"w": w, "b": b}, x, stride)[0]


def conv_vjp(x: Any, w: Any, b: Any, stride: int, dy: Any) -> Any:
    dp, dx = layers.conv({"w": w, "b": b}, x, stride)[1](dy)
    return dx, dp["w"], dp["b"]


def up(x: Any) -> Any:
    return layers.up({}, x)[0]


def up_vjp(x: Any, dy: Any) -> Any:
    return layers.up({}, x)[1](dy)[1]


def pool(x: Any) -> Any:
    return layers.pool({}, x)[0]


def pool_vjp(x: Any, dy: Any) -> Any:
    return layers.pool({}, x)[1](dy)[1]


def block_by_scale(x: Any, emb: Any, groups: int, **parameters: Any) -> Any:
    return residual.block(together(parameters), x, emb, layers, groups)[0]


def block_by_scale_vjp(x: Any, emb: Any, groups: int, dy: Any, **parameters: Any) -> Any:
    dp, dx, demb = residual.block(together(parameters), x, emb, layers, groups)[1](dy)
    return {"dx": dx, "demb": demb, **{f"d{name}_{part}": d for name, of in dp.items() for part, d in of.items()}}


block_by_shift = block_by_scale
block_by_shift_vjp = block_by_scale_vjp


def together(parameters: dict[str, Any]) -> dict[str, Any]:
    """Arrays named LAYER_PART as a dict of layers."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        if value is not None:
            layer, _, part = name.rpartition("_")
            found.setdefault(layer, {})[part] = value
    return found
