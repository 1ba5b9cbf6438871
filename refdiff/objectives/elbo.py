"""Evidence lower bound (ELBO) of a diffusion model: its three forms, its terms, and the losses that training uses instead.

Values are in nats per example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import Array, Time, as_array, holds, like, sum_event
from ..checks import MOST, check_arrays, check_choice, check_count, check_number, check_scalar, check_shapes, together
from ..process import forward, gaussian, reverse
from ..process.reverse import Reverse
from ..process.schedules import Schedule, check_chain

Decoder = Callable[[Array, Array, Array], Array]  # (x0, mean, variance) -> log-likelihood (B,)


def elbo_joint(states: Sequence[Array], grid: Array, schedule: Schedule, model: Reverse) -> Array:
    r"""ELBO integrand as the log-ratio of joint densities, for one trajectory from $q$; (B,) nats.

    $$\log p_\theta(x_0) \ge E_q \log \frac{p_\theta(x_{0:T})}{q(x_{1:T} | x_0)}$$

    `states` is a trajectory $[x_T, \ldots, x_0]$ sampled from $q$. The mean over trajectories is the ELBO. With exact
    reverse steps every single trajectory gives $\log p(x_0) + \log \frac{\mathcal N(x_T; 0, I)}{q(x_T)}$. This equals
    $\log p(x_0)$ if no signal is left at $T$. Source: E5 [DDPM eq. 3].
    """
    return reverse.trajectory_log_density(states, grid, model) - forward.trajectory_log_density(states, grid, schedule)


def elbo_bayes(states: Sequence[Array], grid: Array, schedule: Schedule, model: Reverse) -> Array:
    r"""ELBO integrand with every forward step replaced by a posterior, by Bayes' rule; (B,) nats.

    $$\log \frac{p(x_T)}{q(x_T | x_0)} + \sum_{t \ge 2} \log \frac{p_\theta(x_{t-1} | x_t)}{q(x_{t-1} | x_t, x_0)} + \log p_\theta(x_0 | x_1)$$

    It equals `elbo_joint` on every single trajectory. Source: E5 [DDPM app. A].
    """
    grid, x0 = check_chain(states, grid, schedule.T), states[-1]
    prior = gaussian.log_density(states[0], np.zeros_like(x0), np.ones_like(x0))
    total = prior - gaussian.log_density(states[0], *forward.q_marginal(x0, grid[0], schedule))
    for t, s, x_t, x_s in zip(grid[:-1], grid[1:], states[:-1], states[1:], strict=True):
        total = total + gaussian.log_density(x_s, *model(x_t, t, s))
        if s > 0:
            total = total - gaussian.log_density(x_s, *forward.posterior(x_t, x0, t, s, schedule))
    return total


def elbo_terms(
    x0: Array, grid: Array, schedule: Schedule, model: Reverse, noise: Sequence[Array], decoder: Decoder = gaussian.log_density
) -> Array:
    r"""Terms $[L_T, L_{T-1}, \ldots, L_1, L_0]$ of the negative ELBO, each estimated with one noise sample; (S+1, B) nats.

    $$-\mathrm{ELBO} = L_T + \sum_{t \ge 2} E_q D(q(x_{t-1} | x_t, x_0) \| p_\theta(x_{t-1} | x_t)) - E_q \log p_\theta(x_0 | x_1)$$

    `noise[i]`, of `x0`'s shape, is the noise from which $x_t$ at `grid[i]` is computed. The mean of this estimate over
    noise is the exact term. The grid starts at $T$. `decoder(x0, mean, variance)` is $\log p_\theta(x_0 | x_1)$. By
    default it is the log-density of the reverse step, which raises an error if the variance is 0.
    Source: E5 [DDPM eq. 5].
    """
    grid = check_chain(noise, grid, schedule.T, "noise")
    if grid[0] != schedule.T:
        raise ValueError(f"grid starts at {grid[0]}; allowed: T = {schedule.T}, where L_T compares with pure noise")
    terms = [forward.prior_kl(x0, schedule)]
    for t, s, eps in zip(grid[:-1], grid[1:], noise, strict=True):
        x_t = forward.q_sample(x0, t, schedule, eps)
        mean, variance = model(x_t, t, s)
        if s > 0:
            terms.append(gaussian.kl_diagonal(*forward.posterior(x_t, x0, t, s, schedule), mean, variance))
        else:
            terms.append(-decoder(x0, mean, variance))
    return np.stack(terms)


def weight_mean(t: Time, s: Time, schedule: Schedule) -> Array:
    r"""ELBO weight of the squared error of the posterior mean; shaped like `t`.

    $$L = \frac1{2 \tilde\beta_{t|s}} \|\tilde\mu - \mu_\theta\|^2$$

    The weighted squared error is the KL divergence if both variances are $\tilde\beta_{t|s}$. Raises for $s = 0$, where
    $\tilde\beta_{t|s}$ is 0 and the term is $L_0$. Source: E6 [DDPM eq. 8].
    """
    _inner_step(s, schedule)
    return 1 / (2 * forward.posterior_variance(t, s, schedule))


def weight_eps(t: Time, s: Time, schedule: Schedule) -> Array:
    r"""ELBO weight of the squared error of $\epsilon$; shaped like `t`.

    $$L = \frac{\beta_{t|s}^2}{2 \tilde\beta_{t|s}\, \alpha_{t|s} (1 - \bar\alpha_t)} \|\epsilon - \epsilon_\theta\|^2$$

    It follows from `weight_mean` for the mean $(x_t - \beta_{t|s} \epsilon / \sqrt{1 - \bar\alpha_t}) / \sqrt{\alpha_{t|s}}$.
    It is computed as $\beta_{t|s} / (2 \alpha_{t|s} (1 - \bar\alpha_s))$, without the square. Raises for $s = 0$, and where
    $\bar\alpha_t = 0$. Source: E6 [DDPM eq. 12].
    """
    _inner_step(s, schedule)
    alpha, beta = schedule.transition(t, s)
    if not holds(alpha > 0):
        raise ValueError(f"t = {t!r} has alpha_bar 0, where eps does not determine the mean; allowed: t with alpha_bar > 0")
    return beta / (2 * alpha * schedule.one_minus_alpha_bar[s])


def weight_x0(t: Time, s: Time, schedule: Schedule) -> Array:
    r"""ELBO weight of the squared error of $x_0$: half the decrease of the SNR from $s$ to $t$; shaped like `t`.

    $$L = \tfrac12 (\mathrm{SNR}(s) - \mathrm{SNR}(t)) \|x_0 - x_0^\theta\|^2$$

    The difference is computed as $\bar\alpha_s \beta_{t|s} / ((1 - \bar\alpha_s)(1 - \bar\alpha_t))$, without
    cancellation. Raises for $s = 0$. Source: E6 [VDM eq. 13].
    """
    _inner_step(s, schedule)
    _, beta = schedule.transition(t, s)
    return schedule.alpha_bar[s] * beta / (2 * schedule.one_minus_alpha_bar[s] * schedule.one_minus_alpha_bar[t])


def squared_decoder(x0: Array, mean: Array, variance: Array) -> Array:
    r"""Unit-variance decoder $\log p(x_0 | x_1)$: minus half the squared error, up to a constant; (B,) nats.

    $$\log \mathcal N(x_0; \mu, I) = -\tfrac12 \|x_0 - \mu\|^2 - \tfrac d2 \log 2\pi$$

    The function can be the `decoder` of `elbo_terms`. Source: E7 [DDPM sec. 3.4].
    """
    check_arrays(x0=x0)
    return gaussian.log_density(x0, mean, 1.0)


def discretized_decoder(x0: Array, mean: Array, variance: Array) -> Array:
    r"""Discretized decoder $\log p(x_0 | x_1)$ of 8-bit pixels scaled to [-1, 1]; (B,) nats.

    $$\log \prod_i \int_{x_{0,i} - 1/255}^{x_{0,i} + 1/255} \mathcal N(x; \mu_i, \sigma^2)\, dx$$

    The Gaussian is integrated over each pixel's bin. The bins of -1 and 1 extend to infinity.
    The function can be the `decoder` of `elbo_terms`. Source: E7 [DDPM eq. 13].
    """
    check_arrays(x0=x0)
    return gaussian.discretized_log_likelihood(x0, mean, np.sqrt(gaussian._positive("variance", variance, x0)))


def l_simple(target: Array, prediction: Array) -> Array:
    r"""Simple loss of DDPM training: unweighted squared error, summed over the event; (B,).

    $$L_{simple} = \|\epsilon - \epsilon_\theta\|^2$$

    Source: E8, T1 [DDPM eq. 14].
    """
    check_arrays(target=target, prediction=prediction)
    return sum_event((target - prediction) ** 2)


def hybrid(simple: Array, vlb: Array, weight: float = 0.001) -> Array:
    r"""Hybrid loss $L_{simple} + \lambda L_{vlb}$, which also trains a learned variance.

    $L_{vlb}$ is the negative ELBO in nats: the sum of all terms, or $T$ times the term at a random $t$. In the paper,
    no gradient of $L_{vlb}$ is taken in the mean: $L_{vlb}$ trains the variance only.
    Source: E8 [Improved DDPM eq. 16].
    """
    simple, vlb, weight = together(simple=simple, vlb=vlb, weight=check_scalar("weight", weight, 0))
    return simple + weight * vlb


def min_snr_weight(t: Time, schedule: Schedule, gamma: float = 5, kind: str = "eps") -> Array:
    r"""Min-SNR weight of the squared error of a prediction; shaped like `t`.

    $$w_{x_0} = \min(\mathrm{SNR}, \gamma), \quad w_\epsilon = \frac{\min(\mathrm{SNR}, \gamma)}{\mathrm{SNR}}, \quad w_v = \frac{\min(\mathrm{SNR}, \gamma)}{\mathrm{SNR} + 1}$$

    For every kind of prediction, the result is the weight $\min(\mathrm{SNR}, \gamma)$ of the squared error of $x_0$.
    Source: E8 [Min-SNR sec. 3.4, 4.2].
    """
    check_choice("kind", kind, ("x0", "eps", "v"))
    t, gamma = schedule.time(t), check_number("gamma", gamma, 0, open_low=True)
    check_shapes(t=t, gamma=gamma)
    snr = schedule.snr[t]
    if kind == "x0":
        return np.minimum(snr, gamma)
    if kind == "eps":
        with np.errstate(divide="ignore", over="ignore"):  # where hardly any signal is left
            return np.minimum(1, gamma / snr)
    return np.minimum(schedule.alpha_bar[t], gamma * schedule.one_minus_alpha_bar[t])


def bits_per_dim(nats: Array, dimensions: int) -> Array:
    r"""Convert nats per example to bits per dimension, $nats / (d \log 2)$. Source: E8 [DDPM sec. 4.3]."""
    return check_number("nats", nats) / (check_count("dimensions", dimensions, 1, MOST) * float(np.log(2)))


def weighted(loss: Array, weight: Array) -> Array:
    """Multiply a loss (B,) by a weight () or (B,) that is cast to the precision of the loss."""
    loss = as_array(check_number("loss", loss))
    return like(check_number("weight", weight), loss, "weight") * loss


def _inner_step(s: Time, schedule: Schedule) -> None:
    if not holds(schedule.time(s, "s") > 0):
        raise ValueError(f"s = {s!r}; allowed: s > 0, since beta-tilde is 0 at s = 0 and that term is L_0")
