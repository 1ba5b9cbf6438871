"""Times at which a flow is trained: other densities than the uniform one, with more times in the middle of the path."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..arrays import Array, Time, as_array, normal_quantile, sigmoid
from ..checks import check_number, check_scalar
from .flow import Path, straight


def draw_logit_normal(normal: Array, mean: float = 0.0, std: float = 1.0) -> Array:
    r"""Flow times in (0, 1) from standard normal numbers: $\mathrm{logit}\, t = \log \frac{t}{1 - t} \sim \mathcal N(m, s^2)$.

    Most times are near the middle of the path, where the prediction is hardest. A mean above 0 moves them towards the data, at $t = 1$; SD3 has
    its noise there, and the other sign. Source: M4 [SD3 sec. 3.1].
    """
    mean, std = check_scalar("mean", mean, -100, 100), check_scalar("std", std, 0, 100)
    return sigmoid(mean + std * as_array(check_number("normal", normal, -1e3, 1e3)))


def logit_normal_density(t: Time, mean: float = 0.0, std: float = 1.0) -> Array:
    r"""Density of the times of `draw_logit_normal`, shaped like `t`, which is inside (0, 1); std is above 0.

    $$\pi(t) = \frac{1}{s \sqrt{2 \pi}}\, \frac{1}{t (1 - t)} \exp\Bigl(-\frac{(\mathrm{logit}\, t - m)^2}{2 s^2}\Bigr)$$

    It weights the loss of each time: training with these times minimizes the integral of $\pi(t)$ times the loss. Source: M4 [SD3 sec. 3.1].
    """
    mean, std = check_scalar("mean", mean, -100, 100), check_scalar("std", std, 1e-6, 100)
    t = as_array(check_number("t", t, 0, 1, open_low=True))
    other = check_number("1 - t", 1 - t, 0, 1, open_low=True)
    log, log_other = np.log(t), np.log(other)
    return np.exp(-(((log - log_other - mean) / std) ** 2) / 2 - log - log_other) / (std * np.sqrt(2 * np.pi))


def logit_normal(path: Path = straight, mean: float = 0.0, std: float = 1.0) -> Path:
    """The same path of a flow, for which `training.draw` takes the times of `draw_logit_normal`. Source: M4 [SD3 sec. 3.1]."""
    if not isinstance(path, Path):
        raise TypeError(f"path = {path!r}; allowed: a path of a flow, such as flow.straight")
    draw_logit_normal(np.zeros(()), mean, std)  # checks both
    return _LogitNormal(**{each.name: getattr(path, each.name) for each in fields(Path)}, mean=mean, std=std)


@dataclass(frozen=True)
class _LogitNormal(Path):
    mean: float = 0.0
    std: float = 1.0

    def draw_time(self, uniform: Array) -> Array:
        """Times from uniform numbers inside (0, 1), by the quantiles of their density."""
        return draw_logit_normal(normal_quantile(check_number("uniform", uniform, 0, 1, open_low=True)), self.mean, self.std)
