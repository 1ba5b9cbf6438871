"""Adapters for denoising-diffusion-pytorch: its schedules, and GaussianDiffusion on given betas, in float32."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version as version_of
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import torch

from refdiff.conformance.adapter import Skip

from .stand_ins import stand_in_for

stand_in_for("torchvision", "ema_pytorch", "accelerate")

from denoising_diffusion_pytorch import denoising_diffusion_pytorch as library  # noqa: E402

VERSION = version_of("denoising-diffusion-pytorch")
Model = Callable[[Any, Any], Any]


class Schedules:
    """The schedules with their fixed constants."""

    version, precision = VERSION, "float32"

    def linear(self, T: int, beta_start: float, beta_end: float) -> Any:
        if (beta_start, beta_end) != (1e-4, 0.02):
            raise Skip("the betas go from 1e-4 to 0.02")
        return library.linear_beta_schedule(T)

    def cosine(self, T: int, offset: float, beta_max: float) -> Any:
        if beta_max != 0.999:
            raise Skip("the betas are clipped at 0.999")
        return library.cosine_beta_schedule(T, s=offset)

    def sigmoid_betas(self, T: int, start: float, end: float, tau: float, beta_max: float) -> Any:
        if beta_max != 0.999:
            raise Skip("the betas are clipped at 0.999")
        return library.sigmoid_beta_schedule(T, start=start, end=end, tau=tau)


class Diffusion:
    """GaussianDiffusion."""

    version, precision = VERSION, "float32"
    dialect: ClassVar[dict[str, Any]] = {
        "time": "index",
        "times": "each",
        "arrays": "torch",
        "kinds": {"eps": "pred_noise", "x0": "pred_x0", "v": "pred_v", "posterior": "posterior"},
    }

    def made(self, betas: Any, kind: str = "pred_noise", model: Any = None, steps: int | None = None, **more: Any) -> Any:
        """The library's diffusion with these betas, clipping nothing of itself."""
        network = SimpleNamespace(channels=1, out_dim=1, self_condition=False)
        with patch.object(library, "linear_beta_schedule", lambda T: betas):
            diffusion = library.GaussianDiffusion(
                _module(network, model), image_size=1, timesteps=len(betas), sampling_timesteps=steps, objective=kind,
                beta_schedule="linear", auto_normalize=False, **more,
            )  # fmt: skip
        return diffusion

    def q_sample(self, x0: Any, t: Any, betas: Any, noise: Any) -> Any:
        return self.made(betas).q_sample(x0, t, noise)

    def posterior(self, x_t: Any, x0: Any, t: Any, s: Any, betas: Any) -> Any:
        self._neighbours(t, s)
        return self.made(betas).q_posterior(x0, x_t, t)[:2]

    def target(self, kind: str, x0: Any, noise: Any, t: Any, betas: Any) -> Any:
        if kind != "pred_v":
            raise Skip("only v has a function")
        return self.made(betas).predict_v(x0, t, noise)

    def to_x0(self, prediction: Any, x_t: Any, t: Any, betas: Any, kind: str) -> Any:
        return self.made(betas, kind, lambda *_: prediction).model_predictions(x_t, t).pred_x_start

    def to_eps(self, prediction: Any, x_t: Any, t: Any, betas: Any, kind: str) -> Any:
        return self.made(betas, kind, lambda *_: prediction).model_predictions(x_t, t).pred_noise

    def ddpm_step(
        self, prediction: Any, x_t: Any, t: Any, s: Any, betas: Any, noise: Any, kind: str, variance: str, mix: Any = None, clip: Any = None
    ) -> Any:
        self._neighbours(t, s)
        if clip is not None or len(set(t.tolist())) > 1:
            raise Skip("without clip, at one time")
        made = self.made(betas, kind, lambda *_: prediction)
        mean = made.p_mean_variance
        made.p_mean_variance = lambda **given: mean(**{**given, "clip_denoised": False})
        with patch.object(torch, "randn_like", lambda x: noise):
            return made.p_sample(x_t, int(t[0]))[0]

    def min_snr_weight(self, t: Any, betas: Any, gamma: float, kind: str) -> Any:
        return self.made(betas, kind, min_snr_loss_weight=True, min_snr_gamma=gamma).loss_weight[t]

    def _neighbours(self, t: Any, s: Any) -> None:
        if np.any(np.asarray(t - s) != 1):
            raise Skip("only from t to t - 1")

    def grid(self, kind: str, T: int, S: int) -> Any:
        """The times of ddim_sample."""
        if kind != "trailing":
            raise Skip("the spacing is trailing")
        seen: list[int] = []
        self._walk(
            torch.linspace(0.1, 0.2, T), "pred_x0", lambda x, t: (seen.append(int(t)), x)[1], torch.zeros(1, 1, 1, 1), [0.0] * S, S, 0.0
        )
        return np.append(seen, -1)

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: Any = None) -> Any:
        S = len(grid) - 1
        if clip is not None or not np.array_equal(self.grid("trailing", len(betas), S), grid.numpy()):
            raise Skip("without clip, on its own grid")
        shape = (1,) * (4 - x.ndim)
        walked = self._walk(
            betas, kind, lambda y, t: model(y.reshape(x.shape), int(t)).reshape(y.shape), x.reshape(x.shape + shape), noise, S, eta
        )
        return walked.swapaxes(0, 1).reshape(S + 1, *x.shape)

    def _walk(self, betas: Any, kind: str, model: Model, x: Any, noise: Any, S: int, eta: float) -> Any:
        """All states of ddim_sample, (B, S + 1, ...), from a given start and with given noises."""
        made = self.made(betas, kind, lambda y, t, *_: model(y, t[0]), S, ddim_sampling_eta=eta)
        predictions, drawn = made.model_predictions, iter(noise)
        made.model_predictions = lambda *given, **words: predictions(*given, **{**words, "clip_x_start": False})
        with (
            patch.object(torch, "randn", lambda *_, **__: x),
            patch.object(torch, "randn_like", lambda y: torch.as_tensor(next(drawn)).reshape(y.shape) if eta else 0 * y),
            patch.object(library, "tqdm", lambda pairs, **_: pairs),
        ):
            return made.ddim_sample(tuple(x.shape), return_all_timesteps=True)


def _module(network: Any, model: Any) -> Any:
    """A torch module with the attributes of a network, that calls the model."""
    module = torch.nn.Module()
    module.forward = model or (lambda *_: None)
    for name, value in vars(network).items():
        setattr(module, name, value)
    return module
