"""E5-E8, V1-V3: the evidence lower bound in its three forms, its inner terms as weighted squares, decoders, simplified training
losses; the loss in continuous time, its schedules and times.
"""

import numpy as np

from ..numbers import event_sum, exp, log, sigmoid, sqrt
from .forward import log_density, posterior, posterior_variance, q_marginal, q_sample, reverse_kernel
from .gaussian import discretized_log_likelihood, kl_diagonal
from .schedules import alpha_bar, prior_kl, transition


def inner_kl(prediction, x_t, x0, t, s, betas, kind, variance, mix=None):
    """E5 -> kl: one inner term, D(q(x_s | x_t, x_0) || p(x_s | x_t)), s > 0; p as in reverse_kernel; nats, (B,)."""
    true_mean, true_variance = posterior(x_t, x0, t, s, betas)
    mean, model_var = reverse_kernel(prediction, x_t, t, s, betas, kind, variance, mix)
    return kl_diagonal(true_mean, true_variance, mean, model_var)


def elbo_step(model, x_t, t, s, betas, variance):
    """The reverse step in the ELBO: its variance is beta_{t|s} where s = 0, beta-tilde being 0 there."""
    return reverse_kernel(model(x_t, t), x_t, t, s, betas, "eps", variance if s > 0 else "beta")


def elbo_joint(states, grid, betas, model, variance):
    """E5 -> elbo: log p(x_{0:T}) - log q(x_{1:T} | x_0) of one chain in the order of its grid, which ends in 0; p(x_T) = N(0, I); nats, (B,).

    states (S + 1, B, ...). model(x, t) gives eps; variance is posterior or beta for s > 0, and the last step's is beta.
    """
    total = log_density(states[0], 0 * states[0], 1)
    for i in range(len(grid) - 1):
        alpha, beta = transition(grid[i], grid[i + 1], betas)
        total = total - log_density(states[i], sqrt(alpha) * states[i + 1], beta)
        total = total + log_density(states[i + 1], *elbo_step(model, states[i], grid[i], grid[i + 1], betas, variance))
    return total


def elbo_bayes(states, grid, betas, model, variance):
    """E5 -> elbo: the same number after Bayes: log N(x_T; 0, I) / q(x_T | x_0) + sum log p(x_s | x_t) / q(x_s | x_t, x_0) + log p(x_0 | x_1)."""
    x0 = states[-1]
    total = log_density(states[0], 0 * states[0], 1) - log_density(states[0], *q_marginal(x0, grid[0], betas))
    for i in range(len(grid) - 1):
        total = total + log_density(states[i + 1], *elbo_step(model, states[i], grid[i], grid[i + 1], betas, variance))
        if grid[i + 1] > 0:
            total = total - log_density(states[i + 1], *posterior(states[i], x0, grid[i], grid[i + 1], betas))
    return total


def elbo_terms(x0, grid, betas, model, noise, variance, decoder):
    """E5 -> terms: [L_T, ..., L_0] of the negative ELBO at one noise for each step, (S + 1, B); nats. The grid runs from T to 0.

    noise[i] makes x_t at grid[i]. model and variance as in elbo_joint; the decoder, log p(x_0 | x_t) of the last step, is gaussian (the
    step's own density), squared or discretized.
    """
    terms = [prior_kl(x0, betas)]
    for i in range(len(grid) - 1):
        t, s = grid[i], grid[i + 1]
        x_t = q_sample(x0, t, betas, noise[i])
        if s > 0:
            terms.append(inner_kl(model(x_t, t), x_t, x0, t, s, betas, "eps", variance))
        else:
            terms.append(-decoded(decoder, x0, *elbo_step(model, x_t, t, s, betas, variance)))
    return np.stack(terms)


def decoded(decoder, x0, mean, variance):
    """log p(x_0 | x_1) for the decoder of this name."""
    return {"gaussian": log_density, "squared": squared_decoder, "discretized": discretized_decoder}[decoder](x0, mean, variance)


def squared_decoder(x0, mean, variance):
    """E7 -> log_likelihood: log N(x0; mean, I), whatever the variance; nats, (B,)."""
    return log_density(x0, mean, 1)


def discretized_decoder(x0, mean, variance):
    """E7 -> log_likelihood: discretized_log_likelihood of 256 levels, of a Gaussian given by its variance; nats, (B,)."""
    return discretized_log_likelihood(x0, mean, sqrt(variance), 256)


def weight_mean(t, s, betas):
    """E6 -> weight: of the squared error of the mean, where the KL of two variances beta-tilde is a square: 1 / (2 beta-tilde); s > 0."""
    tilde = posterior_variance(t, s, betas)
    return 1 / (2 * tilde)


def weight_eps(t, s, betas):
    """E6 -> weight: the same for the squared error of eps: beta^2 / (2 beta-tilde alpha (1 - alpha_bar_t)); s > 0, alpha_bar_t > 0."""
    alpha, beta = transition(t, s, betas)
    tilde, ab = posterior_variance(t, s, betas), alpha_bar(betas)[t]
    return beta**2 / (2 * tilde * alpha * (1 - ab))


def weight_x0(t, s, betas):
    """E6 -> weight: the same for the squared error of x0: half the signal-to-noise ratio lost, (SNR(s) - SNR(t)) / 2; s > 0."""
    ab = alpha_bar(betas)
    return (ab[s] / (1 - ab[s]) - ab[t] / (1 - ab[t])) / 2


