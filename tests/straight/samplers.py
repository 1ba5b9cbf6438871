"""Sampler steps and whole trajectories."""

import itertools
import math

from .boundary import array, between, choice, each, examples, integer, like, number, numbers, per_example, shape_of, to_list
from .forward import posterior, q_sample, reverse_kernel
from .predict import clip_x0, to_eps, to_x0
from .tables import grid_times, kept, pairs, tilde


def _limited(prediction, x_t, t, betas, kind, clip):
    return prediction if clip is None else clip_x0(prediction, x_t, t, betas, kind, clip)


def ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
    choice("variance", variance, ("posterior", "beta", "learned"))
    prediction = _limited(prediction, x_t, t, betas, kind, clip)
    if s == 0:
        return posterior(x_t, to_x0(prediction, x_t, t, betas, kind), t, s, betas)[0]
    mean, spread = reverse_kernel(prediction, x_t, t, s, betas, kind, variance, mix)
    return each(lambda m, v, e: m + math.sqrt(v) * e, {"mean": mean, "variance": like("variance", spread, mean), "noise": noise})


def ddim_step(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
    eta = between("eta", eta, 0, 1)
    prediction = _limited(prediction, x_t, t, betas, kind, clip)
    x0, eps = to_x0(prediction, x_t, t, betas, kind), to_eps(prediction, x_t, t, betas, kind)
    constants = [(a_s, eta**2 * tilde(a_t, a_s)) for a_t, a_s in pairs(betas, t, s, x_t)]
    return each(_ddim, {"x0": x0, "eps": eps, "noise": noise}, constants)


def _ddim(x0, eps, noise, a_s, var):
    return math.sqrt(a_s) * x0 + math.sqrt(max(0.0, 1 - a_s - var)) * eps + math.sqrt(var) * noise


def ddim_inversion_step(prediction, x_s, s, t, betas, kind):
    if s == 0:
        raise ValueError("s = 0; allowed: above 0, for clean data has no noise to go along")
    x0, eps = to_x0(prediction, x_s, s, betas, kind), to_eps(prediction, x_s, s, betas, kind)
    levels = [(a_t,) for a_t, _ in pairs(betas, t, s, x_s)]
    return each(lambda x, e, a: math.sqrt(a) * x + math.sqrt(1 - a) * e, {"x0": x0, "eps": eps}, levels)


def ddpm_sample(model, grid, x, noise, betas, kind, variance, clip=None):
    def step(x, t, s, z):
        return ddpm_step(model(x, t), x, t, s, betas, z, kind, variance, clip=clip)

    return _along(step, grid_times(grid, betas), x, noise)


def ddim_sample(model, grid, x, noise, betas, eta, kind, clip=None):
    def step(x, t, s, z):
        return ddim_step(model(x, t), x, t, s, betas, z, eta, kind, clip)

    return _along(step, grid_times(grid, betas), x, noise)


def _along(step, times, x, noise):
    if shape_of(noise) != (len(times) - 1, *shape_of(x)):
        raise ValueError(f"noise has shape {shape_of(noise)}; allowed: {(len(times) - 1, *shape_of(x))}")
    states = [x]
    for i in range(len(times) - 1):
        states.append(step(states[-1], times[i], times[i + 1], noise[i]))
    return _stacked(states)


def _stacked(states):
    return array([examples("states", x) for x in states], (len(states), *shape_of(states[0])))


def ddim_invert(model, grid, x, betas, kind):
    times = [int(t) for t in grid]
    if times[0] <= 0 or times[-1] >= len(kept(betas)) or any(a >= b for a, b in itertools.pairwise(times)):
        raise ValueError(f"grid = {times}; allowed: strictly rising from above 0 to at most T")
    states = [x]
    for s, t in itertools.pairwise(times):
        states.append(ddim_inversion_step(model(states[-1], s), states[-1], s, t, betas, kind))
    return _stacked(states)


def _moved(x, *slopes_and_weights):
    """x plus the weighted slopes."""
    slopes = {f"slope {i}": slope for i, (slope, _) in enumerate(slopes_and_weights)}
    weights = [weight for _, weight in slopes_and_weights]
    return each(lambda x, *k: x + sum(w * one for w, one in zip(weights, k, strict=True)), {"x": x, **slopes})


def euler_step(f, x, t, s):
    t, s = number("t", t), number("s", s)
    return _moved(x, (f(x, t), s - t))


def heun_step(f, x, t, s):
    t, s = number("t", t), number("s", s)
    first = f(x, t)
    second = f(_moved(x, (first, s - t)), s)
    return _moved(x, (first, (s - t) / 2), (second, (s - t) / 2))


def rk4_step(f, x, t, s):
    t, s = number("t", t), number("s", s)
    h, middle = s - t, (t + s) / 2
    k1 = f(x, t)
    k2 = f(_moved(x, (k1, h / 2)), middle)
    k3 = f(_moved(x, (k2, h / 2)), middle)
    k4 = f(_moved(x, (k3, h)), s)
    return _moved(x, (k1, h / 6), (k2, h / 3), (k3, h / 3), (k4, h / 6))


def ode_sample(f, method, times, x):
    step = {"euler": euler_step, "heun": heun_step, "rk4": rk4_step}[choice("method", method, ("euler", "heun", "rk4"))]
    states, times = [x], numbers("times", times)
    for t, s in itertools.pairwise(times):
        states.append(step(f, states[-1], t, s))
    return _stacked(states)


def picard_sample(f, times, x, sweeps):
    times = numbers("times", times)
    states = [x] * len(times)
    for _ in range(integer("sweeps", sweeps, 0)):
        ends = [euler_step(f, state, t, s) for state, (t, s) in zip(states[:-1], itertools.pairwise(times), strict=True)]
        after = [x]
        for state, end in zip(states[:-1], ends, strict=True):
            after.append(each(lambda new, old, end: end + (new - old), {"new": after[-1], "old": state, "end": end}))
        states = after
    return _stacked(states)


def slerp(a, b, weight):
    weight = number("weight", weight)
    if shape_of(a) != shape_of(b):
        raise ValueError(f"a and b have shapes {shape_of(a)} and {shape_of(b)}; allowed: one shape")
    constants = [_arc(one, other, weight) for one, other in zip(examples("a", a), examples("b", b), strict=True)]
    return each(lambda p, q, wa, wb: wa * p + wb * q, {"a": a, "b": b}, constants)


def _arc(a, b, weight):
    """Weights of two vectors on the great circle between them."""
    dot, size = sum(p * q for p, q in zip(a, b, strict=True)), math.sqrt(sum(p * p for p in a) * sum(q * q for q in b))
    if size == 0 or dot / size < -1 + 1e-12:
        raise ValueError("a and b are opposite, or one is 0; allowed: two directions with one arc between them")
    angle = math.acos(min(1.0, dot / size))
    if angle == 0:
        return 1 - weight, weight
    return math.sin((1 - weight) * angle) / math.sin(angle), math.sin(weight * angle) / math.sin(angle)


def shared_noise_interpolation(x0_a, x0_b, weight, t, betas, noise):
    weight = number("weight", weight)
    a, b = q_sample(x0_a, t, betas, noise), q_sample(x0_b, t, betas, noise)
    return each(lambda p, q: (1 - weight) * p + weight * q, {"a": a, "b": b})


def reverse_sde_drift(x, score, drift_rate, g2, k):
    if k < 0:
        raise ValueError(f"k = {k}; allowed: at least 0")
    B = shape_of(x)[0]
    rates = list(zip(per_example(drift_rate, B, "drift_rate"), per_example(g2, B, "g2"), strict=True))
    return each(lambda x, s, f, g: f * x - 0.5 * g * s - 0.5 * k * k * g * s, {"x": x, "score": score}, rates)


def euler_maruyama_step(x, score, drift_rate, g2, k, h, noise):
    if h < 0:
        raise ValueError(f"h = {h}; allowed: at least 0")
    moved = reverse_sde_drift(x, score, drift_rate, g2, k)
    spreads = [(k * math.sqrt(g) * math.sqrt(h),) for g in per_example(g2, shape_of(x)[0], "g2")]
    return each(lambda x, m, e, w: x - m * h + w * e, {"x": x, "moved": moved, "noise": noise}, spreads)


def ula_step(x, score, h, noise):
    sizes = [(number("h", size),) for size in per_example(h, len(x), "h")]
    if any(size < 0 for (size,) in sizes):
        raise ValueError(f"h = {h}; allowed: at least 0")
    return each(lambda x, s, z, size: x + size * s + math.sqrt(2 * size) * z, {"x": x, "score": score, "noise": noise}, sizes)


def mala_log_ratio(x, proposal, log_density, log_density_there, score, score_there, h):
    h, ratios = number("h", h), []
    flat = [examples(name, values) for name, values in (("x", x), ("proposal", proposal), ("score", score), ("score_there", score_there))]
    for points, p, p_there in zip(
        zip(*flat, strict=True), numbers("log_density", log_density), numbers("log_density_there", log_density_there), strict=True
    ):
        here, there, s, s_there = points
        forth = sum((b - a - h * d) ** 2 for a, b, d in zip(here, there, s, strict=True))
        back = sum((a - b - h * d) ** 2 for a, b, d in zip(here, there, s_there, strict=True))
        ratios.append(p_there - back / (4 * h) - (p - forth / (4 * h)))
    return array(ratios)


def corrector_size(score, noise, ratio):
    sizes = []
    for s, z in zip(examples("score", score), examples("noise", noise), strict=True):
        length = math.hypot(*s)
        if length == 0:
            raise ValueError("score = 0; allowed: a length above 0")
        sizes.append(2 * (number("ratio", ratio) * math.hypot(*z) / length) ** 2)
    return array(sizes)


def annealed_langevin(model, sigmas, steps, size, x, noise):
    sigmas, k = numbers("sigmas", sigmas), 0
    if any(a <= b for a, b in itertools.pairwise(sigmas)):
        raise ValueError(f"sigmas = {sigmas}; allowed: falling")
    for sigma in sigmas:
        for _ in range(steps):
            x = ula_step(x, model(x, sigma), size * sigma**2 / sigmas[-1] ** 2, noise[k])
            k += 1
    return _moved(x, (model(x, sigmas[-1]), sigmas[-1] ** 2))


def _added(signal, sigma):
    """The factor of the state from s to t, and the variance that is added."""
    (a_t, a_s), (b_t, b_s) = numbers("signal", signal), numbers("sigma", sigma)
    factor = a_t / a_s
    added = b_t**2 - (factor * b_s) ** 2
    if added < 0:
        raise ValueError(f"sigma = {sigma}; allowed: less noise at s than at t")
    return factor, added, b_s**2 / b_t**2


def ancestral_step(x_t, score, signal, sigma, noise, variance):
    factor, added, share = _added(signal, sigma)
    spread = math.sqrt(added * (share if choice("variance", variance, ("posterior", "forward")) == "posterior" else 1))
    return each(lambda x, s, z: (x + added * s) / factor + spread * z, {"x_t": x_t, "score": score, "noise": noise})


def reverse_diffusion_step(x_t, score, signal, sigma, noise):
    factor, added, _ = _added(signal, sigma)
    return each(lambda x, s, z: (2 - factor) * x + added * s + math.sqrt(added) * z, {"x_t": x_t, "score": score, "noise": noise})


def hutchinson(jacobian, probe):
    found = []
    for matrix, v in zip(to_list(jacobian), examples("probe", probe), strict=True):
        found.append(math.fsum(v[i] * matrix[i][j] * v[j] for i in range(len(v)) for j in range(len(v))))
    return array(found)


def bits_of_density(log_density, dimensions, width):
    width, dimensions = number("width", width), integer("dimensions", dimensions, 1)
    if width <= 0:
        raise ValueError(f"width = {width}; allowed: above 0")
    return array([-value / dimensions / math.log(2) - math.log2(width) for value in numbers("log_density", log_density)])
