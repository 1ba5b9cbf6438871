r"""A 3 x 3 convolution with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3), for images (B, H, W, C).

In one dimension, four neighbouring outputs of a filter of three weights need six products instead of twelve:

$$y = A^T \bigl[ (G w) \odot (B^T x) \bigr], \qquad x \in R^6,\; w \in R^3,\; y \in R^4,$$

an identity of polynomials evaluated at 0, 1, -1, 2, -2 and infinity. In two dimensions it holds along both axes at once: the
matrices are Kronecker products, and the image is cut into 6 x 6 tiles, 4 pixels apart. Over channels the products become 36 matrix
products, one for each position in a tile. All steps are linear, so the derivative is the transposed steps in reverse order. The
rounding errors scale with the whole tile and are larger than those of the plain sum. Source: N2 [Lavin & Gray sec. 4.3].
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..arrays import Array, read_only
from ..training import parallel
from ..tree import Params, Vjp
from . import buffers

B_T = (4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)
G = (1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1)
A_T = (1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)
MIDDLE = 7  # position (1, 1) of a tile, which contributes equally to all 16 outputs

CACHED = 2**13  # tiles times channels: their 36 float32 numbers each fill half of a core's second-level cache


def conv3(p: Params, x: Array) -> tuple[Array, Vjp]:
    """`convolution.conv` for 3 x 3 kernels, stride 1 and one real precision, by Winograd's algorithm.

    It works on a few images at a time, in memory that stays in a core's cache. The backward pass recomputes the transformed tiles, which
    takes less time than writing them to memory and reading them back.
    """
    (n, height, width, fan_in), fan_out = x.shape, len(p["b"])
    b_t, g, a_t, b, a = _matrices(x.dtype)
    u = buffers.empty((36, fan_in, fan_out), x.dtype)
    np.matmul(g, p["w"].reshape(9, -1), u.reshape(36, -1))
    parts = parallel.parts(n, -(-height // 4) * -(-width // 4) * max(fan_in, fan_out), CACHED)
    y = buffers.empty((n, height, width, fan_out), x.dtype)

    for part in parts:
        m = multiply("m", _transform("v", b_t, _tiles(x[part], 1)), u)
        m[MIDDLE] += p["b"]  # contributes once to every output of a tile
        _join_tiles(_inverse_transform(a_t, m, y[part]), y[part])

    def vjp(dy: Array) -> tuple[Params, Array]:
        du, dx, u_t = buffers.empty(u.shape, x.dtype), buffers.empty(x.shape, x.dtype), transposed(u)
        du[...] = 0
        for part in parts:
            dm = _transform("m", a, _tiles(dy[part], 0))
            du += multiply("du", _transform("v", b_t, _tiles(x[part], 1)).swapaxes(1, 2), dm)
            _add_tiles(_inverse_transform(b, multiply("v", dm, u_t), dx[part]), dx[part])
        return {"w": (g.T @ du.reshape(36, -1)).reshape(p["w"].shape), "b": sum_rows(dy)}, dx

    return y, vjp


@lru_cache
def _matrices(dtype: Any) -> tuple[Array, ...]:
    """B^T, G and A^T along both axes: (36, 36), (36, 9), (16, 36); then B and A."""
    b_t, g, a_t = (np.kron(np.array(matrix), np.array(matrix)).astype(dtype) for matrix in (B_T, G, A_T))
    return tuple(map(read_only, (b_t, g, a_t, np.ascontiguousarray(b_t.T), np.ascontiguousarray(a_t.T))))


def multiply(role: str, a: Array, b: Array) -> Array:
    """Matrix products of two stacks of matrices, in the workspace of this thread for the role."""
    return np.matmul(a, b, buffers.workspace(role, (len(a), a.shape[1], b.shape[2]), b.dtype))


def transposed(u: Array) -> Array:
    """Transpose of every matrix of a stack, in a workspace of this thread."""
    out = buffers.workspace("transposed", (len(u), u.shape[2], u.shape[1]), u.dtype)
    np.copyto(out, u.swapaxes(1, 2))
    return out


def _transform(role: str, a: Array, tiles: Array) -> Array:
    """A matrix (36, positions) times all tiles: (36, tiles, C)."""
    n, rows, _, columns, channels = tiles.shape
    out = buffers.workspace(role, (36, n, rows, columns * channels), tiles.dtype)
    np.matmul(a, tiles.reshape(n, rows, -1, columns * channels), out.transpose(1, 2, 0, 3))
    return out.reshape(36, -1, channels)


def _inverse_transform(a: Array, m: Array, images: Array) -> Array:
    """A matrix (positions, 36) times m (36, tiles, C), as `_tiles` of such images: (B, rows, positions, columns, C)."""
    (n, rows, columns), channels = _grid(images), m.shape[2]
    out = buffers.workspace("tiles", (n, rows, len(a), columns * channels), m.dtype)
    np.matmul(a, m.reshape(36, n, rows, -1).transpose(1, 2, 0, 3), out)
    return out.reshape(n, rows, len(a), columns, channels)


def _grid(x: Array) -> tuple[int, int, int]:
    """Number of tiles of the images x: (B, rows, columns)."""
    return len(x), -(-x.shape[1] // 4), -(-x.shape[2] // 4)


def _tiles(x: Array, border: int) -> Array:
    """All tiles of the images, 4 x 4 pixels and a border, 4 pixels apart; a view (B, rows, positions, columns, C).

    Neighbouring tiles are contiguous, so that a row of them is a matrix; rows of tiles share the pixels they overlap in.
    """
    (n, rows, columns), height, channels, size = _grid(x), x.shape[1], x.shape[3], 4 + 2 * border
    lines = buffers.workspace("tiles", (n, 4 * rows + 2 * border, size, columns, channels), x.dtype)
    lines[:, :border] = lines[:, border + height :] = 0
    inside = lines[:, border : border + height]
    _split_columns(x, inside[:, :, border : border + 4])
    if border:  # the columns shared with the tiles on either side
        inside[:, :, 0, 0] = inside[:, :, 5, -1] = 0
        inside[:, :, 0, 1:] = inside[:, :, 4, :-1]
        inside[:, :, 5, :-1] = inside[:, :, 1, 1:]
    image, row, *rest = lines.strides
    return as_strided(lines, (n, rows, size * size, columns, channels), (image, 4 * row, *rest), writeable=False)


def _split_columns(x: Array, lines: Array) -> None:
    """Fill lines (B, H, 4, columns, C) with the images' columns by their position in a tile, zero beyond the edge."""
    n, height, width, channels = x.shape
    full, rest = divmod(width, 4)
    np.copyto(lines[:, :, :, :full], x[:, :, : 4 * full].reshape(n, height, full, 4, channels).swapaxes(2, 3))
    if rest:
        lines[:, :, :rest, full] = x[:, :, 4 * full :]
        lines[:, :, rest:, full] = 0


