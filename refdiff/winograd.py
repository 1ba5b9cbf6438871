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

from . import parallel, scratch
from .arrays import Array
from .products import product
from .tree import Params, Vjp

B_T = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
G = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]
A_T = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]

CACHED = 2**13  # tiles times channels: their 36 float32 numbers each fill half of a core's second-level cache


def conv3(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`convolution.conv` for k = 3, stride 1 and one real precision.

    A few images at a time, in memory that stays in a core's cache; what the derivative needs of them is made once more, which
    costs less than to write it down and read it again.
    """
    (n, height, width, fan_in), fan_out = x.shape, len(p["b"])
    b_t, g, a_t = _matrices(x.dtype)
    u = (g @ p["w"].reshape(9, -1)).reshape(36, fan_in, fan_out)
    parts = parallel.parts(n, -(-height // 4) * -(-width // 4) * max(fan_in, fan_out), CACHED)
    y = scratch.empty((n, height, width, fan_out), x.dtype)

    def transformed(x: Array) -> Array:
        return _product("v", b_t, _sixes(x)).reshape(36, -1, fan_in)

    for part in parts:
        m = multiply("m", transformed(x[part]), u)
        _from_fours(_product("fours", a_t, m.reshape(36, -1)), p["b"], y[part])

    def vjp(dy: Array) -> tuple[Params, Array]:
        du, dx, u_t = np.zeros_like(u), scratch.empty(x.shape, x.dtype), np.ascontiguousarray(u.swapaxes(1, 2))
        for part in parts:
            dm = _product("m", a_t.T, _to_fours(dy[part])).reshape(36, -1, fan_out)
            du += multiply("du", transformed(x[part]).swapaxes(1, 2), dm)
            dv = multiply("v", dm, u_t)
            _from_sixes(_product("sixes", b_t.T, dv.reshape(36, -1)), dx[part])
        return {"w": (g.T @ du.reshape(36, -1)).reshape(p["w"].shape), "b": sum_rows(dy)}, dx

    return y, vjp


@lru_cache
def _matrices(dtype: Any) -> list[Array]:
    """B^T, G and A^T along both axes: (36, 36), (36, 9), (16, 36)."""
    return [np.kron(np.array(matrix), np.array(matrix)).astype(dtype) for matrix in (B_T, G, A_T)]


def _product(role: str, a: Array, b: Array) -> Array:
    return product(a, b, scratch.room(role, (len(a), b.shape[1]), b.dtype))


def multiply(role: str, a: Array, b: Array) -> Array:
    """Matrix products a b of a stack of matrices, in this thread's memory for that role."""
    return np.matmul(a, b, scratch.room(role, (len(a), a.shape[1], b.shape[2]), b.dtype))


def _grid(x: Array) -> tuple[int, int, int]:
    """How many tiles the images of x have: (B, rows, columns)."""
    return len(x), -(-x.shape[1] // 4), -(-x.shape[2] // 4)


def _sixes(x: Array) -> Array:
    """All 6 x 6 tiles, 4 apart, that meet the images: (36, tiles * C), the place in the tile first."""
    (n, rows, columns), (_, height, width, channels) = _grid(x), x.shape
    larger = scratch.room("larger", (n, 4 * rows + 2, 4 * columns + 2, channels), x.dtype)
    larger[:, 0] = larger[:, height + 1 :] = 0
    larger[:, :, 0] = larger[:, :, width + 1 :] = 0
    larger[:, 1 : height + 1, 1 : width + 1] = x
    image, row, column, channel = larger.strides
    shape = 6, 6, n, rows, columns, channels
    tiles = scratch.room("sixes", shape, x.dtype)
    np.copyto(tiles, as_strided(larger, shape, (row, column, image, 4 * row, 4 * column, channel), writeable=False))
    return tiles.reshape(36, -1)


def _from_sixes(tiles: Array, x: Array) -> None:
    """The transpose of `_sixes`: fill x with all tiles, added up where they overlap."""
    (n, rows, columns), (_, height, width, channels) = _grid(x), x.shape
    tiles = tiles.reshape(6, 6, n, rows, columns, channels)
    larger = scratch.room("larger", (n, 4 * rows + 4, 4 * columns + 4, channels), x.dtype)
    larger[:, -4:] = 0
    larger[:, :, -4:] = 0
    blocks = _fours(larger)
    blocks[:, :, :, :rows, :columns] = tiles[:4, :4]
    blocks[:2, :, :, 1:, :columns] += tiles[4:, :4]
    blocks[:, :2, :, :rows, 1:] += tiles[:4, 4:]
    blocks[:2, :2, :, 1:, 1:] += tiles[4:, 4:]
    x[...] = larger[:, 1 : height + 1, 1 : width + 1]


def _to_fours(y: Array) -> Array:
    """The images cut into 4 x 4 tiles, zeros where a tile stands out: (16, tiles * C), the place in the tile first."""
    (n, rows, columns), channels = _grid(y), y.shape[3]
    tiles = scratch.room("fours", (4, 4, n, rows, columns, channels), y.dtype)
    if y.shape[1:3] != (4 * rows, 4 * columns):
        larger = scratch.room("larger", (n, 4 * rows, 4 * columns, channels), y.dtype)
        larger[:, y.shape[1] :] = 0
        larger[:, :, y.shape[2] :] = 0
        larger[:, : y.shape[1], : y.shape[2]] = y
        y = larger
    np.copyto(tiles, _fours(y))
    return tiles.reshape(16, -1)


def _from_fours(tiles: Array, bias: Array, y: Array) -> None:
    """Fill y with 4 x 4 tiles plus the bias, cut off where they stand out."""
    (n, rows, columns), channels = _grid(y), y.shape[3]
    tiles = tiles.reshape(4, 4, n, rows, columns, channels)
    if y.shape[1:3] == (4 * rows, 4 * columns):
        np.add(tiles, bias, _fours(y))
        return
    larger = scratch.room("larger", (n, 4 * rows, 4 * columns, channels), y.dtype)
    np.copyto(_fours(larger), tiles)
    np.add(larger[:, : y.shape[1], : y.shape[2]], bias, y)


def _fours(x: Array) -> Array:
    """Images of whole 4 x 4 tiles, the place in the tile first: a view (4, 4, B, rows, columns, C)."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 4, 4, width // 4, 4, channels).transpose(2, 4, 0, 1, 3, 5)


def sum_rows(x: Array) -> Array:
    """The sum over all but the last axis, by the matrix library."""
    rows = x.reshape(-1, x.shape[-1])
    return scratch.ones(len(rows), x.dtype) @ rows
