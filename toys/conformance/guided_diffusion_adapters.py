"""Adapters for openai/guided-diffusion, from a clone on the Python path, in float32: its tables are float64, what is read from them is not.

A step from t to s is one of a `SpacedDiffusion` that keeps these two times, and later ones at the same distance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch
from guided_diffusion import gaussian_diffusion as library
from guided_diffusion import losses, nn, respace

from refdiff.conformance.adapter import Skip

MEANS, VARIANCES = library.ModelMeanType, library.ModelVarType
Model = Callable[[Any, Any], Any]


class Parts:
    """Schedules, time features, divergences and the pixels' likelihood."""

    version, precision = "22e0df8", "float32"
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch", "elbo": "bits/dim"}

    def linear(self, T: int, beta_start: float, beta_end: float) -> Any:
        if (beta_start, beta_end) != (1e-4, 0.02):
            raise Skip("the betas go from 1e-4 to 0.02")
        return library.get_named_beta_schedule("linear", T)

    def cosine(self, T: int, offset: float, beta_max: float) -> Any:
        if (offset, beta_max) != (0.008, 0.999):
            raise Skip("the offset is 0.008, and the betas are clipped at 0.999")
        return library.get_named_beta_schedule("cosine", T)

    def time_features(self, t: Any, features: int) -> Any:
        return nn.timestep_embedding(t, features)

    def kl_diagonal(self, mean1: Any, variance1: Any, mean2: Any, variance2: Any) -> Any:
        one, two = (torch.log(torch.as_tensor(variance, dtype=mean1.dtype)) for variance in (variance1, variance2))
        return nn.mean_flat(losses.normal_kl(mean1, one, mean2, two)) / np.log(2)

    def discretized_log_likelihood(self, x: Any, mean: Any, std: Any, levels: int) -> Any:
        if levels != 256:
            raise Skip("the levels are 256")
        scales = torch.log(torch.as_tensor(std, dtype=x.dtype).expand(x.shape))
        return nn.mean_flat(losses.discretized_gaussian_log_likelihood(x, means=mean, log_scales=scales)) / np.log(2)

    def prior_kl(self, x0: Any, betas: Any) -> Any:
        made = _made(library.GaussianDiffusion, betas)
        made.num_timesteps = len(betas)
        return made._prior_bpd(x0)


def _made(cls: Any, betas: Any, kind: str = "EPSILON", variance: str = "FIXED_SMALL", **more: Any) -> Any:
    """A process of these betas and one more, since one of T = 1 cannot be made."""
    return cls(
        betas=np.append(betas, 0.5), model_mean_type=MEANS[kind], model_var_type=VARIANCES[variance], loss_type=library.LossType.MSE, **more
    )


class Diffusion:
    """GaussianDiffusion and SpacedDiffusion."""

    version, precision = "22e0df8", "float32"
    dialect: ClassVar[dict[str, Any]] = {
        "time": "index",
        "times": "each",
        "arrays": "torch",
        "mix": "[-1, 1]",
        "kinds": {"eps": "EPSILON", "x0": "START_X", "posterior": "FIXED_SMALL", "beta": "FIXED_LARGE", "learned": "LEARNED_RANGE"},
    }

    def q_sample(self, x0: Any, t: Any, betas: Any, noise: Any) -> Any:
        return _made(library.GaussianDiffusion, betas).q_sample(x0, t, noise)

    def q_marginal(self, x0: Any, t: Any, betas: Any) -> Any:
        return _made(library.GaussianDiffusion, betas).q_mean_variance(x0, t)[:2]

    def to_x0(self, prediction: Any, x_t: Any, t: Any, betas: Any, kind: str) -> Any:
        return self._mean_variance(_made(library.GaussianDiffusion, betas, kind), prediction, x_t, t)["pred_xstart"]

    def posterior(self, x_t: Any, x0: Any, t: Any, s: Any, betas: Any) -> Any:
        made, last = self.between(t, s, betas)
        return made.q_posterior_mean_variance(x0, x_t, last)[:2]

    def model_variance(self, variance: str, x_t: Any, t: Any, s: Any, betas: Any, mix: Any = None) -> Any:
        made, last = self.between(t, s, betas, "START_X", variance)
        return self._mean_variance(made, x_t if mix is None else torch.cat([x_t, mix], 1), x_t, last)["variance"]

    def ddpm_step(
        self, prediction: Any, x_t: Any, t: Any, s: Any, betas: Any, noise: Any, kind: str, variance: str, mix: Any = None, clip: Any = None
    ) -> Any:
        made, last = self.between(t, s, betas, kind, variance)
        output = prediction if mix is None else torch.cat([prediction, mix], 1)
        return self._sampled(made.p_sample, output, x_t, last, noise, clip)

    def ddim_step(self, prediction: Any, x_t: Any, t: Any, s: Any, betas: Any, noise: Any, eta: float, kind: str, clip: Any = None) -> Any:
        made, last = self.between(t, s, betas, kind)
        return self._sampled(made.ddim_sample, prediction, x_t, last, noise, clip, eta=eta)

    def classifier_eps(self, eps: Any, gradient: Any, gamma: float, t: Any, betas: Any) -> Any:
        """condition_score, with the classifier's gradient times its scale."""
        if np.ndim(gamma):
            raise Skip("one scale for the batch")
        made, x = _made(library.GaussianDiffusion, betas), 0 * eps
        given = {"pred_xstart": made._predict_xstart_from_eps(x, t, eps)}
        out = made.condition_score(lambda *_: gamma * gradient, given, x, t, {})
        return made._predict_eps_from_xstart(x, t, out["pred_xstart"])

    def grid(self, kind: str, T: int, S: int) -> Any:
        """space_timesteps: a number for "linspace", "ddimN" for "leading"."""
        if kind not in ("linspace", "leading"):
            raise Skip("linspace and leading")
        times = respace.space_timesteps(T, str(S) if kind == "linspace" else f"ddim{S}")
        return np.append(sorted(times, reverse=True), -1)

    def between(self, t: Any, s: Any, betas: Any, kind: str = "EPSILON", variance: str = "FIXED_SMALL") -> tuple[Any, Any]:
        """The process that keeps the times t and s and those at equal distances above, and the index of t in it."""
        if len(set(t.tolist())) > 1 or len(set(s.tolist())) > 1:
            raise Skip("the same times for all examples")
        late, early = int(t[0]), int(s[0])
        if early < 0 and 2 * late + 1 >= len(betas):
            raise Skip("a last step has a step of the same length before it")
        kept = {*range(early, len(betas), max(late - early, 1)), *range(late, len(betas), max(late - early, 1))} - {-1}
        made = _made(respace.SpacedDiffusion, betas, kind, variance, use_timesteps={*kept, len(betas)})
        return made, torch.full_like(t, sorted(kept).index(late))

    def _mean_variance(self, made: Any, output: Any, x_t: Any, t: Any) -> Any:
        return made.p_mean_variance(lambda *_, **__: output, x_t, t, clip_denoised=False)

    def _sampled(self, step: Any, output: Any, x_t: Any, t: Any, noise: Any, clip: Any, **more: Any) -> Any:
        limited = None if clip is None else lambda x0: x0.clamp(-clip, clip)
        with patch.object(torch, "randn_like", lambda x: noise):
            return step(lambda *_, **__: output, x_t, t, clip_denoised=False, denoised_fn=limited, **more)["sample"]
