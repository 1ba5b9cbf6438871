"""N2, N3: layers of images (B, H, W, C), channels last, and the residual block, each derivative below its value."""

import numpy as np

from .layers import (
    adaptive_group_norm,
    adaptive_group_norm_vjp,
    group_norm,
    group_norm_vjp,
    linear_layer,
    linear_layer_vjp,
    over_places,
    places,
    rows,
    silu,
    silu_vjp,
)


def conv(x, w, b, stride):
    """N2 -> y: y_ij = b + sum_ac x_{si+a-r, sj+c-r} w_ac, zero beyond the edge, r = (size - 1) / 2; w (size, size, in, out), s 1 or 2."""
    padded, y = bordered(x, w), b
    for i, j in np.ndindex(w.shape[:2]):
        y = y + seen(padded, x, i, j, stride) @ w[i, j]
    return y


def conv_vjp(x, w, b, stride, dy):
    """N2 -> dx, dw, db: every pixel gets back dy w_ac^T from all that saw it; dw_ac is the sum of x_{si+a-r, sj+c-r}^T dy_ij."""
    padded = bordered(x, w)
    dpadded, dw = 0 * padded, 0 * w
    for i, j in np.ndindex(w.shape[:2]):
        dw[i, j] = rows(seen(padded, x, i, j, stride)).T @ rows(dy)
        seen(dpadded, x, i, j, stride)[...] += dy @ w[i, j].T
    return without_border(dpadded, w), dw, rows(dy).sum(axis=0)


def bordered(x, w):
    """The image with as many zeros around it as the kernel reaches out."""
    r = len(w) // 2
    return np.pad(x, ((0, 0), (r, r), (r, r), (0, 0)))


def without_border(x, w):
    """The image inside the border."""
    r = len(w) // 2
    return x[:, r : x.shape[1] - r, r : x.shape[2] - r]


def seen(padded, x, i, j, stride):
    """What the pixels of y see at the offset (i, j) of the kernel; a view."""
    return padded[:, i : i + x.shape[1] : stride, j : j + x.shape[2] : stride]


