"""Reused buffers and workspaces."""

import numpy as np
import pytest

from refdiff.fast import buffers


def test_memory_is_reused(monkeypatch):
    """Memory is reused when an array and its views are gone, not before; beyond the limit it is freed."""
    shape, dtype = (5, 7), np.dtype(np.float32)
    first = buffers.empty(shape, dtype)
    where, view = first.ctypes.data, first[1:3].T[:2]
    del first
    assert where % buffers.CACHE_LINE == 0 and buffers.empty(shape, dtype).ctypes.data != where
    del view
    assert where in {array.ctypes.data for array in [buffers.empty(shape, dtype), buffers.empty(shape, dtype)]}
    monkeypatch.setattr(buffers, "LIMIT", 1)
    buffers.empty((13, 17), dtype)
    assert list(buffers._thread.memory) == [((13, 17), dtype)]


def test_numpy_buffer_size_is_restored():
    """N2: NumPy's buffer size is restored afterwards, also after errors."""
    before = np.setbufsize(4096)
    with pytest.raises(ZeroDivisionError), buffers.unbuffered():
        assert np.getbufsize() == buffers.UFUNC_BUFFER
        raise ZeroDivisionError
    assert np.setbufsize(before) == 4096


def test_one_workspace_for_each_role():
    """A workspace is reused for its role, enlarged if necessary, and separate from that of other roles."""
    first = buffers.workspace("a", (3, 4), np.float32)
    assert np.shares_memory(first, buffers.workspace("a", (2, 2), np.float32))
    assert not np.shares_memory(first, buffers.workspace("b", (3, 4), np.float32))
    assert buffers.workspace("a", (30, 40), np.float32).shape == (30, 40)
