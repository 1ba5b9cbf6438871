"""Adapters for the fast solvers of diffusers: the updates of DPM-Solver and UniPC at given levels, and whole runs.

The levels are given as the library's sigmas, sigma / signal, and states in its preserving scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffusers
import torch

from refdiff.conformance.adapter import Skip


class DPMSolverSteps:
    """DPMSolverMultistepScheduler: its updates of order 1, 2 and 3."""

    version, precision = diffusers.__version__, "float64"
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}

    def dpmpp_step(self, x_t: Any, x0: Any, signal: Any, sigma: Any, variant: str, eta: float, noise: Any) -> Any:
        return self._step("dpmsolver++", x_t, x0, signal, sigma, variant, eta, noise)

    def dpm_solver_step(self, x_t: Any, eps: Any, signal: Any, sigma: Any, variant: str, eta: float, noise: Any) -> Any:
        return self._step("dpmsolver", x_t, eps, signal, sigma, variant, eta, noise)

    def _step(self, algorithm: str, x_t: Any, known: Any, signal: Any, sigma: Any, variant: str, eta: float, noise: Any) -> Any:
        if eta not in (0, 1) or signal[0] == 0:
            raise Skip("eta is 0 or 1, and there is signal")
        algorithm, solver = f"sde-{algorithm}" if eta else algorithm, "midpoint" if variant == "midpoint" else "heun"
        made = diffusers.DPMSolverMultistepScheduler(
            algorithm_type=algorithm, solver_type=solver, solver_order=len(known), final_sigmas_type="sigma_min"
        )
        scale = at_levels(made, signal, sigma, len(known) - 1)
        latest_last = list(known.flip(0))
        updates = (made.multistep_dpm_solver_second_order_update, made.multistep_dpm_solver_third_order_update)
        if len(known) == 1:
            return made.dpm_solver_first_order_update(known[0], sample=x_t / scale[0], noise=noise) * scale[-1]
        return updates[len(known) - 2](latest_last, sample=x_t / scale[0], noise=noise) * scale[-1]


class UniPCSteps:
    """UniPCMultistepScheduler: its corrector of order 1 and 2, in both forms of B."""

    version, precision = diffusers.__version__, "float64"
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}

    def unipc_corrector(self, x_t: Any, x0: Any, signal: Any, sigma: Any, variant: str) -> Any:
        made = diffusers.UniPCMultistepScheduler(solver_type=variant, solver_order=len(x0) - 1, prediction_type="sample")
        scale = at_levels(made, signal, sigma, len(x0) - 1)
        made.model_outputs = list(x0[:-1].flip(0))
        state = x_t / scale[0]
        return made.multistep_uni_c_bh_update(x0[-1], last_sample=state, this_sample=state, order=len(x0) - 1) * scale[-1]


class DPMSolverRuns:
    """DPMSolverMultistepScheduler: whole runs of order 1 to 3 along given levels, with its defaults."""

    version, precision = diffusers.__version__, "float32"
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}
    options: ClassVar[dict[str, Any]] = {}

    def dpmpp_sample(self, model: Callable[[Any, Any], Any], order: int, signal: Any, sigma: Any, x: Any) -> Any:
        made = diffusers.DPMSolverMultistepScheduler(solver_order=order, prediction_type="sample", **self.options)
        made.set_timesteps(len(sigma) - 1)
        scale = at_levels(made, signal, sigma, 0, falling=True)
        states = [x]
        for i, time in enumerate(made.timesteps):
            output = model(states[-1], i)
            states.append(made.step(output, time, states[-1] / scale[i]).prev_sample * scale[i + 1])
        return torch.stack(states)


def at_levels(made: Any, signal: Any, sigma: Any, index: int, falling: bool = False) -> Any:
    """Give a scheduler these levels, the earliest first, at a step; returns the scale of the states at the levels as they were given."""
    ratio = sigma / signal
    made.sigmas = ratio if falling else torch.cat([ratio[:-1].flip(0), ratio[-1:]])
    made._step_index = index
    return (signal**2 + sigma**2) ** 0.5
