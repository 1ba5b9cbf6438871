"""N5: the smallest U-Net: one halving, one block at each resolution on the way down, two in the middle and two on each way up."""

import numpy as np

from .attention import self_attention, self_attention_vjp
from .images import block_by_scale, block_by_scale_vjp, conv, conv_vjp, four, long_way_vjp, up
from .layers import group_norm, group_norm_vjp, linear_layer, linear_layer_vjp, silu, silu_vjp, time_features


def unet(params, x, t, width, embedding, features, groups, heads):
    """N5 -> y: shaped like x (B, H, W, channels), H and W even, t (B,) in 0..1000; every resolution has `width` channels.

    All parameters lie in one row, each array row by row, w before b, scale before shift: time1, time2 (linear), first (conv), down0,
    half (conv, stride 2), down1, middle0 (blocks), attention (norm, q, k, v, out), middle1, up1_0, up1_1 (blocks), double (conv), up0_0,
    up0_1 (blocks), norm, last (conv). Convolutions are 3 x 3. A block holds norm1, conv1, tell, conv2 of block_by_scale, and short where
    it has 2 width channels to begin with: on the way up, where it gets what comes from below and, behind it, what was saved on the way
    down, the last saved first: after first, down0, half and down1. Blocks are told emb = silu(time2(silu(time1(time_features(t))))); the
    attention adds out(...) of group_norm(x) to x; double convolves the image made twice as large by `up`; silu comes before last.
    """
    p = unet_parameters(params, x, width, embedding, features)
    states = unet_states(p, x, unet_emb(p, t, features), groups, heads)
    return conv(silu(states[-1]), *p["last"], 1)


def unet_vjp(params, x, t, width, embedding, features, groups, heads, dy):
    """N5 -> dparams, dx: dparams in the order of params; last layer first, and what was saved gets its derivatives from both ways."""
    p, dp = unet_parameters(params, x, width, embedding, features), {}
    emb = unet_emb(p, t, features)
    h = unet_states(p, x, emb, groups, heads)
    da, *dp["last"] = conv_vjp(silu(h[12]), *p["last"], 1, dy)
    dh, *dp["norm"] = group_norm_vjp(h[11], *p["norm"], groups, silu_vjp(h[12], da))
    dh, dfirst, demb_a, dp["up0_1"] = joined_vjp(h[10], h[0], emb, p["up0_1"], groups, dh)
    dh, ddown0, demb_b, dp["up0_0"] = joined_vjp(h[9], h[1], emb, p["up0_0"], groups, dh)
    da, *dp["double"] = conv_vjp(up(h[8]), *p["double"], 1, dh)
    dh, dhalf, demb_c, dp["up1_1"] = joined_vjp(h[7], h[2], emb, p["up1_1"], groups, four(da))
    dh, ddown1, demb_d, dp["up1_0"] = joined_vjp(h[6], h[3], emb, p["up1_0"], groups, dh)
    dh, demb_e, dp["middle1"] = even_vjp(h[5], emb, p["middle1"], groups, dh)
    dh, dp["attention"] = attend_vjp(h[4], p["attention"], groups, heads, dh)
    dh, demb_f, dp["middle0"] = even_vjp(h[3], emb, p["middle0"], groups, dh)
    dh, demb_g, dp["down1"] = even_vjp(h[2], emb, p["down1"], groups, dh + ddown1)
    dh, *dp["half"] = conv_vjp(h[1], *p["half"], 2, dh + dhalf)
    dh, demb_h, dp["down0"] = even_vjp(h[0], emb, p["down0"], groups, dh + ddown0)
    dx, *dp["first"] = conv_vjp(x, *p["first"], 1, dh + dfirst)
    demb = demb_a + demb_b + demb_c + demb_d + demb_e + demb_f + demb_g + demb_h
    dp["time1"], dp["time2"] = unet_emb_vjp(p, t, features, demb)
    return np.concatenate([each.ravel() for name in p for each in dp[name]]), dx


def unet_states(p, x, emb, groups, heads):
    """What stands between the layers, in their order; the last before the last silu."""
    first = conv(x, *p["first"], 1)
    down0 = told_block(first, emb, p["down0"], groups)
    half = conv(down0, *p["half"], 2)
    down1 = told_block(half, emb, p["down1"], groups)
    middle0 = told_block(down1, emb, p["middle0"], groups)
    attended = attend(middle0, p["attention"], groups, heads)
    middle1 = told_block(attended, emb, p["middle1"], groups)
    up1_0 = told_block(joined(middle1, down1), emb, p["up1_0"], groups)
    up1_1 = told_block(joined(up1_0, half), emb, p["up1_1"], groups)
    double = conv(up(up1_1), *p["double"], 1)
    up0_0 = told_block(joined(double, down0), emb, p["up0_0"], groups)
    up0_1 = told_block(joined(up0_0, first), emb, p["up0_1"], groups)
    end = group_norm(up0_1, *p["norm"], groups)
    return [first, down0, half, down1, middle0, attended, middle1, up1_0, up1_1, double, up0_0, up0_1, end]


