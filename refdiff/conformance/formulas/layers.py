"""N1, N2, N3, G2, G3: the embeddings of times and labels, and the layers that work on channels, each derivative below its value.

Derivatives are pulled back: NAME_vjp takes what NAME takes, and dy, the derivative of some loss in NAME's output; it gives the derivative
in every input and parameter.
"""

import numpy as np

from ..numbers import cos, exp, like, log, sigmoid, sin, sqrt


def time_features(t, features):
    """N1 -> features: all sines, then all cosines of t w_i, w_i = 10000^(-i / (half - 1)), i = 0..half - 1, half = features / 2; t (B,); features even, at least 4."""
    i = np.arange(features // 2)
    w = exp(-log(like(10000, t)) * i / (features // 2 - 1))
    angles = t[:, None] * w
    return np.concatenate([sin(angles), cos(angles)], axis=1)


def embedding(labels, table):
    """G3 -> y: the row of the table (entries, out) of every label; (B, out)."""
    return table[labels]


def embedding_vjp(labels, table, dy):
    """G3 -> dtable: every row the sum of dy over the examples that have its label."""
    dtable = 0 * table
    for label, row in zip(labels, dy, strict=True):
        dtable[label] += row
    return dtable


def linear_layer(x, w, b):
    """N1, N2 -> y: x w + b, x (..., in), w (in, out), b (out,)."""
    return x @ w + b


def linear_layer_vjp(x, w, b, dy):
    """N1, N2 -> dx, dw, db: dy w^T, x^T dy and the sum of dy, both over all rows."""
    return dy @ w.T, rows(x).T @ rows(dy), rows(dy).sum(axis=0)


def rows(x):
    """(..., C) as (rows, C)."""
    return x.reshape(-1, x.shape[-1])


def silu(x):
    """N1, N2 -> y: x sigmoid(x)."""
    return x * sigmoid(x)


def silu_vjp(x, dy):
    """N1, N2 -> dx: dy g (1 + x (1 - g)), g = sigmoid(x)."""
    gate = sigmoid(x)
    return dy * gate * (1 + x * (1 - gate))


def softmax(z):
    """N2 -> y: exp(z_i) / sum_j exp(z_j) along the last axis; the largest z is taken off first, so that nothing overflows."""
    weights_of_z = exp(z - z.max(axis=-1, keepdims=True))
    return weights_of_z / weights_of_z.sum(axis=-1, keepdims=True)


def softmax_vjp(z, dy):
    """N2 -> dz: y (dy - sum_j y_j dy_j)."""
    y = softmax(z)
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def cross_entropy(logits, labels):
    """G2 -> loss: log sum_k exp(z_k) - z_label, logits z (B, K); nats, (B,)."""
    z = logits - logits.max(axis=1, keepdims=True)
    return log(exp(z).sum(axis=1)) - np.stack([row[label] for row, label in zip(z, labels, strict=True)])


def cross_entropy_vjp(logits, labels, dy):
    """G2 -> dlogits: dy (softmax(z) - 1 at the label), dy (B,)."""
    difference = softmax(logits)
    for row, label in zip(difference, labels, strict=True):
        row[label] -= 1
    return dy[:, None] * difference


def normalize(x, groups):
    """N2 -> y: (x - mean) / sqrt(variance + 1e-5), over all places of an example and the neighbouring channels of a group; x (B, ..., C)."""
    centred, s = centred_and_spread(x, groups)
    return (centred / s).reshape(x.shape)


def normalize_vjp(x, groups, dy):
    """N2 -> dx: (dy - <dy> - y <y dy>) / s, with the same means <> and the same root s."""
    centred, s = centred_and_spread(x, groups)
    y, dy = centred / s, grouped(dy, groups)
    dx = (dy - group_mean(dy) - y * group_mean(y * dy)) / s
    return dx.reshape(x.shape)


def centred_and_spread(x, groups):
    """x - mean, (B, places, groups, C / groups), and the root of the population's variance plus 1e-5."""
    xs = grouped(x, groups)
    centred = xs - group_mean(xs)
    variance = group_mean(centred**2)
    return centred, sqrt(variance + like(1, variance) / 100000)


def grouped(x, groups):
    """(B, ..., C) as (B, places, groups, C / groups)."""
    return x.reshape(len(x), -1, groups, x.shape[-1] // groups)


def group_mean(x):
    """The mean over places and the channels of a group."""
    return x.mean(axis=1, keepdims=True).mean(axis=3, keepdims=True)


def group_norm(x, scale, shift, groups):
    """N2 -> y: scale normalize(x) + shift, scale and shift (C,)."""
    return scale * normalize(x, groups) + shift


def group_norm_vjp(x, scale, shift, groups, dy):
    """N2 -> dx, dscale, dshift: through normalize with scale dy; the sums of normalize(x) dy and of dy over examples and places."""
    dscale = rows(normalize(x, groups) * dy).sum(axis=0)
    dshift = rows(dy).sum(axis=0)
    return normalize_vjp(x, groups, scale * dy), dscale, dshift


def film(x, scale, shift):
    """N3 -> y: (1 + scale) x + shift, one scale and shift for every channel of every example, (B, C)."""
    return (1 + over_places(scale, x)) * x + over_places(shift, x)


def film_vjp(x, scale, shift, dy):
    """N3 -> dx, dscale, dshift: (1 + scale) dy; the sums of x dy and of dy over places."""
    dx = (1 + over_places(scale, x)) * dy
    return dx, places(x * dy).sum(axis=1), places(dy).sum(axis=1)


def over_places(values, x):
    """(B, C) shaped to meet x (B, ..., C)."""
    return values.reshape(len(x), *(1,) * (x.ndim - 2), -1)


def places(x):
    """(B, ..., C) as (B, places, C)."""
    return x.reshape(len(x), -1, x.shape[-1])


def adaptive_group_norm(x, emb, w, b, groups):
    """N3 -> y: film of normalize(x) by emb w + b (B, 2C), first half scale, second half shift."""
    scale, shift = np.split(linear_layer(emb, w, b), 2, axis=1)
    return film(normalize(x, groups), scale, shift)


def adaptive_group_norm_vjp(x, emb, w, b, groups, dy):
    """N3 -> dx, demb, dw, db: back through film, the linear layer and normalize."""
    scale, shift = np.split(linear_layer(emb, w, b), 2, axis=1)
    dnormal, dscale, dshift = film_vjp(normalize(x, groups), scale, shift, dy)
    demb, dw, db = linear_layer_vjp(emb, w, b, np.concatenate([dscale, dshift], axis=1))
    return normalize_vjp(x, groups, dnormal), demb, dw, db
