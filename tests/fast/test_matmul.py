"""Matrix products by blocks, exact for every shape and memory order."""

from itertools import product as combinations

import numpy as np
import pytest

from refdiff.fast import matmul

from ..networks.test_layers import numbers

SIZES = (1, 31, 32, 63, 64, 65, 128, 129, 257)


def integers(seed, rows, columns, transposed, dtype=np.float32):
    """A matrix of small integers, whose products are exact in any order; transposed in memory if requested."""
    values = np.rint(3 * numbers(seed, (columns, rows) if transposed else (rows, columns))).astype(dtype)
    return values.T if transposed else values


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True)])
def test_split_product_is_the_product(monkeypatch, small, transposed):
    """N2: blocks and remainders make up the product exactly, with small-matrix kernels and without."""
    monkeypatch.setattr(matmul, "_has_small_kernels", lambda: small)
    for rows, inner, columns in combinations(SIZES, (1, 36, 300), SIZES):
        a, b = integers(0, rows, inner, transposed[0]), integers(1, inner, columns, transposed[1])
        out = np.full((rows, columns), np.nan, np.float32)
        assert matmul.matmul(a, b, out) is out
        np.testing.assert_array_equal(out, a.astype(np.float64) @ b.astype(np.float64))


def test_which_products_are_split(monkeypatch):
    """N2: products are split for float32 with a C-ordered second factor, more multiplications than OpenBLAS calls small,
    in stacks of fewer.
    """
    monkeypatch.setattr(matmul, "_has_small_kernels", lambda: True)
    for rows, inner, columns in (512, 256, 256), (36, 36, 4000), (5000, 64, 32), (256, 34, 256), (257, 256, 257):
        a, b, out = integers(0, rows, inner, False), integers(1, inner, columns, False), np.empty((rows, columns), np.float32)
        stack, *rests = matmul.pieces(a, b, out)
        assert stack[2].ndim == 4 and stack[2].shape[-2] * stack[2].shape[-1] * inner <= matmul.SMALL
        assert stack[2].size + sum(rest[2].size for rest in rests) == out.size
        assert len(matmul.pieces(a.astype(np.float64), b.astype(np.float64), np.empty(out.shape))) == 1
        assert len(matmul.pieces(a, integers(1, inner, columns, True), out)) == 1
    few = np.ones((64, 64), np.float32)
    assert len(matmul.pieces(few, few, few.copy())) == 1
    long = integers(2, 257, 4000, False), integers(3, 4000, 257, False), np.empty((257, 257), np.float32)
    assert len(matmul.pieces(*long)) == 1


def test_empty():
    """N2: products of empty arrays."""
    for rows, inner, columns in (0, 3, 4), (3, 0, 4), (3, 4, 0):
        out = np.full((rows, columns), np.nan, np.float32)
        matmul.matmul(np.ones((rows, inner), np.float32), np.ones((inner, columns), np.float32), out)
        np.testing.assert_array_equal(out, np.zeros((rows, columns)))
