"""Blocks of a U-Net: the time and label embedding, the residual block conditioned on it, and self-attention over pixels."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from ..arrays import Array, Time
from ..tree import Params, Vjp
from .mlp import embed_conditions


def embed(p: Params, batch: int, t: Time, y: Array | None, dtype: Any, L: ModuleType) -> tuple[Array, Callable[[Array], Params]]:
    r"""Time and label embedding, $\mathrm{silu}(e + E_y)$, where two linear layers with a SiLU between them map the time features to $e$; (B, E).

    $E_y$ is the row of the label table. vjp(demb) gives dp.

    Source: N1, N5 [DDPM app. B].
    """
    features, label, label_vjp = embed_conditions(p, batch, len(p["time1"]["w"]), t, y, dtype, L)
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
    """Residual block: x plus a branch that applies normalization, SiLU and convolution twice; conditioned on the embedding.

    The conditioning is a scale and shift after the second normalization (adaptive GroupNorm), or, if p has "norm2", a shift before it.
    x (B, H, W, in), emb (B, E), y (B, H, W, out). If in and out differ, the 1 x 1 convolution "shortcut" maps x to out channels.
    vjp(dy) gives (dp, dx, demb).
    Source: N3 [Dhariwal & Nichol sec. 3], [DDPM app. B].
    """
    h, norm1_vjp = L.group_norm_silu(p["norm1"], x, groups)
    h, conv1_vjp = L.conv(p["conv1"], h)
    h, condition_vjp = (_shift if "norm2" in p else _scale_shift)(p, h, emb, L, groups)
    h, conv2_vjp = L.conv(p["conv2"], h)
    shortcut, shortcut_vjp = L.conv(p["shortcut"], x) if "shortcut" in p else (x, None)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dp = {}
        dp["conv2"], dh = conv2_vjp(dy)
        dcondition, dh, demb = condition_vjp(dh)
        dp["conv1"], dh = conv1_vjp(dh)
        dp["norm1"], dx = norm1_vjp(dh)
        if shortcut_vjp is None:
            return dp | dcondition, dx + dy, demb
        dp["shortcut"], dshortcut = shortcut_vjp(dy)
        return dp | dcondition, dx + dshortcut, demb

    return h + shortcut, vjp


def _scale_shift(p: Params, h: Array, emb: Array, L: ModuleType, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    y, norm_vjp = L.adaptive_group_norm_silu(p["conditioning"], h, emb, groups)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dconditioning, dh, demb = norm_vjp(dy)
        return {"conditioning": dconditioning}, dh, demb

    return y, vjp


def _shift(p: Params, h: Array, emb: Array, L: ModuleType, groups: int) -> tuple[Array, Callable[[Array], Any]]:
    shift, shift_vjp = L.linear(p["conditioning"], emb)
    y, norm_vjp = L.group_norm_silu(p["norm2"], h + shift[:, None, None, :], groups)

    def vjp(dy: Array) -> tuple[Params, Array, Array]:
        dnorm, dh = norm_vjp(dy)
        dconditioning, demb = shift_vjp(dh.sum(axis=(1, 2)))
        return {"norm2": dnorm, "conditioning": dconditioning}, dh, demb

    return y, vjp


def attend(p: Params, x: Array, L: ModuleType, heads: int, groups: int) -> tuple[Array, Vjp]:
    """Attention block: x plus the self-attention of its group-normalized pixels; x (B, H, W, C). Source: N4 [DDPM app. B]."""
    h, norm_vjp = L.group_norm(p["norm"], x, groups)
    h, attention_vjp = L.self_attention(p["attention"], h.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3]), heads)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dattention, dh = attention_vjp(dy.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3]))
        dnorm, dx = norm_vjp(dh.reshape(x.shape))
        return {"norm": dnorm, "attention": dattention}, dx + dy

    return x + h.reshape(x.shape), vjp
