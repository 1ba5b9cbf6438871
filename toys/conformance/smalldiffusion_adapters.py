"""Adapters for smalldiffusion: its schedules, its sampler with the settings that are DDPM and DDIM, its predictions and guidance.

Its state is x / sqrt(alpha_bar), whose noise has standard deviation sigma = sqrt(1 / alpha_bar - 1), and it knows no times: a
schedule is a table of sigmas. The sampler computes in the precision of its sigmas, so here in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version as version_of
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

from refdiff.conformance.adapter import Skip

from .stand_ins import stand_in_for

stand_in_for("torchvision")

import smalldiffusion as sd  # noqa: E402
from smalldiffusion.diffusion import sigmas_from_betas  # noqa: E402

Model = Callable[[Any, Any], Any]
VERSION = version_of("smalldiffusion")


class Sampler:
    """`samples`: DDIM is mu = 0, DDPM with the posterior's variance is mu = 1/2."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch", "kinds": {"eps": "eps", "posterior": "posterior"}}

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: float | None = None) -> Any:
        if eta:
            raise Skip("mu is not eta")
        return self._walk(model, grid, x, noise, betas, kind, clip, mu=0.0)

    def ddpm_sample(
        self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, kind: str, variance: str, clip: float | None = None
    ) -> Any:
        return self._walk(model, grid, x, noise, betas, kind, clip, mu=0.5)

    def _walk(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, kind: str, clip: float | None, mu: float) -> Any:
        if clip is not None:
            raise Skip("without clip")
        sigmas = self.sigmas(grid, betas)
        network = Replay(model, grid, noise)
        scales = (1 + sigmas**2) ** 0.5
        walked = sd.samples(network, sigmas, mu=mu, xt=x * scales[0], accelerator=SimpleNamespace(device="cpu"))
        return torch.stack([x, *(state / scale for state, scale in zip(walked, scales[1:], strict=True))])

    def sigmas(self, grid: Any, betas: Any) -> Any:
        """The schedule's sigmas at these times, 0 at t = 0."""
        return sd.Schedule(torch.cat([torch.zeros(1), sigmas_from_betas(betas)]))[grid]


class Replay:
    """A model for `samples`: the kit's own, at the grid's times, and the noise that the case gives."""

    def __init__(self, model: Model, grid: Any, noise: Any) -> None:
        self.model, self.times, self.noise = model, iter(grid.tolist()), iter(noise)

    def eval(self) -> None: ...

    def predict_eps_cfg(self, x: Any, sigma: Any, cond: Any, scale: float) -> Any:
        return self.model(x / (1 + sigma**2) ** 0.5, next(self.times))

    def rand_input(self, batchsize: int) -> Any:
        return next(self.noise)


class OwnGrid(Sampler):
    """The sampler at the sigmas that `sample_sigmas` chooses, for a trailing grid of as many steps."""

    def grid(self, kind: str, T: int, S: int) -> Any:
        """The places of its sigmas in the table, from 1."""
        if kind != "trailing":
            raise Skip("the spacing is trailing")
        return sd.Schedule(torch.arange(1, T + 1)).sample_sigmas(S)

    def sigmas(self, grid: Any, betas: Any) -> Any:
        chosen = self.grid("trailing", len(betas), len(grid) - 1)
        if not torch.equal(chosen[:-1], grid[:-1]):
            raise Skip("not its grid for so many steps")
        return super().sigmas(chosen, betas)


class Tables:
    """sigmas_from_betas, read as alpha_bar and SNR."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}

    def alpha_bar(self, betas: Any) -> Any:
        return np.append(1, 1 / (1 + sigmas_from_betas(betas) ** 2))

    def snr(self, betas: Any) -> Any:
        return 1 / sigmas_from_betas(betas) ** 2


class Predictions:
    """PredX0, PredV and the plain model: what `predict_eps` makes of each; and guidance, whose scale is w."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {
        "time": "index",
        "times": "one",
        "state": "exploding",
        "arrays": "torch",
        "kinds": {"eps": lambda cls: cls, "x0": sd.PredX0, "v": sd.PredV},
    }

    def to_eps(self, prediction: Any, x_t: Any, t: int, betas: Any, kind: Any) -> Any:
        model = kind(Constant)()
        model.answer = prediction
        return model.predict_eps(x_t, sigmas_from_betas(betas)[t])

    def classifier_free_w(self, unconditional: Any, conditional: Any, w: float) -> Any:
        model = Constant()
        model.answer = torch.cat([conditional, unconditional]) if w else conditional
        model.cond_embed = SimpleNamespace(null_cond=0)
        return model.predict_eps_cfg(conditional, torch.tensor(1.0), torch.ones(len(conditional)), w)


class Constant(sd.ModelMixin):
    """A network with a constant output."""

    answer: Any
    cond_embed: Any

    def __call__(self, x: Any, sigma: Any, cond: Any = None) -> Any:
        return self.answer
