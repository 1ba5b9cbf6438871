"""Trees, nested dicts of arrays: the form of all parameters, gradients and optimizer states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import Array

Tree = Any  # an array, or a dict of trees
Params = dict[str, Any]  # the tree of a layer's parameters
Vjp = Callable[[Array], tuple[Params, Array]]  # vjp(dy) -> dp, dx


def map(f: Callable[..., Any], *trees: Tree) -> Tree:
    """Apply f to corresponding arrays of trees with the same structure."""
    first = trees[0]
    if not isinstance(first, dict):
        return f(*trees)
    for other in trees[1:]:
        if not isinstance(other, dict) or other.keys() != first.keys():
            raise ValueError(f"trees differ: {sorted(first)} against {sorted(other) if isinstance(other, dict) else other!r}")
    return {key: map(f, *(tree[key] for tree in trees)) for key in first}


def flatten(tree: Tree, prefix: str = "") -> dict[str, Array]:
    """Flatten a tree to a dict from paths, joined by "/", to arrays, in sorted order."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {path: leaf for key in sorted(tree) for path, leaf in flatten(tree[key], f"{prefix}/{key}" if prefix else key).items()}


def unflatten(flat: dict[str, Array]) -> Tree:
    """Inverse of `flatten`: the nested dict, or a single array if its path is empty."""
    if flat.keys() == {""}:
        return flat[""]
    tree: Tree = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree


def leaf(tree: Tree) -> Array:
    """The first array of a tree, to find the device of the tree: all its arrays are on the same one."""
    return leaf(next(iter(tree.values()))) if isinstance(tree, dict) else tree


def size(tree: Tree) -> int:
    """Number of entries of all arrays in a tree."""
    return sum(leaf.size for leaf in flatten(tree).values())


def pack(tree: Tree) -> tuple[Array, Tree]:
    """Pack a tree into one flat buffer; returns the buffer and a tree of views of it.

    The buffer and the views share their memory, so changing one changes the other.
    """
    leaves = flatten(tree)
    buffer = np.concatenate([leaf.ravel() for leaf in leaves.values()])
    return buffer, views(buffer, tree)


def views(buffer: Array, tree: Tree) -> Tree:
    """Views of a flat buffer with the structure and shapes of a tree."""
    result, start = {}, 0
    for path, leaf in flatten(tree).items():
        result[path] = buffer[start : start + leaf.size].reshape(leaf.shape)
        start += leaf.size
    return unflatten(result)
