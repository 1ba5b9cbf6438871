"""Conversions between kinds of prediction, each kind by its own formula."""

from .boundary import array, choice, each, examples, number, shape_of
from .tables import signal_sigma

KINDS = ("x0", "eps", "v", "score", "velocity")


def to_x0(prediction, x_t, t, betas, kind):
    choice("kind", kind, KINDS)
    return each(lambda p, x, a, b: data_of(kind, p, x, a, b), {"prediction": prediction, "x_t": x_t}, signal_sigma(betas, t, x_t))


def data_of(kind, p, x, signal, sigma):
    """x0 of one element."""
    if kind == "x0":
        return p
    if kind == "v":
        return signal * x - sigma * p
    if kind == "velocity":  # p = x0 - eps
        return (x + sigma * p) / (signal + sigma)
    if signal == 0:
        raise ValueError(f"kind = {kind} where no signal is left; allowed: x0, v, velocity")
    if kind == "score":
        return (x + sigma * sigma * p) / signal
    return (x - sigma * p) / signal


def to_eps(prediction, x_t, t, betas, kind):
    choice("kind", kind, KINDS)
    return each(lambda p, x, a, b: noise_of(kind, p, x, a, b), {"prediction": prediction, "x_t": x_t}, signal_sigma(betas, t, x_t))


def noise_of(kind, p, x, signal, sigma):
    """eps of one element."""
    if kind == "eps":
        return p
    if kind == "v":
        return sigma * x + signal * p
    if kind == "velocity":
        return (x - signal * p) / (signal + sigma)
    if sigma == 0:
        raise ValueError(f"kind = {kind} where there is no noise; allowed: eps, v, velocity")
    if kind == "score":
        return -sigma * p
    return (x - signal * p) / sigma


def convert(prediction, x_t, t, betas, source, to):
    choice("source", source, KINDS)
    choice("to", to, KINDS)
    levels = signal_sigma(betas, t, x_t)
    return each(lambda p, x, a, b: _converted(source, to, p, x, a, b), {"prediction": prediction, "x_t": x_t}, levels)


def _converted(source, to, p, x, signal, sigma):
    if source == to:
        return p
    if to == "x0":
        return data_of(source, p, x, signal, sigma)
    eps = noise_of(source, p, x, signal, sigma)
    if to in ("eps", "score"):
        return made(to, 0.0, eps, signal, sigma)
    return made(to, data_of(source, p, x, signal, sigma), eps, signal, sigma)


def made(kind, x0, eps, signal, sigma):
    """The prediction of a kind for one element with given data and noise."""
    if kind == "x0":
        return x0
    if kind == "eps":
        return eps
    if kind == "v":
        return signal * eps - sigma * x0
    if kind == "velocity":
        return x0 - eps
    if sigma == 0:
        raise ValueError("a score where there is no noise; allowed: t above 0")
    return -eps / sigma


def target(kind, x0, noise, t, betas):
    choice("kind", kind, KINDS)
    return each(lambda x, e, a, b: made(kind, x, e, a, b), {"x0": x0, "noise": noise}, signal_sigma(betas, t, x0))


def clip_x0(prediction, x_t, t, betas, kind, limit):
    limit = number("limit", limit)
    if limit <= 0:
        raise ValueError(f"limit = {limit}; allowed: above 0")
    clipped = each(lambda x: max(-limit, min(limit, x)), {"x0": to_x0(prediction, x_t, t, betas, kind)})
    return convert(clipped, x_t, t, betas, "x0", kind)


def tweedie_mean(x_t, score, t, betas):
    return to_x0(score, x_t, t, betas, "score")


def tweedie_covariance(hessian, t, betas):
    shape = shape_of(hessian)
    if len(shape) != 3 or shape[1] != shape[2]:
        raise ValueError(f"hessian has shape {shape}; allowed: (B, d, d)")
    answer = []
    for flat, (signal, sigma) in zip(examples("hessian", hessian), signal_sigma(betas, t, hessian), strict=True):
        if signal == 0:
            raise ValueError("a covariance where no signal is left; allowed: alpha_bar_t above 0")
        unit = [1.0 if k // shape[1] == k % shape[1] else 0.0 for k in range(len(flat))]
        answer.append([sigma**2 / signal**2 * (one + sigma**2 * h) for one, h in zip(unit, flat, strict=True)])
    return array(answer, shape)
