r"""A 3 x 3 convolution after nearest-neighbour upsampling, with a quarter of the multiplications, for images (B, H, W, C).

In one dimension each pixel gives two outputs. Each depends only on the pixel and one neighbour:

$$y_0 = x_{-1} w_0 + x_0 (w_1 + w_2) = m_0 + m_1, \qquad y_1 = x_0 (w_0 + w_1) + x_1 w_2 = m_1 + m_2,$$

$$m_0 = (x_{-1} - x_0)\, w_0, \qquad m_1 = x_0\, (w_0 + w_1 + w_2), \qquad m_2 = (x_1 - x_0)\, w_2.$$

These are three products instead of six. Along both axes they are nine instead of 36, each a matrix product over the channels of all
pixels. All steps are linear, so the derivative is the transposed steps in reverse order. Source: N2 [Lavin & Gray sec. 4].
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..training import parallel
from ..tree import Params, Vjp
from . import buffers
from .winograd import multiply, sum_rows, transposed

CACHED = 2**16  # numbers of a part of the images: nine times as many float32 fill a core's second-level cache


def conv_up3(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`convolution.conv_up` for 3 x 3 kernels and one real precision; a few images at a time, in memory that stays in a core's cache."""
    (n, height, width, fan_in), fan_out = x.shape, len(p["b"])
    u = _of_filter(p["w"]).reshape(9, fan_in, fan_out)
    parts = parallel.parts(n, height * width * max(fan_in, fan_out), CACHED)
    y = buffers.empty((n, 2 * height, 2 * width, fan_out), x.dtype)
    for part in parts:
        m = multiply("m", _differences(x[part]), u).reshape(3, 3, -1, height, width, fan_out)
        m[1, 1] += p["b"]
        _to_quarters(m, _quarters(y[part]))

    def vjp(dy: Array) -> tuple[Params, Array]:
        du, dx, u_t = np.zeros_like(u), buffers.empty(x.shape, x.dtype), transposed(u)
        for part in parts:
            dm = _of_quarters(_quarters(dy[part]))
            du += multiply("du", _differences(x[part]).swapaxes(1, 2), dm)
            dv = multiply("v", dm, u_t).reshape(3, 3, -1, height, width, fan_in)
            _from_differences(dv, dx[part])
        return {"w": _transposed_of_filter(du.reshape(p["w"].shape)), "b": sum_rows(dy)}, dx

    return y, vjp


def _of_filter(w: Array) -> Array:
    """Transformed filter u, (3, 3, in, out)."""
    for axis in (0, 1):
        first, middle, last = np.split(w, 3, axis)
        w = np.concatenate([first, first + middle + last, last], axis)
    return w


def _transposed_of_filter(du: Array) -> Array:
    """The transpose of `_of_filter`: dw from du."""
    for axis in (0, 1):
        first, middle, last = np.split(du, 3, axis)
        du = np.concatenate([first + middle, middle, last + middle], axis)
    return du


def _differences(x: Array) -> Array:
    """Transformed image v: differences to the neighbours along both axes; (9, pixels, C)."""
    n, height, width, channels = x.shape
    larger = buffers.workspace("larger", (n, height + 2, width + 2, channels), x.dtype)
    larger[:, 0] = larger[:, -1] = larger[:, :, 0] = larger[:, :, -1] = 0
    larger[:, 1:-1, 1:-1] = x
    rows = buffers.workspace("rows", (3, n, height, width + 2, channels), x.dtype)
    here = rows[1]
    np.copyto(here, larger[:, 1:-1])
    np.subtract(larger[:, :-2], here, rows[0])
    np.subtract(larger[:, 2:], here, rows[2])
    v = buffers.workspace("v", (3, 3, n, height, width, channels), x.dtype)
    here = v[:, 1]
    np.copyto(here, rows[:, :, :, 1:-1])
    np.subtract(rows[:, :, :, :-2], here, v[:, 0])
    np.subtract(rows[:, :, :, 2:], here, v[:, 2])
    return v.reshape(9, -1, channels)


def _from_differences(dv: Array, dx: Array) -> None:
    """The transpose of `_differences`: fill dx; dv (3, 3, B, H, W, C) is overwritten."""
    here = dv[:, 1]
    here -= dv[:, 0]
    here -= dv[:, 2]
    here[:, :, :, :-1] += dv[:, 0, :, :, 1:]
    here[:, :, :, 1:] += dv[:, 2, :, :, :-1]
    before, at, after = here
    np.subtract(at, before, dx)
    dx -= after
    dx[:, :-1] += before[:, 1:]
    dx[:, 1:] += after[:, :-1]


def _quarters(y: Array) -> Array:
    """The pixels of the larger image by their position in a pixel of the smaller one: a view (2, 2, B, H, W, C)."""
    n, height, width, channels = y.shape
    return y.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(2, 4, 0, 1, 3, 5)


def _to_quarters(m: Array, y: Array) -> None:
    """Fill y (2, 2, ...) with the sums of neighbours of m (3, 3, ...)."""
    half = buffers.workspace("half", (2, *m.shape[1:]), m.dtype)
    np.add(m[:2], m[1:], half)
    np.add(half[:, :2], half[:, 1:], y)


def _of_quarters(dy: Array) -> Array:
    """dm from dy: (9, pixels, out)."""
    half = buffers.workspace("half", (2, 3, *dy.shape[2:]), dy.dtype)
    half[:, 0], half[:, 2] = dy[:, 0], dy[:, 1]
    np.add(half[:, 0], half[:, 2], half[:, 1])
    dm = buffers.workspace("m", (3, 3, *dy.shape[2:]), dy.dtype)
    dm[0], dm[2] = half
    np.add(half[0], half[1], dm[1])
    return dm.reshape(9, -1, dy.shape[-1])
