"""The residual block on the device: normalization and gate are one kernel, so that what lies between them is never written."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from refdiff import residual as text
from refdiff.arrays import Array
from refdiff.tree import Params

from .norms import normed, told


@wraps(text.block)
def block(p: Params, x: Array, emb: Array, L: ModuleType, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    h, norm1_vjp = normed(p["norm1"], x, groups)
    h, conv1_vjp = L.conv(p["conv1"], h)
    h, tell_vjp = _tell(p, h, emb, L, groups)
    h, conv2_vjp = L.conv(p["conv2"], h)
    short, short_vjp = L.conv(p["short"], x) if "short" in p else (x, None)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dp = {}
        dp["conv2"], dh = conv2_vjp(dy)
        dtell, dh, demb = tell_vjp(dh)
        dp["conv1"], dh = conv1_vjp(dh)
        dp["norm1"], dx = norm1_vjp(dh)
        if short_vjp is None:
            return dp | dtell, dx + dy, demb
        dp["short"], dshort = short_vjp(dy)
        return dp | dtell, dx + dshort, demb

    return h + short, vjp


def _tell(p: Params, h: Array, emb: Array, L: ModuleType, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """Told by scale and shift, or by a shift before a normalization of its own; gated."""
    if "norm2" not in p:
        y, told_vjp = told(p["tell"], h, emb, groups)

        def by_scale(dy: Array) -> tuple[Params, Array, Array]:
            dtell, dh, demb = told_vjp(dy)
            return {"tell": dtell}, dh, demb

        return y, by_scale
    shift, tell_vjp = L.linear(p["tell"], emb)
    y, norm_vjp = normed(p["norm2"], h + shift[:, None, None, :], groups)

    def by_shift(dy: Array) -> tuple[Params, Array, Array]:
        dnorm, dh = norm_vjp(dy)
        dtell, demb = tell_vjp(dh.sum(axis=(1, 2)))
        return {"norm2": dnorm, "tell": dtell}, dh, demb

    return y, by_shift
