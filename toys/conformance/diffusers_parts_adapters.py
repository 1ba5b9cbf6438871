"""Adapters for the parts of diffusers around its schedulers: tables, guidance, time embedding, averages of parameters."""

from __future__ import annotations

from typing import Any, ClassVar

import diffusers
import numpy as np
import torch
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.schedulers import scheduling_ddpm
from diffusers.training_utils import EMAModel, compute_snr

from refdiff.conformance.adapter import Skip

diffusers.utils.logging.set_verbosity_error()


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
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}

    def classifier_free(self, unconditional: Any, conditional: Any, gamma: Any) -> Any:
        return self._guided(unconditional, conditional, gamma, False)

    def classifier_free_w(self, unconditional: Any, conditional: Any, w: Any) -> Any:
        return self._guided(unconditional, conditional, w, True)

    def _guided(self, unconditional: Any, conditional: Any, scale: Any, original: bool) -> Any:
        if np.ndim(scale):
            raise Skip("one scale for the batch")
        guider = ClassifierFreeGuidance(guidance_scale=scale, use_original_formulation=original)
        return guider.forward(conditional, unconditional).pred


class TimeEmbedding:
    """get_timestep_embedding with its defaults: sines first, frequencies with / (half - 1). In float32."""

    version, precision = diffusers.__version__, "float32"
    options: ClassVar[dict[str, Any]] = {}

    def time_features(self, t: Any, features: int) -> Any:
        return get_timestep_embedding(torch.tensor(t), features, **self.options)


class TimeEmbeddingOfStableDiffusion(TimeEmbedding):
    """The same with the options of its U-Nets: cosines first, frequencies with / half."""

    options: ClassVar[dict[str, Any]] = {"flip_sin_to_cos": True, "downscale_freq_shift": 0}


class Average:
    """EMAModel, started from zeros, with its defaults beside the decay."""

    version = diffusers.__version__

    def ema(self, params: Any, decay: float) -> Any:
        average = EMAModel([torch.nn.Parameter(torch.zeros(params[0].shape, dtype=torch.float64))], decay=decay)
        averages = []
        for each in params:
            average.step([torch.nn.Parameter(torch.tensor(each))])
            averages.append(average.shadow_params[0].numpy().copy())
        return np.stack(averages)
