"""`refdiff.rng` on the device: the same random words, generated there by one kernel for each call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from refdiff import rng as reference
from refdiff.arrays import Array, as_array, on_device
from refdiff.checks import check_count, check_dtype, check_integer, check_tuple
from refdiff.rng import BATCH, BROWNIAN, DATA, INIT, LABEL, NOISE, START, TIME, philox

from .device.arrays import arange, asarray, empty
from .device.launch import launch

__all__ = [
    "BATCH",
    "BROWNIAN",
    "DATA",
    "INIT",
    "LABEL",
    "NOISE",
    "START",
    "TIME",
    "Normals",
    "bits",
    "integers",
    "normal",
    "philox",
    "uniform",
]


@wraps(reference.bits)
def bits(seed: int, samples: Any, elements: int, step: Any = 0, stream: int = NOISE) -> Array:
    return _generate("philox", np.uint64, seed, samples, elements, step, stream)


@wraps(reference.uniform)
def uniform(seed: int, samples: Any, elements: int = 1, step: Any = 0, stream: int = TIME) -> Array:
    return _generate("uniform", np.float64, seed, samples, elements, step, stream)


@wraps(reference.normal)
def normal(seed: int, samples: Any, shape: tuple[int, ...] = (), step: Any = 0, stream: int = NOISE, dtype: Any = np.float64) -> Array:
    shape = check_tuple("shape", shape, 0)
    flat = _generate("normal", check_dtype(dtype), seed, samples, prod(shape), step, stream)
    return flat.reshape(len(flat), *shape)


@wraps(reference.integers)
def integers(seed: int, samples: Any, high: int, step: Any = 0, stream: int = BATCH) -> Array:
    high = check_count("high", high, 1, 2**32)
    counters, numbers = _counters(seed, samples, 1, step, stream)
    return launch("integers", *counters, **numbers, high=high)[:, 0]


@dataclass(frozen=True)
class Normals(reference.Normals):
    __doc__ = reference.Normals.__doc__

    def __getitem__(self, step: int) -> Array:
        return normal(self.seed, self.samples, self.shape, step, self.stream, self.dtype)


def _generate(kernel: str, dtype: Any, seed: int, samples: Any, elements: int, step: Any, stream: int) -> Array:
    """Numbers (B, elements), four for each thread of the kernel."""
    counters, numbers = _counters(seed, samples, elements, step, stream)
    out = empty((len(counters[0]), 4 * numbers["blocks"]), dtype)
    launch(kernel, *counters, **numbers, out=tuple(out[:, j::4] for j in range(4)), dtype=dtype)
    return out[:, :elements]


def _counters(seed: int, samples: Any, elements: int, step: Any, stream: int) -> tuple[tuple[Array, Any], dict[str, int]]:
    """Samples (B, 1) and steps, and the other words of counter and key; raises the errors of `refdiff.rng`."""
    elements = check_count("elements", elements, 0, 2**34)
    step = check_integer("step", step, 0, 2**32 - 1)
    reference.bits(seed, 0, 0, 0, stream)  # raises for a wrong seed or stream
    seed, sample = int(seed), _samples(samples)
    if step.ndim and step.shape not in ((1,), sample.shape):
        raise ValueError(f"step has shape {step.shape}; allowed: () or {sample.shape}, one for each sample")
    steps = asarray(step.astype(np.uint32))[:, None] if step.ndim else int(step)
    numbers = {"blocks": -(-elements // 4), "stream": int(stream), "key0": seed & 0xFFFFFFFF, "key1": seed >> 32}
    return (sample[:, None], steps), numbers


def _samples(samples: Any) -> Array:
    """The indices of the samples (B,) on the device."""
    if np.ndim(samples) == 0:
        return arange(check_count("samples", samples, 0, 2**32), np.uint32)
    samples = check_integer("samples", as_array(samples, "samples"), 0, 2**32 - 1)
    return (samples if on_device(samples) else asarray(samples)).astype(np.uint32)
