r"""A 3 x 3 convolution with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3), for images (B, H, W, C).

In one dimension, four neighbouring results of a filter of three taps need six products instead of twelve:

$$y = A^T \bigl[ (G w) \odot (B^T x) \bigr], \qquad x \in R^6,\; w \in R^3,\; y \in R^4,$$

an identity of polynomials evaluated at 0, 1, -1, 2, -2 and infinity. In two dimensions it holds along both axes at once, where the
matrices are Kronecker products, and the image is cut into 6 x 6 tiles, 4 apart. Over channels the products become 36 matrix
products, one for each place of a tile. All steps are linear, so the derivative is the same steps transposed, in reverse. Its
roundings are those of the whole tile, larger than the plain sum's. Source: N2 [Lavin & Gray sec. 4.3].
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..arrays import Array
from ..training import parallel
from ..tree import Params, Vjp
from . import buffers as scratch

B_T = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
G = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
A_T = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
MIDDLE = 7  # the place of a tile, both coordinates 1, that gives all 16 results the same

CACHED = 2**13  # tiles times channels: their 36 float32 numbers each fill half of a core's second-level cache


def conv3(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`convolution.conv` for k = 3, stride 1 and one real precision.

    A few images at a time, in memory that stays in a core's cache; what the derivative needs of them is made once more, which
    costs less than to write it down and read it again.
    """
    (n, height, width, fan_in), fan_out = x.shape, len(p["b"])
    b_t, g, a_t, b, a = _matrices(x.dtype)
    u = scratch.empty((36, fan_in, fan_out), x.dtype)
    np.matmul(g, p["w"].reshape(9, -1), u.reshape(36, -1))
    parts = parallel.parts(n, -(-height // 4) * -(-width // 4) * max(fan_in, fan_out), CACHED)
    y = scratch.empty((n, height, width, fan_out), x.dtype)

    for part in parts:
        m = multiply("m", _of_tiles("v", b_t, _tiles(x[part], 1)), u)
        m[MIDDLE] += p["b"]  # which all results of a tile have in them once
        _from_fours(_to_tiles(a_t, m, y[part]), y[part])

    def vjp(dy: Array) -> tuple[Params, Array]:
        du, dx, u_t = scratch.empty(u.shape, x.dtype), scratch.empty(x.shape, x.dtype), turned(u)
        du[...] = 0
        for part in parts:
            dm = _of_tiles("m", a, _tiles(dy[part], 0))
            du += multiply("du", _of_tiles("v", b_t, _tiles(x[part], 1)).swapaxes(1, 2), dm)
            _from_sixes(_to_tiles(b, multiply("v", dm, u_t), dx[part]), dx[part])
        return {"w": (g.T @ du.reshape(36, -1)).reshape(p["w"].shape), "b": sum_rows(dy)}, dx

    return y, vjp


@lru_cache
def _matrices(dtype: Any) -> list[Array]:
    """B^T, G and A^T along both axes: (36, 36), (36, 9), (16, 36); then B and A."""
    b_t, g, a_t = (np.kron(np.array(matrix), np.array(matrix)).astype(dtype) for matrix in (B_T, G, A_T))
    return [b_t, g, a_t, np.ascontiguousarray(b_t.T), np.ascontiguousarray(a_t.T)]


def multiply(role: str, a: Array, b: Array) -> Array:
    """Matrix products a b of a stack of matrices, in this thread's memory for that role."""
    return np.matmul(a, b, scratch.room(role, (len(a), a.shape[1], b.shape[2]), b.dtype))


def turned(u: Array) -> Array:
    """Every matrix of a stack transposed, in this thread's memory."""
    room = scratch.room("turned", (len(u), u.shape[2], u.shape[1]), u.dtype)
    np.copyto(room, u.swapaxes(1, 2))
    return room


def _of_tiles(role: str, a: Array, tiles: Array) -> Array:
    """The places of all tiles times a matrix (36, places): (36, tiles, C)."""
    n, rows, _, columns, channels = tiles.shape
    out = scratch.room(role, (36, n, rows, columns * channels), tiles.dtype)
    np.matmul(a, tiles.reshape(n, rows, -1, columns * channels), out.transpose(1, 2, 0, 3))
    return out.reshape(36, -1, channels)


def _to_tiles(a: Array, m: Array, images: Array) -> Array:
    """A matrix (places, 36) times m (36, tiles, C), as `_tiles` of such images: (B, rows, places, columns, C)."""
    (n, rows, columns), channels = _grid(images), m.shape[2]
    out = scratch.room("tiles", (n, rows, len(a), columns * channels), m.dtype)
    np.matmul(a, m.reshape(36, n, rows, -1).transpose(1, 2, 0, 3), out)
    return out.reshape(n, rows, len(a), columns, channels)


def _grid(x: Array) -> tuple[int, int, int]:
    """How many tiles the images of x have: (B, rows, columns)."""
    return len(x), -(-x.shape[1] // 4), -(-x.shape[2] // 4)


def _tiles(x: Array, border: int) -> Array:
    """All tiles, 4 apart, that meet the images, 4 x 4 and a border; a view (B, rows, places, columns, C).

    Neighbouring tiles lie side by side, so that a row of them is a matrix; rows of tiles share what they overlap by.
    """
    (n, rows, columns), height, channels, size = _grid(x), x.shape[1], x.shape[3], 4 + 2 * border
    lines = scratch.room("tiles", (n, 4 * rows + 2 * border, size, columns, channels), x.dtype)
    lines[:, :border] = lines[:, border + height :] = 0
    inside = lines[:, border : border + height]
    _to_lines(x, inside[:, :, border : border + 4])
    if border:  # the columns that the neighbours on either side have too
        inside[:, :, 0, 0] = inside[:, :, 5, -1] = 0
        inside[:, :, 0, 1:] = inside[:, :, 4, :-1]
        inside[:, :, 5, :-1] = inside[:, :, 1, 1:]
    image, row, *rest = lines.strides
    return as_strided(lines, (n, rows, size * size, columns, channels), (image, 4 * row, *rest), writeable=False)


def _to_lines(x: Array, lines: Array) -> None:
    """The images' columns by their place in a tile, zeros where it stands out: fill lines (B, H, 4, columns, C)."""
    n, height, width, channels = x.shape
    full, rest = divmod(width, 4)
    np.copyto(lines[:, :, :, :full], x[:, :, : 4 * full].reshape(n, height, full, 4, channels).swapaxes(2, 3))
    if rest:
        lines[:, :, :rest, full] = x[:, :, 4 * full :]
        lines[:, :, rest:, full] = 0


def _from_sixes(tiles: Array, x: Array) -> None:
    """The transpose of `_tiles` with a border of 1: fill x with all tiles, added up where they overlap; they are used up."""
    n, rows, _, columns, channels = tiles.shape
    tiles = tiles.reshape(n, rows, 6, 6, columns, channels)
    tiles[:, :-1, 4] += tiles[:, 1:, 0]
    tiles[:, 1:, 1] += tiles[:, :-1, 5]
    tiles = tiles[:, :, 1:5]
    tiles[:, :, :, 4, :-1] += tiles[:, :, :, 0, 1:]
    tiles[:, :, :, 1, 1:] += tiles[:, :, :, 5, :-1]
    _from_fours(tiles[:, :, :, 1:5], x)


def _from_fours(tiles: Array, x: Array) -> None:
    """The transpose of `_tiles` without a border: fill x, cut off where tiles stand out."""
    n, rows, columns = _grid(x)
    whole = x
    if x.shape[1:3] != (4 * rows, 4 * columns):
        whole = scratch.room("larger", (n, 4 * rows, 4 * columns, x.shape[3]), x.dtype)
    np.copyto(whole.reshape(n, rows, 4, columns, 4, -1).swapaxes(3, 4), tiles.reshape(n, rows, 4, 4, columns, -1))
    if whole is not x:
        x[...] = whole[:, : x.shape[1], : x.shape[2]]


def sum_rows(x: Array) -> Array:
    """The sum over all but the last axis, by the matrix library."""
    rows = x.reshape(-1, x.shape[-1])
    return scratch.ones(len(rows), x.dtype) @ rows
