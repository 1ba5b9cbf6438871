"""Adapters for DDIM of diffusers, and what its schedulers share. `refdiff check toys.conformance.diffusers_adapters:DDIM` makes a report.

Tables are float32 in the library; where it computes with whatever table it holds, it is given the same products in float64, so that a
report shows its equations and not its rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import diffusers
import numpy as np
import torch

from refdiff.conformance.adapter import Skip

Model = Callable[[Any, Any], Any]
diffusers.utils.logging.set_verbosity_error()


class Scheduler:
    """What DDPM and DDIM share: noising, grids, v. A subclass says which scheduler, its options and its spacing."""

    version = diffusers.__version__
    dialect: ClassVar[dict[str, Any]] = {
        "time": "index",
        "arrays": "torch",
        "mix": "[-1, 1]",
        "kinds": {"eps": "epsilon", "x0": "sample", "v": "v_prediction"},
    }
    make: Any = diffusers.DDIMScheduler
    spacing = "leading"
    options: ClassVar[dict[str, Any]] = {}

    def scheduler(self, betas: Any, kind: str = "epsilon", clip: float | None = None, **more: Any) -> Any:
        """The library's scheduler for these betas, its table in float64."""
        options = {"clip_sample": clip is not None, "clip_sample_range": clip or 1.0, **self.options, **more}
        made = self.make(len(betas), trained_betas=betas, prediction_type=kind, timestep_spacing=self.spacing, **options)
        made.alphas_cumprod = torch.cumprod(1 - betas, 0)
        if not getattr(made.config, "set_alpha_to_one", True):
            made.final_alpha_cumprod = made.alphas_cumprod[0]
        return made

    def grid(self, kind: str, T: int, S: int) -> Any:
        """The times of set_timesteps, with the -1 that its last step goes to."""
        if kind != self.spacing:
            raise Skip(f"timestep_spacing is {self.spacing}")
        made = self.make(T, timestep_spacing=self.spacing, **self.options)
        made.set_timesteps(S)
        return np.append(made.timesteps, -1)

    def q_sample(self, x0: Any, t: Any, betas: Any, noise: Any) -> Any:
        """add_noise."""
        return self.scheduler(betas).add_noise(x0, noise, torch.as_tensor(np.atleast_1d(t)))

    def target(self, kind: str, x0: Any, noise: Any, t: Any, betas: Any) -> Any:
        """get_velocity."""
        if kind != "v_prediction":
            raise Skip("only v has a function")
        return self.scheduler(betas).get_velocity(x0, noise, torch.as_tensor(np.atleast_1d(t)))


class DDIM(Scheduler):
    """DDIMScheduler with its defaults."""

    def between(self, t: int, s: int, betas: Any, kind: str, clip: float | None = None) -> Any:
        """A scheduler whose stride goes from t to s, or beyond the table for clean data."""
        if np.ndim(t):
            raise Skip("a step takes one time for the batch")
        made = self.scheduler(betas, kind, clip)
        made.set_timesteps(len(betas) // (t - s) if s >= 0 else 1)
        if s >= 0 and len(betas) // made.num_inference_steps != t - s:
            raise Skip(f"no number of steps has the stride {t - s}")
        return made

    def ddim_step(
        self, prediction: Any, x_t: Any, t: int, s: int, betas: Any, noise: Any, eta: float, kind: str, clip: float | None = None
    ) -> Any:
        return self.between(t, s, betas, kind, clip).step(prediction, t, x_t, eta, variance_noise=noise).prev_sample

    def to_x0(self, prediction: Any, x_t: Any, t: int, betas: Any, kind: str) -> Any:
        return self.between(t, -1, betas, kind).step(prediction, t, x_t, 0.0).pred_original_sample

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: float | None = None) -> Any:
        """The loop of a pipeline, for a grid that is the scheduler's own."""
        if not np.array_equal(self.grid(self.spacing, len(betas), len(grid) - 1), grid):
            raise Skip("not the scheduler's grid for so many steps")
        made, states = self.scheduler(betas, kind, clip), [x]
        made.set_timesteps(len(grid) - 1)
        for i, t in enumerate(made.timesteps):
            states.append(made.step(model(states[-1], int(t)), t, states[-1], eta, variance_noise=noise[i]).prev_sample)
        return torch.stack(states)


class DDIMLinspace(DDIM):
    """timestep_spacing="linspace"."""

    spacing = "linspace"


class DDIMTrailing(DDIM):
    """timestep_spacing="trailing"."""

    spacing = "trailing"


class DDIMAlphaNotOne(DDIM):
    """set_alpha_to_one=False, as the configurations of Stable Diffusion have it."""

    options: ClassVar[dict[str, Any]] = {"set_alpha_to_one": False}
