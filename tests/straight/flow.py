"""Flow matching: time 0 is noise, time 1 is data."""

import math
from itertools import permutations

from .boundary import array, between, choice, column, each, examples, integer_array, nested, number, numbers, per_example, shape_of, total
from .matrices import backward, factor, forward, multiply, transpose

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


def couple_entropic(data, noise, eps):
    if number("eps", eps) <= 0:
        raise ValueError(f"eps = {eps}; allowed: above 0")
    data, noise = examples("data", data), examples("noise", noise)
    if len(data[0]) != len(noise[0]):
        raise ValueError(f"data and noise have {len(data[0])} and {len(noise[0])} numbers; allowed: the same")
    plan = [[math.exp(-sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / eps) for y in data] for x in noise]
    for _ in range(3000):  # the rows and the columns are scaled to their sums in turn
        plan = [[value / math.fsum(row) / len(plan) for value in row] for row in plan]
        sums = [math.fsum(one) * len(data) for one in zip(*plan, strict=True)]
        plan = [[value / total for value, total in zip(row, sums, strict=True)] for row in plan]
    return array(plan)


def gaussian_coupling(cov_noise, cov_data, eps):
    a, b = nested("cov_noise", cov_noise, 2), nested("cov_data", cov_data, 2)
    low, d, s = factor("cov_noise", a), len(a), number("eps", eps) / 2
    if any(b[i][i] * b[j][j] < b[i][j] ** 2 - 1e-12 for i in range(d) for j in range(d)):
        raise ValueError(f"cov_data = {b}; allowed: positive semidefinite")
    # with A = L L^T and K = L X L^-1: X^2 + s X = L^T B L, by Newton's iteration for the root of (X + s / 2)^2
    wanted = multiply(multiply(transpose(low), b), low)
    square = [[wanted[i][j] + (s * s / 4 if i == j else 0) for j in range(d)] for i in range(d)]
    root = [[float(i == j) * sum(square[k][k] for k in range(d)) for j in range(d)] for i in range(d)]
    for _ in range(60):
        lower = factor("root", root)
        quotient = transpose([backward(lower, forward(lower, one)) for one in transpose(square)])
        mean = [[(p + q) / 2 for p, q in zip(*rows, strict=True)] for rows in zip(root, quotient, strict=True)]
        root = [[(mean[i][j] + mean[j][i]) / 2 for j in range(d)] for i in range(d)]
    x = [[root[i][j] - (s / 2 if i == j else 0) for j in range(d)] for i in range(d)]
    product = multiply(low, x)
    return array([backward(low, row) for row in product])  # K = (L X) L^-1: each row solves L^T k = row


def brownian_bridge(data, noise, t, sigma):
    times = [between("t", one, 0, 1) for one in per_example(t, shape_of(data)[0], "t")]
    mean = each(lambda d, n, u: u * d + (1 - u) * n, {"data": data, "noise": noise}, [(u,) for u in times])
    return mean, column([sigma**2 * u * (1 - u) for u in times], (t,), data)


def _inside(t, count):
    times = [number("t", one) for one in per_example(t, count, "t")]
    if any(not 0 < one < 1 for one in times):
        raise ValueError(f"t = {t}; allowed: above 0 and below 1")
    return times


def bridge_targets(x_t, data, noise, t, sigma):
    constants = [(u,) for u in _inside(t, shape_of(x_t)[0])]
    given = {"x_t": x_t, "data": data, "noise": noise}
    score = each(lambda x, d, n, u: (u * d + (1 - u) * n - x) / (sigma**2 * u * (1 - u)), given, constants)
    # between the forward drift (d - x) / (1 - u) and the backward one (x - n) / u
    velocity = each(lambda x, d, n, u: ((d - x) / (1 - u) + (x - n) / u) / 2, given, constants)
    return velocity, score


def bridge_drift(x_t, data, noise, plan, t, sigma):
    xs, ys, zs = examples("x_t", x_t), examples("data", data), examples("noise", noise)
    if shape_of(plan) != (len(zs), len(ys)):
        raise ValueError(f"plan has shape {shape_of(plan)}; allowed: {(len(zs), len(ys))}")
    plan, drifts, scores = nested("plan", plan, 2), [], []
    for x, u in zip(xs, _inside(t, len(xs)), strict=True):
        pairs, variance = [], sigma**2 * u * (1 - u)
        for i, z in enumerate(zs):
            for j, y in enumerate(ys):
                pull = [u * b + (1 - u) * a - c for a, b, c in zip(z, y, x, strict=True)]
                pairs.append((plan[i][j] * math.exp(-math.fsum(p * p for p in pull) / 2 / variance), y, pull))
        mass = math.fsum(w for w, _, _ in pairs)
        drifts.append([math.fsum(w * (y[k] - x[k]) for w, y, _ in pairs) / mass / (1 - u) for k in range(len(x))])
        scores.append([math.fsum(w * pull[k] for w, _, pull in pairs) / mass / variance for k in range(len(x))])
    return array(drifts, shape_of(x_t)), array(scores, shape_of(x_t))


def gaussian_bridge(cov_noise, cov_data, t, sigma):
    t = between("t", t, 0, 1)
    a, b = nested("cov_noise", cov_noise, 2), nested("cov_data", cov_data, 2)
    k = gaussian_coupling(cov_noise, cov_data, 2 * sigma**2).tolist()
    d = len(a)
    covariance, towards = [[0.0] * d for _ in a], [[0.0] * d for _ in a]
    for i in range(d):
        for j in range(d):
            width = sigma**2 if i == j else 0.0
            covariance[i][j] = (1 - t) ** 2 * a[i][j] + t**2 * b[i][j] + t * (1 - t) * (k[i][j] + k[j][i] + width)
            # the covariance of the drift with x_t, half the rate of the covariance and the part that turns
            rate = -2 * (1 - t) * a[i][j] + 2 * t * b[i][j] + (1 - 2 * t) * (k[i][j] + k[j][i] + width)
            towards[i][j] = (rate - width + k[j][i] - k[i][j]) / 2
    low = factor("covariance", covariance)
    return array(covariance), array([backward(low, forward(low, row)) for row in towards])
