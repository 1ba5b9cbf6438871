"""Adapters for the schedulers of diffusers that step in sigma, all in float32: Euler, Heun, DPM-Solver++ of order 1, flow-match Euler.

In the exploding state the deterministic DDIM step is Euler's. DPM-Solver++ of order 1 is the same step in the preserving state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffusers
import numpy as np
import torch

from refdiff.conformance.adapter import Skip

Model = Callable[[Any, Any], Any]


class DPMSolver:
    """DPMSolverMultistepScheduler with solver_order=1: DDIM with eta = 0."""

    version, precision = diffusers.__version__, "float32"
    dialect: ClassVar[dict[str, Any]] = {
        "time": "index",
        "arrays": "torch",
        "kinds": {"eps": "epsilon", "x0": "sample", "v": "v_prediction"},
    }
    make: Any = diffusers.DPMSolverMultistepScheduler
    spacing = "linspace"
    options: ClassVar[dict[str, Any]] = {"solver_order": 1}

    def grid(self, kind: str, T: int, S: int) -> Any:
        """The times of set_timesteps, with the -1 that its last step goes to; they need not be integers."""
        if kind != self.spacing:
            raise Skip(f"timestep_spacing is {self.spacing}")
        made = self.make(T, timestep_spacing=self.spacing, **self.options)
        made.set_timesteps(S)
        return np.append(made.timesteps, -1)

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: float | None = None) -> Any:
        """The library's steps on a given grid."""
        if eta or clip is not None or grid[-1] != -1:
            raise Skip("deterministic, without clip, down to clean data")
        made = self.make(len(betas), trained_betas=betas.numpy(), prediction_type=kind, **self.options)
        made.set_timesteps(timesteps=grid[:-1].tolist())
        scales = self.scales(made)
        states = [x * scales[0]]
        for time in made.timesteps:
            output = model(made.scale_model_input(states[-1], time), int(time))
            states.append(made.step(output, time, states[-1]).prev_sample)
        return torch.stack([x, *(state / scale for state, scale in zip(states[1:], scales[1:], strict=False))])

    def scales(self, made: Any) -> Any:
        """The factors of the library's states, ours being the preserving ones."""
        return torch.ones(len(made.sigmas) + 1)


class DPMSolverLeading(DPMSolver):
    """timestep_spacing="leading"."""

    spacing = "leading"


class DPMSolverTrailing(DPMSolver):
    """timestep_spacing="trailing"."""

    spacing = "trailing"


class Euler(DPMSolver):
    """EulerDiscreteScheduler on a diffusion model: DDIM with eta = 0."""

    make: Any = diffusers.EulerDiscreteScheduler
    options: ClassVar[dict[str, Any]] = {}

    def scales(self, made: Any) -> Any:
        """1 / sqrt(alpha_bar), from its own sigmas."""
        return (1 + made.sigmas**2) ** 0.5


class EulerTrailing(Euler):
    """timestep_spacing="trailing"."""

    spacing = "trailing"


class EulerLogLinear(Euler):
    """interpolation_type="log_linear"."""

    options: ClassVar[dict[str, Any]] = {"interpolation_type": "log_linear"}


class Heun:
    """HeunDiscreteScheduler as a solver of dx/dt = f(x, t), its sigmas being the times and its eps the slope."""

    version, precision = diffusers.__version__, "float32"
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}

    def heun_step(self, f: Model, x: Any, t: float, s: float) -> Any:
        return self._walk(f, [t, s, s], x)[1]

    def ode_sample(self, f: Model, method: str, times: Any, x: Any) -> Any:
        if method != "heun":
            raise Skip("another class has it")
        return torch.stack(self._walk(f, times.tolist(), x))

    def _walk(self, f: Model, times: list[float], x: Any) -> list[Any]:
        if times[0] < times[-1]:
            raise Skip("sigma falls")
        made, states, state = diffusers.HeunDiscreteScheduler(), [x], x
        made.sigmas = torch.tensor([times[0], *np.repeat(times[1:-1], 2), times[-1]], dtype=torch.float32)
        made.timesteps = made.sigmas[:-1]
        made.set_begin_index(0)
        for i, t in enumerate(made.timesteps):
            at = float(made.sigmas[i + 1] if i % 2 else t)
            state = made.step(f(state, at), t, state).prev_sample
            if i % 2 or i == len(made.timesteps) - 1:
                states.append(state)
        return states


class FlowMatchEuler:
    """FlowMatchEulerDiscreteScheduler at given times; its network predicts noise - data at noise times 0..1000."""

    version, precision = diffusers.__version__, "float32"
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch", "flow_time": "noise time"}

    def euler_step(self, f: Model, x: Any, t: float, s: float) -> Any:
        return self.ode_sample(f, "euler", torch.tensor([t, s]), x)[1]

    def ode_sample(self, f: Model, method: str, times: Any, x: Any) -> Any:
        if method != "euler":
            raise Skip("another class has it")
        made, states = self.scheduler(times), [x]
        for time, t in zip(made.timesteps[:-1], times, strict=False):
            states.append(made.step(f(states[-1], t), time, states[-1]).prev_sample)
        return torch.stack(states)

    def interpolate(self, data: Any, noise: Any, t: Any, path: str) -> Any:
        if path != "straight":
            raise Skip("only the straight path")
        made = self.scheduler(np.broadcast_to(t, len(data)))
        made._begin_index = None
        return made.scale_noise(data, made.timesteps, noise)

    def scheduler(self, times: Any) -> Any:
        """A scheduler whose sigmas are these noise times."""
        made = diffusers.FlowMatchEulerDiscreteScheduler()
        made.set_timesteps(sigmas=np.asarray(times, dtype=np.float64).tolist())
        made.set_begin_index(0)
        return made
