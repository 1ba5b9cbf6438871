"""Kernels of layers, each with its derivative below it."""

from __future__ import annotations

from .kernel import Kernel

_GATE = "T gate = (T(1) + tanh(x / T(2))) / T(2);"

LAYERS = {
    "silu": Kernel("T x", "T y", f"{_GATE} y = x * gate;"),
    "silu_back": Kernel("T x, T dy", "T dx", f"{_GATE} dx = dy * gate * (T(1) + x * (T(1) - gate));"),
}
