"""The ELBO, its terms and its weights."""

import math

from .boundary import (
    array,
    between,
    choice,
    each,
    integer,
    integer_array,
    integers,
    like,
    number,
    numbers,
    per_example,
    shape_of,
    to_list,
    total,
)
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


def _squares(target, prediction, gamma, factor, kind):
    """factor / 2 times the squared error of eps that an error of this kind stands for."""
    choice("kind", kind, ("eps", "x0", "v"))
    squares, count = l_simple(target, prediction), shape_of(target)[0]
    levels, factors = per_example(gamma, count, "gamma"), per_example(factor, count, "rate")
    shares = {"eps": lambda g: 1, "x0": lambda g: 1 / math.exp(g), "v": lambda g: 1 / (1 + math.exp(g))}
    return array([f * shares[kind](number("gamma", g)) * square / 2 for f, g, square in zip(factors, levels, squares, strict=True)])


def continuous_term(target, prediction, gamma, rate, kind):
    if any(number("rate", value) < 0 for value in per_example(rate, shape_of(target)[0], "rate")):
        raise ValueError(f"rate = {rate}; allowed: not below 0")
    return _squares(target, prediction, gamma, rate, kind)


def finite_term(target, prediction, gamma_t, gamma_s, T, kind):
    count, T = shape_of(target)[0], integer("T", T, 1)
    pairs = list(zip(per_example(gamma_t, count, "gamma_t"), per_example(gamma_s, count, "gamma_s"), strict=True))
    return _squares(target, prediction, gamma_t, array([T * _growth(later, earlier) for later, earlier in pairs]), kind)


def _growth(later, earlier):
    if later < earlier:
        raise ValueError(f"gamma_s = {earlier}, gamma_t = {later}; allowed: gamma_s at most gamma_t")
    return math.expm1(later - earlier)


def _each_variance(rule, variance):
    if any(number("variance", c) < 0 for c in to_list(variance)):
        raise ValueError(f"variance = {variance}; allowed: not below 0")
    return array([rule(c) for c in to_list(variance)])


def gaussian_step_loss(variance, gamma_t, gamma_s):
    growth = _growth(gamma_t, gamma_s)
    return _each_variance(lambda c: growth * c / (math.exp(gamma_t) + c) / 2, variance)


def gaussian_loss(variance, gamma_t, gamma_s):
    _growth(gamma_t, gamma_s)
    return _each_variance(lambda c: (math.log1p(c / math.exp(gamma_s)) - math.log1p(c / math.exp(gamma_t))) / 2, variance)


def _ends(gamma_0, gamma_1):
    if gamma_0 >= gamma_1:
        raise ValueError(f"gamma_0 = {gamma_0}, gamma_1 = {gamma_1}; allowed: gamma_0 below gamma_1")


def monotone_gamma(t, gamma_0, gamma_1, w1, b1, w2, b2, w3):
    _ends(gamma_0, gamma_1)
    (w1,), (b1,) = numbers("w1", w1), numbers("b1", b1)
    units = list(zip(numbers("w2", w2), numbers("b2", b2), numbers("w3", w3), strict=True))
    start, end = (_network(time, w1, b1, units)[0] for time in (0.0, 1.0))
    values, rates = [], []
    for time in numbers("t", t):
        h, slope = _network(between("t", time, 0, 1), w1, b1, units)
        share = (h - start) / (end - start)
        values.append(gamma_0 * (1 - share) + gamma_1 * share)
        rates.append((gamma_1 - gamma_0) / (end - start) * slope)
    return array(values), array(rates)


def _network(time, w1, b1, units):
    a1 = math.log1p(math.exp(w1))
    a = h = a1 * time + b1
    slope = a1
    for w2, b2, w3 in units:
        a2, a3 = math.log1p(math.exp(w2)), math.log1p(math.exp(w3))
        u = math.tanh((a2 * a + b2) / 2)
        h += a3 * (1 + u) / 2
        slope += a3 * (1 - u * u) / 4 * a2 * a1
    return h, slope


def optimal_gamma(t, variance, gamma_0, gamma_1):
    _ends(gamma_0, gamma_1)
    first, last = (math.log1p(variance / math.exp(gamma)) for gamma in (gamma_0, gamma_1))
    values, rates = [], []
    for time in numbers("t", t):
        snr = math.expm1(first + between("t", time, 0, 1) * (last - first)) / variance
        values.append(-math.log(snr))
        rates.append((first - last) * (1 + 1 / (variance * snr)))
    return array(values), array(rates)


def stratified_times(uniform, count):
    uniform = between("uniform", uniform, 0, 1)
    return array([math.fmod(uniform + i / count, 1) for i in range(integer("count", count, 1))])


def importance(second_moments, floor):
    roots = [math.sqrt(between("second_moments", value, 0, math.inf)) for value in numbers("second_moments", second_moments)]
    floor = between("floor", floor, 0, 1)
    probabilities = [(1 - floor) * root / math.fsum(roots) + floor / len(roots) for root in roots]
    return array(probabilities), array([1 / len(roots) / p for p in probabilities])
