r"""Counter-based random numbers: Philox-4x32-10 maps a key and a counter to bits, without state.

The key is the seed. The counter is (element // 4, sample, step, stream); element % 4 selects one of the four output words. The noise of
sample i therefore depends only on i, and not on the batch, its order, or the device that computes it.
Source: [Philox]: Salmon et al., Parallel Random Numbers, SC 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .arrays import Array, as_array
from .checks import check_count, check_dtype, check_integer, check_tuple

TIME, NOISE, LABEL, BATCH, INIT, DATA, START, BROWNIAN = range(8)  # streams: independent numbers, one stream for each purpose

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85  # golden ratio and sqrt(3) - 1, in units of 2^-32
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    r"""Ten rounds of Philox-4x32, which map four uint64 arrays of 32-bit words to four such arrays.

    A round multiplies words 0 and 2 by constants, with 64-bit products. The high halves are combined with words 1 and 3:

    $$(c_0, c_1, c_2, c_3) \to (hi(M_1 c_2) \oplus c_1 \oplus k_0,\; lo(M_1 c_2),\; hi(M_0 c_0) \oplus c_3 \oplus k_1,\; lo(M_0 c_0))$$

    Here $hi$ and $lo$ are the high and the low 32 bits, and $\oplus$ is the exclusive or. Between rounds the Weyl constants are added
    to the key. Source: [Philox].
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (product1 >> _32) ^ c1 ^ np.uint64(k0), product1 & _LOW
        c2, c3 = (product0 >> _32) ^ c3 ^ np.uint64(k1), product0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def bits(seed: int, samples: Any, elements: int, step: Any = 0, stream: int = NOISE) -> Array:
    """Random 32-bit words, as uint64 (B, elements); samples are indices (B,) or their count B, step is () or (B,). Source: [Philox]."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
        raise TypeError(f"seed = {seed!r}; allowed: an integer, 0..2^64 - 1")
    seed = int(seed)  # NumPy's own integers would overflow below
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed = {seed}; allowed: 0..2^64 - 1")
    samples = samples if np.isscalar(samples) else as_array(samples, "samples")
    samples = samples if np.ndim(samples) else np.arange(check_count("samples", samples, 0, 2**32))
    samples = check_integer("samples", samples, 0, 2**32 - 1).astype(np.uint64)[:, None]
    elements, stream = check_count("elements", elements, 0, 2**34), check_count("stream", stream, 0, 2**32 - 1)
    steps = np.reshape(check_integer("step", step, 0, 2**32 - 1), (-1, 1)).astype(np.uint64)
    if len(steps) not in (1, len(samples)):
        raise ValueError(f"step has shape {np.shape(step)}; allowed: () or {samples.shape[:1]}, one for each sample")
    blocks = np.arange(-(-elements // 4), dtype=np.uint64)[None]
    c0, c1, c2, c3 = np.broadcast_arrays(blocks, samples, steps, np.uint64(stream))
    words = np.stack(philox((c0, c1, c2, c3), (seed & 0xFFFFFFFF, seed >> 32)), axis=-1)
    return words.reshape(len(words), 4 * blocks.size)[:, :elements]


def uniform(seed: int, samples: Any, elements: int = 1, step: Any = 0, stream: int = TIME) -> Array:
    r"""Uniform numbers inside (0, 1), $(word + \tfrac12) / 2^{32}$; (B, elements) float64. Source: [Random123]."""
    return (bits(seed, samples, elements, step, stream) + 0.5) / 2.0**32


def normal(seed: int, samples: Any, shape: tuple[int, ...] = (), step: Any = 0, stream: int = NOISE, dtype: Any = np.float64) -> Array:
    r"""Standard normal numbers (B, *shape), by the Box-Muller transform of pairs of uniform numbers.

    $$z_0 = \sqrt{-2 \log u_0} \cos 2\pi u_1, \qquad z_1 = \sqrt{-2 \log u_0} \sin 2\pi u_1$$

    Computed in float64 and rounded to dtype at the end, so that all precisions get the same numbers up to rounding. Source: [Box & Muller 1958].
    """
    shape = check_tuple("shape", shape, 0)
    size, dtype = prod(shape), check_dtype(dtype)
    u = uniform(seed, samples, size + size % 2, step, stream)
    radius, angle = np.sqrt(-2 * np.log(u[:, 0::2])), 2 * np.pi * u[:, 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(u.shape)[:, :size].astype(dtype).reshape(len(u), *shape)


def integers(seed: int, samples: Any, high: int, step: Any = 0, stream: int = BATCH) -> Array:
    r"""Random integers in 0..high-1, (B,): the upper 32 bits of $word \cdot high$. Their bias is below $high / 2^{32}$."""
    high = check_count("high", high, 1, 2**32)
    return ((bits(seed, samples, 1, step, stream)[:, 0] * np.uint64(high)) >> _32).astype(np.int64)


@dataclass(frozen=True)
class Normals:
    """Noise for a run of `samplers.sample`: item i is the noise (B, *shape) of step i, drawn when it is used.

    `samples` is a count, or the indices (B,) of the samples. The noise of a sample depends on its index only, so any
    subset of the samples gets the same noise.
    """

    seed: int
    samples: Any
    shape: tuple[int, ...] = ()
    stream: int = NOISE
    dtype: Any = np.float64

    def __getitem__(self, step: int) -> Array:
        return normal(self.seed, self.samples, self.shape, step, self.stream, self.dtype)
