"""Kernels of `refdiff.rng`: random bits, uniform and normal numbers, and integers by Philox.

A thread computes the four words of one block, with the counter (block, sample, step, stream), and its four numbers. The
outputs are four arrays (B, blocks), each of every fourth element: pass them as out = (y[:, 0::4], ..., y[:, 3::4]).
Samples and steps are (B, 1) or one number. "integers" uses only the first word of a block.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .kernel import Kernel, Shape

_INPUTS = "uint32 sample, uint32 step, int64 blocks, uint32 stream, uint32 key0, uint32 key1"

_PHILOX = """
    uint32 c0 = uint32(i % blocks);
    uint32 c1 = sample;
    uint32 c2 = step;
    uint32 c3 = stream;
    uint32 k0 = key0;
    uint32 k1 = key1;
    for (int64 round = 0; round < 10; ++round) {
        uint64 product0 = uint64(0xD2511F53) * uint64(c0);
        uint64 product1 = uint64(0xCD9E8D57) * uint64(c2);
        c0 = uint32(product1 >> 32) ^ c1 ^ k0;
        c1 = uint32(product1);
        c2 = uint32(product0 >> 32) ^ c3 ^ k1;
        c3 = uint32(product0);
        k0 = k0 + 0x9E3779B9;
        k1 = k1 + 0xBB67AE85;
    }
"""
_UNIFORM = "".join(f"float64 u{j} = (float64(c{j}) + float64(0.5)) / float64(4294967296.0);" for j in range(4))
_NORMAL = """
    float64 radius0 = sqrt(-float64(2.0) * log(u0));
    float64 radius1 = sqrt(-float64(2.0) * log(u2));
    float64 angle0 = float64(6.283185307179586) * u1;
    float64 angle1 = float64(6.283185307179586) * u3;
    y0 = T(radius0 * cos(angle0));
    y1 = T(radius0 * sin(angle0));
    y2 = T(radius1 * cos(angle1));
    y3 = T(radius1 * sin(angle1));
"""


def _blocks_shape(sample: Any, *step: Any, **numbers: Any) -> tuple[Shape, dict[str, Any]]:
    return (prod(sample.shape), numbers["blocks"]), numbers


def _four_outputs(expression: str) -> str:
    """Assignments of y0 to y3."""
    return "".join(f"y{j} = {expression.format(j=j)};" for j in range(4))


def _kernel(ctype: str, after_philox: str) -> Kernel:
    return Kernel(_INPUTS, ", ".join(f"{ctype} y{j}" for j in range(4)), _PHILOX + after_philox, _blocks_shape)


RNG = {
    "philox": _kernel("uint64", _four_outputs("uint64(c{j})")),
    "uniform": _kernel("float64", _UNIFORM + _four_outputs("u{j}")),
    "normal": _kernel("T", _UNIFORM + _NORMAL),
    "integers": Kernel(_INPUTS + ", uint64 high", "int64 y", _PHILOX + "y = int64(uint64(c0) * high >> 32);", _blocks_shape),
}