def l_simple(target, prediction):
    """E8, T1 -> loss: the squared error, unweighted, summed over the event, (B,)."""
    return event_sum((target - prediction) ** 2)


def hybrid(simple, vlb, weight=None):
    """E8 -> loss: simple + weight vlb, vlb in nats; the weight is 1 / 1000 where none is given."""
    return simple + (vlb / 1000 if weight is None else weight * vlb)


def min_snr_weight(t, betas, gamma, kind):
    """E8 -> weight: min(SNR, gamma) on the squared error of x0; kind eps divides it by SNR, v by SNR + 1; shaped like t."""
    ab = alpha_bar(betas)[t]
    ratio = ab / (1 - ab)
    capped = np.minimum(ratio, gamma)
    if kind == "eps":
        return capped / ratio
    return capped if kind == "x0" else capped / (ratio + 1)


def bits_per_dim(nats, dimensions):
    """E8 -> bits: nats per example (B,) as bits per dimension: nats / (dimensions log 2)."""
    return nats / (dimensions * log(0 * nats + 2))


def error_weight(gamma, kind):
    """The squared error of eps, per squared error of this kind: SNR = exp(-gamma) for x0, sigmoid(-gamma) for v."""
    if kind == "eps":
        return 1 + 0 * gamma
    return exp(-gamma) if kind == "x0" else sigmoid(-gamma)


def continuous_term(target, prediction, gamma, rate, kind):
    """V1 -> loss: of continuous time at one time with gamma = -log SNR and its rate: rate / 2 times the squared error of eps; nats, (B,).

    gamma and rate are one for all or (B,). Of kind x0 the squared error counts exp(-gamma) times, of v sigmoid(-gamma) times.
    """
    return rate * error_weight(gamma, kind) * event_sum((target - prediction) ** 2) / 2


def finite_term(target, prediction, gamma_t, gamma_s, T, kind):
    """V1 -> loss: of T steps at one of them, from t to s: T (exp(gamma_t - gamma_s) - 1) / 2 times the squared error of eps; nats, (B,).

    The kinds are as in continuous_term, with the weight at t.
    """
    return T * (exp(gamma_t - gamma_s) - 1) * error_weight(gamma_t, kind) * event_sum((target - prediction) ** 2) / 2


def gaussian_step_loss(variance, gamma_t, gamma_s):
    """V1 -> loss: mean of one step for data of this variance and the exact model, per dimension: (SNR(s) - SNR(t)) / 2 variance / (1 + variance SNR(t))."""
    return (exp(-gamma_s) - exp(-gamma_t)) * variance / (1 + variance * exp(-gamma_t)) / 2


def gaussian_loss(variance, gamma_t, gamma_s):
    """V1 -> loss: mean of infinitely many steps for data of this variance: log((1 + variance SNR(s)) / (1 + variance SNR(t))) / 2."""
    return log((1 + variance * exp(-gamma_s)) / (1 + variance * exp(-gamma_t))) / 2


def monotone_gamma(t, gamma_0, gamma_1, w1, b1, w2, b2, w3):
    """V2 -> gamma, rate: gamma_0 + (gamma_1 - gamma_0) (h(t) - h(0)) / (h(1) - h(0)) and its derivative; t (B,); w1, b1 (1,); w2, b2, w3 (K,).

    h(t) = a + sum_k a3_k sigmoid(a2_k a + b2_k) with a = a1 t + b1; the weights a are log(1 + exp(w)).
    """
    h, slope = monotone_network(t, w1, b1, w2, b2, w3)
    start, end = (monotone_network(time, w1, b1, w2, b2, w3)[0] for time in (0 * t[:1], 0 * t[:1] + 1))
    span = (gamma_1 - gamma_0) / (end - start)
    return gamma_0 + span * (h - start), span * slope


def monotone_network(t, w1, b1, w2, b2, w3):
    """h(t) of monotone_gamma and its derivative."""
    a1, a2, a3 = softplus(w1), softplus(w2), softplus(w3)
    a = a1 * t + b1
    gate = sigmoid(a[:, None] * a2 + b2)
    return a + (gate * a3).sum(axis=1), a1 * (1 + (gate * (1 - gate) * a2 * a3).sum(axis=1))


def softplus(w):
    """log(1 + exp(w)), above 0."""
    return log(1 + exp(w))


def optimal_gamma(t, variance, gamma_0, gamma_1):
    """V2 -> gamma, rate: the schedule of least variance for data of this variance, log(1 + variance SNR) straight in t, and its derivative; t (B,)."""
    first, last = log(1 + variance * exp(-gamma_0)), log(1 + variance * exp(-gamma_1))
    grown = exp((1 - t) * first + t * last)
    return log(variance) - log(grown - 1), (first - last) * grown / (grown - 1)


def stratified_times(uniform, count):
    """V3 -> t: of a batch of count, from one uniform number: (uniform + i / count) mod 1 for i = 0, ..., count - 1; (count,)."""
    t = (count * uniform + np.arange(count)) / count
    return np.where(t >= 1, t - 1, t)


def importance(second_moments, floor):
    """V3 -> probabilities, weights: of T steps: (1 - floor) roots / sum(roots) + floor / T of the roots of the losses' second moments; 1 / (T p)."""
    roots = sqrt(second_moments)
    p = (1 - floor) * roots / sum(roots) + floor / len(roots)
    return p, 1 / (len(roots) * p)
