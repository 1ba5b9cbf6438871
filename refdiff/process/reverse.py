r"""Reverse process $p_\theta$: Gaussian steps towards the data, with the network's mean and a chosen variance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import Array, Time, holds, like
from ..checks import check_arrays, check_choice, check_number
from . import gaussian, predict
from .forward import posterior, posterior_variance
from .schedules import Schedule, check_chain

VARIANCES = ("posterior", "beta", "learned")
Reverse = Callable[[Array, Time, Time], tuple[Array, Array]]  # (x_t, t, s) -> mean and variance of x_s


def mean_from_eps(eps: Array, x_t: Array, t: Time, s: Time, schedule: Schedule) -> Array:
    r"""Posterior mean computed from $x_t$ and the noise $\epsilon$ in place of $x_0$.

    $$\mu_\theta = \frac1{\sqrt{\alpha_{t|s}}} \Bigl(x_t - \frac{\beta_{t|s}}{\sqrt{1 - \bar\alpha_t}} \epsilon_\theta\Bigr)$$

    With a network's predicted noise $\epsilon_\theta$ in place of $\epsilon$, the result is the mean $\mu_\theta$ of
    the model's reverse step. Raises where $\bar\alpha_t = 0$. Source: R3 [DDPM eq. 11].
    """
    check_arrays(x_t=x_t, eps=eps)
    (_, beta), root = schedule.transition(t, s), schedule.signal_between(t, s)
    if not holds(root > 0):
        raise ValueError(f"eps-prediction at t = {t!r}, where alpha_bar is 0, does not determine the mean; allowed there: v or x0")
    return (x_t - like(beta / schedule.sigma[t], x_t) * eps) / like(root, x_t)


def kernel(
    prediction: Array,
    x_t: Array,
    t: Time,
    s: Time,
    schedule: Schedule,
    kind: str = "eps",
    variance: str = "posterior",
    mix: Array | None = None,
) -> tuple[Array, Array]:
    r"""Reverse step $p_\theta(x_s | x_t)$ of the model: mean and variance.

    $$p_\theta(x_s | x_t) = \mathcal N(\tilde\mu(x_t, x_0^\theta), \Sigma_\theta)$$

    Here $\tilde\mu$ is the posterior mean, and $x_0^\theta$ is the data estimate that the prediction implies.
    `variance` is one of the names listed in `model_variance`. Source: R4 [DDPM eq. 1, sec. 3.2].
    """
    x0 = predict.to_x0(prediction, x_t, t, schedule, kind)
    mean, _ = posterior(x_t, x0, t, s, schedule)
    return mean, model_variance(x_t, t, s, schedule, variance, mix)


def model_variance(x_t: Array, t: Time, s: Time, schedule: Schedule, variance: str = "posterior", mix: Array | None = None) -> Array:
    r"""Variance $\Sigma_\theta$ of the model's reverse step, in `x_t`'s precision.

    | variance | $\Sigma_\theta$ | correct if |
    |---|---|---|
    | posterior | $\tilde\beta$ | the data is a single point |
    | beta | $\beta$ | the data is $\mathcal N(0, I)$ |
    | learned | $\exp(m \log\beta + (1 - m) \log\tilde\beta)$ | $m$, the argument `mix`, is well chosen |

    `mix` has values in [0, 1] and `x_t`'s shape. At $s = 0$, $\tilde\beta$ is 0, and `variance="learned"` raises an
    error. Source: R4 [DDPM sec. 3.2], [Improved DDPM eq. 15].
    """
    check_choice("variance", variance, VARIANCES)
    _, beta = schedule.transition(t, s)
    beta_tilde = posterior_variance(t, s, schedule)
    if variance != "learned":
        return like(beta_tilde if variance == "posterior" else beta, x_t)
    if mix is None:
        raise ValueError("mix = None; allowed with variance = 'learned': an array of x_t's shape")
    check_arrays(x_t=x_t, mix=mix)
    check_number("mix", mix, 0, 1)
    if not holds(beta_tilde > 0):
        raise ValueError(f"variance = 'learned' with s = {s!r}; allowed: s > 0, since log beta-tilde is -inf at 0")
    return like(beta_tilde, x_t) * np.exp(mix * like(np.log(beta / beta_tilde), x_t))  # the small logarithm, not the two large ones


def trajectory_log_density(states: Sequence[Array], grid: Array, reverse: Reverse) -> Array:
    r"""Log-density of a trajectory $[x_T, \ldots, x_0]$ under the model; (B,) nats.

    $$\log p_\theta(x_{0:T}) = \log \mathcal N(x_T; 0, I) + \sum_t \log p_\theta(x_{t-1} | x_t)$$

    `reverse(x_t, t, s)` returns the mean and the variance of the model's reverse step. Raises where a variance is 0, as
    $\tilde\beta$ is at $s = 0$. Source: R5 [DDPM eq. 1].
    """
    grid = check_chain(states, grid)
    start = gaussian.log_density(states[0], np.zeros_like(states[0]), np.ones_like(states[0]))
    pairs = zip(grid[:-1], grid[1:], states[:-1], states[1:], strict=True)
    return start + sum(gaussian.log_density(x_s, *reverse(x_t, t, s)) for t, s, x_t, x_s in pairs)
