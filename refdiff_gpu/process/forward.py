"""`refdiff.forward` with a kernel for each sample of the forward process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps

import numpy as np

from refdiff.arrays import Array, Time, like
from refdiff.checks import check_arrays
from refdiff.process import forward as reference
from refdiff.process.forward import (
    posterior,
    posterior_by_bayes,
    posterior_variance,
    prior_kl,
    q_marginal,
    q_step,
    trajectory_log_density,
    trajectory_log_density_reversed,
)
from refdiff.process.schedules import Schedule, check_chain

from ..device.launch import launch
from ..device.tables import with_device_copy

__all__ = [
    "posterior",
    "posterior_by_bayes",
    "posterior_variance",
    "prior_kl",
    "q_marginal",
    "q_sample",
    "q_step",
    "q_step_sample",
    "trajectory",
    "trajectory_log_density",
    "trajectory_log_density_reversed",
]


@wraps(reference.q_sample)
def q_sample(x0: Array, t: Time, schedule: Schedule, noise: Array) -> Array:
    check_arrays(x0=x0, noise=noise)
    signal, sigma = with_device_copy(schedule).signal_sigma(t)
    return launch("q_sample", x0, noise, like(signal, x0), like(sigma, x0))


@wraps(reference.q_step_sample)
def q_step_sample(x_s: Array, t: Time, s: Time, schedule: Schedule, noise: Array) -> Array:
    check_arrays(x_s=x_s, noise=noise)
    schedule = with_device_copy(schedule)
    _, beta = schedule.transition(t, s)
    return launch("q_sample", x_s, noise, like(schedule.signal_between(t, s), x_s), like(np.sqrt(beta), x_s))


@wraps(reference.trajectory)
def trajectory(x0: Array, grid: Array, schedule: Schedule, noise: Sequence[Array]) -> list[Array]:
    check_arrays(x0=x0)
    grid = check_chain(noise, grid, schedule.T, "noise")
    states = [x0]
    for i in range(len(grid) - 2, -1, -1):
        states.append(q_step_sample(states[-1], grid[i], grid[i + 1], schedule, noise[i]))
    return states[::-1]
