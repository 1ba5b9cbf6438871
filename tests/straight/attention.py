"""Attention over positions (B, N, C)."""

import math

from .boundary import integer
from .layers import affine, back, leaves_of, softmax_row, values
from .tape import dot


def attended(q, k, v, heads):
    """Head by head, softmax of scaled products, times v."""
    return [_example(*one, heads) for one in zip(q, k, v, strict=True)]


def _example(q, k, v, heads):
    heads = integer("heads", heads, 1)
    if not k or len(q[0]) % heads or len(v[0]) % heads or len(q[0]) != len(k[0]):
        raise ValueError(
            f"heads = {heads}, {len(q[0])} channels, {len(k)} places; allowed: a divisor of the channels, and a place to look at"
        )
    size, out = len(q[0]) // heads, len(v[0]) // heads
    answer = [[] for _ in q]
    for h in range(heads):
        for n, query in enumerate(q):
            mine = query[h * size : (h + 1) * size]
            scores = [dot(mine, key[h * size : (h + 1) * size]) / math.sqrt(size) for key in k]
            share = softmax_row(scores)
            answer[n] += [dot(share, [value[h * out + c] for value in v]) for c in range(out)]
    return answer


def scaled_dot_product(q, k, v, heads):
    return values(attended(*leaves_of(q=q, k=k, v=v), heads))


def scaled_dot_product_vjp(q, k, v, heads, dy):
    leaves = leaves_of(q=q, k=k, v=v)
    return back(attended(*leaves, heads), dy, *leaves)


def crossed(x, context, q_w, q_b, k_w, k_b, v_w, v_b, out_w, out_b, heads):
    """Queries of x, keys and values of the context."""
    if any(not places for places in context):
        raise ValueError("context has no places; allowed: one or more")
    return affine(attended(affine(x, q_w, q_b), affine(context, k_w, k_b), affine(context, v_w, v_b), heads), out_w, out_b)


def cross_attention(x, context, heads, **weights):
    return values(crossed(*leaves_of(x=x, context=context), **_leaves(weights), heads=heads))


def cross_attention_vjp(x, context, heads, dy, **weights):
    x, context = leaves_of(x=x, context=context)
    return _gradients({"x": x, "context": context}, context, weights, heads, dy)


def self_attention(x, heads, **weights):
    (x,) = leaves_of(x=x)
    return values(crossed(x, x, **_leaves(weights), heads=heads))


def self_attention_vjp(x, heads, dy, **weights):
    (x,) = leaves_of(x=x)
    return _gradients({"x": x}, x, weights, heads, dy)


def _leaves(weights):
    return dict(zip(weights, leaves_of(**weights), strict=True))


def _gradients(data, context, weights, heads, dy):
    leaves = _leaves(weights)
    wanted = {**data, **leaves}
    found = back(crossed(data["x"], context, **leaves, heads=heads), dy, *wanted.values())
    return {"d" + name: gradient for name, gradient in zip(wanted, found, strict=True)}
