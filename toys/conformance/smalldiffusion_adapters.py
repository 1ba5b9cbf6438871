"""Adapters for smalldiffusion: its schedules, its sampler with the settings that are DDPM and DDIM, its predictions and guidance.

Its state is x / sqrt(alpha_bar), whose noise has standard deviation sigma = sqrt(1 / alpha_bar - 1), and it knows no times: a
schedule is a table of sigmas. The sampler computes in the precision of its sigmas, so here in float64.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import version as version_of
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch

from refdiff.conformance.adapter import Skip

if importlib.util.find_spec("torchvision") is None:  # smalldiffusion imports it for its data sets, which are not needed here
    sys.modules["torchvision"] = MagicMock()

import smalldiffusion as sd
from smalldiffusion.diffusion import sigmas_from_betas

Model = Callable[[Any, Any], Any]
VERSION = version_of("smalldiffusion")


class Sampler:
    """`samples`: DDIM is mu = 0, DDPM with the posterior's variance is mu = 1/2."""

    version = VERSION

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: float | None = None) -> Any:
        if eta:
            raise Skip("mu is not eta")
        return self._walk(model, grid, x, noise, betas, kind, clip, mu=0.0)

    def ddpm_sample(
        self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, kind: str, variance: str, clip: float | None = None
    ) -> Any:
        if variance != "posterior":
            raise Skip("the variance is the posterior's")
        return self._walk(model, grid, x, noise, betas, kind, clip, mu=0.5)

    def _walk(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, kind: str, clip: float | None, mu: float) -> Any:
        if kind != "eps" or clip is not None:
            raise Skip("eps, without clip")
        sigmas = self.sigmas(grid, betas)
        network = Replay(model, grid, sigmas, noise)
        walked = sd.samples(network, sigmas, mu=mu, xt=torch.tensor(x) * root(sigmas[0]), accelerator=SimpleNamespace(device="cpu"))
        return np.stack([x] + [np.asarray(state / root(sigma)) for state, sigma in zip(walked, sigmas[1:], strict=True)])

    def sigmas(self, grid: Any, betas: Any) -> Any:
        """The schedule's sigmas at these times, 0 at t = 0."""
        table = sd.Schedule(torch.cat([torch.zeros(1), sigmas_from_betas(torch.tensor(betas))]))
        return table[torch.tensor(grid)]


class Replay:
    """A model for `samples`: the kit's own, at the grid's times, and the noise that the case gives."""

    def __init__(self, model: Model, grid: Any, sigmas: Any, noise: Any) -> None:
        self.model, self.times, self.noise, self.sigmas = model, iter(grid.tolist()), iter(noise), sigmas

    def eval(self) -> None: ...

    def predict_eps_cfg(self, x: Any, sigma: Any, cond: Any, scale: float) -> Any:
        return torch.tensor(self.model(np.asarray(x / root(sigma)), next(self.times)))

    def rand_input(self, batchsize: int) -> Any:
        return torch.tensor(next(self.noise))


def root(sigma: Any) -> Any:
    """1 / sqrt(alpha_bar)."""
    return (1 + sigma**2) ** 0.5


class OwnGrid(Sampler):
    """The sampler at the sigmas that `sample_sigmas` chooses, for a trailing grid of as many steps."""

    def grid(self, kind: str, T: int, S: int) -> Any:
        """The places of its sigmas in the table, from 1."""
        if kind != "trailing":
            raise Skip("the spacing is trailing")
        return sd.Schedule(torch.arange(1, T + 1)).sample_sigmas(S)

    def sigmas(self, grid: Any, betas: Any) -> Any:
        chosen = np.asarray(self.grid("trailing", len(betas), len(grid) - 1))
        if not np.array_equal(chosen[:-1], grid[:-1]):
            raise Skip("not its grid for so many steps")
        return super().sigmas(chosen, betas)


class Tables:
    """sigmas_from_betas, read as alpha_bar and SNR."""

    version = VERSION

    def alpha_bar(self, betas: Any) -> Any:
        return np.append(1, 1 / (1 + sigmas_from_betas(torch.tensor(betas)) ** 2))

    def snr(self, betas: Any) -> Any:
        return 1 / sigmas_from_betas(torch.tensor(betas)) ** 2


class Predictions:
    """PredX0, PredV and the plain model: what `predict_eps` makes of each; and guidance, whose scale is w."""

    version = VERSION

    def to_eps(self, prediction: Any, x_t: Any, t: int, betas: Any, kind: str) -> Any:
        if kind not in ("eps", "x0", "v") or np.ndim(t) or t == 0:
            raise Skip("eps, x0 and v, at one time that has a sigma")
        wrapped = {"eps": lambda cls: cls, "x0": sd.PredX0, "v": sd.PredV}[kind]
        sigma = sigmas_from_betas(torch.tensor(betas))[t - 1]
        model = wrapped(Constant)()
        model.answer = torch.tensor(prediction)
        return model.predict_eps(torch.tensor(x_t) * root(sigma), sigma)

    def classifier_free_w(self, unconditional: Any, conditional: Any, w: float) -> Any:
        model = Constant()
        model.answer, model.cond_embed = torch.tensor(np.concatenate([conditional, unconditional])), SimpleNamespace(null_cond=0)
        x, cond = torch.tensor(conditional), torch.ones(len(conditional))
        if w == 0:
            model.answer = x
        return model.predict_eps_cfg(x, torch.tensor(1.0), cond, w)


class Constant(sd.ModelMixin):
    """A network with a constant output."""

    answer: Any
    cond_embed: Any

    def __call__(self, x: Any, sigma: Any, cond: Any = None) -> Any:
        return self.answer