def _add_tiles(tiles: Array, x: Array) -> None:
    """The transpose of `_tiles` with a border of 1: fill x with the sum of overlapping tiles; tiles are overwritten."""
    n, rows, _, columns, channels = tiles.shape
    tiles = tiles.reshape(n, rows, 6, 6, columns, channels)
    tiles[:, :-1, 4] += tiles[:, 1:, 0]
    tiles[:, 1:, 1] += tiles[:, :-1, 5]
    tiles = tiles[:, :, 1:5]
    tiles[:, :, :, 4, :-1] += tiles[:, :, :, 0, 1:]
    tiles[:, :, :, 1, 1:] += tiles[:, :, :, 5, :-1]
    _join_tiles(tiles[:, :, :, 1:5], x)


def _join_tiles(tiles: Array, x: Array) -> None:
    """The transpose of `_tiles` without a border: fill x with the tiles, cropped at the edge."""
    n, rows, columns = _grid(x)
    whole = x
    if x.shape[1:3] != (4 * rows, 4 * columns):
        whole = buffers.workspace("larger", (n, 4 * rows, 4 * columns, x.shape[3]), x.dtype)
    np.copyto(whole.reshape(n, rows, 4, columns, 4, -1).swapaxes(3, 4), tiles.reshape(n, rows, 4, 4, columns, -1))
    if whole is not x:
        x[...] = whole[:, : x.shape[1], : x.shape[2]]


def sum_rows(x: Array) -> Array:
    """Sum over all axes but the last, as a matrix product."""
    rows = x.reshape(-1, x.shape[-1])
    return buffers.ones(len(rows), x.dtype) @ rows
