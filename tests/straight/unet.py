"""The smallest U-Net: two resolutions, its parameters in one row."""

from .attention import crossed
from .images import added, block, convolved, doubled
from .layers import affine, back, features_of, group_normed, leaves_of, silu_of, values
from .tape import lift


class _Row:
    """Take arrays from a row, one after another."""

    def __init__(self, numbers):
        self.numbers, self.used = numbers, 0

    def cut(self, *shape):
        if not shape:
            if self.used >= len(self.numbers):
                raise ValueError(f"params has {len(self.numbers)} entries; allowed: as many as the network has")
            self.used += 1
            return self.numbers[self.used - 1]
        return [self.cut(*shape[1:]) for _ in range(shape[0])]

    def linear(self, fan_in, out):
        return self.cut(fan_in, out), self.cut(out)

    def conv(self, fan_in, out, size=3):
        return self.cut(size, size, fan_in, out), self.cut(out)

    def norm(self, channels):
        return self.cut(channels), self.cut(channels)

    def block(self, fan_in, width, embedding):
        parts = [*self.norm(fan_in), *self.conv(fan_in, width), *self.linear(embedding, 2 * width), *self.conv(width, width)]
        return parts, self.conv(fan_in, width, 1) if fan_in != width else (None, None)


def _concatenated(x, y):
    """Concatenate the channels of x and y."""
    return [[[p + q for p, q in zip(a, b, strict=True)] for a, b in zip(one, two, strict=True)] for one, two in zip(x, y, strict=True)]


def _attended(x, norm, weights, groups, heads):
    """x plus the attention among its pixels."""
    flat = [[pixel for line in image for pixel in line] for image in group_normed(x, *norm, groups)]
    seen = crossed(flat, flat, *weights, heads)
    width = len(x[0][0])
    return added(x, [[places[i : i + width] for i in range(0, len(places), width)] for places in seen])


def _network(params, x, t, width, embedding, features, groups, heads):
    if len(x[0]) % 2 or len(x[0][0]) % 2:
        raise ValueError(f"x is {len(x[0])} x {len(x[0][0])}; allowed: even sides")
    row, channels = _Row(params), len(x[0][0][0])
    time1, time2 = row.linear(features, embedding), row.linear(embedding, embedding)
    emb = silu_of(affine(silu_of(affine(lift(features_of(t, features)), *time1)), *time2))

    def through(h, fan_in):
        parts, short = row.block(fan_in, width, embedding)
        return block(h, emb, *parts, groups, *short)

    h = convolved(x, *row.conv(channels, width))
    saved = [h]
    h = through(h, width)
    saved.append(h)
    h = convolved(h, *row.conv(width, width), stride=2)
    saved.append(h)
    h = through(h, width)
    saved.append(h)
    h = through(h, width)
    norm = row.norm(width)
    h = _attended(h, norm, [part for _ in range(4) for part in row.linear(width, width)], groups, heads)
    h = through(h, width)
    for _ in range(2):
        h = through(_concatenated(h, saved.pop()), 2 * width)
    h = convolved(doubled(h), *row.conv(width, width))
    for _ in range(2):
        h = through(_concatenated(h, saved.pop()), 2 * width)
    y = convolved(silu_of(group_normed(h, *row.norm(width), groups)), *row.conv(width, channels))
    if row.used != len(params):
        raise ValueError(f"params has {len(params)} entries; allowed: {row.used}")
    return y


def unet(params, x, t, width, embedding, features, groups, heads):
    params, x = leaves_of(params=params, x=x)
    return values(_network(params, x, t, width, embedding, features, groups, heads))


def unet_vjp(params, x, t, width, embedding, features, groups, heads, dy):
    params, x = leaves_of(params=params, x=x)
    return back(_network(params, x, t, width, embedding, features, groups, heads), dy, params, x)
