"""The pieces of a U-Net: what all blocks are told, the residual block that is told it, and attention among pixels."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..arrays import Array, Time
from ..tree import Params, Vjp
from .mlp import conditions


def embed(p: Params, batch: int, t: Time, y: Array | None, dtype: Any, L: ModuleType) -> tuple[Array, Callable[[Array], Params]]:
    r"""What all blocks are told, $\mathrm{silu}(e + E_y)$ with e two layers of the time's features; (B, E). vjp(demb) gives dp.

    Source: N1, N5 [DDPM app. B].
    """
    features, label, label_vjp = conditions(p, batch, len(p["time1"]["w"]), t, y, dtype, L)
    h, time1_vjp = L.linear(p["time1"], features)
    h, silu_vjp = L.silu({}, h)
    h, time2_vjp = L.linear(p["time2"], h)
    emb, gate_vjp = L.silu({}, h if label is None else h + label)

    def vjp(demb: Array) -> Params:
        _, dh = gate_vjp(demb)
        dp = {} if label_vjp is None else {"label": label_vjp(dh)}
        dp["time2"], dh = time2_vjp(dh)
        dp["time1"], _ = time1_vjp(silu_vjp(dh)[1])
        return dp

    return emb, vjp


def block(p: Params, x: Array, emb: Array, L: ModuleType, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    """Two convolutions, told the embedding in between, added to x: normalize, silu, convolve, twice.

    By scale and shift after the second normalization (p has "tell" only), or by a shift before it (p has "norm2" too). x (B, H, W,
    in), emb (B, E), y (B, H, W, out); a 1 x 1 convolution "short" takes x from in to out channels. vjp(dy) gives (dp, dx, demb).
    Source: N3 [Dhariwal & Nichol sec. 3], [DDPM app. B].
    """
    h, norm1_vjp = L.group_norm_silu(p["norm1"], x, groups)
    h, conv1_vjp = L.conv(p["conv1"], h)
    h, tell_vjp = (_tell_by_shift if "norm2" in p else _tell_by_scale)(p, h, emb, L, groups)
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


def _tell_by_scale(p: Params, h: Array, emb: Array, L: ModuleType, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    y, norm_vjp = L.adaptive_group_norm_silu(p["tell"], h, emb, groups)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dtell, dh, demb = norm_vjp(dy)
        return {"tell": dtell}, dh, demb

    return y, vjp


def _tell_by_shift(p: Params, h: Array, emb: Array, L: ModuleType, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    shift, tell_vjp = L.linear(p["tell"], emb)
    y, norm_vjp = L.group_norm_silu(p["norm2"], h + shift[:, None, None, :], groups)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dnorm, dh = norm_vjp(dy)
        dtell, demb = tell_vjp(dh.sum(axis=(1, 2)))
        return {"norm2": dnorm, "tell": dtell}, dh, demb

    return y, vjp


def attend(p: Params, x: Array, L: ModuleType, heads: int, groups: int) -> tuple[Array, Vjp]:
    """Self-attention among all pixels, normalized before and added to x; x (B, H, W, C). Source: N4 [DDPM app. B]."""
    h, norm_vjp = L.group_norm(p["norm"], x, groups)
    h, attention_vjp = L.self_attention(p["attention"], h.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3]), heads)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dattention, dh = attention_vjp(dy.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3]))
        dnorm, dx = norm_vjp(dh.reshape(x.shape))
        return {"norm": dnorm, "attention": dattention}, dx + dy

    return x + h.reshape(x.shape), vjp
