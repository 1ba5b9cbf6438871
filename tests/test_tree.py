"""Nested dicts of arrays: flatten and unflatten, pack, map, and errors."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import rng, tree

leaves = st.builds(lambda seed, shape: rng.normal(seed, 1, shape)[0], st.integers(0, 99), st.sampled_from([(), (1,), (3,), (2, 2), (0,)]))
names = st.text("abcxyz019_ ", min_size=1, max_size=3)
trees = st.dictionaries(
    names, st.recursive(leaves, lambda node: st.dictionaries(names, node, min_size=1, max_size=3), max_leaves=6), min_size=1, max_size=4
)


def example():
    return {"b": {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "a": np.array(5.0)}, "a": np.array([6.0, 7.0, 8.0])}


def same(a, b):
    """Whether two trees have equal keys, shapes and numbers."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return not isinstance(b, dict) and a.shape == b.shape and np.array_equal(a, b)


@given(trees)
def test_unflatten_inverts_flatten(params):
    """`unflatten` inverts `flatten`, whose paths are sorted at every level."""
    flat = tree.flatten(params)
    assert same(tree.unflatten(flat), params)
    assert [path.split("/") for path in flat] == sorted(path.split("/") for path in flat)
    assert tree.size(params) == sum(leaf.size for leaf in flat.values())


@given(trees)
def test_pack_is_a_view(params):
    """`pack` copies all numbers into one buffer, in flat order; the packed tree is a view of the buffer, the argument is not."""
    before = tree.map(np.copy, params)
    buffer, packed = tree.pack(params)
    assert same(packed, params) and buffer.shape == (tree.size(params),)
    np.testing.assert_array_equal(buffer, np.concatenate([leaf.ravel() for leaf in tree.flatten(params).values()]))
    buffer += 1
    assert same(packed, tree.map(lambda leaf: leaf + 1, params)) and same(params, before)
    assert same(tree.views(buffer, params), packed)


@given(trees)
def test_map_visits_corresponding_leaves(params):
    """`map` applies f to corresponding leaves of any number of trees."""
    doubled = tree.map(lambda leaf: 2 * leaf, params)
    assert same(tree.map(lambda a, b, c: (a + b) * (a == c), params, doubled, params), tree.map(lambda leaf: leaf + 2 * leaf, params))


def test_paths_by_hand():
    """Flat form, size and buffer of a small tree, and of a single array."""
    params = example()
    assert list(tree.flatten(params)) == ["a", "b/a", "b/w"]
    assert list(tree.flatten(params, "net")) == ["net/a", "net/b/a", "net/b/w"]
    assert tree.flatten(params)["b/w"] is params["b"]["w"]
    assert tree.size(params) == 8
    np.testing.assert_array_equal(tree.pack(params)[0], [6, 7, 8, 5, 1, 2, 3, 4])
    lone = np.ones((2, 3))
    assert tree.leaf(params) is params["b"]["w"] and tree.leaf(lone) is lone
    assert tree.size(lone) == 6 and tree.map(lambda a: a.shape, lone) == (2, 3)
    buffer, packed = tree.pack(lone)
    buffer *= 3
    assert tree.unflatten(tree.flatten(lone)) is lone and (packed == 3).all() and packed.shape == (2, 3)


@pytest.mark.parametrize(
    "other, message",
    [
        ({"a": 1}, "trees differ: ['a', 'b'] against ['a']"),
        ({"a": 1, "b": {"w": 1, "x": 2}}, "trees differ: ['a', 'w'] against ['w', 'x']"),
        ({"a": 1, "b": 3}, "trees differ: ['a', 'w'] against 3"),
    ],
)
def test_trees_that_differ(other, message):
    """`map` raises an error that shows both sides of the first difference."""
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        tree.map(lambda a, b: a, example(), other)
