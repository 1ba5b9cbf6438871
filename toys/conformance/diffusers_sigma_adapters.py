"""Adapters for the schedulers of diffusers that step in sigma, all in float32: Euler, Heun, DPM-Solver++ of order 1, flow-match Euler.

Euler's state is x / sqrt(alpha_bar), so that its noise has standard deviation sigma = sqrt(1 / alpha_bar - 1); there the deterministic
DDIM step is Euler's. DPM-Solver++ of order 1 is the same step in our coordinates. Flow times run from sigma = 1 to 0: ours is 1 - sigma.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffusers
import numpy as np
import torch

from refdiff.conformance.adapter import Skip

KINDS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
Model = Callable[[Any, Any], Any]


class Euler:
    """EulerDiscreteScheduler on a diffusion model: DDIM with eta = 0."""

    version, precision = diffusers.__version__, "float32"
    make: Any = diffusers.EulerDiscreteScheduler
    spacing = "linspace"
    options: ClassVar[dict[str, Any]] = {}

    def grid(self, kind: str, T: int, S: int) -> Any:
        """The times of set_timesteps, with the 0 that its last step goes to; they need not be integers."""
        if kind != self.spacing:
            raise Skip(f"timestep_spacing is {self.spacing}")
        made = self.make(T, timestep_spacing=self.spacing, **self.options)
        made.set_timesteps(S)
        return np.append(np.asarray(made.timesteps) + 1, 0)

    def scheduler(self, grid: Any, betas: Any, eta: float, kind: str, clip: float | None) -> Any:
        """The library's scheduler on a given grid."""
        if eta or clip is not None or kind not in KINDS or grid[-1] != 0:
            raise Skip("deterministic, without clip, for eps, x0 and v, down to t = 0")
        made = self.make(len(betas), trained_betas=betas, prediction_type=KINDS[kind], **self.options)
        made.set_timesteps(timesteps=(grid[:-1] - 1).tolist())
        return made

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: float | None = None) -> Any:
        made = self.scheduler(grid, betas, eta, kind, clip)
        state, states = torch.tensor(x) * root(made.sigmas[0]), [x]
        for i, time in enumerate(made.timesteps):
            output = model(np.asarray(made.scale_model_input(state, time)), int(time) + 1)
            state = made.step(torch.tensor(output), time, state).prev_sample
            states.append(np.asarray(state / root(made.sigmas[i + 1])))
        return np.stack(states)


def root(sigma: Any) -> Any:
    """1 / sqrt(alpha_bar)."""
    return (1 + sigma**2) ** 0.5


class EulerTrailing(Euler):
    """timestep_spacing="trailing"."""

    spacing = "trailing"


class EulerLogLinear(Euler):
    """interpolation_type="log_linear"."""

    options: ClassVar[dict[str, Any]] = {"interpolation_type": "log_linear"}


class DPMSolver(Euler):
    """DPMSolverMultistepScheduler with solver_order=1: DDIM with eta = 0, in our own coordinates."""

    make = diffusers.DPMSolverMultistepScheduler
    options: ClassVar[dict[str, Any]] = {"solver_order": 1}

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: float | None = None) -> Any:
        made, states = self.scheduler(grid, betas, eta, kind, clip), [x]
        for t in grid[:-1].tolist():
            output = torch.tensor(model(states[-1], t))
            states.append(np.asarray(made.step(output, torch.tensor(t - 1), torch.tensor(states[-1])).prev_sample))
        return np.stack(states)


class DPMSolverLeading(DPMSolver):
    """timestep_spacing="leading"."""

    spacing = "leading"


class DPMSolverTrailing(DPMSolver):
    """timestep_spacing="trailing"."""

    spacing = "trailing"


class Heun:
    """HeunDiscreteScheduler as a solver of dx/dt = f(x, t), its sigmas being the times and its eps the slope."""

    version, precision = diffusers.__version__, "float32"

    def heun_step(self, f: Model, x: Any, t: float, s: float) -> Any:
        return self._walk(f, [t, s, s], x)[1]

    def ode_sample(self, f: Model, method: str, times: Any, x: Any) -> Any:
        if method != "heun":
            raise Skip("another class has it")
        return np.stack(self._walk(f, list(times), x))

    def _walk(self, f: Model, times: list[float], x: Any) -> list[Any]:
        if times[0] < times[-1]:
            raise Skip("sigma falls")
        made, states = diffusers.HeunDiscreteScheduler(), [x]
        made.sigmas = torch.tensor([times[0], *np.repeat(times[1:-1], 2), times[-1]], dtype=torch.float32)
        made.timesteps = made.sigmas[:-1]
        made.set_begin_index(0)
        state = torch.tensor(x)
        for i, t in enumerate(made.timesteps):
            at = float(made.sigmas[i + 1] if i % 2 else t)
            state = made.step(torch.tensor(f(np.asarray(state), at)), t, state).prev_sample
            if i % 2 or i == len(made.timesteps) - 1:
                states.append(np.asarray(state))
        return states


class FlowMatchEuler:
    """FlowMatchEulerDiscreteScheduler at given times; its network predicts noise - data, the negative of our velocity."""

    version, precision = diffusers.__version__, "float32"

    def euler_step(self, f: Model, x: Any, t: float, s: float) -> Any:
        return self.ode_sample(f, "euler", np.array([t, s]), x)[1]

    def ode_sample(self, f: Model, method: str, times: Any, x: Any) -> Any:
        if method != "euler":
            raise Skip("another class has it")
        made, states = self.scheduler(times), [x]
        for time, t in zip(made.timesteps[:-1], times, strict=False):
            output = torch.tensor(-f(states[-1], t))
            states.append(np.asarray(made.step(output, time, torch.tensor(states[-1])).prev_sample))
        return np.stack(states)

    def interpolate(self, data: Any, noise: Any, t: Any, path: str) -> Any:
        if path != "straight":
            raise Skip("only the straight path")
        made = self.scheduler(np.broadcast_to(t, len(data)))
        made._begin_index = None
        return made.scale_noise(torch.tensor(data), made.timesteps, torch.tensor(noise))

    def scheduler(self, times: Any) -> Any:
        """The library's scheduler at sigma = 1 - t."""
        made = diffusers.FlowMatchEulerDiscreteScheduler()
        made.set_timesteps(sigmas=(1 - np.asarray(times)).tolist())
        made.set_begin_index(0)
        return made
