"""Matrix products in small pieces: OpenBLAS multiplies small matrices in place, and first copies larger ones into a layout of its own.

This is so in float32, on processors for which OpenBLAS has small-matrix kernels. There a network's products take a tenth to a third less
time in pieces. Elsewhere a product is one call, and so is a product with a transposed second factor, which the small kernels read slowly.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from threadpoolctl import threadpool_info

from ..arrays import Array

SMALL = 10**6  # multiplications: OpenBLAS packs matrices with more
SMALL_KERNELS = {"SkylakeX", "Cooperlake", "SapphireRapids"}  # processors by OpenBLAS' names: those with AVX-512


def matmul(a: Array, b: Array, out: Array) -> Array:
    """Fill out with the matrix product of a and b, in pieces where that is faster."""
    for piece in pieces(a, b, out):
        np.matmul(*piece)
    return out


def pieces(a: Array, b: Array, out: Array) -> list[tuple[Array, Array, Array]]:
    """Pieces of the matrix product of a (rows, inner) and b (inner, columns), as triples (a, b, out).

    The product of a and b of each triple fills its out. The first triple holds stacks of small matrices, the others hold the rest.
    """
    (rows, columns), inner = out.shape, len(b)
    high, wide = (rows, 256) if rows <= 64 else (32, 64) if columns >= 64 else (128, columns)
    good = a.dtype == np.float32 and b.strides[1] == b.itemsize and 0 < high * wide * inner <= SMALL < rows * columns * inner
    if not good or not _has_small_kernels():
        return [(a, b, out)]
    stacks = rows // high, columns // wide
    r, c = stacks[0] * high, stacks[1] * wide
    of_a, of_b = a[:r].reshape(-1, 1, high, inner), b[:, :c].reshape(inner, -1, wide).swapaxes(0, 1)
    rests = [(a[:r], b[:, c:], out[:r, c:]), (a[r:], b, out[r:])]
    return [(of_a, of_b, out[:r, :c].reshape(-1, high, stacks[1], wide).swapaxes(1, 2)), *(rest for rest in rests if rest[2].size)]


@cache
def _has_small_kernels() -> bool:
    """Whether NumPy's matrix library has small-matrix kernels for this processor."""
    return any(library.get("architecture") in SMALL_KERNELS for library in threadpool_info())
