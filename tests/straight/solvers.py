"""EDM, and exponential and Adams solvers: the prediction is a polynomial through the times given, integrated exactly."""

import math

from .boundary import array, choice, each, examples, integer, number, numbers, shape_of


def _above(name, values, low=0):
    if not all(value > low for value in values):
        raise ValueError(f"{name} = {values}; allowed: above {low}")
    return values


def _at_least(name, value, low):
    value = number(name, value)
    if value < low:
        raise ValueError(f"{name} = {value}; allowed: at least {low}")
    return value


def _positive(name, value):
    return _above(name, [number(name, value)])[0]


def edm_preconditioning(sigma, sigma_data):
    sigma, scale = _above("sigma", numbers("sigma", sigma)), _positive("sigma_data", sigma_data)
    sizes = [math.hypot(level, scale) for level in sigma]
    skip = [(scale / size) ** 2 for size in sizes]
    out = [level / size * scale for level, size in zip(sigma, sizes, strict=True)]
    return array(skip), array(out), array([1 / size for size in sizes]), array([math.log(level) / 4 for level in sigma])


def edm_loss_weight(sigma, sigma_data):
    scale = _positive("sigma_data", sigma_data)
    return array([1 / scale**2 + 1 / level**2 for level in _above("sigma", numbers("sigma", sigma))])


def edm_network_target(x0, x, sigma, sigma_data):
    scale, sigma = _positive("sigma_data", sigma_data), _above("sigma", numbers("sigma", sigma))
    if len(sigma) != shape_of(x)[0]:
        raise ValueError(f"sigma has {len(sigma)} numbers; allowed: {shape_of(x)[0]}, one for each example of x")
    sizes = [(math.hypot(level, scale), level) for level in sigma]
    return each(lambda clean, noisy, size, level: (clean - (scale / size) ** 2 * noisy) * size / (level * scale), {"x0": x0, "x": x}, sizes)


def edm_sigmas(steps, sigma_min, sigma_max, rho):
    steps, rho = integer("steps", steps, 1), _positive("rho", rho)
    low = _positive("sigma_min", sigma_min)
    high = _at_least("sigma_max", sigma_max, low)
    shares = [i / (steps - 1) for i in range(1, steps)]
    return array([high, *(((1 - w) * high ** (1 / rho) + w * low ** (1 / rho)) ** rho for w in shares), 0.0])


def phi(k, z):
    k = integer("k", k, 0)
    return array([_phi(k, one) for one in numbers("z", z)])


def _phi(k, z):
    if abs(z) < 1:
        return math.fsum(z**n / math.factorial(n + k) for n in range(30))
    value = math.exp(z)
    for n in range(k):
        value = (value - 1 / math.factorial(n)) / z
    return value


def edm_churn(x, sigma, gamma, s_noise, noise):
    sigma, gamma, s_noise = _positive("sigma", sigma), _at_least("gamma", gamma, 0), number("s_noise", s_noise)
    added = s_noise * sigma * math.sqrt(gamma * (2 + gamma))
    return _weighted({"x": x, "noise": noise}, [1, added]), array((1 + gamma) * sigma)


def edm_heun_step(model, x, t, s):
    t, s = _positive("t", t), _at_least("s", s, 0)
    first = model(x, t)
    middle = _weighted({"x": x, "denoised": first}, [s / t, 1 - s / t])
    if s == 0:
        return middle
    data = {"x": x, "denoised": first, "middle": middle, "denoised again": model(middle, s)}
    half = (s - t) / 2
    return _weighted(data, [1 + half / t, -half / t, half / s, -half / s])


def _weighted(data, weights):
    """The sum of weighted arrays."""
    return each(lambda *values: sum(w * value for w, value in zip(weights, values, strict=True)), data)


def _predictions(name, predictions, x_t, low, high):
    """Predictions by name, each of the shape of x_t."""
    shape = shape_of(predictions)
    if shape[1:] != shape_of(x_t) or not low <= shape[0] <= high:
        raise ValueError(f"{name} has shape {shape}; allowed: {low}..{high} predictions of shape {shape_of(x_t)}")
    return {f"{name}[{i}]": predictions[i] for i in range(shape[0])}


