r"""Training of a preconditioned network: the input of the network as a Gaussian path, with EDM's noise levels and clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Time, as_array, holds, normal_quantile
from ..checks import check_number, check_scalar
from ..process.sde import Sde
from .edm import draw_sigma


@dataclass(frozen=True)
class _Preconditioned(Sde):
    """Path of `path`: the times drawn for training have the density of `draw_sigma`, and the network receives `preconditioning(t).noise`."""

    sigma_data: float = 0.5
    mean: float = -1.2
    std: float = 1.2

    def draw_time(self, uniform: Array) -> Array:
        """Noise levels from uniform numbers inside (0, 1), by the quantiles of their density; those above `end` become `end`."""
        normal = normal_quantile(check_number("uniform", uniform, 0, 1, open_low=True))
        return np.minimum(draw_sigma(normal, self.mean, self.std), self.end)

    def clock(self, t: Time) -> Array:
        r"""Input $c_{noise} = \tfrac14 \log \sigma$ of the network. Raises for the level 0."""
        t = self._time(t)
        if not holds(as_array(t) > 0):
            raise ValueError(f"t = {t!r}; allowed: noise levels above 0")
        return np.log(t) / 4


def path(sigma_data: float = 0.5, mean: float = -1.2, std: float = 1.2, sigma_max: float = 80.0) -> Sde:
    r"""Path of the network's input $c_{in} (x_0 + \sigma \epsilon)$, with the noise level $\sigma$ as its time, for the training target "edm".

    $$signal = c_{in} = \frac{1}{\sqrt{\sigma^2 + \sigma_{data}^2}}, \qquad sigma = \sigma\, c_{in}, \qquad
      \log \sigma \sim \mathcal N(P_{mean}, P_{std}^2)$$

    The network receives $c_{noise} = \tfrac14 \log \sigma$ as its time. Levels drawn above `sigma_max` become `sigma_max`. With
    `Config(kind="edm")` the squared error of `training` is EDM's weighted loss of the denoiser. A trained model samples with
    `generate(..., kind="edm")`. The samples are $c_{in} x_0 = x_0 / \sigma_{data}$, as the network sees them. Source: K1, K2 [EDM table 1, eq. 8].
    """
    d = check_scalar("sigma_data", sigma_data, 1e-20, 1e20)
    sigma_max = check_scalar("sigma_max", sigma_max, 1e-60, 1e60)
    mean, std = check_scalar("mean", mean, -100, 100), check_scalar("std", std, 0, 100)
    return _Preconditioned(
        "edm_training",
        lambda t: -np.log(np.hypot(t, d)),
        lambda t: -t / np.hypot(t, d) ** 2,
        lambda t: (t / np.hypot(t, d)) ** 2,
        lambda t: 2 * t * (d / np.hypot(t, d) ** 2) ** 2,
        sigma_max,
        d,
        mean,
        std,
    )
