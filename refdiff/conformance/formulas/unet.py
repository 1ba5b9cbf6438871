"""N5: the smallest U-Net: one downsampling, one encoder block at each resolution, two middle blocks and two decoder blocks at each."""

import numpy as np

from .attention import self_attention, self_attention_vjp
from .images import block_by_scale, block_by_scale_vjp, conv, conv_vjp, four, residual_vjp, up
from .layers import group_norm, group_norm_vjp, linear_layer, linear_layer_vjp, silu, silu_vjp, time_features


def unet(params, x, t, width, embedding, features, groups, heads):
    """N5 -> y: shaped like x (B, H, W, channels), H and W even, t (B,) in 0..1000; every resolution has `width` channels.

    All parameters lie in one row, each array row by row, w before b, scale before shift: time1, time2 (linear), conv_in (conv),
    down0_block, downsample (conv, stride 2), down1_block, mid_block0 (blocks), mid_attention (norm, q, k, v, out), mid_block1, up1_block0,
    up1_block1 (blocks), upsample (conv), up0_block0, up0_block1 (blocks), norm_out, conv_out (conv). Convolutions are 3 x 3. A block holds
    norm1, conv1, conditioning, conv2 of block_by_scale, and shortcut where it has 2 width channels to begin with: in the decoder, where its
    input is the layer below and, behind it, a skip connection, the last saved first: after conv_in, down0_block, downsample and
    down1_block. Blocks are conditioned on emb = silu(time2(silu(time1(time_features(t))))); the attention adds out(...) of group_norm(x) to
    x; upsample convolves the image made twice as large by `up`; silu comes before conv_out.
    """
    p = unet_parameters(params, x, width, embedding, features)
    states = unet_states(p, x, unet_emb(p, t, features), groups, heads)
    return conv(silu(states[-1]), *p["conv_out"], 1)


def unet_vjp(params, x, t, width, embedding, features, groups, heads, dy):
    """N5 -> dparams, dx: dparams in the order of params; last layer first; a skip connection adds its derivative to the encoder's."""
    p, dp = unet_parameters(params, x, width, embedding, features), {}
    emb = unet_emb(p, t, features)
    h = unet_states(p, x, emb, groups, heads)
    da, *dp["conv_out"] = conv_vjp(silu(h[12]), *p["conv_out"], 1, dy)
    dh, *dp["norm_out"] = group_norm_vjp(h[11], *p["norm_out"], groups, silu_vjp(h[12], da))
    dh, dconv_in, demb_a, dp["up0_block1"] = concatenated_vjp(h[10], h[0], emb, p["up0_block1"], groups, dh)
    dh, ddown0_block, demb_b, dp["up0_block0"] = concatenated_vjp(h[9], h[1], emb, p["up0_block0"], groups, dh)
    da, *dp["upsample"] = conv_vjp(up(h[8]), *p["upsample"], 1, dh)
    dh, ddownsample, demb_c, dp["up1_block1"] = concatenated_vjp(h[7], h[2], emb, p["up1_block1"], groups, four(da))
    dh, ddown1_block, demb_d, dp["up1_block0"] = concatenated_vjp(h[6], h[3], emb, p["up1_block0"], groups, dh)
    dh, demb_e, dp["mid_block1"] = even_vjp(h[5], emb, p["mid_block1"], groups, dh)
    dh, dp["mid_attention"] = attend_vjp(h[4], p["mid_attention"], groups, heads, dh)
    dh, demb_f, dp["mid_block0"] = even_vjp(h[3], emb, p["mid_block0"], groups, dh)
    dh, demb_g, dp["down1_block"] = even_vjp(h[2], emb, p["down1_block"], groups, dh + ddown1_block)
    dh, *dp["downsample"] = conv_vjp(h[1], *p["downsample"], 2, dh + ddownsample)
    dh, demb_h, dp["down0_block"] = even_vjp(h[0], emb, p["down0_block"], groups, dh + ddown0_block)
    dx, *dp["conv_in"] = conv_vjp(x, *p["conv_in"], 1, dh + dconv_in)
    demb = demb_a + demb_b + demb_c + demb_d + demb_e + demb_f + demb_g + demb_h
    dp["time1"], dp["time2"] = unet_emb_vjp(p, t, features, demb)
    return np.concatenate([each.ravel() for name in p for each in dp[name]]), dx


