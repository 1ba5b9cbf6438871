"""Layers over the last axis: forward passes on Numbers, gradients by the tape."""

import math

from .boundary import array, integer, integers, nested, numbers, shape_of, to_list
from .tape import dot, exp, known, lift, log, mapped, pull_back, sigmoid, sqrt, total


def values(y):
    """Nested Numbers as an array."""
    return array(mapped(lambda one: one.value, y))


def slopes(leaves):
    """The gradient in the leaves, as an array."""
    return array(mapped(lambda one: one.slope, leaves))


def leaves_of(**arrays):
    """Arrays as nested Numbers; None stays None."""
    return [None if x is None else lift(nested(name, x, *range(6))) for name, x in arrays.items()]


def back(y, dy, *leaves):
    """The gradients in the leaves, given dy."""
    if shape_of(dy) != shape_of(values(y)):
        raise ValueError(f"dy has shape {shape_of(dy)}; allowed: {shape_of(values(y))}")
    pull_back(y, to_list(dy))
    made = tuple(slopes(leaf) for leaf in leaves)
    return made[0] if len(made) == 1 else made


def over_rows(f, x):
    """f of every row, a list of Numbers."""
    return [over_rows(f, one) for one in x] if isinstance(x[0], list) else f(x)


def time_features(t, features):
    return array(features_of(t, features))


def features_of(t, features):
    """The time features of every example, as lists of floats."""
    features = integer("features", features, 4)
    if features % 2:
        raise ValueError(f"features = {features}; allowed: even, 4 or more")
    half = features // 2
    rates = [10000 ** (-i / (half - 1)) for i in range(half)]
    return [[f(time * rate) for f in (math.sin, math.cos) for rate in rates] for time in numbers("t", t)]


def _rows_of(labels, table):
    return [table[label] for label in integers("labels", labels, 0, len(table) - 1)]


def embedding(labels, table):
    (table,) = leaves_of(table=table)
    return values(_rows_of(labels, table))


def embedding_vjp(labels, table, dy):
    (table,) = leaves_of(table=table)
    return back(mapped(lambda one: one + 0.0, _rows_of(labels, table)), dy, table)


def affine(x, w, b):
    """x w + b of rows however nested."""
    if isinstance(x[0], list):
        return [affine(one, w, b) for one in x]
    if len(x) != len(w) or len(w[0]) != len(b):
        raise ValueError(f"x has {len(x)} channels, w is {len(w)} x {len(w[0])}, b has {len(b)}; allowed: w (in, out), b (out,)")
    return [dot(x, [row[j] for row in w], b[j]) for j in range(len(b))]


def linear_layer(x, w, b):
    return values(affine(*leaves_of(x=x, w=w, b=b)))


def linear_layer_vjp(x, w, b, dy):
    leaves = leaves_of(x=x, w=w, b=b)
    return back(affine(*leaves), dy, *leaves)


def silu_of(x):
    """SiLU of nested Numbers."""
    return mapped(lambda one: one * sigmoid(one), x)


def silu(x):
    return values(silu_of(*leaves_of(x=x)))


def silu_vjp(x, dy):
    leaves = leaves_of(x=x)
    return back(silu_of(*leaves), dy, *leaves)


def softmax_row(z):
    """exp(z_i) over their sum."""
    top = max(one.value for one in z)
    powers = [exp(one - top) for one in z]
    integer_array = total(powers)
    return [power / integer_array for power in powers]


def softmax(z):
    (z,) = leaves_of(z=z)
    return values(over_rows(softmax_row, z))


def softmax_vjp(z, dy):
    (z,) = leaves_of(z=z)
    return back(over_rows(softmax_row, z), dy, z)


def _cross_entropies(z, labels):
    labels = integers("labels", labels, 0, len(z[0]) - 1)
    tops = [max(one.value for one in row) for row in z]
    return [log(total([exp(one - top) for one in row])) - (row[label] - top) for row, label, top in zip(z, labels, tops, strict=True)]


def cross_entropy(logits, labels):
    return values(_cross_entropies(*leaves_of(logits=logits), labels))


def cross_entropy_vjp(logits, labels, dy):
    (logits,) = leaves_of(logits=logits)
    return back(_cross_entropies(logits, labels), dy, logits)


def rows(example):
    """The rows of one example, in order."""
    return [row for one in example for row in rows(one)] if isinstance(example[0], list) else [example]


def normalized(x, groups):
    """Every example's groups of channels at mean 0 and variance 1."""
    return [_normalized_example(one, groups) for one in x]


def _normalized_example(example, groups):
    channels = len(rows(example)[0])
    groups = integer("groups", groups, 1, channels)
    if channels % groups:
        raise ValueError(f"groups = {groups}; allowed: divisors of {channels}")
    size, found = channels // groups, []
    for g in range(groups):
        members = [one for row in rows(example) for one in row[g * size : (g + 1) * size]]
        mean = total(members) / len(members)
        apart = [one - mean for one in members]
        found.append((mean, sqrt(dot(apart, apart) / len(members) + 1e-5)))
    return over_rows(lambda row: [(row[c] - found[c // size][0]) / found[c // size][1] for c in range(channels)], example)


def normalize(x, groups):
    return values(normalized(*leaves_of(x=x), groups))


def normalize_vjp(x, groups, dy):
    (x,) = leaves_of(x=x)
    return back(normalized(x, groups), dy, x)


def scaled(x, scale, shift):
    """scale x + shift, channel by channel."""
    if not len(rows(x)[0]) == len(scale) == len(shift):
        raise ValueError(f"scale has {len(scale)}, shift has {len(shift)} entries; allowed: {len(rows(x)[0])}, one for each channel")
    return over_rows(lambda row: [dot([a], [k], b) for a, k, b in zip(row, scale, shift, strict=True)], x)


def group_normed(x, scale, shift, groups):
    """normalize, then one scale and shift for each channel."""
    return scaled(normalized(x, groups), scale, shift)


def group_norm(x, scale, shift, groups):
    return values(group_normed(*leaves_of(x=x, scale=scale, shift=shift), groups))


def group_norm_vjp(x, scale, shift, groups, dy):
    leaves = leaves_of(x=x, scale=scale, shift=shift)
    return back(group_normed(*leaves, groups), dy, *leaves)


def filmed(x, scale, shift):
    """(1 + scale) x + shift, example by example."""
    return [scaled(one, [known(1) + k for k in a], b) for one, a, b in zip(x, scale, shift, strict=True)]


def film(x, scale, shift):
    return values(filmed(*leaves_of(x=x, scale=scale, shift=shift)))


def film_vjp(x, scale, shift, dy):
    leaves = leaves_of(x=x, scale=scale, shift=shift)
    return back(filmed(*leaves), dy, *leaves)


def adapted(x, emb, w, b, groups):
    """film by a linear layer of the embedding."""
    conditioning = affine(emb, w, b)
    half = len(b) // 2
    return filmed(normalized(x, groups), [row[:half] for row in conditioning], [row[half:] for row in conditioning])


def adaptive_group_norm(x, emb, w, b, groups):
    return values(adapted(*leaves_of(x=x, emb=emb, w=w, b=b), groups))


def adaptive_group_norm_vjp(x, emb, w, b, groups, dy):
    leaves = leaves_of(x=x, emb=emb, w=w, b=b)
    return back(adapted(*leaves, groups), dy, *leaves)
