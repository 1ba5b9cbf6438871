"""Flow matching: time 0 is noise, time 1 is data."""

import math
from itertools import permutations

from .boundary import array, between, choice, each, examples, integer_array, number, numbers, per_example, shape_of, total

PATHS = ("straight", "trigonometric")
KINDS = ("x0", "eps", "v", "score", "velocity")


def _weights(path, t):
    """Weights of data and noise, and their rates of change."""
    choice("path", path, PATHS)
    t = between("t", t, 0, 1)
    if path == "straight":
        return t, 1 - t, 1.0, -1.0
    turn = math.pi / 2
    return math.sin(turn * t), math.cos(turn * t), turn * math.cos(turn * t), -turn * math.sin(turn * t)


def _all_weights(path, t, x):
    return [_weights(path, time) for time in per_example(t, shape_of(x)[0], "t")]


def interpolate(data, noise, t, path):
    return each(lambda d, n, a, b, *_: a * d + b * n, {"data": data, "noise": noise}, _all_weights(path, t, data))


def velocity(data, noise, t, path):
    return each(lambda d, n, a, b, da, db: da * d + db * n, {"data": data, "noise": noise}, _all_weights(path, t, data))


def conditional_loss(prediction, data, noise, t, path):
    return marginal_loss(prediction, velocity(data, noise, t, path))


def marginal_loss(prediction, marginal_velocity):
    return total(lambda p, v: (p - v) ** 2, {"prediction": prediction, "marginal_velocity": marginal_velocity})


def convert_on_path(prediction, x_t, t, path, source, to):
    choice("source", source, KINDS)
    choice("to", to, KINDS)
    weights = _all_weights(path, t, x_t)
    if any(not 0 < number("t", time) < 1 for time in per_example(t, shape_of(x_t)[0], "t")):
        raise ValueError(f"t = {t}; allowed: above 0 and below 1")
    return each(lambda p, x, *w: _read_as(to, *_parts(source, p, x, *w), *w), {"prediction": prediction, "x_t": x_t}, weights)


def _each_weight(x, weights):
    """The four weights of each example."""
    B = shape_of(x)[0]
    return list(zip(*(per_example(w, B, "weight") for w in weights), strict=True))


def state_at(data, noise, signal, sigma, signal_rate, sigma_rate):
    weights = _each_weight(data, (signal, sigma, signal_rate, sigma_rate))
    pair = {"data": data, "noise": noise}
    return each(lambda d, n, a, b, *_: a * d + b * n, pair, weights), each(lambda d, n, a, b, da, db: da * d + db * n, pair, weights)


def convert_at(prediction, x_t, signal, sigma, signal_rate, sigma_rate, source, to):
    weights = _each_weight(x_t, (signal, sigma, signal_rate, sigma_rate))
    if any(float(w[1]) <= 0 for w in weights):
        raise ValueError(f"sigma = {sigma}; allowed: above 0")
    return each(lambda p, x, *w: _read_as(to, *_parts(source, p, x, *w), *w), {"prediction": prediction, "x_t": x_t}, weights)


def _parts(kind, p, x, a, b, da, db):
    """Data and noise of one element of x = a data + b noise."""
    if kind == "x0":
        return p, (x - a * p) / b
    if kind in ("eps", "score"):
        eps = p if kind == "eps" else -b * p
        return (x - b * eps) / a, eps
    if kind == "v":  # p = a eps - b data
        size = a * a + b * b
        return (a * x - b * p) / size, (b * x + a * p) / size
    size = a * db - b * da  # p = da data + db eps
    return (db * x - b * p) / size, (a * p - da * x) / size


def _read_as(kind, data, eps, a, b, da, db):
    return {"x0": data, "eps": eps, "v": a * eps - b * data, "score": -eps / b, "velocity": da * data + db * eps}[kind]


def flow_time(log_snr):
    return array([1 / (1 + math.exp(-value / 2)) for value in numbers("log_snr", log_snr)])


def flow_log_snr(tau):
    return array([2 * math.log(one / (1 - one)) for one in numbers("tau", tau)])


def to_flow(x_t, signal, sigma):
    count = shape_of(x_t)[0]
    sums = []
    for a, b in zip(per_example(signal, count, "signal"), per_example(sigma, count, "sigma"), strict=True):
        if a < 0 or b < 0 or not number("signal + sigma", a + b) > 0:
            raise ValueError(f"signal = {a}, sigma = {b}; allowed: not below 0, not both 0")
        sums.append((a + b,))
    return each(lambda x, size: x / size, {"x_t": x_t}, sums)


def from_flow(x_tau, tau):
    times = [between("tau", one, 0, 1) for one in per_example(tau, shape_of(x_tau)[0], "tau")]
    return each(lambda x, u: x / math.sqrt(u**2 + (1 - u) ** 2), {"x_tau": x_tau}, [(u,) for u in times])


def couple_optimally(data, noise):
    if shape_of(data) != shape_of(noise):
        raise ValueError(f"data and noise have shapes {shape_of(data)} and {shape_of(noise)}; allowed: one shape")
    data, noise = examples("data", data), examples("noise", noise)
    cost = [[sum((d - n) ** 2 for d, n in zip(one, other, strict=True)) for other in noise] for one in data]
    orders = permutations(range(len(data)))
    return integer_array(min(orders, key=lambda order: sum(cost[order[i]][i] for i in range(len(order)))))
