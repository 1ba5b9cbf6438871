"""Adapters for diffusers: its tables, DDPM, DDIM, guidance. `refdiff check toys.conformance.diffusers_adapters:DDIM` makes a report.

A scheduler's index i is our t = i + 1, and -1 is our t = 0. Tables are float32 in the library; where it computes with whatever
table it holds, it is given the same products in float64, so that a report shows its equations and not its rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import diffusers
import numpy as np
import torch
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.schedulers import scheduling_ddpm
from diffusers.training_utils import compute_snr

from refdiff.conformance.adapter import Skip

KINDS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}
Model = Callable[[Any, Any], Any]
diffusers.utils.logging.set_verbosity_error()


class Scheduler:
    """What DDPM and DDIM share: noising, grids, v. A subclass says which scheduler, its options and its spacing."""

    version = diffusers.__version__
    make: Any = diffusers.DDPMScheduler
    spacing = "leading"
    options: dict[str, Any] = {}

    def scheduler(self, betas: Any, kind: str = "eps", clip: float | None = None, **more: Any) -> Any:
        """The library's scheduler for these betas, its table in float64."""
        if kind not in KINDS:
            raise Skip(f"no prediction_type for {kind}")
        options = {"clip_sample": clip is not None, "clip_sample_range": clip or 1.0, **self.options, **more}
        made = self.make(len(betas), trained_betas=betas, prediction_type=KINDS[kind], timestep_spacing=self.spacing, **options)
        made.alphas_cumprod = torch.cumprod(1 - torch.tensor(betas), 0)
        if not getattr(made.config, "set_alpha_to_one", True):
            made.final_alpha_cumprod = made.alphas_cumprod[0]
        return made

    def grid(self, kind: str, T: int, S: int) -> Any:
        """The times of set_timesteps, with the 0 that its last step goes to."""
        if kind != self.spacing:
            raise Skip(f"timestep_spacing is {self.spacing}")
        made = self.make(T, timestep_spacing=self.spacing, **self.options)
        made.set_timesteps(S)
        return np.append(np.asarray(made.timesteps) + 1, 0)

    def q_sample(self, x0: Any, t: Any, betas: Any, noise: Any) -> Any:
        """add_noise."""
        return self.scheduler(betas).add_noise(torch.tensor(x0), torch.tensor(noise), index(t))

    def target(self, kind: str, x0: Any, noise: Any, t: Any, betas: Any) -> Any:
        """get_velocity."""
        if kind != "v":
            raise Skip("only v has a function")
        return self.scheduler(betas).get_velocity(torch.tensor(x0), torch.tensor(noise), index(t))


def index(t: Any) -> Any:
    """Our time as a tensor of indices; there is none for clean data."""
    if np.any(np.asarray(t) == 0):
        raise Skip("no index stands for t = 0")
    return torch.as_tensor(np.atleast_1d(t) - 1)


def one(t: Any) -> Any:
    """A lone time; a step has no other."""
    if np.ndim(t):
        raise Skip("a step takes one time for the batch")
    return t


class DDPM(Scheduler):
    """DDPMScheduler; the variance asked for chooses variance_type."""

    variances = {"posterior": "fixed_small", "beta": "fixed_large", "learned": "learned_range"}

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

    variances = {"posterior": "fixed_small_log"}
    model_variance = posterior = posterior_variance = reverse_kernel = None  # type: ignore[assignment]


class DDPMLargeLog(DDPM):
    """variance_type="fixed_large_log"."""

    variances = {"beta": "fixed_large_log"}
    model_variance = posterior = posterior_variance = reverse_kernel = None  # type: ignore[assignment]
    mean_from_eps = None  # type: ignore[assignment]


class DDPMLearned(DDPM):
    """variance_type="learned", which takes the network's output as it is."""

    variances = {"posterior": "fixed_small", "learned": "learned"}

    def output(self, mix: Any) -> Any:
        return mix


class DDPMLinspace(DDPM):
    """timestep_spacing="linspace"."""

    spacing = "linspace"


class DDPMTrailing(DDPM):
    """timestep_spacing="trailing"."""

    spacing = "trailing"