def unet_states(p, x, emb, groups, heads):
    """Activations between the layers, in order; the last one before the last silu."""
    conv_in = conv(x, *p["conv_in"], 1)
    down0_block = conditioned_block(conv_in, emb, p["down0_block"], groups)
    downsample = conv(down0_block, *p["downsample"], 2)
    down1_block = conditioned_block(downsample, emb, p["down1_block"], groups)
    mid_block0 = conditioned_block(down1_block, emb, p["mid_block0"], groups)
    mid_attention = attend(mid_block0, p["mid_attention"], groups, heads)
    mid_block1 = conditioned_block(mid_attention, emb, p["mid_block1"], groups)
    up1_block0 = conditioned_block(concatenated(mid_block1, down1_block), emb, p["up1_block0"], groups)
    up1_block1 = conditioned_block(concatenated(up1_block0, downsample), emb, p["up1_block1"], groups)
    upsample = conv(up(up1_block1), *p["upsample"], 1)
    up0_block0 = conditioned_block(concatenated(upsample, down0_block), emb, p["up0_block0"], groups)
    up0_block1 = conditioned_block(concatenated(up0_block0, conv_in), emb, p["up0_block1"], groups)
    norm_out = group_norm(up0_block1, *p["norm_out"], groups)
    return [
        conv_in,
        down0_block,
        downsample,
        down1_block,
        mid_block0,
        mid_attention,
        mid_block1,
        up1_block0,
        up1_block1,
        upsample,
        up0_block0,
        up0_block1,
        norm_out,
    ]


def unet_emb(p, t, features):
    """The embedding that blocks are conditioned on: silu of two linear layers, with silu in between, of the time features."""
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


def concatenated(below, skip):
    """The layer below, and behind it the skip connection."""
    return np.concatenate([below, skip], axis=-1)


def concatenated_vjp(below, skip, emb, p, groups, dy):
    """Derivatives of a decoder block in the layer below, in the skip connection, in emb, and in the parameters."""
    dx, demb, *dp = block_by_scale_vjp(concatenated(below, skip), emb, *p[:8], groups, *p[8:], dy)
    dbelow, dskip = np.split(dx, [below.shape[-1]], axis=-1)
    return dbelow, dskip, demb, dp


def conditioned_block(x, emb, p, groups):
    """A block with its parameters in a list."""
    return block_by_scale(x, emb, *p[:8], groups, *p[8:])


def even_vjp(x, emb, p, groups, dy):
    """A block that keeps its channels: its shortcut gives dy back."""
    dx, demb, *dp = residual_vjp(x, emb, *p, groups, dy)
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
        **{"time1": [(F, E), (E,)], "time2": [(E, E), (E,)], "conv_in": [(3, 3, channels, C), (C,)], "down0_block": even},
        **{
            "downsample": [(3, 3, C, C), (C,)],
            "down1_block": even,
            "mid_block0": even,
            "mid_attention": [(C,), (C,), *[(C, C), (C,)] * 4],
            "mid_block1": even,
        },
        **{"up1_block0": joint, "up1_block1": joint, "upsample": [(3, 3, C, C), (C,)], "up0_block0": joint, "up0_block1": joint},
        **{"norm_out": [(C,), (C,)], "conv_out": [(3, 3, C, channels), (channels,)]},
    }


def unet_block_shapes(fan_in, C, E):
    """Those of a block; the last two, of its shortcut, only where the channels change."""
    shapes = {"block": [(fan_in,), (fan_in,), (3, 3, fan_in, C), (C,), (E, 2 * C), (2 * C,), (3, 3, C, C), (C,)]}["block"]
    return shapes if fan_in == C else shapes + {"shortcut": [(1, 1, fan_in, C), (C,)]}["shortcut"]
