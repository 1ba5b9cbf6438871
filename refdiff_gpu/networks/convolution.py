"""`refdiff.convolution` by im2col: a kernel gathers the columns, CuPy multiplies matrices, a kernel adds the bias."""

from __future__ import annotations

from functools import wraps
from typing import Any

from refdiff.arrays import Array
from refdiff.networks import convolution as reference
from refdiff.networks.convolution import check_conv, neighbours_at
from refdiff.tree import Params, Vjp

from ..device.arrays import same_float_dtype
from ..device.launch import launch

__all__ = ["check_conv", "conv", "conv_up", "neighbours_at", "pool", "up"]


@wraps(reference.conv)
def conv(p: Params, x: Array, stride: int = 1) -> tuple[Array, Vjp]:
    stride = check_conv(p["w"], x, stride)
    if not same_float_dtype(x, p["w"], p["b"]) or not x.size:
        return reference.conv(p, x, stride)
    if len(p["w"]) == 1 and stride == 1:
        return _multiply_columns(p, x, lambda dcolumns: dcolumns)
    columns = launch("im2col", x, size=len(p["w"]), stride=stride)
    return _multiply_columns(
        p, columns, lambda dcolumns: launch("im2col_back", dcolumns, height=x.shape[1], width=x.shape[2], stride=stride)
    )


@wraps(reference.conv_up)
def conv_up(p: Params, x: Array) -> tuple[Array, Vjp]:
    check_conv(p["w"], x, 1)
    if not same_float_dtype(x, p["w"], p["b"]) or not x.size:
        return reference.conv_up(p, x)
    return _multiply_columns(p, launch("im2col_up", x, size=len(p["w"])), lambda dcolumns: launch("im2col_up_back", dcolumns))


def _multiply_columns(p: Params, columns: Array, col2im: Any) -> tuple[Array, Vjp]:
    """The columns of an image times the weights, plus the bias.

    `col2im` maps the derivative of the columns to that of the image.
    """
    inner, out = p["w"].size // p["w"].shape[3], p["w"].shape[3]
    rows, w = columns.reshape(-1, inner), p["w"].reshape(inner, out)
    y = rows @ w

    def vjp(dy: Array) -> tuple[Params, Array]:
        dy = dy.reshape(-1, out)
        dx = col2im((dy @ w.T).reshape(columns.shape))
        return {"w": (rows.T @ dy).reshape(p["w"].shape), "b": launch("sum", dy, axis=0)}, dx

    return launch("bias", y, p["b"], out=y).reshape(*columns.shape[:3], out), vjp


@wraps(reference.up)
def up(p: Params, x: Array) -> tuple[Array, Vjp]:
    if not same_float_dtype(x) or x.ndim != 4 or not x.size:
        return reference.up(p, x)
    return launch("up", x), lambda dy: ({}, launch("up_back", dy))


@wraps(reference.pool)
def pool(p: Params, x: Array) -> tuple[Array, Vjp]:
    if not same_float_dtype(x) or x.ndim != 4 or x.shape[1] % 2 or x.shape[2] % 2 or not x.size:
        return reference.pool(p, x)
    return launch("pool", x), lambda dy: ({}, launch("pool_back", dy))
