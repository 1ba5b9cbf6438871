"""The forward process, and the densities of the reverse process."""

import math

from .boundary import array, between, choice, column, each, for_times, integer, like, number, numbers, per_example, shape_of, total
from .predict import to_x0
from .tables import at, checked, grid_times, pair, pairs, tilde


def q_step(x, t, betas, noise):
    table = checked(betas)
    steps = [(table[integer("t", time, 1, len(table)) - 1],) for time in per_example(t, shape_of(x)[0], "t")]
    return each(lambda x, e, beta: math.sqrt(1 - beta) * x + math.sqrt(beta) * e, {"x": x, "noise": noise}, steps)


def jump_moments(x, mean, variance, dt):
    dt, data = number("dt", dt), {"x": x, "mean": mean, "variance": like("variance", variance, x)}
    if dt <= 0:
        raise ValueError(f"dt = {dt}; allowed: above 0")
    first = each(lambda x, m, v: (m - x) / dt, data)
    second = each(lambda x, m, v: (x * x - 2 * x * m + m * m + v) / dt, data)
    return first, second, each(lambda x, m, v: (m - x) * ((m - x) ** 2 + 3 * v) / dt, data)


def q_between(x_s, t, s, betas, noise):
    steps = [(a_t / a_s,) for a_t, a_s in pairs(betas, t, s, x_s)]
    return each(lambda x, e, a: math.sqrt(a) * x + math.sqrt(1 - a) * e, {"x_s": x_s, "noise": noise}, steps)


def q_sample(x0, t, betas, noise):
    return each(lambda x, e, a: math.sqrt(a) * x + math.sqrt(1 - a) * e, {"x0": x0, "noise": noise}, [(a,) for a in at(betas, t, x0)])


def q_marginal(x0, t, betas):
    levels = at(betas, t, x0)
    mean = each(lambda x, a: math.sqrt(a) * x, {"x0": x0}, [(a,) for a in levels])
    return mean, column([1 - a for a in levels], (t,), x0)


def posterior(x_t, x0, t, s, betas):
    steps = pairs(betas, t, s, x0)
    return each(_posterior_mean, {"x_t": x_t, "x0": x0}, steps), column([tilde(*step) for step in steps], (t, s), x0)


def _posterior_mean(x_t, x0, a_t, a_s):
    a = a_t / a_s
    return (math.sqrt(a_s) * (1 - a) * x0 + math.sqrt(a) * (1 - a_s) * x_t) / (1 - a_t)


def posterior_variance(t, s, betas):
    return for_times(lambda t, s: tilde(*pair(betas, t, s)), t, s)


def mean_from_eps(eps, x_t, t, s, betas):
    return each(_mean_from_eps, {"eps": eps, "x_t": x_t}, pairs(betas, t, s, x_t))


def _mean_from_eps(eps, x_t, a_t, a_s):
    a = a_t / a_s
    if a == 0:
        raise ValueError("alpha_bar_t = 0; allowed: above 0, for the noise says nothing of x0 there")
    return (x_t - (1 - a) / math.sqrt(1 - a_t) * eps) / math.sqrt(a)


def model_variance(variance, x_t, t, s, betas, mix=None):
    choice("variance", variance, ("posterior", "beta", "learned"))
    if (variance == "learned") != (mix is not None):
        raise ValueError(f"mix = {mix}, variance = {variance}; allowed: mix with learned, and only with it")
    steps = pairs(betas, t, s, x_t)
    if variance == "learned":
        return each(_mixed, {"mix": mix, "x_t": x_t}, steps)
    values = [tilde(a_t, a_s) if variance == "posterior" else 1 - a_t / a_s for a_t, a_s in steps]
    return column(values, (t, s), x_t)


def _mixed(mix, x, a_t, a_s):
    if not 0 <= mix <= 1 or a_s == 1:
        raise ValueError(f"mix = {mix}, alpha_bar_s = {a_s}; allowed: mix in [0, 1] and s > 0")
    return math.exp(mix * math.log(1 - a_t / a_s) + (1 - mix) * math.log(tilde(a_t, a_s)))


def reverse_kernel(prediction, x_t, t, s, betas, kind, variance, mix=None):
    mean, _ = posterior(x_t, to_x0(prediction, x_t, t, betas, kind), t, s, betas)
    return mean, model_variance(variance, x_t, t, s, betas, mix)


def trajectory_log_density(states, grid, betas):
    times = _chain(states, grid, betas)
    total_density = [0.0] * shape_of(states)[1]
    for i in range(len(times) - 1):
        a_t, a_s = pair(betas, times[i], times[i + 1])
        a = a_t / a_s
        mean = each(lambda x, a: math.sqrt(a) * x, {"states": states[i + 1]}, [(a,)] * len(total_density))
        added = _densities(states[i], mean, 1 - a)
        total_density = [so_far + term for so_far, term in zip(total_density, added, strict=True)]
    return array(total_density)


def reverse_log_density(states, grid, betas, model):
    times = _chain(states, grid, betas)
    total_density = _densities(states[0], 0 * states[0], 1.0)
    for i in range(len(times) - 1):
        t, s = times[i], times[i + 1]
        a_t, a_s = pair(betas, t, s)
        mean = mean_from_eps(model(states[i], t), states[i], t, s, betas)
        added = _densities(states[i + 1], mean, 1 - a_t / a_s)
        total_density = [so_far + term for so_far, term in zip(total_density, added, strict=True)]
    return array(total_density)


def _chain(states, grid, betas):
    times = grid_times(grid, betas)
    if len(states) != len(times):
        raise ValueError(f"{len(states)} states; allowed: one for each of the {len(times)} times")
    return times


def _densities(x, mean, variance):
    """log N(x; mean, variance I) of every example, as a list."""
    return total(_log_normal, {"x": x, "mean": mean}, [(variance,)] * shape_of(x)[0]).tolist()


def _log_normal(x, mean, variance):
    if not variance > 0:
        raise ValueError(f"variance = {variance}; allowed: above 0")
    return -((x - mean) ** 2 / variance + math.log(2 * math.pi * variance)) / 2


def log_density(x, mean, variance):
    return total(_log_normal, {"x": x, "mean": like("mean", mean, x), "variance": like("variance", variance, x)})


def score(x, mean, variance):
    return each(_score, {"x": x, "mean": like("mean", mean, x), "variance": like("variance", variance, x)})


def _score(x, mean, variance):
    if not variance > 0:
        raise ValueError(f"variance = {number('variance', variance)}; allowed: above 0")
    return -(x - mean) / variance


def sde_coefficients(kind, t, low, high):
    choice("kind", kind, ("vp", "sub_vp", "ve"))
    if not 0 < low <= high:
        raise ValueError(f"low = {low}, high = {high}; allowed: 0 < low <= high")
    rows = []
    for time in numbers("t", t):
        between("t", time, 0, 1)
        if kind == "ve":
            growth = (high / low) ** (2 * time)
            rows.append((1.0, low * math.sqrt(growth - 1), 0.0, 2 * low**2 * growth * math.log(high / low)))
            continue
        beta = low * (1 - time) + high * time
        kept = math.exp(-(low * time + (high - low) * time**2 / 2))
        lost = 1 - kept
        rows.append(
            (math.sqrt(kept), math.sqrt(lost) if kind == "vp" else lost, -beta / 2, beta * (1 if kind == "vp" else lost * (1 + kept)))
        )
    return tuple(array(values) for values in zip(*rows, strict=True))
