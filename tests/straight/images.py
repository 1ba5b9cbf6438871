"""Layers of images (B, H, W, C) and blocks made of them."""

from .boundary import choice
from .layers import adapted, affine, back, group_normed, leaves_of, silu_of, values
from .tape import dot, mapped, total


def convolved(x, w, b, stride=1):
    """A correlation with zeros beyond the edge, at every stride-th pixel."""
    choice("stride", stride, (1, 2))
    size, height, width = len(w), len(x[0]), len(x[0][0])
    if size % 2 == 0 or any(len(row) != size for row in w) or len(w[0][0]) != len(x[0][0][0]) or len(w[0][0][0]) != len(b):
        raise ValueError(f"w is {size} x {len(w[0])} x {len(w[0][0])} x {len(w[0][0][0])}; allowed: odd, square, fitting x and b")
    reach = (size - 1) // 2

    def pixel(image, i, j):
        seen = []
        for a in range(size):
            for c in range(size):
                row, column = stride * i + a - reach, stride * j + c - reach
                if 0 <= row < height and 0 <= column < width:
                    seen.append((image[row][column], w[a][c]))
        inputs = [one for place, _ in seen for one in place]
        return [dot(inputs, [row[k] for _, tap in seen for row in tap], b[k]) for k in range(len(b))]

    out_h, out_w = -(-height // stride), -(-width // stride)
    return [[[pixel(image, i, j) for j in range(out_w)] for i in range(out_h)] for image in x]


def conv(x, w, b, stride):
    return values(convolved(*leaves_of(x=x, w=w, b=b), stride))


def conv_vjp(x, w, b, stride, dy):
    leaves = leaves_of(x=x, w=w, b=b)
    return back(convolved(*leaves, stride), dy, *leaves)


def doubled(x):
    """Upsampling: every pixel four times."""
    return [[[image[i // 2][j // 2] for j in range(2 * len(image[0]))] for i in range(2 * len(image))] for image in x]


def up(x):
    return values(doubled(*leaves_of(x=x)))


def up_vjp(x, dy):
    (x,) = leaves_of(x=x)
    return back(mapped(lambda one: one + 0.0, doubled(x)), dy, x)


def _pooled(x):
    height, width, channels = len(x[0]), len(x[0][0]), range(len(x[0][0][0]))
    if height % 2 or width % 2:
        raise ValueError(f"x is {height} x {width}; allowed: even sides")

    def mean(image, i, j, c):
        return total([image[i][j][c], image[i][j + 1][c], image[i + 1][j][c], image[i + 1][j + 1][c]]) / 4

    return [[[[mean(image, i, j, c) for c in channels] for j in range(0, width, 2)] for i in range(0, height, 2)] for image in x]


def pool(x):
    return values(_pooled(*leaves_of(x=x)))


def pool_vjp(x, dy):
    leaves = leaves_of(x=x)
    return back(_pooled(*leaves), dy, *leaves)


def added(x, y):
    """The sum of nested Numbers."""
    return [added(a, b) for a, b in zip(x, y, strict=True)] if isinstance(x, list) else x + y


def block(
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
    """The residual block with adaptive GroupNorm."""
    inner = convolved(silu_of(group_normed(x, norm1_scale, norm1_shift, groups)), conv1_w, conv1_b)
    inner = convolved(silu_of(adapted(inner, emb, conditioning_w, conditioning_b, groups)), conv2_w, conv2_b)
    return added(x if shortcut_w is None else convolved(x, shortcut_w, shortcut_b), inner)


def _shift_block(
    x,
    emb,
    norm1_scale,
    norm1_shift,
    conv1_w,
    conv1_b,
    conditioning_w,
    conditioning_b,
    norm2_scale,
    norm2_shift,
    conv2_w,
    conv2_b,
    groups,
    shortcut_w,
    shortcut_b,
):
    inner = convolved(silu_of(group_normed(x, norm1_scale, norm1_shift, groups)), conv1_w, conv1_b)
    conditioning = affine(emb, conditioning_w, conditioning_b)
    inner = [[[added(pixel, row) for pixel in line] for line in image] for image, row in zip(inner, conditioning, strict=True)]
    inner = convolved(silu_of(group_normed(inner, norm2_scale, norm2_shift, groups)), conv2_w, conv2_b)
    return added(x if shortcut_w is None else convolved(x, shortcut_w, shortcut_b), inner)


def block_by_scale(groups, **arrays):
    names = list(arrays)
    return values(block(groups=groups, **dict(zip(names, leaves_of(**arrays), strict=True))))


def block_by_shift(groups, shortcut_w=None, shortcut_b=None, **arrays):
    arrays |= {"shortcut_w": shortcut_w, "shortcut_b": shortcut_b}
    return values(_shift_block(groups=groups, **dict(zip(arrays, leaves_of(**arrays), strict=True))))


def block_by_scale_vjp(groups, dy, **arrays):
    return _block_gradients(block, groups, dy, arrays)


def block_by_shift_vjp(groups, dy, **arrays):
    return _block_gradients(_shift_block, groups, dy, arrays)


def _block_gradients(make, groups, dy, arrays):
    leaves = dict(zip(arrays, leaves_of(**arrays), strict=True))
    found = back(make(groups=groups, **leaves), dy, *leaves.values())
    return {"d" + name: gradient for name, gradient in zip(leaves, found, strict=True)}