def unet_emb(p, t, features):
    """What all blocks are told: silu of two linear layers, with silu in between, of the time's features."""
    h = silu(linear_layer(time_features(t, features), *p["time1"]))
    return silu(linear_layer(h, *p["time2"]))


def unet_emb_vjp(p, t, features, demb):
    """The derivatives in the two linear layers."""
    h0 = time_features(t, features)
    a1 = linear_layer(h0, *p["time1"])
    a2 = linear_layer(silu(a1), *p["time2"])
    dh, *dtime2 = linear_layer_vjp(silu(a1), *p["time2"], silu_vjp(a2, demb))
    _, *dtime1 = linear_layer_vjp(h0, *p["time1"], silu_vjp(a1, dh))
    return dtime1, dtime2


def joined(below, saved):
    """What comes from below, and behind it what was saved."""
    return np.concatenate([below, saved], axis=-1)


def joined_vjp(below, saved, emb, p, groups, dy):
    """A block of both: the derivatives in each, in emb, and in the parameters."""
    dx, demb, *dp = block_by_scale_vjp(joined(below, saved), emb, *p[:8], groups, *p[8:], dy)
    dbelow, dsaved = np.split(dx, [below.shape[-1]], axis=-1)
    return dbelow, dsaved, demb, dp


def told_block(x, emb, p, groups):
    """A block with its parameters in a list."""
    return block_by_scale(x, emb, *p[:8], groups, *p[8:])


def even_vjp(x, emb, p, groups, dy):
    """A block that keeps its channels: its shortcut gives dy back."""
    dx, demb, *dp = long_way_vjp(x, emb, *p, groups, dy)
    return dx + dy, demb, dp


def attend(x, p, groups, heads):
    """x + self_attention(group_norm(x)) among all pixels."""
    h = group_norm(x, *p[:2], groups)
    y = self_attention(pixels(h), *p[2:], heads)
    return x + y.reshape(x.shape)


def attend_vjp(x, p, groups, heads, dy):
    """Its derivatives; that of the keys' bias is 0."""
    h = group_norm(x, *p[:2], groups)
    da, dq_w, dq_b, dk_w, *rest = self_attention_vjp(pixels(h), *p[2:], heads, pixels(dy))
    dh = da.reshape(x.shape)
    dx, dscale, dshift = group_norm_vjp(x, *p[:2], groups, dh)
    return dx + dy, [dscale, dshift, dq_w, dq_b, dk_w, 0 * dq_b, *rest]


def pixels(x):
    """(B, H, W, C) as (B, H W, C)."""
    return x.reshape(len(x), -1, x.shape[-1])


def unet_parameters(params, x, width, embedding, features):
    """The row of numbers as arrays, by the layers' names."""
    found, start = {}, 0
    for name, shapes in unet_shapes(x.shape[-1], width, embedding, features).items():
        ends = np.cumsum([start] + [int(np.prod(shape)) for shape in shapes])
        found[name] = [params[a:b].reshape(shape) for a, b, shape in zip(ends[:-1].tolist(), ends[1:].tolist(), shapes, strict=True)]
        start = int(ends[-1])
    return found


def unet_shapes(channels, C, E, F):
    """The layers in their order, with the shapes of their arrays."""
    even, joint = unet_block_shapes(C, C, E), unet_block_shapes(2 * C, C, E)
    return {
        **{"time1": [(F, E), (E,)], "time2": [(E, E), (E,)], "first": [(3, 3, channels, C), (C,)], "down0": even},
        **{"half": [(3, 3, C, C), (C,)], "down1": even, "middle0": even, "attention": [(C,), (C,), *[(C, C), (C,)] * 4], "middle1": even},
        **{"up1_0": joint, "up1_1": joint, "double": [(3, 3, C, C), (C,)], "up0_0": joint, "up0_1": joint},
        **{"norm": [(C,), (C,)], "last": [(3, 3, C, channels), (channels,)]},
    }


def unet_block_shapes(fan_in, C, E):
    """Those of a block; the last two, of its shortcut, only where the channels change."""
    shapes = {"block": [(fan_in,), (fan_in,), (3, 3, fan_in, C), (C,), (E, 2 * C), (2 * C,), (3, 3, C, C), (C,)]}["block"]
    return shapes if fan_in == C else shapes + {"short": [(1, 1, fan_in, C), (C,)]}["short"]
