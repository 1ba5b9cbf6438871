"""Kernels of layers, each with its derivative below it.

Group normalization reshapes images to x (B, positions, groups, channels of a group). The mean and the standard
deviation s of a group are (B, 1, groups, 1), scale and shift (1 or B, 1, groups, channels of a group). "norm" is
`normalize.group_norm`, "film" is `normalize.adaptive_group_norm`.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .kernel import Kernel, Shape

# The logistic function, `arrays.sigmoid`, of x and of -x.
_SIGMOID = "T {name}_power = exp({x} < T(80) ? {x} : T(80)); T {name} = {name}_power / (T(1) + {name}_power);"
_GATE = _SIGMOID.format(name="gate", x="x")
_GATES = f"{_GATE} {_SIGMOID.format(name='rest', x='-x')}"
_SILU_BACK = "dy * gate * (T(1) + x * rest)"

_SILU = {
    "silu": Kernel("T x", "T y", f"{_GATE} y = x * gate;"),
    "silu_back": Kernel("T x, T dy", "T dx", f"{_GATES} dx = {_SILU_BACK};"),
    "bias": Kernel("T z, T b", "T y", "y = z + b;"),
    "bias_silu": Kernel("T z, T b", "T y", f"T x = z + b; {_GATE} y = x * gate;"),
    "bias_silu_back": Kernel("T z, T b, T dy", "T dz", f"T x = z + b; {_GATES} dz = {_SILU_BACK};"),
    "sum": Kernel("T x", "T y", "T term = x;", post_map="y = a"),
}


def _group_shape(scale: Any, dscale: Any, dshift: Any, count: float) -> tuple[Shape, dict[str, Any]]:
    batch, _, groups, width = dscale.shape
    return (batch, 1, groups, 1), {"scale_size": prod(scale.shape), "width": width, "count": count}


def _norms() -> dict[str, Kernel]:
    """Group normalization, (norm|film)[_silu].

    Its derivative is _dshift and _dscale (summed over positions), _means (of a group), and _back.
    """
    kernels = {}
    for name, scale in ("norm", "scale"), ("film", "(T(1) + scale)"):
        inputs, x_hat = "T h, T mean, T s, T scale, T shift", "T x_hat = (h - mean) / s;"
        x = f"{x_hat} T x = {scale} * x_hat + shift;"
        plain, fused = f"{x_hat} T dx = dy;", f"{x} {_GATES} T dx = {_SILU_BACK};"
        kernels[name] = Kernel(inputs, "T y", f"{x} y = x;")
        kernels[f"{name}_silu"] = Kernel(inputs, "T y", f"{x} {_GATE} y = x * gate;")
        kernels[f"{name}_dscale"] = Kernel("T h, T mean, T s, T dy", "T dscale", f"{plain} T term = x_hat * dx;", post_map="dscale = a")
        kernels[f"{name}_silu_dscale"] = Kernel(f"{inputs}, T dy", "T dscale", f"{fused} T term = x_hat * dx;", post_map="dscale = a")
        kernels[f"{name}_silu_dshift"] = Kernel(f"{inputs}, T dy", "T dshift", f"{fused} T term = dx;", post_map="dshift = a")
        kernels[f"{name}_means"] = Kernel(_MEANS, "T mean_dx, T mean_xdx", _means(scale), _group_shape)
        back, means = f"dh = ({scale} * dx - mean_dx - x_hat * mean_xdx) / s;", ", T mean_dx, T mean_xdx"
        kernels[f"{name}_back"] = Kernel(f"T h, T mean, T s, T scale, T dy{means}", "T dh", f"{plain} {back}")
        kernels[f"{name}_silu_back"] = Kernel(f"{inputs}, T dy{means}", "T dh", f"{fused} {back}")
    del kernels["film_dscale"]  # the same as norm_dscale
    return kernels


_MEANS = "raw T scales, raw T dscale, raw T dshift, int64 scale_size, int64 width, T count"


def _means(scale: str) -> str:
    """The means over a group of the sums over positions; the scale is one per example, or shared by all examples."""
    return f"""
        T sum_dx = T(0);
        T sum_xdx = T(0);
        for (int64 j = 0; j < width; ++j) {{
            int64 channel = i * width + j;
            T scale = scales[channel % scale_size];
            sum_dx += {scale} * dshift[channel];
            sum_xdx += {scale} * dscale[channel];
        }}
        T group_mean = sum_dx / count;
        mean_xdx = sum_xdx / count;
        mean_dx = group_mean;
    """


_STATISTICS = {
    "mean": Kernel("T h, T count", "T mean", "T term = h;", post_map="mean = a / count"),
    "std": Kernel("T h, T mean, T count, T eps", "T s", "T c = h - mean; T term = c * c;", post_map="s = sqrt(a / count + eps)"),
}


def _rows_shape(z: Any, *more: Any) -> tuple[Shape, dict[str, Any]]:
    return (*z.shape[:-1], 1), {"width": z.shape[-1]}


_SOFTMAX = {
    "softmax_stats": Kernel(
        "raw T z, int64 width",
        "T row_max, T row_sum",
        """
        T largest = z[i * width];
        for (int64 j = 1; j < width; ++j) {
            T other = z[i * width + j];
            largest = other > largest ? other : largest;
        }
        T sum = T(0);
        for (int64 j = 0; j < width; ++j) {
            sum += exp(z[i * width + j] - largest);
        }
        row_max = largest;
        row_sum = sum;
        """,
        _rows_shape,
    ),
    "softmax": Kernel("T z, T row_max, T row_sum", "T y", "y = exp(z - row_max) / row_sum;"),
    "softmax_dot": Kernel(
        "raw T y, raw T dy, int64 width",
        "T dot",
        """
        T sum = T(0);
        for (int64 j = 0; j < width; ++j) {
            sum += y[i * width + j] * dy[i * width + j];
        }
        dot = sum;
        """,
        _rows_shape,
    ),
    "softmax_back": Kernel("T y, T dy, T dot", "T dz", "dz = y * (dy - dot);"),
}


def _table_shape(labels: Any, dy: Any, entries: int) -> tuple[Shape, dict[str, int]]:
    return (entries, dy.shape[1]), {"rows": dy.shape[0], "width": dy.shape[1]}


_EMBEDDING = {
    "embedding_back": Kernel(
        "raw int64 labels, raw T dy, int64 rows, int64 width",
        "T dtable",
        """
        T sum = T(0);
        for (int64 row = 0; row < rows; ++row) {
            sum += labels[row] == i / width ? dy[row * width + i % width] : T(0);
        }
        dtable = sum;
        """,
        _table_shape,
    ),
}

_LOSS = {
    "squared_error": Kernel("T p, T target", "T loss", "T error = p - target; T term = error * error;", post_map="loss = a"),
    "squared_error_back": Kernel("T p, T target", "T dp", "dp = T(2) * (p - target);"),
}

LAYERS = {**_SILU, **_STATISTICS, **_norms(), **_SOFTMAX, **_EMBEDDING, **_LOSS}