class DDIM(Scheduler):
    """DDIMScheduler with its defaults."""

    make = diffusers.DDIMScheduler

    def between(self, t: int, s: int, betas: Any, kind: str, clip: float | None = None) -> Any:
        """A scheduler whose stride goes from t to s, or beyond the table for s = 0."""
        made = self.scheduler(betas, kind, clip)
        made.set_timesteps(len(betas) // (one(t) - s) if s else 1)
        if s and len(betas) // made.num_inference_steps != t - s:
            raise Skip(f"no number of steps has the stride {t - s}")
        return made

    def ddim_step(
        self, prediction: Any, x_t: Any, t: int, s: int, betas: Any, noise: Any, eta: float, kind: str, clip: float | None = None
    ) -> Any:
        return self.step(self.between(t, s, betas, kind, clip), prediction, x_t, t, noise, eta).prev_sample

    def to_x0(self, prediction: Any, x_t: Any, t: int, betas: Any, kind: str) -> Any:
        index(one(t))
        return self.step(self.between(t, 0, betas, kind), prediction, x_t, t, 0 * x_t, 0.0).pred_original_sample

    def step(self, made: Any, prediction: Any, x_t: Any, t: int, noise: Any, eta: float) -> Any:
        return made.step(torch.tensor(prediction), t - 1, torch.tensor(x_t), eta, variance_noise=torch.tensor(noise))

    def ddim_sample(
        self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: float | None = None
    ) -> Any:
        """The loop of a pipeline, for a grid that is the scheduler's own."""
        if not np.array_equal(self.grid(self.spacing, len(betas), len(grid) - 1), grid):
            raise Skip("not the scheduler's grid for so many steps")
        made, states = self.scheduler(betas, kind, clip), [x]
        made.set_timesteps(len(grid) - 1)
        for i, t in enumerate(int(time) + 1 for time in made.timesteps):
            states.append(np.asarray(self.step(made, model(states[-1], t), states[-1], t, noise[i], eta).prev_sample))
        return np.stack(states)


class DDIMLinspace(DDIM):
    """timestep_spacing="linspace"."""

    spacing = "linspace"


class DDIMTrailing(DDIM):
    """timestep_spacing="trailing"."""

    spacing = "trailing"


class DDIMAlphaNotOne(DDIM):
    """set_alpha_to_one=False, as the configurations of Stable Diffusion have it."""

    options = {"set_alpha_to_one": False}


class Tables:
    """Tables as the library makes them, in float32."""

    version, precision = diffusers.__version__, "float32"

    def linear(self, T: int, beta_start: float, beta_end: float) -> Any:
        return diffusers.DDPMScheduler(T, beta_start, beta_end, "linear").betas

    def quadratic(self, T: int, beta_start: float, beta_end: float) -> Any:
        return diffusers.DDPMScheduler(T, beta_start, beta_end, "scaled_linear").betas

    def cosine(self, T: int, offset: float, beta_max: float) -> Any:
        if offset != 0.008:
            raise Skip("the offset is .008")
        return scheduling_ddpm.betas_for_alpha_bar(T, beta_max)

    def from_log_snr(self, log_snr: Any) -> Any:
        """For the log-SNR of the Laplace schedule, with the library's 1e-6, only."""
        T = len(log_snr)
        u = np.arange(1, T + 1) / T
        if not np.allclose(log_snr, -0.5 * np.copysign(1, 0.5 - u) * np.log(1 - 2 * abs(0.5 - u) + 1e-6), atol=1e-9):
            raise Skip("beta_schedule laplace has another log-SNR")
        return self.alpha_bar(scheduling_ddpm.betas_for_alpha_bar(T, alpha_transform_type="laplace").numpy())

    def alpha_bar(self, betas: Any) -> Any:
        table = diffusers.DDPMScheduler(len(betas), trained_betas=betas).alphas_cumprod
        return np.append(1, table)

    def zero_terminal_snr(self, betas: Any) -> Any:
        return self.alpha_bar(scheduling_ddpm.rescale_zero_terminal_snr(torch.tensor(betas)).numpy())

    def snr(self, betas: Any) -> Any:
        return compute_snr(diffusers.DDPMScheduler(len(betas), trained_betas=betas), torch.arange(len(betas)))


class Guidance:
    """ClassifierFreeGuidance: guidance_scale is gamma, and w with use_original_formulation."""

    version = diffusers.__version__

    def classifier_free(self, unconditional: Any, conditional: Any, gamma: Any) -> Any:
        return self._guided(unconditional, conditional, one(gamma), False)

    def classifier_free_w(self, unconditional: Any, conditional: Any, w: Any) -> Any:
        return self._guided(unconditional, conditional, one(w), True)

    def _guided(self, unconditional: Any, conditional: Any, scale: float, original: bool) -> Any:
        guider = ClassifierFreeGuidance(guidance_scale=scale, use_original_formulation=original)
        return guider.forward(torch.tensor(conditional), torch.tensor(unconditional)).pred