def _levels(signal, sigma, count):
    """Signal, sigma and their ratio at so many times, the first that of x_t and the last that of x_s."""
    signal, sigma = numbers("signal", signal), numbers("sigma", sigma)
    given = f"signal, sigma = {signal}, {sigma}"
    if len(signal) != count or len(sigma) != count:
        raise ValueError(f"{given}; allowed: {count} times each")
    if min(signal + sigma) < 0 or any(a == b == 0 for a, b in zip(signal, sigma, strict=True)):
        raise ValueError(f"{given}; allowed: not below 0, not both 0")
    ratios = [b / a if a else math.inf for a, b in zip(signal, sigma, strict=True)]
    if len(set(ratios[:-1])) < count - 1 or ratios[-1] == ratios[0]:
        raise ValueError(f"{given}; allowed: no time twice, no step to the time of x_t")
    return signal, sigma, ratios


def _check_eta(eta, ratios):
    eta = _at_least("eta", eta, 0)
    if eta > 0 and ratios[-1] > ratios[0]:
        raise ValueError(f"eta = {eta}; allowed: 0 in a step to more noise")
    return eta


def _lagrange(nodes, j):
    """Coefficients, by rising powers, of the polynomial that is 1 at node j and 0 at the others."""
    powers = [1.0]
    for node in nodes[:j] + nodes[j + 1 :]:
        powers = [(up - node * same) / (nodes[j] - node) for up, same in zip([0.0, *powers], [*powers, 0.0], strict=True)]
    return powers


def _moments(rate, h, count):
    """Integrals of u^k exp(-rate (h - u)) from 0 to h: a series for short steps, integration by parts for long ones."""
    z = rate * h
    if abs(z) < 1:
        return [h ** (k + 1) * sum((-z) ** n * math.factorial(k) / math.factorial(n + k + 1) for n in range(20)) for k in range(count)]
    found = [-math.expm1(-z) / rate]
    for k in range(1, count):
        found.append((h**k - k * found[-1]) / rate)
    return found


def _quadrature(nodes, moments):
    """Weights of the values at the nodes in the integral of their polynomial."""
    return [sum(c * m for c, m in zip(_lagrange(nodes, j), moments, strict=True)) for j in range(len(nodes))]


def _exponential(ratios, rate, variant):
    """Weights for nodes in the logarithm of the ratio, counted from x_t; of midpoint, the first moment is half a step of the zeroth."""
    *nodes, h = [math.log(ratios[0] / ratio) for ratio in ratios]
    moments = _moments(rate, h, len(nodes))
    if len(nodes) == 2 and variant == "midpoint":
        moments[1] = h * moments[0] / 2
    return _quadrature(nodes, moments)


def _data_weights(count, signal, sigma, variant, eta):
    """Weights of x_t, of the data predictions and of the noise."""
    choice("variant", variant, ("midpoint", "taylor"))
    signal, sigma, ratios = _levels(signal, sigma, count + 1)
    eta = _check_eta(eta, ratios)
    _above("signal", signal if count > 1 else signal[-1:])
    _above("sigma", sigma if count > 1 else sigma[:1])
    shrunk = ratios[-1] / ratios[0]
    weights = [1 / (1 + eta)] if shrunk == 0 else _exponential(ratios, 1 + eta, variant)
    weights = [signal[-1] * (1 + eta) * w for w in weights]
    return [sigma[-1] / sigma[0] * shrunk**eta, *weights, sigma[-1] * math.sqrt(1 - shrunk ** (2 * eta))]


def dpmpp_step(x_t, x0, signal, sigma, variant, eta, noise):
    data = _predictions("x0", x0, x_t, 1, 3)
    return _weighted({"x_t": x_t, **data, "noise": noise}, _data_weights(len(data), signal, sigma, variant, eta))


def dpm_solver_step(x_t, eps, signal, sigma, variant, eta, noise):
    choice("variant", variant, ("midpoint", "taylor"))
    data = _predictions("eps", eps, x_t, 1, 3)
    signal, sigma, ratios = _levels(signal, sigma, len(data) + 1)
    eta = _check_eta(eta, ratios)
    _above("signal", signal)
    if len(data) == 1:
        weights = [ratios[0] - ratios[-1]]
    else:
        _above("sigma", sigma)
        weights = [ratios[-1] * w for w in _exponential(ratios, -1, variant)]
    spread = math.sqrt(eta * (ratios[0] ** 2 - ratios[-1] ** 2)) if eta else 0.0
    weights = [1 / signal[0], *(-(1 + eta) * w for w in weights), spread]
    return _weighted({"x_t": x_t, **data, "noise": noise}, [signal[-1] * w for w in weights])


