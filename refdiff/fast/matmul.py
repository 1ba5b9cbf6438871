"""Matrix products in small pieces: OpenBLAS multiplies small matrices where they lie, larger ones it first copies into an order of its own.

So it is on processors whose code for small matrices it has, and in float32; there a network's products take a tenth to a third less time
in pieces. Elsewhere, and for a transposed second factor, which the small code reads badly, a product is done whole.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from threadpoolctl import threadpool_info

from ..arrays import Array

SMALL = 10**6  # multiplications: OpenBLAS takes matrices with more for large
HAVE = {"SkylakeX", "Cooperlake", "SapphireRapids"}  # processors, by OpenBLAS' names: those with AVX-512


def product(a: Array, b: Array, out: Array) -> Array:
    """Fill out with the matrix product a b."""
    for piece in pieces(a, b, out):
        np.matmul(*piece)
    return out


def pieces(a: Array, b: Array, out: Array) -> list[tuple[Array, Array, Array]]:
    """What to multiply into what so that out = a b, for matrices (rows, inner) and (inner, columns): stacks of small matrices, and the rests."""
    (rows, columns), inner = out.shape, len(b)
    high, wide = (rows, 256) if rows <= 64 else (32, 64) if columns >= 64 else (128, columns)
    good = a.dtype == np.float32 and b.strides[1] == b.itemsize and 0 < high * wide * inner <= SMALL < rows * columns * inner
    if not good or not _small_code():
        return [(a, b, out)]
    stacks = rows // high, columns // wide
    r, c = stacks[0] * high, stacks[1] * wide
    of_a, of_b = a[:r].reshape(-1, 1, high, inner), b[:, :c].reshape(inner, -1, wide).swapaxes(0, 1)
    rests = [(a[:r], b[:, c:], out[:r, c:]), (a[r:], b, out[r:])]
    return [(of_a, of_b, out[:r, :c].reshape(-1, high, stacks[1], wide).swapaxes(1, 2)), *(rest for rest in rests if rest[2].size)]


@cache
def _small_code() -> bool:
    """Whether NumPy's matrix library has code for small matrices here."""
    return any(library.get("architecture") in HAVE for library in threadpool_info())
