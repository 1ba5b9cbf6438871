"""N4: attention, scaled dot products in heads side by side, each derivative below its value; q (B, N, C), k and v (B, M, C).

Head h has channels h d to (h + 1) d - 1, d = C / heads. A bias of the keys changes nothing: its derivative is 0 and left out.
"""

import numpy as np

from ..numbers import like, sqrt
from .layers import linear_layer, linear_layer_vjp, softmax, softmax_vjp


def scaled_dot_product(q, k, v, heads):
    """N4 -> y: head by head softmax(q k^T / sqrt(d)) v, the heads' answers side by side."""
    parts = [fit(q_h, k_h) @ v_h for q_h, k_h, v_h in zip(apart(q, heads), apart(k, heads), apart(v, heads), strict=True)]
    return np.concatenate(parts, axis=-1)


def scaled_dot_product_vjp(q, k, v, heads, dy):
    """N4 -> dq, dk, dv: dS = softmax^T(dy v^T) / sqrt(d), dq = dS k, dk = dS^T q, dv = A^T dy."""
    parts = [head_vjp(*each) for each in zip(apart(q, heads), apart(k, heads), apart(v, heads), apart(dy, heads), strict=True)]
    dq, dk, dv = zip(*parts, strict=True)
    return np.concatenate(dq, axis=-1), np.concatenate(dk, axis=-1), np.concatenate(dv, axis=-1)


def head_vjp(q, k, v, dy):
    """One head's derivatives."""
    dscores = softmax_vjp(fits(q, k), dy @ turned(v))
    ds = scaled(dscores, q.shape[-1])
    return ds @ k, turned(ds) @ q, turned(fit(q, k)) @ dy


def fit(q, k):
    """How much every place of q listens to every place of k; (B, N, M), rows of sum 1."""
    return softmax(fits(q, k))


def fits(q, k):
    """How well they fit: q k^T / sqrt(d)."""
    scores = q @ turned(k)
    return scaled(scores, q.shape[-1])


def scaled(scores, d):
    """Divided by the root of a head's width."""
    return scores / sqrt(like(d, scores))


def turned(x):
    """The transposed matrix of every example."""
    return x.swapaxes(1, 2)


def apart(x, heads):
    """(B, N, C) as a list of heads (B, N, C / heads), neighbouring channels together."""
    return np.split(x, heads, axis=-1)


def cross_attention(x, context, q_w, q_b, k_w, k_b, v_w, v_b, out_w, out_b, heads):
    """N4 -> y: scaled_dot_product with q a linear layer of x (B, N, C), k and v of context (B, M, D), and a linear layer of the answers."""
    q, k, v = linear_layer(x, q_w, q_b), linear_layer(context, k_w, k_b), linear_layer(context, v_w, v_b)
    return linear_layer(scaled_dot_product(q, k, v, heads), out_w, out_b)


def cross_attention_vjp(x, context, q_w, q_b, k_w, k_b, v_w, v_b, out_w, out_b, heads, dy):
    """N4 -> dx, dcontext, dq_w, dq_b, dk_w, dv_w, dv_b, dout_w, dout_b: back through the layers; dk_b is 0 and left out."""
    q, k, v = linear_layer(x, q_w, q_b), linear_layer(context, k_w, k_b), linear_layer(context, v_w, v_b)
    do, dout_w, dout_b = linear_layer_vjp(scaled_dot_product(q, k, v, heads), out_w, out_b, dy)
    dq, dk, dv = scaled_dot_product_vjp(q, k, v, heads, do)
    dx, dq_w, dq_b = linear_layer_vjp(x, q_w, q_b, dq)
    dcontext_k, dk_w, _ = linear_layer_vjp(context, k_w, k_b, dk)
    dcontext_v, dv_w, dv_b = linear_layer_vjp(context, v_w, v_b, dv)
    return dx, dcontext_k + dcontext_v, dq_w, dq_b, dk_w, dv_w, dv_b, dout_w, dout_b


def self_attention(x, q_w, q_b, k_w, k_b, v_w, v_b, out_w, out_b, heads):
    """N4 -> y: cross_attention of the places of x with each other."""
    return cross_attention(x, x, q_w, q_b, k_w, k_b, v_w, v_b, out_w, out_b, heads)


def self_attention_vjp(x, q_w, q_b, k_w, k_b, v_w, v_b, out_w, out_b, heads, dy):
    """N4 -> dx, dq_w, dq_b, dk_w, dv_w, dv_b, dout_w, dout_b: as cross_attention_vjp, dx from both sides; dk_b is 0 and left out."""
    dx, dcontext, *rest = cross_attention_vjp(x, x, q_w, q_b, k_w, k_b, v_w, v_b, out_w, out_b, heads, dy)
    return dx + dcontext, *rest