def unipc_corrector(x_t, x0, signal, sigma, variant):
    choice("variant", variant, ("bh1", "bh2"))
    data = _predictions("x0", x0, x_t, 2, 4)
    signal, sigma, ratios = _levels(_above("signal", numbers("signal", signal)), _above("sigma", numbers("sigma", sigma)), len(data))
    if len(set(ratios)) < len(ratios):
        raise ValueError(f"signal, sigma = {signal}, {sigma}; allowed: no time twice")
    nodes = [math.log(ratios[0] / ratio) for ratio in ratios]
    h = nodes[-1]
    moments = _moments(1, h, len(nodes))
    if len(nodes) == 2:
        moments[1] = h / 2 * (h if variant == "bh1" else moments[0])
    weights = [signal[-1] * w for w in _quadrature(nodes, moments)]
    return _weighted({"x_t": x_t, **data}, [sigma[-1] / sigma[0], *weights])


def deis_step(x_t, eps, signal, sigma):
    data = _predictions("eps", eps, x_t, 1, 4)
    signal, _, ratios = _levels(_above("signal", numbers("signal", signal)), sigma, len(data) + 1)
    *nodes, h = [ratio - ratios[0] for ratio in ratios]
    weights = [1 / signal[0], *_quadrature(nodes, _moments(0, h, len(nodes)))]
    return _weighted({"x_t": x_t, **data}, [signal[-1] * w for w in weights])


def plms_step(x_t, eps, signal, sigma):
    data = _predictions("eps", eps, x_t, 1, 4)
    signal, _, ratios = _levels(_above("signal", numbers("signal", signal)), sigma, 2)
    steps = [-float(i) for i in range(len(data))]
    weights = [(ratios[1] - ratios[0]) * w for w in _quadrature(steps, _moments(0, 1.0, len(steps)))]
    return _weighted({"x_t": x_t, **data}, [signal[1] * w for w in (1 / signal[0], *weights)])


def _three(signal, sigma):
    signal, sigma, ratios = _levels(_above("signal", numbers("signal", signal)), _above("sigma", numbers("sigma", sigma)), 3)
    return signal, sigma, ratios


def prk_step(model, x_t, signal, sigma):
    signal, _, ratios = _three(signal, sigma)

    def euler(i, **slopes):
        share = (ratios[i] - ratios[0]) / len(slopes)
        return _weighted({"x_t": x_t, **slopes}, [signal[i] / signal[0], *[signal[i] * share] * len(slopes)])

    one = model(x_t, 0)
    two = model(euler(1, one=one), 1)
    three = model(euler(1, two=two), 1)
    four = model(euler(2, three=three), 2)
    return euler(2, one=one, two=two, again=two, three=three, once_more=three, four=four)


def dpmpp_2s_step(model, x_t, signal, sigma, eta, noise):
    signal, sigma, ratios = _three(signal, sigma)
    parts, first = _predictions("noise", noise, x_t, 2, 2), model(x_t, 0)
    x_u = _weighted({"x_t": x_t, "x0": first, "noise": noise[0]}, _data_weights(1, signal[:2], sigma[:2], "midpoint", eta))
    *weights, spread = _data_weights(2, signal, sigma, "midpoint", eta)
    data = {"x_t": x_t, "x0": first, "x0 at u": model(x_u, 1), **parts}
    eta = number("eta", eta)
    later = sigma[2] * math.sqrt(1 - (ratios[2] / ratios[1]) ** (2 * eta))  # what the part from u to s adds
    return x_u, _weighted(data, [*weights, math.sqrt(max(spread**2 - later**2, 0)), later])


def dpmpp_sample(model, order, signal, sigma, x):
    order, signal, sigma = integer("order", order, 1, 3), numbers("signal", signal), numbers("sigma", sigma)
    if len(signal) != len(sigma):
        raise ValueError(f"signal, sigma = {signal}, {sigma}; allowed: as many of each")
    states, known = [x], []
    for i in range(len(signal) - 1):
        known = [model(states[-1], i), *known][:order]
        used = known if sigma[i + 1] > 0 else known[:1]
        times = [*range(i, i - len(used), -1), i + 1]
        weights = _data_weights(len(used), [signal[k] for k in times], [sigma[k] for k in times], "midpoint", 0)
        data = _predictions("x0", array(used), states[-1], 1, 3)
        states.append(_weighted({"x_t": states[-1], **data}, weights[:-1]))
    return array([examples("states", one) for one in states], (len(states), *shape_of(x)))