def up(x):
    """N2 -> y: every pixel four times, y_ij = x_{floor(i / 2), floor(j / 2)}."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def up_vjp(x, dy):
    """N2 -> dx: the sum of the four."""
    return four(dy)


def pool(x):
    """N2 -> y: the mean of every 2 x 2 square, H and W even."""
    return four(x) / 4


def pool_vjp(x, dy):
    """N2 -> dx: a quarter of dy for each of the four."""
    return up(dy) / 4


def four(x):
    """The sums of the 2 x 2 squares."""
    return x[:, 0::2, 0::2] + x[:, 0::2, 1::2] + x[:, 1::2, 0::2] + x[:, 1::2, 1::2]


def block_by_scale(
    x,
    emb,
    norm1_scale,
    norm1_shift,
    conv1_w,
    conv1_b,
    conditioning_w,
    conditioning_b,
    conv2_w,
    conv2_b,
    groups,
    shortcut_w=None,
    shortcut_b=None,
):
    """N3 -> y: x + conv2(silu(adaptive_group_norm(conv1(silu(group_norm(x))), emb))); "shortcut" is a 1 x 1 convolution of x, if there is one."""
    h = conv(silu(group_norm(x, norm1_scale, norm1_shift, groups)), conv1_w, conv1_b, 1)
    h = conv(silu(adaptive_group_norm(h, emb, conditioning_w, conditioning_b, groups)), conv2_w, conv2_b, 1)
    return h + shortcut(x, shortcut_w, shortcut_b)


def block_by_scale_vjp(
    x, emb, norm1_scale, norm1_shift, conv1_w, conv1_b, conditioning_w, conditioning_b, conv2_w, conv2_b, groups, shortcut_w, shortcut_b, dy
):
    """N3 -> dx, demb, dnorm1_scale, dnorm1_shift, dconv1_w, dconv1_b, dconditioning_w, dconditioning_b, dconv2_w, dconv2_b, dshortcut_w, dshortcut_b: last layer first."""
    parameters = norm1_scale, norm1_shift, conv1_w, conv1_b, conditioning_w, conditioning_b, conv2_w, conv2_b
    dx, *rest = residual_vjp(x, emb, *parameters, groups, dy)
    dshortcut, dshortcut_w, dshortcut_b = conv_vjp(x, shortcut_w, shortcut_b, 1, dy)
    return dx + dshortcut, *rest, dshortcut_w, dshortcut_b


def residual_vjp(x, emb, norm1_scale, norm1_shift, conv1_w, conv1_b, conditioning_w, conditioning_b, conv2_w, conv2_b, groups, dy):
    """The derivatives of block_by_scale without what the shortcut adds to them."""
    n1 = group_norm(x, norm1_scale, norm1_shift, groups)
    h = conv(silu(n1), conv1_w, conv1_b, 1)
    n2 = adaptive_group_norm(h, emb, conditioning_w, conditioning_b, groups)
    da, dconv2_w, dconv2_b = conv_vjp(silu(n2), conv2_w, conv2_b, 1, dy)
    dh, demb, dconditioning_w, dconditioning_b = adaptive_group_norm_vjp(h, emb, conditioning_w, conditioning_b, groups, silu_vjp(n2, da))
    da, dconv1_w, dconv1_b = conv_vjp(silu(n1), conv1_w, conv1_b, 1, dh)
    dx, dnorm1_scale, dnorm1_shift = group_norm_vjp(x, norm1_scale, norm1_shift, groups, silu_vjp(n1, da))
    return dx, demb, dnorm1_scale, dnorm1_shift, dconv1_w, dconv1_b, dconditioning_w, dconditioning_b, dconv2_w, dconv2_b


def block_by_shift(
    x, emb, norm1_scale, norm1_shift, conv1_w, conv1_b, conditioning_w, conditioning_b,
    norm2_scale, norm2_shift, conv2_w, conv2_b, groups, shortcut_w=None, shortcut_b=None,
):  # fmt: skip
    """N3 -> y: x + conv2(silu(group_norm(conv1(silu(group_norm(x))) + conditioning(emb)))), conditioning a linear layer; "shortcut" as in block_by_scale."""
    h = conv(silu(group_norm(x, norm1_scale, norm1_shift, groups)), conv1_w, conv1_b, 1)
    h = h + over_places(linear_layer(emb, conditioning_w, conditioning_b), h)
    h = conv(silu(group_norm(h, norm2_scale, norm2_shift, groups)), conv2_w, conv2_b, 1)
    return h + shortcut(x, shortcut_w, shortcut_b)


def block_by_shift_vjp(
    x, emb, norm1_scale, norm1_shift, conv1_w, conv1_b, conditioning_w, conditioning_b,
    norm2_scale, norm2_shift, conv2_w, conv2_b, groups, shortcut_w, shortcut_b, dy,
):  # fmt: skip
    """N3 -> dx, demb, dnorm1_scale, dnorm1_shift, dconv1_w, dconv1_b, dconditioning_w, dconditioning_b, dnorm2_scale, dnorm2_shift, dconv2_w, dconv2_b, dshortcut_w, dshortcut_b: last layer first."""
    n1 = group_norm(x, norm1_scale, norm1_shift, groups)
    h = conv(silu(n1), conv1_w, conv1_b, 1)
    h = h + over_places(linear_layer(emb, conditioning_w, conditioning_b), h)
    n2 = group_norm(h, norm2_scale, norm2_shift, groups)
    da, dconv2_w, dconv2_b = conv_vjp(silu(n2), conv2_w, conv2_b, 1, dy)
    dh, dnorm2_scale, dnorm2_shift = group_norm_vjp(h, norm2_scale, norm2_shift, groups, silu_vjp(n2, da))
    demb, dconditioning_w, dconditioning_b = linear_layer_vjp(emb, conditioning_w, conditioning_b, places(dh).sum(axis=1))
    da, dconv1_w, dconv1_b = conv_vjp(silu(n1), conv1_w, conv1_b, 1, dh)
    dx, dnorm1_scale, dnorm1_shift = group_norm_vjp(x, norm1_scale, norm1_shift, groups, silu_vjp(n1, da))
    dshortcut, dshortcut_w, dshortcut_b = conv_vjp(x, shortcut_w, shortcut_b, 1, dy)
    before = dx + dshortcut, demb, dnorm1_scale, dnorm1_shift, dconv1_w, dconv1_b, dconditioning_w, dconditioning_b
    return *before, dnorm2_scale, dnorm2_shift, dconv2_w, dconv2_b, dshortcut_w, dshortcut_b


def shortcut(x, shortcut_w, shortcut_b):
    """x, or its 1 x 1 convolution."""
    return x if shortcut_w is None else conv(x, shortcut_w, shortcut_b, 1)
