"""The likelihood of held-out digits by the flow of a trained network, in bits per dimension."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from refdiff import fast, gaussian, likelihood, ode, rng, unet
from refdiff.arrays import Array
from refdiff.data.images import Images
from refdiff.tree import Tree

from .evaluation import Estimate, evenly_spaced
from .generate import on_all_cores
from .spec import Spec, UsageError

STEP = 2 / 255  # between two grey levels of a pixel in [-1, 1]


def flow_likelihood(params: Tree, spec: Spec, digits: Images, count: int, seed: int, tolerance: float = 1e-3) -> Estimate:
    """Bits per dimension of held-out digits given their labels, by the flow from data at t = 1 to noise at t = 0.

    Uniform noise fills the step between two grey levels, so the mean over it is an upper bound of the bits for whole levels. The divergence
    is Hutchinson's estimate with random signs, by the backward pass of the network. `tolerance` is that of the adaptive solver. Source: C8, C9.
    """
    if spec.kind != "velocity" or spec.padded != spec.size:
        raise UsageError("argument --likelihood: allowed for a run of kind velocity with heights and widths that are multiples of 4")
    held = evenly_spaced(digits.test, count)
    y = spec.labels(len(held)) if digits.test_labels is None else digits.test_labels[held]
    x = spec.to_model(digits.test[held], np.float64).reshape(len(held), -1)
    size = x.shape[1]
    uniform, signs = (rng.uniform(seed, len(held), size, step, rng.NOISE) for step in (0, 1))
    probe = np.where(signs < 0.5, -1.0, 1.0)
    rate = on_all_cores(_rate(params, spec))

    def change(state: Array, t: float) -> Array:
        both = np.stack([state[:, :size], probe], axis=1).astype(np.float32)
        return rate(both, float(t), y).astype(np.float64)

    start = np.concatenate([x + STEP * (uniform - 0.5), np.zeros((len(x), 1))], axis=1)
    end = ode.solve_adaptive(change, start, 1.0, 0.0, tolerance, tolerance, "RK45")
    noise = end[:, :size]
    density = gaussian.log_density(noise, 0 * noise, 1.0) + end[:, size]
    bits = likelihood.bits_of_density(density, math.prod(spec.size), STEP)
    return Estimate(float(bits.mean()), float(bits.std(ddof=1) / np.sqrt(len(bits))))


def _rate(params: Tree, spec: Spec) -> Callable[[Array, float, Array], Array]:
    """The velocity and the estimate of its divergence, (B, d + 1), as a function of the state and the probe (B, 2, d), the time and the labels."""
    path = spec.path()

    def rate(both: Array, t: float, y: Array) -> Array:
        x, probe = (both[:, i].reshape(len(both), *spec.size) for i in range(2))
        velocity, vjp = unet.unet(params, x, path.clock(np.full(len(x), t)), y, fast)
        _, dx = vjp(probe)
        return np.concatenate([velocity.reshape(len(x), -1), (probe * dx).reshape(len(x), -1).sum(axis=1, keepdims=True)], axis=1)

    return rate
