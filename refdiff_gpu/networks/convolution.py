"""Layers of images on the device: neighbours gathered side by side by a kernel, one matrix product, and the bias by a kernel."""

from __future__ import annotations

from functools import wraps
from typing import Any

from refdiff.arrays import Array
from refdiff.networks import convolution as text
from refdiff.tree import Params, Vjp

from ..device.launch import launch
from ..device.precision import real


@wraps(text.conv)
def conv(p: Params, x: Array, stride: int = 1) -> tuple[Array, Vjp]:
    text.check_conv(p["w"], x, stride)
    if not real(x, p["w"], p["b"]) or not x.size:
        return text.conv(p, x, stride)
    if len(p["w"]) == 1 and stride == 1:
        return _product(p, x, x, lambda dcolumns: dcolumns)
    columns = launch("columns", x, size=len(p["w"]), stride=stride)
    return _product(p, x, columns, lambda dcolumns: launch("columns_back", dcolumns, height=x.shape[1], width=x.shape[2], stride=stride))


@wraps(text.conv_up)
def conv_up(p: Params, x: Array) -> tuple[Array, Vjp]:
    text.check_conv(p["w"], x, 1)
    if not real(x, p["w"], p["b"]) or not x.size:
        return text.conv_up(p, x)
    return _product(p, x, launch("columns_up", x, size=len(p["w"])), lambda dcolumns: launch("columns_up_back", dcolumns))


def _product(p: Params, x: Array, columns: Array, back: Any) -> tuple[Array, Vjp]:
    """What is seen from every pixel times the weights, plus the bias; `back` takes its derivative back to the image."""
    inner, out = p["w"].size // p["w"].shape[3], p["w"].shape[3]
    seen, w = columns.reshape(-1, inner), p["w"].reshape(inner, out)
    places = columns.shape[:3]
    y = seen @ w

    def vjp(dy: Array) -> tuple[Params, Array]:
        dy = dy.reshape(-1, out)
        dx = back((dy @ w.T).reshape(columns.shape))
        return {"w": (seen.T @ dy).reshape(p["w"].shape), "b": launch("sum", dy, axis=0)}, dx

    return launch("bias", y, p["b"], out=y).reshape(*places, out), vjp


@wraps(text.up)
def up(p: Params, x: Array) -> tuple[Array, Vjp]:
    if not real(x) or x.ndim != 4 or not x.size:
        return text.up(p, x)
    return launch("up", x), lambda dy: ({}, launch("up_back", dy))


@wraps(text.pool)
def pool(p: Params, x: Array) -> tuple[Array, Vjp]:
    if not real(x) or x.ndim != 4 or x.shape[1] % 2 or x.shape[2] % 2 or not x.size:
        return text.pool(p, x)
    return launch("pool", x), lambda dy: ({}, launch("pool_back", dy))
