"""Operations of refdiff: attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...networks import layers
from .images import together


def scaled_dot_product(q: Any, k: Any, v: Any, heads: int) -> Any:
    return _core(q, k, v, heads)[0]


def scaled_dot_product_vjp(q: Any, k: Any, v: Any, heads: int, dy: Any) -> Any:
    _, dx, dcontext = _core(q, k, v, heads)[1](dy)
    return dx, *np.split(dcontext, 2, axis=-1)


def cross_attention(x: Any, context: Any, heads: int, **parameters: Any) -> Any:
    return layers.cross_attention(together(parameters), x, context, heads)[0]


def cross_attention_vjp(x: Any, context: Any, heads: int, dy: Any, **parameters: Any) -> Any:
    dp, dx, dcontext = layers.cross_attention(together(parameters), x, context, heads)[1](dy)
    return {"dx": dx, "dcontext": dcontext, **_apart(dp)}


def self_attention(x: Any, heads: int, **parameters: Any) -> Any:
    return layers.self_attention(together(parameters), x, heads)[0]


def self_attention_vjp(x: Any, heads: int, dy: Any, **parameters: Any) -> Any:
    dp, dx = layers.self_attention(together(parameters), x, heads)[1](dy)
    return {"dx": dx, **_apart(dp)}


def _core(q: Any, k: Any, v: Any, heads: int) -> Any:
    """Attention without projections: cross_attention with linear layers that select q from x, and k and v from a context that contains both."""
    one = np.eye(q.shape[-1], dtype=q.dtype)
    none, zero = np.zeros_like(one), np.zeros_like(one[0])
    pick_k, pick_v = np.concatenate([one, none]), np.concatenate([none, one])
    p = {name: {"w": w, "b": zero} for name, w in (("q", one), ("k", pick_k), ("v", pick_v), ("out", one))}
    return layers.cross_attention(p, q, np.concatenate([k, v], axis=-1), heads)


def _apart(dp: dict[str, Any]) -> dict[str, Any]:
    return {f"d{name}_{part}": d for name, of in dp.items() for part, d in of.items()}
