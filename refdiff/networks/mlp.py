"""Multilayer perceptron for points: a function of x, the time and the label."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np

from .. import rng, tree
from ..arrays import Array, Time, as_array, kind
from ..checks import MOST, check_arrays, check_count, check_counts, check_dtype, check_number, check_real
from . import layers
from .inputs import check_features, check_params, check_points
from .layers import Params, Vjp


def init(
    seed: int,
    inputs: int = 2,
    outputs: int | None = None,
    width: int = 128,
    depth: int = 3,
    features: int = 32,
    classes: int = 0,
    dtype: Any = np.float32,
) -> Params:
    """Initial parameters of the MLP: `depth` hidden layers of `width` units.

    For classes > 0 there is a label table of classes + 1 rows, the last for "no label". Weights are drawn from a normal distribution
    of mean 0 and variance 1 / fan-in. The last layer starts at zero, so that an untrained network returns 0. Source: N1.
    """
    inputs, width, depth, classes = check_counts(inputs=inputs, width=width, depth=depth, classes=classes)
    outputs = inputs if outputs is None else check_count("outputs", outputs, 1, MOST)
    features, dtype = check_features(features), check_dtype(dtype)
    if depth < 1 or width < 1:
        raise ValueError(f"depth = {depth}, width = {width}; allowed: 1 or more")
    if inputs < 1 or classes < 0:
        raise ValueError(f"inputs = {inputs}, classes = {classes}; allowed: inputs 1 or more, classes 0 or more")
    sizes = [inputs + features] + [width] * depth + [outputs]
    p: Params = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        scale = fan_in**-0.5 if i < depth else 0.0
        w = scale * rng.normal(seed, fan_in, (fan_out,), step=i, stream=rng.INIT)
        p[f"layer{i}"] = {"w": w.astype(dtype), "b": np.zeros(fan_out, dtype)}
    if classes:
        p["label"] = {"table": rng.normal(seed, classes + 1, (features,), step=depth + 1, stream=rng.INIT, dtype=dtype)}
    return p


def mlp(p: Params, x: Array, t: Time, y: Array | None = None, L: ModuleType = layers) -> tuple[Array, Vjp]:
    r"""Multilayer perceptron; x (B, inputs), t () or (B,) between 0 and 1000, y (B,) labels or None for "no label"; out (B, outputs).

    $$h_0 = [x, \mathrm{features}(t) + E_y], \qquad h_{i+1} = \mathrm{silu}(h_i W_i + b_i), \qquad out = h_n W_n + b_n$$

    `vjp(dout)` gives the parameters' gradient, nested like p, and dx. Source: N1 [DDPM app. B].
    """
    check_params(p, "layer0")
    check_arrays(x=x)
    context, label_vjp = _context(p, len(x), x, t, y, L)
    tape = []
    h = np.concatenate([x, context], axis=1)
    last = sum(name.startswith("layer") for name in p) - 1
    for i in range(last):
        h, linear_vjp = L.linear(p[f"layer{i}"], h)
        h, silu_vjp = L.silu({}, h)
        tape.append((linear_vjp, silu_vjp))
    out, out_vjp = L.linear(p[f"layer{last}"], h)

    def vjp(dout: Array) -> tuple[Params, Array]:
        dp: Params = {}
        dp[f"layer{last}"], dh = out_vjp(dout)
        for i in range(last - 1, -1, -1):
            linear_vjp, silu_vjp = tape[i]
            _, dh = silu_vjp(dh)
            dp[f"layer{i}"], dh = linear_vjp(dh)
        if label_vjp is not None:
            dp["label"] = label_vjp(dh[:, x.shape[1] :])
        return dp, dh[:, : x.shape[1]]

    return out, vjp


def embed_conditions(p: Params, batch: int, features: int, t: Time, y: Array | None, dtype: Any, L: ModuleType) -> tuple[Array, Any, Any]:
    """Time features (B, features); the label embedding (B, ...) and its vjp, or None and None for a network without labels."""
    if kind(t) not in ("i", "u", "f") or not t.ndim:  # `time_features` checks the numbers of an array
        check_real(t=t)
        t = check_number("t", t)
    y = None if y is None else as_array(y, "y")
    for name, value, shapes in ("t", t, ((), (batch,))), ("y", y, ((batch,),)):
        if value is not None and np.shape(value) not in shapes:
            raise ValueError(f"{name} has shape {np.shape(value)}; allowed: {' or '.join(str(shape) for shape in shapes)}")
    where = tree.leaf(p)
    time = L.time_features(np.asarray(t, like=where) if np.shape(t) else np.full_like(where, t, np.float64, shape=batch), features, dtype)
    if "label" in p:
        return time, *L.embedding(p["label"], np.full_like(where, len(p["label"]["table"]) - 1, np.int64, shape=batch) if y is None else y)
    if y is not None:
        raise ValueError("y is given, but the network has no label table; allowed: None")
    return time, None, None


def _context(p: Params, batch: int, x: Array, t: Time, y: Array | None, L: ModuleType) -> Any:
    """Time features plus label embedding (B, features), and the embedding's vjp; raises unless x has the network's columns."""
    check_points(p, x)
    features, label, vjp = embed_conditions(p, batch, p["layer0"]["w"].shape[0] - x.shape[1], t, y, x.real.dtype, L)
    return features if label is None else features + label, vjp
