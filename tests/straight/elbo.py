"""The ELBO, its terms and its weights."""

import math

from .boundary import array, choice, each, integer, integer_array, integers, like, number, numbers, per_example, shape_of, total
from .forward import log_density, mean_from_eps, posterior, q_sample, reverse_kernel, trajectory_log_density
from .gaussian import kl_diagonal, log_bin
from .schedules import prior_kl
from .tables import grid_times, kept, pair, tilde


def inner_kl(prediction, x_t, x0, t, s, betas, kind, variance, mix=None):
    if any(time < 1 for time in per_example(s, shape_of(x0)[0], "s")):
        raise ValueError(f"s = {s}; allowed: above 0")
    mean1, variance1 = posterior(x_t, x0, t, s, betas)
    mean2, variance2 = reverse_kernel(prediction, x_t, t, s, betas, kind, variance, mix)
    return kl_diagonal(mean1, variance1, mean2, variance2)


def _step(x_t, t, s, betas, model, variance):
    """Mean and variance of p(x_s | x_t); the last step's variance is beta."""
    choice("variance", variance, ("posterior", "beta"))
    a_t, a_s = pair(betas, t, s)
    return mean_from_eps(model(x_t, t), x_t, t, s, betas), tilde(a_t, a_s) if variance == "posterior" and s > 0 else 1 - a_t / a_s


def _standard(x):
    """log N(x; 0, I)."""
    return log_density(x, 0.0, 1.0)


def _sum(*parts):
    return array([sum(values) for values in zip(*parts, strict=True)])


def elbo_joint(states, grid, betas, model, variance):
    log_q = trajectory_log_density(states, grid, betas)
    times = grid_times(grid, betas)
    parts = [-log_q, _standard(states[0])]
    for i in range(len(times) - 1):
        parts.append(log_density(states[i + 1], *_step(states[i], times[i], times[i + 1], betas, model, variance)))
    return _sum(*parts)


def elbo_bayes(states, grid, betas, model, variance):
    times, x0 = grid_times(grid, betas), states[-1]
    if len(times) != len(states):
        raise ValueError(f"{len(states)} states; allowed: one for each of the {len(times)} times")
    a = kept(betas)[times[0]]
    first_mean = each(lambda x: math.sqrt(a) * x, {"x0": x0})
    parts = [_standard(states[0]), -log_density(states[0], first_mean, 1 - a)]
    for i in range(len(times) - 1):
        parts.append(log_density(states[i + 1], *_step(states[i], times[i], times[i + 1], betas, model, variance)))
        if times[i + 1] > 0:
            parts.append(-log_density(states[i + 1], *posterior(states[i], x0, times[i], times[i + 1], betas)))
    return _sum(*parts)


def elbo_terms(x0, grid, betas, model, noise, variance, decoder):
    times = grid_times(grid, betas)
    choice("decoder", decoder, ("gaussian", "squared", "discretized"))
    if times[0] != len(kept(betas)) - 1 or len(noise) != len(times) - 1:
        raise ValueError(f"grid = {times}, {len(noise)} noises; allowed: from T to 0, a noise for each step")
    terms = [prior_kl(x0, betas)]
    for i in range(len(times) - 1):
        t, s = times[i], times[i + 1]
        x_t = q_sample(x0, t, betas, noise[i])
        mean, spread = _step(x_t, t, s, betas, model, variance)
        if s > 0:
            terms.append(kl_diagonal(*posterior(x_t, x0, t, s, betas), mean, spread))
        else:
            decode = {"gaussian": log_density, "squared": squared_decoder, "discretized": discretized_decoder}[decoder]
            terms.append(-decode(x0, mean, spread))
    return array([term.tolist() for term in terms])


def squared_decoder(x0, mean, variance):
    return log_density(x0, mean, 1.0)


def discretized_decoder(x0, mean, variance):
    return total(_log_pixel, {"x0": x0, "mean": mean, "variance": like("variance", variance, x0)})


def _log_pixel(x, mean, variance):
    if variance <= 0:
        raise ValueError(f"variance = {variance}; allowed: above 0")
    return log_bin(x, mean, math.sqrt(variance), 256)


def _weights(rule, t, s, betas):
    """rule(alpha_bar_t, alpha_bar_s) of one pair of times or of many."""
    count = max([1, *shape_of(t), *shape_of(s)])
    values = []
    for t_i, s_i in zip(per_example(t, count, "t"), per_example(s, count, "s"), strict=True):
        if s_i < 1:
            raise ValueError(f"s = {s_i}; allowed: above 0, for the posterior variance is 0 there")
        values.append(rule(*pair(betas, t_i, s_i)))
    return array(values) if shape_of(t) or shape_of(s) else array(values[0])


def weight_mean(t, s, betas):
    return _weights(lambda a_t, a_s: 1 / (2 * tilde(a_t, a_s)), t, s, betas)


def weight_eps(t, s, betas):
    return _weights(_weight_eps, t, s, betas)


def _weight_eps(a_t, a_s):
    if a_t == 0:
        raise ValueError("alpha_bar_t = 0; allowed: above 0")
    alpha = a_t / a_s
    return (1 - alpha) ** 2 / (2 * tilde(a_t, a_s) * alpha * (1 - a_t))


def weight_x0(t, s, betas):
    return _weights(lambda a_t, a_s: (a_s / (1 - a_s) - a_t / (1 - a_t)) / 2, t, s, betas)


def l_simple(target, prediction):
    return total(lambda a, b: (a - b) ** 2, {"target": target, "prediction": prediction})


def hybrid(simple, vlb, weight=0.001):
    weight = number("weight", weight)
    if weight < 0:
        raise ValueError(f"weight = {weight}; allowed: not below 0")
    return array([a + weight * b for a, b in zip(numbers("simple", simple), numbers("vlb", vlb), strict=True)])


def min_snr_weight(t, betas, gamma, kind):
    table, gamma = kept(betas), number("gamma", gamma)
    choice("kind", kind, ("x0", "eps", "v"))
    if gamma <= 0:
        raise ValueError(f"gamma = {gamma}; allowed: above 0")
    times = integers("t", integer_array([t]) if shape_of(t) == () else t, 0, len(table) - 1)
    values = [_min_snr(table[integer("t", time, 1)], gamma, kind) for time in times]
    return array(values) if shape_of(t) else array(values[0])


def _min_snr(a, gamma, kind):
    snr = a / (1 - a)
    if kind == "eps":
        return min(snr, gamma) / snr
    return min(snr, gamma) / (1 if kind == "x0" else snr + 1)


def bits_per_dim(nats, dimensions):
    return array([one / (integer("dimensions", dimensions, 1) * math.log(2)) for one in numbers("nats", nats)])
