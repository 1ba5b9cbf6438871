"""Adapters for k-diffusion: its wrappers of networks, and its samplers of first order and Heun's, in the precision of the sigmas.

Euler's step on a wrapped network is DDIM, and the ancestral step is DDIM with eta; eta = 1 is DDPM.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version as version_of
from typing import Any, ClassVar
from unittest.mock import patch

import torch

from refdiff.conformance.adapter import Skip

from .stand_ins import stand_in_for

stand_in_for(
    "clip", "skimage", "cleanfid", "torchsde", "jsonmerge", "dctorch", "torchvision", "kornia", "accelerate", "wandb", "torchdiffeq"
)

from k_diffusion import external, sampling  # noqa: E402

VERSION = version_of("k-diffusion")
Model = Callable[[Any, Any], Any]


class Denoisers:
    """VDenoiser, and DiscreteEpsDDPMDenoiser: the data that a wrapped network implies."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {
        "time": "index",
        "times": "each",
        "state": "exploding",
        "arrays": "torch",
        "kinds": {"eps": "eps", "v": "v"},
    }

    def to_x0(self, prediction: Any, x_t: Any, t: Any, betas: Any, kind: str) -> Any:
        levels, network = torch.cumprod(1 - betas, 0), lambda *_: prediction
        made = external.VDenoiser(network) if kind == "v" else external.DiscreteEpsDDPMDenoiser(network, levels, quantize=True)
        return made(x_t, (1 / levels[t] - 1) ** 0.5)


class Samplers:
    """sample_euler and sample_euler_ancestral, at the sigmas of a grid."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {
        "time": "index",
        "state": "exploding",
        "arrays": "torch",
        "kinds": {"eps": "eps", "posterior": "posterior"},
    }

    def ddim_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, eta: float, kind: str, clip: Any = None) -> Any:
        if clip is not None:
            raise Skip("without clip")
        levels = torch.cat([torch.cumprod(1 - betas, 0), torch.ones(1, dtype=betas.dtype)])[grid]
        sigmas, states, times, drawn = (1 / levels - 1) ** 0.5, [], iter(grid.tolist()), iter(noise)

        def denoised(y: Any, sigma: Any) -> Any:
            return y - sigmas[len(states)] * model(y / (1 + sigmas[len(states)] ** 2) ** 0.5, next(times))

        def seen(step: dict[str, Any]) -> None:
            states.append(step["x"])

        with patch.object(sampling, "trange", lambda n, **_: range(n)):
            if eta:
                last = sampling.sample_euler_ancestral(denoised, x, sigmas, callback=seen, eta=eta, noise_sampler=lambda *_: next(drawn))
            else:
                last = sampling.sample_euler(denoised, x, sigmas, callback=seen)
        return torch.stack([*states, last])

    def ddpm_sample(self, model: Model, grid: Any, x: Any, noise: Any, betas: Any, kind: str, variance: str, clip: Any = None) -> Any:
        return self.ddim_sample(model, grid, x, noise, betas, 1.0, kind, clip)


class Heun:
    """sample_heun as a solver of dx/dt = f(x, t), its sigmas being the times: the data that it is given are x - t f(x, t)."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}
    sampler: ClassVar[Any] = staticmethod(sampling.sample_heun)
    method = "heun"

    def ode_sample(self, f: Model, method: str, times: Any, x: Any) -> Any:
        if method != self.method or (times[1:] >= times[:-1]).any():
            raise Skip(f"{self.method}, from larger times to smaller ones")
        states: list[Any] = []
        with patch.object(sampling, "trange", lambda n, **_: range(n)):
            last = self.sampler(lambda y, t: y - t[0] * f(y, t[0].item()), x, times, callback=lambda step: states.append(step["x"]))
        return torch.stack([*states, last])


class Euler(Heun):
    """sample_euler in the same way."""

    sampler: ClassVar[Any] = staticmethod(sampling.sample_euler)
    method = "euler"


class Solvers:
    """sample_dpmpp_2m, and sample_dpmpp_3m_sde without noise, along given levels; Heun's step of EDM."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}

    def dpmpp_sample(self, model: Model, order: int, signal: Any, sigma: Any, x: Any) -> Any:
        if order == 1:
            raise Skip("orders 2 and 3")
        levels, states = sigma / signal, []
        run = sampling.sample_dpmpp_2m if order == 2 else partial(sampling.sample_dpmpp_3m_sde, eta=0.0, noise_sampler=lambda *_: 0)

        def denoised(y: Any, _: Any) -> Any:
            return model(y * signal[len(states)], len(states))

        with patch.object(sampling, "trange", lambda n, **_: range(n)):
            last = run(denoised, x / signal[0], levels, callback=lambda step: states.append(step["x"]))
        return torch.stack([y * a for y, a in zip([*states, last], signal, strict=True)])

    def edm_heun_step(self, model: Model, x: Any, t: float, s: float) -> Any:
        def denoised(y: Any, sigma: Any) -> Any:
            return model(y, sigma[0].item())

        with patch.object(sampling, "trange", lambda n, **_: range(n)):
            return sampling.sample_heun(denoised, x, torch.tensor([t, s], dtype=x.dtype))


class Levels:
    """get_sigmas_karras, which computes in float32."""

    version, precision = VERSION, "float32"

    def edm_sigmas(self, steps: int, sigma_min: float, sigma_max: float, rho: float) -> Any:
        return sampling.get_sigmas_karras(steps, sigma_min, sigma_max, rho)
