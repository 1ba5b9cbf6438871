"""The second table of the page on numerics: refdiff keeps its bound over the whole range, and the naive form does not."""

import numpy as np
import pytest

from docs.build import accuracy, whole_range
from docs.build.inventory import BookError

from .test_numerics import PAGE


@pytest.mark.parametrize("name", whole_range.QUANTITIES)
def test_every_row_keeps_its_bound(name):
    """refdiff's form is within the bound everywhere; the naive one is beyond twice the bound somewhere."""
    found = accuracy.measure(name)
    naive, ours = (float(np.max(errors)) for errors in found.errors)
    assert len(found.x) == len(found.errors[0]) == len(found.errors[1])
    assert ours <= found.tolerance and naive > 2 * found.tolerance


def test_both_tables_are_on_the_page():
    """No row is left out, and an unknown table is refused."""
    from docs.build.directives import measured

    assert "::: measured\n" in PAGE and "::: measured whole_range\n" in PAGE
    assert set(accuracy.TABLES) == {"", "whole_range"}
    with pytest.raises(BookError, match="there is no table half"):
        measured(None, "numerics", "half")
