"""Attention on the device: matrix products by CuPy, the softmax and its derivative by kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from refdiff.arrays import Array
from refdiff.networks import attention as text
from refdiff.tree import Params, Vjp

from ..device.launch import launch
from ..device.precision import real


@wraps(text.softmax)
def softmax(p: Params, z: Array) -> tuple[Array, Vjp]:
    if not real(z) or not z.size:
        return text.softmax(p, z)
    y = launch("softmax", z, *launch("softmax_rows", z))

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, launch("softmax_back", y, dy, launch("softmax_dot", y, dy))

    return y, vjp


@wraps(text.cross_attention)
def cross_attention(p: Params, x: Array, context: Array, heads: int) -> tuple[Array, Callable[[Array], Any]]:
    width = p["q"]["w"].shape[1]
    if not real(x, context, p["q"]["w"]) or not x.size or heads < 1 or width % heads or not context.shape[1]:
        return text.cross_attention(p, x, context, heads)
    (q, q_vjp), (k, k_vjp), (v, v_vjp) = (text._project(p[name], of, heads) for name, of in (("q", x), ("k", context), ("v", context)))
    root = (width // heads) ** 0.5
    a, softmax_vjp = softmax({}, q @ k.swapaxes(-1, -2) / root)
    y, out_vjp = text._rows(p["out"], text._merge_heads(a @ v))

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dp = {}
        dp["out"], do = out_vjp(dy)
        do = text._split_heads(do, heads)
        ds = softmax_vjp(do @ v.swapaxes(-1, -2))[1] / root
        dp["q"], dx = q_vjp(ds @ k)
        dp["k"], dcontext_k = k_vjp(ds.swapaxes(-1, -2) @ q)
        dp["v"], dcontext_v = v_vjp(a.swapaxes(-1, -2) @ do)
        return dp, dx, dcontext_k + dcontext_v

    return y, vjp


@wraps(text.self_attention)
def self_attention(p: Params, x: Array, heads: int) -> tuple[Array, Vjp]:
    y, cross_vjp = cross_attention(p, x, x, heads)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dp, dx, dcontext = cross_vjp(dy)
        return dp, dx + dcontext

    return y, vjp
