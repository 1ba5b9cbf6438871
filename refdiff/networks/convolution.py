"""Image layers, (B, H, W, C): convolution, nearest-neighbour upsampling, average pooling; each with its derivative below."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..arrays import Array
from ..checks import MOST, check_count, check_floats
from ..tree import Params, Vjp


def conv(p: Params, x: Array, stride: int = 1) -> tuple[Array, Vjp]:
    r"""Convolution: a weighted sum of the $k \times k$ neighbours of each pixel, with zero padding.

    $$y_{ij} = b + \sum_{a,c=0}^{k-1} x_{si+a-r,\, sj+c-r}\, W_{ac}, \qquad r = (k - 1) / 2$$

    $$dW_{ac} = \sum_{Bij} x_{si+a-r,\, sj+c-r}^T\, dy_{ij}, \qquad dx_{si+a-r,\, sj+c-r} \mathrel{+}= dy_{ij} W_{ac}^T, \qquad db = \sum_{Bij} dy_{ij}$$

    x (B, H, W, in), p["w"] (k, k, in, out) with $k$ odd, p["b"] (out,), stride $s$; y (B, $\lceil H / s \rceil$, $\lceil W / s \rceil$, out). Source: N2 [LeCun et al. sec. II].
    """
    w, r = p["w"], len(p["w"]) // 2
    stride = check_conv(w, x, stride)
    padded = np.pad(x, ((0, 0), (r, r), (r, r), (0, 0)))
    offsets = list(np.ndindex(w.shape[:2]))
    seen = partial(neighbours_at, height=-(-x.shape[1] // stride), width=-(-x.shape[2] // stride), stride=stride)
    y = sum(seen(padded, a, c) @ w[a, c] for a, c in offsets) + p["b"]

    def vjp(dy: Array) -> tuple[Params, Array]:
        dw = [np.tensordot(seen(padded, a, c), dy, ([0, 1, 2], [0, 1, 2])) for a, c in offsets]
        dpadded = np.zeros(padded.shape, np.result_type(dy, w), like=padded)
        for a, c in offsets:
            seen(dpadded, a, c)[...] += dy @ w[a, c].T
        dx = dpadded[:, r : r + x.shape[1], r : r + x.shape[2]]
        return {"w": np.stack(dw).reshape(w.shape), "b": dy.sum(axis=(0, 1, 2))}, dx

    return y, vjp


def neighbours_at(image: Array, a: int, c: int, height: int, width: int, stride: int = 1) -> Array:
    """The neighbour at offset (a, c) of every output pixel, (B, height, width, C), as a view of the padded image."""
    return image[:, a : a + stride * (height - 1) + 1 : stride, c : c + stride * (width - 1) + 1 : stride]


def up(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""Nearest-neighbour upsampling by 2: four copies of every pixel, $y_{ij} = x_{\lfloor i/2 \rfloor \lfloor j/2 \rfloor}$; $dx$ is the sum of the copies' gradients. No parameters.

    x (B, H, W, C), y (B, 2H, 2W, C). Source: N2 [DDPM app. B].
    """
    _check_image(x)
    y = x.repeat(2, axis=1).repeat(2, axis=2)

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, _quarters(dy).sum(axis=(2, 4))

    return y, vjp


def pool(p: Params, x: Array) -> tuple[Array, Vjp]:
    r"""Average pooling by 2: the mean of every 2 × 2 square, $y_{ij} = \frac14 \sum_{ac} x_{2i+a,\,2j+c}$; $dx$ is $\frac14 dy$ at all four pixels. No parameters.

    x (B, H, W, C) with H and W even, y (B, H / 2, W / 2, C). Source: N2 [LeCun et al. sec. II].
    """
    _check_image(x)
    if x.shape[1] % 2 or x.shape[2] % 2:
        raise ValueError(f"x has shape {x.shape}; allowed: (B, H, W, C) with H and W even")
    y = _quarters(x).mean(axis=(2, 4))

    def vjp(dy: Array) -> tuple[Params, Array]:
        return {}, dy.repeat(2, axis=1).repeat(2, axis=2) / 4

    return y, vjp


def conv_up(p: Params, x: Array) -> tuple[Array, Vjp]:
    """Upsampling by 2 and then a convolution: the upsampling layer of a U-Net. Source: N2 [DDPM app. B]."""
    check_conv(p["w"], x, 1)
    larger, up_vjp = up({}, x)
    y, conv_vjp = conv(p, larger)

    def vjp(dy: Array) -> tuple[Params, Array]:
        dp, dlarger = conv_vjp(dy)
        return dp, up_vjp(dlarger)[1]

    return y, vjp


def _quarters(x: Array) -> Array:
    """(B, H, W, C) as (B, H / 2, 2, W / 2, 2, C)."""
    return x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3])


def _check_image(x: Array) -> None:
    check_floats("x", x)
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; allowed: (B, H, W, C)")


def check_conv(w: Array, x: Array, stride: int) -> int:
    check_floats("x", x)
    check_floats("w", w)
    if w.ndim != 4 or w.shape[0] != w.shape[1] or w.shape[0] % 2 == 0:
        raise ValueError(f"w has shape {w.shape}; allowed: (k, k, in, out) with k odd")
    if x.ndim != 4 or x.shape[3] != w.shape[2]:
        raise ValueError(f"x has shape {x.shape}; allowed: (B, H, W, {w.shape[2]})")
    stride = check_count("stride", stride, -MOST, MOST)
    if stride not in (1, 2):
        raise ValueError(f"stride = {stride}; allowed: 1, 2")
    return stride
