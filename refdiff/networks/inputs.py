"""Checks of what comes into networks and training: parameters, points, data and labels, times, and the number of time features."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import tree
from ..arrays import Array, as_array, describe, event_size, kind
from ..checks import MOST, check_count, check_floats, check_number, check_real, check_shape
from ..tree import Params


def check_params(p: Any, *names: str) -> None:
    """Raise unless p is a tree of floating-point arrays with entries of these names; values are not read."""
    if not isinstance(p, dict) or any(name not in p for name in names):
        found = f"the entries {', '.join(map(str, p))}" if isinstance(p, dict) else f"type {type(p).__name__}"
        raise ValueError(f"p has {found}; allowed: the parameters that the network's init makes, among them {', '.join(names)}")
    for path, array in tree.flatten(p).items():
        check_floats(f"p at {path}", array)


def check_points(p: Params, x: Array) -> None:
    """Raise unless x (B, inputs) has as many columns as the MLP with the parameters p was made for."""
    rows, size = len(p["layer0"]["w"]), event_size(x)
    inputs = rows - p["label"]["table"].shape[1] if "label" in p else len(p[f"layer{len(p) - 1}"]["b"])
    if x.ndim != 2 or size < 1 or rows - size < 4 or (rows - size) % 2 or ("label" in p and size != inputs):
        found, flat = (f"{size} columns", "") if x.ndim == 2 else (f"shape {x.shape}", " and one row per example")
        raise ValueError(
            f"x has {found}, the network was made for inputs = {inputs}; allowed: data of {inputs} columns, or mlp.init(..., inputs={size}){flat}"
        )


def check_modulation(p: Params, x: Array, emb: Array) -> None:
    """Raise unless x has the channels, and emb the examples of x and the numbers, that the linear layer p connects."""
    check_shape("x", x, "B", ..., p["w"].shape[1] // 2)
    check_shape("emb", emb, len(x), len(p["w"]))


def check_data(data: Any, labels: Any) -> None:
    """Raise unless the data (N, ...) are floating-point numbers, N >= 1, and the labels None or integers (N,); values are not read."""
    check_shape("data", data, "N", ...)
    check_real(data=data)
    if labels is not None and kind(labels) not in ("i", "u"):
        raise TypeError(f"labels = {describe(labels)}; allowed: integers (N,), or None")
    if data.size == 0 or (labels is not None and labels.shape != data.shape[:1]):
        found = len(data) if labels is None else labels.size
        raise ValueError(f"data has {len(data)} examples, labels {found}; allowed: 1 or more, and as many labels")


def check_times(t: Any) -> Array:
    """Check the times (B,) of a network and return them as float64. Raises unless they are finite real numbers."""
    check_real(t=t)
    times = as_array(check_number("t", t))
    if times.ndim != 1:
        raise ValueError(f"t has shape {times.shape}; allowed: (B,)")
    return times.astype(np.float64, copy=False)


def check_features(features: Any) -> int:
    """Check a number of time features and return it. Raises unless it is even, and at least 4."""
    features = check_count("features", features, -MOST, MOST)
    if features % 2 or features < 4:
        raise ValueError(f"features = {features}; allowed: even, 4 or more")
    return features
