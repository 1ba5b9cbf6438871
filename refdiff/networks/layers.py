"""Layers of a network, each with its derivative a few lines below: y, vjp = layer(p, x), then dp, dx = vjp(dy).

Where y depends on x through the Jacobian J, vjp(dy) is J^T dy. A layer stores nothing, so threads can share parameters.
Every line is complex-analytic, so a complex step can check every derivative to the last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array, sigmoid
from ..checks import check_dtype, check_floats, check_integer, check_shape
from ..tree import Params, Vjp
from .attention import cross_attention, self_attention, softmax
from .convolution import conv, conv_up, pool, up
from .inputs import check_features, check_times
from .normalize import adaptive_group_norm, film, group_norm, normalize

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


def linear(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""Linear layer, $y = x W + b$; x (B, in), p["w"] (in, out), p["b"] (out,), y (B, out).

    $$dW = x^T dy, \qquad db = \textstyle\sum_B dy, \qquad dx = dy\, W^T$$

    Source: N1, N2 [Backprop].
    """
    check_floats("w", p["w"])
    check_shape("x", x, "B", len(p["w"]))
    y = x @ p["w"] + p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"w": x.T @ dy, "b": dy.sum(axis=0)}, dy @ p["w"].T

    return y, vjp


def silu(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""SiLU (swish), $y = x\, \varsigma(x)$ with $\varsigma(x) = 1 / (1 + e^{-x})$; any shape; no parameters.

    $$dx = dy\, \varsigma(x) (1 + x (1 - \varsigma(x)))$$

    since $\varsigma' = \varsigma (1 - \varsigma)$, and $1 - \varsigma(x) = \varsigma(-x)$. Source: N1, N2 [SiLU].
    """
    check_floats("x", x)
    gate = sigmoid(x)
    y = x * gate

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, dy * gate * (1 + x * sigmoid(-x))

    return y, vjp


def group_norm_silu(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    """`group_norm`, then `silu`. Source: N2 [GroupNorm sec. 3.1], [SiLU]."""
    h, norm_vjp = group_norm(p, x, groups)
    y, silu_vjp = silu({}, h)
    return y, lambda dy: norm_vjp(silu_vjp(dy)[1])


def adaptive_group_norm_silu(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """`adaptive_group_norm`, then `silu`. Source: N3 [Dhariwal & Nichol sec. 3]."""
    h, norm_vjp = adaptive_group_norm(p, x, emb, groups)
    y, silu_vjp = silu({}, h)
    return y, lambda dy: norm_vjp(silu_vjp(dy)[1])


def embedding(p: Params, labels: Array) -> tuple[Array, Callable[[Array], Params]]:
    r"""Embedding table: one row per label, $y_i = E_{label_i}$; labels (B,) integers, p["table"] (entries, out), y (B, out).

    $$dE_k = \sum_{i: label_i = k} dy_i$$

    vjp(dy) gives dp alone, since labels have no derivative.

    Source: N1, G3 [Ho & Salimans alg. 1].
    """
    table = p["table"]
    labels = np.asarray(check_integer("y", labels, 0, len(table) - 1), like=table)
    if labels.ndim != 1:
        raise ValueError(f"y has shape {labels.shape}; allowed: (B,)")

    def vjp(dy: Array) -> Params:
        one_hot = (labels[:, None] == np.arange(len(table), like=table)).astype(dy.dtype)
        return {"table": one_hot.T @ dy}

    return table[labels], vjp


def time_features(t: Array, features: int, dtype: Any = np.float64) -> Array:
    r"""Sinusoidal time features at geometric frequencies, $[\sin(t\omega_i), \cos(t\omega_i)]$; t (B,) -> (B, features).

    $$\omega_i = 10000^{-i / (features/2 - 1)}, \qquad i = 0..features/2 - 1$$

    All sines first, then all cosines; t is between 0 and 1000. features is even and at least 4. Source: N1 [Transformer sec. 3.5], [DDPM app. B].
    """
    half, t, dtype = check_features(features) // 2, check_times(t), check_dtype(dtype)
    frequencies = np.exp(-np.log(10000.0) * np.arange(half, like=t) / (half - 1))
    angles = t[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(dtype)


def cross_entropy(logits: Array, labels: Array) -> tuple[Array, Callable[[Array], Array]]:
    r"""Cross-entropy (B,) of logits z (B, K) with the true labels (B,), in nats.

    $$L = \log \sum_k e^{z_k} - z_y, \qquad dz = dL\, (\mathrm{softmax}(z) - e_y)$$

    The largest term of the sum is 1 after a shift, and stays outside of it: the loss of a confident answer is the sum of
    the others, not 0. So is $1 - \mathrm{softmax}(z)_y$. Source: G2 [PRML eq. 4.108].
    """
    check_shape("logits", logits, "B", "K+")
    labels = np.asarray(check_integer("labels", labels, 0, logits.shape[1] - 1), like=logits)
    if labels.shape != logits.shape[:1]:
        raise ValueError(f"labels has shape {labels.shape}; allowed: {logits.shape[:1]}, one for each row of logits")
    rows, top = np.arange(len(logits), like=logits), logits.real.argmax(axis=1)
    shifted = logits - logits[rows, top][:, None]
    others = np.exp(shifted)
    others[rows, top] = 0
    rest = others.sum(axis=1)

    def vjp(dloss: Array) -> Array:
        slope = np.exp(shifted) / (1 + rest)[:, None]
        slope[rows, labels] = 0
        slope[rows, labels] = -slope.sum(axis=1)
        return dloss[:, None] * slope

    return np.log1p(rest) - shifted[rows, labels], vjp
