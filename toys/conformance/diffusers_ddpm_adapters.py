"""Adapters for DDPM of diffusers; `diffusers_adapters` says how tables are converted."""

from __future__ import annotations

from typing import Any, ClassVar
from unittest.mock import patch

import diffusers
import torch
from diffusers.schedulers import scheduling_ddpm

from .diffusers_adapters import Model, Scheduler


class DDPM(Scheduler):
    """DDPMScheduler; the requested variance selects variance_type."""

    make = diffusers.DDPMScheduler
    variances: ClassVar[dict[str, str]] = {"posterior": "fixed_small", "beta": "fixed_large", "learned": "learned_range"}

    @property
    def dialect(self) -> dict[str, Any]:  # type: ignore[override]
        """That of all schedulers, with one time for the batch and the names of the variances."""
        return {**Scheduler.dialect, "times": "one", "kinds": {**Scheduler.dialect["kinds"], **self.variances}}

    def between(self, t: int, s: int, betas: Any, kind: str = "epsilon", clip: float | None = None, variance: str = "fixed_small") -> Any:
        """A scheduler whose next time after t is s."""
        made = self.scheduler(betas, kind, clip, variance_type=variance)
        made.set_timesteps(timesteps=[int(t)] + ([int(s)] if s >= 0 else []))
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
        return stepped(made, prediction if mix is None else torch.cat([prediction, mix], 1), t, x_t, noise)

    def model_variance(self, variance: str, x_t: Any, t: int, s: int, betas: Any, mix: Any = None) -> Any:
        made = self.between(t, s, betas, variance=variance)
        got = made._get_variance(torch.tensor(t), mix)
        return torch.exp(got) if made.variance_type == "learned_range" else got

    def posterior(self, x_t: Any, x0: Any, t: int, s: int, betas: Any) -> Any:
        return stepped(self.between(t, s, betas, "sample"), x0, t, x_t, 0 * x0), self.model_variance("fixed_small", x_t, t, s, betas)

    def posterior_variance(self, t: int, s: int, betas: Any) -> Any:
        return self.model_variance("fixed_small", None, t, s, betas)

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
        made.set_timesteps(timesteps=grid[:-1].tolist())
        for i, t in enumerate(grid[:-1].tolist()):
            states.append(stepped(made, model(states[-1], t), t, states[-1], noise[i]))
        return torch.stack(states)


def stepped(made: Any, output: Any, t: int, x_t: Any, noise: Any) -> Any:
    """DDPMScheduler.step with the noise given."""
    with patch.object(scheduling_ddpm, "randn_tensor", lambda *_, **__: noise):
        return made.step(output, torch.tensor(t), x_t).prev_sample


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

    @property
    def dialect(self) -> dict[str, Any]:
        """Without a conversion of the output."""
        return {**super().dialect, "mix": "[0, 1]"}


class DDPMLinspace(DDPM):
    """timestep_spacing="linspace"."""

    spacing = "linspace"


class DDPMTrailing(DDPM):
    """timestep_spacing="trailing"."""

    spacing = "trailing"
