"""The op set on the device: `refdiff.layers` with elementwise operations fused into kernels, and matrix products by CuPy.

The kernels take float32 or float64, not both. For other arrays, such as the complex numbers of a complex-step
derivative, the layers call the reference implementation, which runs on the device too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from refdiff.arrays import Array
from refdiff.checks import check_integer
from refdiff.networks import layers as reference
from refdiff.networks.layers import Params, Vjp, cross_entropy, film, normalize, time_features

from ..device.arrays import same_float_dtype
from ..device.launch import launch
from .attention import cross_attention, self_attention, softmax
from .convolution import conv, conv_up, pool, up
from .normalize import adaptive_group_norm, adaptive_group_norm_silu, group_norm, group_norm_silu

__all__ = [
    "Params",
    "Vjp",
    "adaptive_group_norm",
    "adaptive_group_norm_silu",
    "conv",
    "conv_up",
    "cross_attention",
    "cross_entropy",
    "embedding",
    "film",
    "group_norm",
    "group_norm_silu",
    "linear",
    "normalize",
    "pool",
    "self_attention",
    "silu",
    "softmax",
    "time_features",
    "up",
]


@wraps(reference.linear)
def linear(p: Params, x: Array) -> tuple[Array, Vjp]:
    if not same_float_dtype(x, p["w"], p["b"]) or x.ndim != 2 or x.shape[1] != len(p["w"]):
        return reference.linear(p, x)

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": x.T @ dy, "b": launch("sum", dy, axis=0)}, dy @ p["w"].T

    y = x @ p["w"]
    return launch("bias", y, p["b"], out=y), vjp


@wraps(reference.silu)
def silu(p: Params, x: Array) -> tuple[Array, Vjp]:
    if not same_float_dtype(x):
        return reference.silu(p, x)

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, launch("silu_back", x, dy)

    return launch("silu", x), vjp


@wraps(reference.embedding)
def embedding(p: Params, labels: Array) -> tuple[Array, Callable[[Array], Params]]:
    table = p["table"]
    if not same_float_dtype(table):
        return reference.embedding(p, labels)
    labels = np.asarray(check_integer("y", labels, 0, len(table) - 1), like=table)

    def vjp(dy: Array) -> Params:
        return {"table": launch("embedding_back", labels, dy, entries=len(table))}

    return table[labels], vjp
