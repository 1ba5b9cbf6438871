r"""Schroedinger bridge: the diffusion from noise at t = 0 to data at t = 1 that is nearest to Brownian motion of diffusion sigma.

Its ends are coupled by `transport` with $\epsilon = 2 \sigma^2$. Between a pair of ends it is a Brownian bridge.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array, Number, Time, as_array, cast, code, event_size, holds, like
from ..checks import check_arrays, check_number, check_real, check_scalar, per_example
from .transport import check_plan, covariances, gaussian_coupling

SMALLEST = {"f4": 1e-8, "f8": 1e-20}  # variance by dtype: below, a squared distance divided by it may overflow


def brownian(data: Array, noise: Array, t: Time, sigma: Number) -> tuple[Array, Array]:
    r"""Brownian bridge from noise to data: mean (B, ...) and variance of $x_t$ given both ends (B, ...); t () or (B,).

    $$p_t(x | noise, data) = \mathcal N\bigl(t\, data + (1 - t)\, noise,\; \sigma^2 t (1 - t)\, I\bigr)$$

    Source: B2 [SF2M], [Tong et al. eq. 20].
    """
    check_arrays(data=data, noise=noise)
    t, variance = _time(t, data, sigma)
    return like(t, data) * data + like(1 - t, data) * noise, like(variance, data, "sigma")


def targets(x_t: Array, data: Array, noise: Array, t: Time, sigma: Number) -> tuple[Array, Array]:
    r"""Training targets on a Brownian bridge: velocity $u$ and score $s$ of $p_t(x | noise, data)$ at `x_t`, both (B, ...), for t in (0, 1).

    $$u = \frac{1 - 2t}{2 t (1 - t)} (x - \mu_t) + data - noise, \qquad s = \frac{\mu_t - x}{\sigma^2 t (1 - t)}$$

    $\mu_t$ is the mean of `brownian`. The drift of the Brownian bridge is $u + \tfrac12 \sigma^2 s = (data - x) / (1 - t)$.
    Source: B2 [SF2M], [Tong et al. eq. 21].
    """
    check_arrays(x_t=x_t, data=data, noise=noise)
    t, variance = _time(t, x_t, sigma, inside=True)
    offset = x_t - like(t, x_t) * data - like(1 - t, x_t) * noise
    return like((1 - 2 * t) / (2 * t * (1 - t)), x_t) * offset + data - noise, -offset / like(variance, x_t, "sigma")


def drift(x_t: Array, data: Array, noise: Array, plan: Array, t: Time, sigma: Number) -> Array:
    r"""Drift of the mixture of Brownian bridges of a finite set: `x_t` (B, ...), data (M, ...), noise (N, ...), plan (N, M); t in (0, 1).

    $$u(x, t) = E\Bigl[\frac{data - x}{1 - t} \,|\, x_t = x\Bigr] = \sum_{ij} r_{ij}\, \frac{data_j - x}{1 - t}, \qquad
      r_{ij} \propto \pi_{ij}\, \mathcal N\bigl(x; t\, data_j + (1 - t)\, noise_i, \sigma^2 t (1 - t) I\bigr)$$

    The diffusion $dx = u\, dt + \sigma\, dw$ has the density of the mixture at every $t$. For the plan of `transport.couple_entropic` with
    $\epsilon = 2 \sigma^2$ it is the Schroedinger bridge. Source: B2 [SF2M].
    """
    weights, _, t = _responsibilities(x_t, data, noise, plan, t, sigma)
    mean = np.einsum("bij,jd->bd", weights, data.reshape(len(data), event_size(data))).reshape(x_t.shape)
    return (mean - x_t) / like(1 - t, x_t)


def score(x_t: Array, data: Array, noise: Array, plan: Array, t: Time, sigma: Number) -> Array:
    r"""Score of the mixture of Brownian bridges, shaped like `x_t`; arguments as in `drift`.

    $$s(x, t) = \nabla \log p_t(x) = \sum_{ij} r_{ij}\, \frac{t\, data_j + (1 - t)\, noise_i - x}{\sigma^2 t (1 - t)}$$

    The flow with the velocity $u - \tfrac12 \sigma^2 s$ has the same density at every $t$. Source: B2 [SF2M].
    """
    weights, offsets, t = _responsibilities(x_t, data, noise, plan, t, sigma)
    _, variance = _time(t, x_t, sigma)
    return -np.einsum("bij,bijd->bd", weights, offsets).reshape(x_t.shape) / like(variance, x_t, "sigma")


def gaussian(cov_noise: Array, cov_data: Array, t: float, sigma: float) -> tuple[Array, Array]:
    r"""Schroedinger bridge between Gaussians: the covariance $\Sigma_t$ (d, d) of $x_t$, and the matrix $G_t$ (d, d) of the drift.

    $$\Sigma_t = (1 - t)^2 A + t^2 B + t (1 - t) (K + K^T + \sigma^2 I), \qquad
      G_t = \bigl((1 - t) (K^T - A) + t (B - K - \sigma^2 I)\bigr)\, \Sigma_t^{-1}$$

    From noise $\mathcal N(m_0, A)$ to data $\mathcal N(m_1, B)$ it is $dx = \bigl(m_1 - m_0 + G_t (x - \mu_t)\bigr) dt + \sigma\, dw$, with
    $\mu_t = (1 - t) m_0 + t m_1$. $K$ is `transport.gaussian_coupling` for $\epsilon = 2 \sigma^2$. Raises where $\Sigma_t$ is singular.
    Source: B2 [Bunne et al.].
    """
    A, B = covariances(cov_noise, cov_data)
    t, sigma = check_scalar("t", t, 0, 1), check_scalar("sigma", sigma, 1e-50, 1e50)
    K, added = gaussian_coupling(A, B, 2 * sigma**2), sigma**2 * np.eye(len(A))
    covariance = (1 - t) ** 2 * A + t**2 * B + t * (1 - t) * (K + K.T + added)
    slope = (1 - t) * (K.T - A) + t * (B - K - added)
    spreads = np.linalg.eigvalsh(covariance)
    if spreads[0] <= 1e-14 * spreads[-1]:
        raise ValueError(f"cov_noise, cov_data leave a singular covariance at t = {t}; allowed: positive definite ones, or t in (0, 1)")
    return covariance, np.linalg.solve(covariance, slope.T).T


def _responsibilities(x_t: Array, data: Array, noise: Array, plan: Array, t: Time, sigma: Number) -> tuple[Array, Array, Array]:
    """The probability of every pair given x_t (B, N, M), the offsets of x_t from the means of their bridges (B, N, M, d), and t."""
    check_arrays(x_t=x_t)
    for name, points in (("data", data), ("noise", noise)):
        check_arrays(**{name: points})
        check_arrays(x_t=x_t[:0], **{name: points[:0]})
        check_real(**{name: points})
    plan = cast("plan", check_plan(as_array(plan, "plan"), len(noise), len(data)), x_t)
    t, variance = _time(t, x_t, sigma, inside=True)
    x, y, z = (points.reshape(len(points), event_size(points)) for points in (x_t, data, noise))
    x = x[:, None, None]
    offsets = x - like(t, x) * y - like(1 - t, x) * z[:, None]
    with np.errstate(divide="ignore"):
        logits = np.log(plan) - (offsets * offsets).sum(axis=3) / like(2 * variance, x[..., 0], "sigma")
    weights = np.exp(logits - logits.real.max(axis=(1, 2), keepdims=True))
    return weights / weights.sum(axis=(1, 2), keepdims=True), offsets, t


def _time(t: Time, x: Array, sigma: Number, inside: bool = False) -> tuple[Array, Array]:
    """The time as an array, and the variance sigma^2 t (1 - t)."""
    times = as_array(per_example("t", check_number("t", t, 0, 1), x)) * 1.0
    sigma = as_array(per_example("sigma", check_number("sigma", sigma, 0, 1e60, open_low=inside), x))
    if inside and not holds((times.real > 0) & (times.real < 1)):
        raise ValueError(f"t = {t!r}; allowed: above 0 and below 1")
    variance = sigma**2 * times * (1 - times)
    if inside and not holds(variance.real >= SMALLEST[code(x.real)]):
        raise ValueError(f"t = {t!r}, sigma = {sigma!r} give a variance that is too small; allowed: {SMALLEST[code(x.real)]:g} or more")
    return times, variance
