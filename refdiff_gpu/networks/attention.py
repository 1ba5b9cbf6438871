"""`refdiff.attention` with matrix products by CuPy, and kernels for the softmax and its derivative."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from refdiff.arrays import Array
from refdiff.networks import attention as reference
from refdiff.tree import Params, Vjp

from ..device.arrays import same_float_dtype
from ..device.launch import launch

__all__ = ["cross_attention", "self_attention", "softmax"]


@wraps(reference.softmax)
def softmax(p: Params, z: Array) -> tuple[Array, Vjp]:
    if not same_float_dtype(z) or not z.size:
        return reference.softmax(p, z)
    y = launch("softmax", z, *launch("softmax_stats", z))

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, launch("softmax_back", y, dy, launch("softmax_dot", y, dy))

    return y, vjp


@wraps(reference.cross_attention)
def cross_attention(p: Params, x: Array, context: Array, heads: int) -> tuple[Array, Callable[[Array], Any]]:
    width = p["q"]["w"].shape[1]
    if not same_float_dtype(x, context, p["q"]["w"]) or not x.size or heads < 1 or width % heads or not context.shape[1]:
        return reference.cross_attention(p, x, context, heads)
    (q, q_vjp), (k, k_vjp), (v, v_vjp) = (
        reference._project(p[name], source, heads) for name, source in (("q", x), ("k", context), ("v", context))
    )
    root = (width // heads) ** 0.5
    a, softmax_vjp = softmax({}, q @ k.swapaxes(-1, -2) / root)
    y, out_vjp = reference._rows(p["out"], reference._merge_heads(a @ v))

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dp = {}
        dp["out"], do = out_vjp(dy)
        do = reference._split_heads(do, heads)
        ds = softmax_vjp(do @ v.swapaxes(-1, -2))[1] / root
        dp["q"], dx = q_vjp(ds @ k)
        dp["k"], dcontext_k = k_vjp(ds.swapaxes(-1, -2) @ q)
        dp["v"], dcontext_v = v_vjp(a.swapaxes(-1, -2) @ do)
        return dp, dx, dcontext_k + dcontext_v

    return y, vjp


@wraps(reference.self_attention)
def self_attention(p: Params, x: Array, heads: int) -> tuple[Array, Vjp]:
    y, cross_vjp = cross_attention(p, x, x, heads)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dp, dx, dcontext = cross_vjp(dy)
        return dp, dx + dcontext

    return y, vjp
