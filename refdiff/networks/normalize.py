"""Group normalization with a learned scale and shift, or with a scale and shift computed from an embedding (adaptive GroupNorm, FiLM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array
from ..checks import MOST, check_count, check_floats, check_scalar, check_shape
from ..tree import Params, Vjp
from .inputs import check_modulation


def normalize(p: Params, x: Array, groups: int, eps: float = 1e-5) -> tuple[Array, Vjp]:
    r"""Normalize every group of channels of every example to mean 0 and variance 1; no parameters.

    $$\hat x = \frac{x - \mu}{s}, \qquad \mu = \langle x \rangle, \quad s^2 = \langle (x - \mu)^2 \rangle + \epsilon$$

    $$dx = \frac1s \bigl( d\hat x - \langle d\hat x \rangle - \hat x \langle \hat x\, d\hat x \rangle \bigr)$$

    x and y (B, ..., C); the mean $\langle \cdot \rangle$ is over all positions of an example and the neighbouring channels of a group, $C / groups$ of them.
    The constant $\epsilon$ is eps.
    Source: N2 [GroupNorm sec. 3.1].
    """
    check_shape("x", x, "B", ..., "C+")
    groups, eps = check_count("groups", groups, -MOST, MOST), check_scalar("eps", eps, 0, open_low=True)
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"groups = {groups}; allowed: a divisor of the {x.shape[-1]} channels of x")
    shape = len(x), int(np.prod(x.shape[1:-1])), groups, x.shape[-1] // groups

    def mean(values: Array) -> Array:
        return values.mean(axis=(1, 3), keepdims=True)

    centred = x.reshape(shape) - mean(x.reshape(shape))
    s = np.sqrt(mean(centred * centred) + eps)
    y = centred / s

    def vjp(dy: Array) -> tuple[Params, Array]:
        dy = dy.reshape(shape)
        return {}, ((dy - mean(dy) - y * mean(y * dy)) / s).reshape(x.shape)

    return y.reshape(x.shape), vjp


def film(p: Params, x: Array, scale: Array, shift: Array) -> tuple[Array, Callable[[Array], Any]]:
    r"""Feature-wise linear modulation (FiLM): a given scale and shift of every channel, $y = (1 + scale)\, x + shift$; no parameters.

    x (B, ..., C), scale and shift (B, C). vjp(dy) gives ({}, dx, dscale, dshift): $dx = (1 + scale)\, dy$, $dscale = \sum x\, dy$,
    $dshift = \sum dy$, summed over all positions. Source: N3 [FiLM eq. 2].
    """
    check_shape("x", x, "B", ..., "C")
    check_floats("scale", scale)
    check_floats("shift", shift)
    positions = tuple(range(1, x.ndim - 1))
    if scale.shape != (len(x), x.shape[-1]) or shift.shape != scale.shape:
        raise ValueError(f"scale and shift have shapes {scale.shape} and {shift.shape}; allowed: {(len(x), x.shape[-1])}")
    scale, shift = (np.expand_dims(each, positions) for each in (scale, shift))
    y = (1 + scale) * x + shift

    def vjp(dy: Array) -> tuple[Params, Array, Array, Array]:
        return {}, (1 + scale) * dy, (x * dy).sum(axis=positions), dy.sum(axis=positions)

    return y, vjp


def group_norm(p: Params, x: Array, groups: int) -> tuple[Array, Vjp]:
    r"""Group normalization: `normalize`, then a learned scale and shift of every channel, $y = scale\, \hat x + shift$.

    $$dscale = \textstyle\sum \hat x\, dy, \qquad dshift = \textstyle\sum dy, \qquad d\hat x = scale\, dy$$

    x (B, ..., C); p["scale"] and p["shift"] (C,); sums over all examples and positions. Source: N2 [GroupNorm sec. 3.1].
    """
    normal, normal_vjp = normalize({}, x, groups)
    check_floats("scale", p["scale"])
    y = p["scale"] * normal + p["shift"]
    positions = tuple(range(x.ndim - 1))

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {"scale": (normal * dy).sum(axis=positions), "shift": dy.sum(axis=positions)}, normal_vjp(p["scale"] * dy)[1]

    return y, vjp


def adaptive_group_norm(p: Params, x: Array, emb: Array, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    r"""Adaptive group normalization: `normalize`, then `film` with a scale and a shift that a linear layer computes from the embedding.

    $$y = (1 + scale)\, \hat x + shift, \qquad [scale, shift] = emb\, W + b$$

    $$dW = emb^T [dscale, dshift], \qquad db = \textstyle\sum_B [dscale, dshift], \qquad demb = [dscale, dshift]\, W^T$$

    x (B, ..., C), emb (B, E), p["w"] (E, 2C), p["b"] (2C,). vjp(dy) gives (dp, dx, demb), with dscale, dshift and $d\hat x$ from `film`.
    Source: N3 [Dhariwal & Nichol sec. 3].
    """
    check_modulation(p, x, emb)
    modulation = emb @ p["w"] + p["b"]  # the scales, then the shifts
    channels = x.shape[-1]
    normal, normal_vjp = normalize({}, x, groups)
    y, film_vjp = film({}, normal, modulation[:, :channels], modulation[:, channels:])

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        _, dnormal, dscale, dshift = film_vjp(dy)
        dmodulation = np.concatenate([dscale, dshift], axis=1)
        return {"w": emb.T @ dmodulation, "b": dmodulation.sum(axis=0)}, normal_vjp(dnormal)[1], dmodulation @ p["w"].T

    return y, vjp
