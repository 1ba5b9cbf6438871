r"""EDM: the preconditioned denoiser, its training weights and noise levels, and Heun's method with churn, for $x_t = x_0 + \sigma \epsilon$."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..arrays import Array, Model, Number, Step, all_true, as_array, holds, like
from ..checks import check_arrays, check_count, check_number, check_real, check_scalar, per_example


class Scales(NamedTuple):
    r"""Scales of a preconditioned network at a noise level: `skip`, `out` and `in_` $c_{skip}, c_{out}, c_{in}$, `noise` $c_{noise}$. Source: K1."""

    skip: Array
    out: Array
    in_: Array
    noise: Array


def preconditioning(sigma: Number, sigma_data: float = 0.5) -> Scales:
    r"""Scales of the network $F$ in $D(x) = c_{skip} x + c_{out} F(c_{in} x, c_{noise})$ at the noise level $\sigma$, () or (B,).

    $$c_{skip} = \frac{\sigma_{data}^2}{\sigma^2 + \sigma_{data}^2}, \quad c_{out} = \frac{\sigma\, \sigma_{data}}{\sqrt{\sigma^2 + \sigma_{data}^2}}, \quad
      c_{in} = \frac{1}{\sqrt{\sigma^2 + \sigma_{data}^2}}, \quad c_{noise} = \tfrac14 \log \sigma$$

    For data of mean 0 and standard deviation $\sigma_{data}$, the input and the target of $F$ have variance 1, and $c_{out}$ is as small as any
    $c_{skip}$ allows. Source: K1 [EDM table 1, app. B.6].
    """
    check_real(sigma=sigma)
    sigma, d = as_array(check_number("sigma", sigma, 1e-20, 1e20)), check_scalar("sigma_data", sigma_data, 1e-20, 1e20)
    total = np.hypot(sigma, d)
    return Scales((d / total) ** 2, sigma * (d / total), 1 / total, np.log(sigma) / 4)


def denoiser(network: Callable[[Array, Array], Array], x: Array, sigma: Number, sigma_data: float = 0.5) -> Array:
    r"""Preconditioned denoiser $D(x; \sigma)$, an estimate of the data; `network(c_in x, c_noise)` is $F$, and `x` is (B, ...).

    $$D(x; \sigma) = c_{skip} x + c_{out} F(c_{in} x, c_{noise})$$

    Source: K1 [EDM eq. 7].
    """
    check_arrays(x=x)
    scales = preconditioning(per_example("sigma", sigma, x), sigma_data)
    predicted = network(like(scales.in_, x) * x, scales.noise)
    check_arrays(**{"x": x, "network(c_in x, c_noise)": predicted})
    return like(scales.skip, x) * x + like(scales.out, x) * predicted


def network_target(x0: Array, x: Array, sigma: Number, sigma_data: float = 0.5) -> Array:
    r"""Target of the network $F$, for data `x0` and its noisy state `x` (B, ...).

    $$\frac{x_0 - c_{skip} x}{c_{out}}$$

    With the weight of `loss_weight`, the denoiser's squared error is the squared error of $F$ to this target. Source: K1 [EDM eq. 8].
    """
    check_arrays(x0=x0, x=x)
    scales = preconditioning(per_example("sigma", sigma, x), sigma_data)
    return (x0 - like(scales.skip, x) * x) / like(scales.out, x)


def loss_weight(sigma: Number, sigma_data: float = 0.5) -> Array:
    r"""Weight of the denoiser's squared error in the training loss, $\lambda(\sigma) = (\sigma^2 + \sigma_{data}^2) / (\sigma\, \sigma_{data})^2 = 1 / c_{out}^2$.

    Source: K1 [EDM table 1].
    """
    return 1 / preconditioning(sigma, sigma_data).out ** 2


def draw_sigma(normal: Array, mean: float = -1.2, std: float = 1.2) -> Array:
    r"""Noise levels for training from standard normal numbers: $\log \sigma \sim \mathcal N(P_{mean}, P_{std}^2)$. Source: K2 [EDM table 1]."""
    mean, std = check_scalar("mean", mean, -100, 100), check_scalar("std", std, 0, 100)
    return np.exp(mean + std * check_number("normal", normal, -6e2, 6e2))


def sigma_grid(steps: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> Array:
    r"""Noise levels of a sampler with `steps` $= N$ steps, from $\sigma_{max}$ over $\sigma_{min}$ to 0.

    $$\sigma_i = \Bigl(\sigma_{max}^{1 / \rho} + \frac{i}{N - 1} (\sigma_{min}^{1 / \rho} - \sigma_{max}^{1 / \rho})\Bigr)^\rho, \qquad \sigma_N = 0$$

    $\rho = 1$ has equal steps, and $\rho \to \infty$ equal ratios. For N = 1 the levels are $\sigma_{max}$ and 0. Source: K2 [EDM eq. 5].
    """
    steps, rho = check_count("steps", steps, 1, 10**7), check_scalar("rho", rho, 0.1, 1e6)
    sigma_min = check_scalar("sigma_min", sigma_min, 1e-60, 1e60)
    sigma_max = check_scalar("sigma_max", sigma_max, sigma_min, 1e60, open_low=True)
    share = np.arange(steps) / max(steps - 1, 1)
    ratio = np.log(sigma_min / sigma_max) / rho
    levels = sigma_max * np.exp(rho * np.log1p(share * np.expm1(ratio)))
    if steps > 1:
        levels[-1] = sigma_min
    return np.append(levels, 0.0)


def churn(x: Array, sigma: float, noise: Array, gamma: float, s_noise: float = 1.0) -> tuple[Array, float]:
    r"""Churn: noise is added to a state at level $\sigma$, which takes it to the higher level $\hat\sigma = \sigma + \gamma \sigma$; both are returned.

    $$\hat x = x + \sqrt{\hat\sigma^2 - \sigma^2}\, S_{noise} z$$

    With $S_{noise} = 1$ a state with the density of the level $\sigma$ gets that of $\hat\sigma$. Source: K3 [EDM alg. 2].
    """
    check_arrays(x=x, noise=noise)
    sigma, gamma = check_scalar("sigma", sigma, 0, 1e60), check_scalar("gamma", gamma, 0, 1e6)
    s_noise = check_scalar("s_noise", s_noise, 0, 1e6)
    return x + like(sigma * np.sqrt(gamma * (2 + gamma)) * s_noise, x) * noise, sigma * (1 + gamma)


def heun_step(model: Model, x: Array, t: Number, s: Number, noise: None = None) -> Array:
    r"""Heun's method from the level $t$ to the level $s$, with `model(x, sigma)` a denoiser $D$; Euler's method, which returns $D$, for $s = 0$.

    $$\frac{dx}{d\sigma} = \frac{x - D(x; \sigma)}{\sigma}$$

    `t` and `s` are () or (B,); its order is 2. Source: K3 [EDM alg. 1].
    """
    t, s = _level("t", t, x), _level("s", s, x, zero=True)
    at_t = _denoised(model, x, t)
    euler = like(s / t, x) * x + like(1 - s / t, x) * at_t
    if all_true(s == 0):
        return euler
    inner = as_array(np.where(s > 0, s, t))  # where s is 0, the second slope is not used
    slope = like(1 / t, x) * (x - at_t) + like(1 / inner, x) * (euler - _denoised(model, euler, inner))
    return np.where(like(s, x) > 0, x + like((s - t) / 2, x) * slope, euler)


def stochastic_step(steps: int, s_churn: float = 0.0, s_min: float = 0.0, s_max: float = 1e60, s_noise: float = 1.0) -> Step:
    r"""Step of EDM's stochastic sampler for `samplers.sample`, with a denoiser as its model: `churn`, and then `heun_step`.

    $$\gamma = \min\Bigl(\frac{S_{churn}}{N}, \sqrt 2 - 1\Bigr) \text{ for } S_{min} \le \sigma \le S_{max}, \qquad \gamma = 0 \text{ elsewhere}$$

    `steps` is $N$. Without churn no noise is needed. Source: K3 [EDM alg. 2].
    """
    steps, s_churn = check_count("steps", steps, 1, 10**7), check_scalar("s_churn", s_churn, 0, 1e6)
    s_min, s_max, s_noise = (check_scalar(n, v, 0, 1e60) for n, v in (("s_min", s_min), ("s_max", s_max), ("s_noise", s_noise)))
    largest = min(s_churn / steps, 2**0.5 - 1)

    def step(model: Model, x: Array, t: float, s: float, noise: Array | None = None) -> Array:
        t = check_scalar("t", t, 0, 1e60)
        if largest > 0 and s_min <= t <= s_max:
            if noise is None:
                raise ValueError("noise = None; allowed: an array of x's shape, unless s_churn = 0")
            x, t = churn(x, t, noise, largest, s_noise)
        return heun_step(model, x, t, s)

    return step


def _level(name: str, sigma: Number, x: Array, zero: bool = False) -> Array:
    """A noise level in 1e-20..1e20, or also 0."""
    check_arrays(x=x)
    check_real(**{name: sigma})
    level = as_array(per_example(name, sigma, x, 0 if zero else 1e-20, 1e20)) * 1.0
    if not holds((level == 0) | (level >= 1e-20)):
        raise ValueError(f"{name} = {sigma!r}; allowed: 0, or 1e-20 to 1e20")
    return level


def _denoised(model: Model, x: Array, sigma: Array) -> Array:
    found = model(x, sigma)
    check_arrays(**{"x": x, "model(x, sigma)": found})
    return found
