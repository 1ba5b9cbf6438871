r"""Forward process: transitions, marginals and trajectories of $q$, and the posterior $q(x_s | x_t, x_0)$."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array, Time, event_size, holds, like, sum_event
from ..checks import check_arrays
from . import gaussian
from .schedules import Schedule, check_chain


def q_step(x_s: Array, t: Time, s: Time, schedule: Schedule) -> tuple[Array, Array]:
    r"""Forward transition $q(x_t | x_s)$ from an earlier state, $s < t$: mean and variance.

    $$q(x_t | x_s) = \mathcal N(\sqrt{\alpha_{t|s}}\, x_s, (1 - \alpha_{t|s}) I), \qquad \alpha_{t|s} = \bar\alpha_t / \bar\alpha_s$$

    For $s = t - 1$ this is the definition of the process. `x_s` (B, ...); `t`, `s` () or (B,).
    Source: F1, F2 [DDPM eq. 2].
    """
    check_arrays(x_s=x_s)
    _, beta = schedule.transition(t, s)
    return like(schedule.signal_between(t, s), x_s) * x_s, like(beta, x_s)


def q_step_sample(x_s: Array, t: Time, s: Time, schedule: Schedule, noise: Array) -> Array:
    r"""Sample $x_t$ from the forward transition $q(x_t | x_s)$; `noise` is $\epsilon \sim \mathcal N(0, I)$, shaped like `x_s`.

    $$x_t = \sqrt{\alpha_{t|s}}\, x_s + \sqrt{1 - \alpha_{t|s}}\, \epsilon$$

    Source: F1, F2 [DDPM eq. 2].
    """
    check_arrays(x_s=x_s, noise=noise)
    _, beta = schedule.transition(t, s)
    return like(schedule.signal_between(t, s), x_s) * x_s + like(np.sqrt(beta), x_s) * noise


def q_marginal(x0: Array, t: Time, schedule: Schedule) -> tuple[Array, Array]:
    r"""Forward marginal $q(x_t | x_0)$: mean and variance.

    $$q(x_t | x_0) = \mathcal N(\sqrt{\bar\alpha_t}\, x_0, (1 - \bar\alpha_t) I)$$

    `x0` (B, ...); `t` () or (B,), 0..T. Source: F3 [DDPM eq. 4].
    """
    check_arrays(x0=x0)
    signal, _ = schedule.signal_sigma(t)
    return like(signal, x0) * x0, like(schedule.one_minus_alpha_bar[t], x0)


def q_sample(x0: Array, t: Time, schedule: Schedule, noise: Array) -> Array:
    r"""Sample $x_t$ directly from the forward marginal $q(x_t | x_0)$; `noise` is $\epsilon \sim \mathcal N(0, I)$, shaped like `x0`.

    $$x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon$$

    `x0` (B, ...); `t` () or (B,), 0..T; at $t = 0$ the result is `x0`. Source: F3 [DDPM eq. 4].
    """
    check_arrays(x0=x0, noise=noise)
    signal, sigma = schedule.signal_sigma(t)
    return like(signal, x0) * x0 + like(sigma, x0) * noise


def posterior(x_t: Array, x0: Array, t: Time, s: Time, schedule: Schedule) -> tuple[Array, Array]:
    r"""Posterior $q(x_s | x_t, x_0)$ of an earlier state, for any $s < t$: mean and variance.

    $$q(x_s | x_t, x_0) = \mathcal N\Bigl(
      \frac{\sqrt{\bar\alpha_s}\, \beta_{t|s}}{1 - \bar\alpha_t} x_0 + \frac{\sqrt{\alpha_{t|s}}\, (1 - \bar\alpha_s)}{1 - \bar\alpha_t} x_t,\;
      \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t} \beta_{t|s} I\Bigr)$$

    `x_t`, `x0` (B, ...); `t`, `s` () or (B,). At $s = 0$ the mean is $x_0$ and the variance is 0.
    Source: R2 [DDPM eq. 6, 7].
    """
    check_arrays(x_t=x_t, x0=x0)
    _, beta = schedule.transition(t, s)
    weight_x0 = schedule.signal[s] * beta / schedule.one_minus_alpha_bar[t]
    weight_xt = schedule.signal_between(t, s) * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    mean = like(weight_x0, x0) * x0 + like(weight_xt, x_t) * x_t
    return mean, like(posterior_variance(t, s, schedule), x_t)


def posterior_variance(t: Time, s: Time, schedule: Schedule) -> Array:
    r"""Posterior variance of $x_s$ given $x_t$ and $x_0$; float64, shaped like `t`.

    $$\tilde\beta_{t|s} = \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t} \beta_{t|s}$$

    Source: R2 [DDPM eq. 7].
    """
    _, beta = schedule.transition(t, s)
    return schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t] * beta


def posterior_by_bayes(x_t: Array, x0: Array, t: Time, s: Time, schedule: Schedule) -> tuple[Array, Array]:
    r"""Posterior $q(x_s | x_t, x_0)$ by Bayes' rule, as a product of two Gaussians; equals `posterior`.

    $$q(x_s | x_t, x_0) = \frac{q(x_t | x_s)\, q(x_s | x_0)}{q(x_t | x_0)}$$

    As a function of $x_s$, the first factor is $\mathcal N(x_s; x_t / \sqrt{\alpha_{t|s}}, \beta_{t|s} / \alpha_{t|s})$
    up to a constant, and the denominator is a constant. Raises where $\bar\alpha_t = 0$: there $x_t$ contains no
    information about $x_s$. Source: R1 [DDPM eq. 6], [DDIM eq. 8].
    """
    check_arrays(x_t=x_t, x0=x0)
    alpha, beta = schedule.transition(t, s)
    if not holds(alpha > 0):
        raise ValueError(f"t = {t!r} has alpha_bar 0, where x_t / sqrt(alpha) is undefined; allowed: t with alpha_bar > 0")
    prior_mean, prior_variance = q_marginal(x0, s, schedule)
    return gaussian.product(x_t / like(schedule.signal_between(t, s), x_t), like(beta / alpha, x_t), prior_mean, prior_variance)


def trajectory(x0: Array, grid: Array, schedule: Schedule, noise: Sequence[Array]) -> list[Array]:
    r"""Sample a forward trajectory at the times of a grid, in the grid's order: $[x_T, \ldots, x_0]$.

    $$q(x_{1:T} | x_0) = \prod_{t=1}^T q(x_t | x_{t-1})$$

    `grid` decreases strictly to 0. `noise[i]` is standard normal, has `x0`'s shape, and is the noise of the step to
    `grid[i]`. Source: F4 [DDPM eq. 2].
    """
    check_arrays(x0=x0)
    grid = check_chain(noise, grid, schedule.T, "noise")
    states = [x0]
    for i in range(len(grid) - 2, -1, -1):
        states.append(q_step_sample(states[-1], grid[i], grid[i + 1], schedule, noise[i]))
    return states[::-1]


def trajectory_log_density(states: Sequence[Array], grid: Array, schedule: Schedule) -> Array:
    r"""Log-density of a trajectory $[x_T, \ldots, x_0]$ given $x_0$, factorized forward in time; (B,) nats.

    $$\log q(x_{1:T} | x_0) = \sum_{t=1}^T \log q(x_t | x_{t-1})$$

    Source: F4 [DDPM eq. 2].
    """
    grid = check_chain(states, grid, schedule.T)
    pairs = zip(grid[:-1], grid[1:], states[:-1], states[1:], strict=True)
    return np.sum(np.stack([gaussian.log_density(x_t, *q_step(x_s, t, s, schedule)) for t, s, x_t, x_s in pairs]), axis=0)


def trajectory_log_density_reversed(states: Sequence[Array], grid: Array, schedule: Schedule) -> Array:
    r"""Log-density of a trajectory given $x_0$, factorized backward in time; equals `trajectory_log_density`.

    $$\log q(x_{1:T} | x_0) = \log q(x_T | x_0) + \sum_{t=2}^T \log q(x_{t-1} | x_t, x_0)$$

    The factors of the sum are the densities of `posterior`. Source: F4 [DDIM eq. 6].
    """
    grid, x0 = check_chain(states, grid, schedule.T), states[-1]
    pairs = zip(grid[:-2], grid[1:-1], states[:-2], states[1:-1], strict=True)
    start = gaussian.log_density(states[0], *q_marginal(x0, grid[0], schedule))
    return start + sum(gaussian.log_density(x_s, *posterior(x_t, x0, t, s, schedule)) for t, s, x_t, x_s in pairs)


def prior_kl(x0: Array, schedule: Schedule) -> Array:
    r"""Prior term $L_T$ of the ELBO: KL divergence of $q(x_T | x_0)$ from pure noise; (B,) nats.

    $$L_T = D(q(x_T | x_0) \| \mathcal N(0, I))$$

    Source: F6, E5 [DDPM eq. 5].
    """
    mean, _ = q_marginal(x0, schedule.T, schedule)
    spread = gaussian._excess(schedule.one_minus_alpha_bar[-1], -schedule.alpha_bar[-1])  # the variance differs from 1 by alpha_bar
    squares = sum_event(mean**2)
    return (like(event_size(x0) * spread, squares) + squares) / 2
