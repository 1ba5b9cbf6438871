"""Adapters for DDPM of diffusers; `diffusers_adapters` says how times and tables are converted."""

from __future__ import annotations

from typing import Any, ClassVar
from unittest.mock import patch

import diffusers
import numpy as np
import torch
from diffusers.schedulers import scheduling_ddpm

from refdiff.conformance.adapter import Skip

from .diffusers_adapters import Model, Scheduler, one


class DDPM(Scheduler):
    """DDPMScheduler; the requested variance selects variance_type."""

    make = diffusers.DDPMScheduler
    variances: ClassVar[dict[str, str]] = {"posterior": "fixed_small", "beta": "fixed_large", "learned": "learned_range"}

    def between(self, t: int, s: int, betas: Any, kind: str = "eps", clip: float | None = None, variance: str = "posterior") -> Any:
        """A scheduler whose next time after t is s."""
        if variance not in self.variances:
            raise Skip(f"another class has {variance}")
        made = self.scheduler(betas, kind, clip, variance_type=self.variances[variance])
        made.set_timesteps(timesteps=[int(one(t)) - 1] + ([int(one(s)) - 1] if s else []))
        return made

    def ddpm_step(
        self,
        prediction: Any,
        x_t: Any,
        t: int,
        s: int,
        betas: Any,
        noise: Any,
        kind: str,
        variance: str,
        mix: Any = None,
        clip: float | None = None,
    ) -> Any:
        made = self.between(t, s, betas, kind, clip, variance)
        return stepped(made, with_channels(prediction, self.output(mix)), t, x_t, noise)

    def output(self, mix: Any) -> Any:
        """The network's output beside its prediction, for a learned variance: "learned_range" takes -1..1."""
        return None if mix is None else 2 * mix - 1

    def model_variance(self, variance: str, x_t: Any, t: int, s: int, betas: Any, mix: Any = None) -> Any:
        made, output = self.between(t, s, betas, variance=variance), self.output(mix)
        got = made._get_variance(torch.tensor(t - 1), None if output is None else torch.tensor(output))
        return torch.exp(got) if made.variance_type == "learned_range" else got

    def posterior(self, x_t: Any, x0: Any, t: int, s: int, betas: Any) -> Any:
        return stepped(self.between(t, s, betas, "x0"), x0, t, x_t, 0 * x0), self.model_variance("posterior", x_t, t, s, betas)

    def posterior_variance(self, t: int, s: int, betas: Any) -> Any:
        return self.model_variance("posterior", None, t, s, betas)

    def mean_from_eps(self, eps: Any, x_t: Any, t: int, s: int, betas: Any) -> Any:
        return stepped(self.between(t, s, betas), eps, t, x_t, 0 * eps)

    def reverse_kernel(
        self, prediction: Any, x_t: Any, t: int, s: int, betas: Any, kind: str, variance: str, mix: Any = None
    ) -> tuple[Any, Any]:
        mean = self.ddpm_step(prediction, x_t, t, s, betas, 0 * x_t, kind, variance, mix)
        return mean, self.model_variance(variance, x_t, t, s, betas, mix)

    def ddpm_sample(
        self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, kind: str, variance: str, clip: float | None = None
    ) -> Any:
        made, states = self.between(grid[0], grid[1], betas, kind, clip, variance), [x]
        made.set_timesteps(timesteps=(grid[:-1] - 1).tolist())
        for i, t in enumerate(grid[:-1]):
            states.append(np.asarray(stepped(made, model(states[-1], int(t)), int(t), states[-1], noise[i])))
        return np.stack(states)


def stepped(made: Any, output: Any, t: int, x_t: Any, noise: Any) -> Any:
    """DDPMScheduler.step with the noise given."""
    with patch.object(scheduling_ddpm, "randn_tensor", lambda *_, **__: torch.tensor(noise)):
        return made.step(torch.tensor(output), torch.tensor(t - 1), torch.tensor(x_t)).prev_sample


def with_channels(prediction: Any, output: Any) -> Any:
    """Prediction and variance as the two halves of a network's channels, on axis 1."""
    return prediction if output is None else np.concatenate([prediction, output], axis=1)


class DDPMSmallLog(DDPM):
    """variance_type="fixed_small_log"."""

    variances: ClassVar[dict[str, str]] = {"posterior": "fixed_small_log"}
    model_variance = posterior = posterior_variance = reverse_kernel = None  # type: ignore[assignment]


class DDPMLargeLog(DDPM):
    """variance_type="fixed_large_log"."""

    variances: ClassVar[dict[str, str]] = {"beta": "fixed_large_log"}
    model_variance = posterior = posterior_variance = reverse_kernel = None  # type: ignore[assignment]
    mean_from_eps = None  # type: ignore[assignment]


class DDPMLearned(DDPM):
    """variance_type="learned", which takes the network's output as it is."""

    variances: ClassVar[dict[str, str]] = {"posterior": "fixed_small", "learned": "learned"}

    def output(self, mix: Any) -> Any:
        return mix


class DDPMLinspace(DDPM):
    """timestep_spacing="linspace"."""

    spacing = "linspace"


class DDPMTrailing(DDPM):
    """timestep_spacing="trailing"."""

    spacing = "trailing"
