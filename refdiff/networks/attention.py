"""Attention: each position gets the mean of a context's values, weighted by how well their keys match the query of the position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array
from ..checks import MOST, check_count, check_shape
from ..tree import Params, Vjp


def softmax(p: Params, z: Array) -> tuple[Array, Vjp]:
    r"""Softmax along the last axis: positive numbers that sum to 1, $y_i = e^{z_i} / \sum_j e^{z_j}$; no parameters.

    $$dz = y \bigl( dy - \textstyle\sum_j y_j\, dy_j \bigr)$$

    z and y (..., K). The largest z is subtracted first, which leaves y unchanged and prevents overflow. Source: N2 [PRML eq. 4.104].
    """
    check_shape("z", z, ..., "K+")
    weights = np.exp(z - z.real.max(axis=-1, keepdims=True))
    y = weights / weights.sum(axis=-1, keepdims=True)

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, y * (dy - (y * dy).sum(axis=-1, keepdims=True))

    return y, vjp


def cross_attention(p: Params, x: Array, context: Array, heads: int) -> tuple[Array, Callable[[Array], Any]]:
    r"""Multi-head attention: the positions of x attend to the positions of a context c.

    $$Q = x W_q + b_q, \quad K = c W_k + b_k, \quad V = c W_v + b_v, \qquad
      A = \mathrm{softmax}\Bigl(\frac{Q K^T}{\sqrt d}\Bigr), \qquad y = (A V) W_o + b_o$$

    $$dV = A^T dO, \quad dA = dO\, V^T, \quad dS = \mathrm{softmax}^T dA, \quad dQ = \frac{dS\, K}{\sqrt d}, \quad dK = \frac{dS^T Q}{\sqrt d}$$

    $O = A V$ is the output of the heads, and $\mathrm{softmax}^T$ the backward pass of softmax, row by row.
    x (B, N, C), context (B, M, D); p["q"], p["k"], p["v"], p["out"] are linear layers of width C. The channels are divided among the
    heads in order: head $h$ has the channels $h d$ to $(h + 1) d - 1$, where $d = C / heads$. vjp(dy) gives (dp, dx, dcontext).
    Source: N4 [Transformer eq. 1].
    """
    check_shape("x", x, "B", "N", len(p["q"]["w"]))
    check_shape("context", context, "B", "M+", "D")
    check_shape("context", context, len(x), "M", len(p["k"]["w"]))
    width, heads = p["q"]["w"].shape[1], check_count("heads", heads, -MOST, MOST)
    if heads < 1 or width % heads:
        raise ValueError(f"heads = {heads}; allowed: a divisor of the width, {width}")
    (q, q_vjp), (k, k_vjp), (v, v_vjp) = (_project(p[name], of, heads) for name, of in (("q", x), ("k", context), ("v", context)))
    root = (width // heads) ** 0.5
    a, softmax_vjp = softmax({}, q @ k.swapaxes(-1, -2) / root)
    o = a @ v
    y, out_vjp = _rows(p["out"], _merge_heads(o))

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dp = {}
        dp["out"], do = out_vjp(dy)
        do = _split_heads(do, heads)
        ds = softmax_vjp(do @ v.swapaxes(-1, -2))[1] / root
        dp["q"], dx = q_vjp(ds @ k)
        dp["k"], dcontext_k = k_vjp(ds.swapaxes(-1, -2) @ q)
        dp["v"], dcontext_v = v_vjp(a.swapaxes(-1, -2) @ do)
        return dp, dx, dcontext_k + dcontext_v

    return y, vjp


def self_attention(p: Params, x: Array, heads: int) -> tuple[Array, Vjp]:
    """Multi-head self-attention: `cross_attention` of the positions of x with each other; x (B, N, C). Source: N4 [Transformer sec. 3.2]."""
    y, cross_vjp = cross_attention(p, x, x, heads)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dp, dx, dcontext = cross_vjp(dy)
        return dp, dx + dcontext

    return y, vjp


def _rows(p: Params, x: Array) -> tuple[Array, Vjp]:
    """A linear layer at every position; x (B, N, in)."""

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": np.tensordot(x, dy, ([0, 1], [0, 1])), "b": dy.sum(axis=(0, 1))}, dy @ p["w"].T

    return x @ p["w"] + p["b"], vjp


def _project(p: Params, x: Array, heads: int) -> tuple[Array, Vjp]:
    """A linear layer at every position, its channels split into heads."""
    y, vjp = _rows(p, x)
    return _split_heads(y, heads), lambda dy: vjp(_merge_heads(dy))


def _split_heads(x: Array, heads: int) -> Array:
    """(B, N, C) as (B, heads, N, C / heads)."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).swapaxes(1, 2)


def _merge_heads(x: Array) -> Array:
    """(B, heads, N, d) as (B, N, heads d)."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])
