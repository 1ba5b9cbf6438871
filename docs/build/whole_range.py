"""Where arguments are extreme: quantities over all arguments that refdiff admits, by the naive formula and by that of refdiff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np

from refdiff import elbo, flow, forward, gaussian, guidance, layers, optim, oracles, schedules
from refdiff.arrays import Array
from tests import exact, tolerances

from .measurement import Measurement, relative, ulps

ULP = "ulp"
EPS = float(np.finfo(np.float64).eps)
TAIL = 10.0 ** np.linspace(-3, 2.84, 117)  # up to 690, where exp(-x) is still a normal number


def _exact(f: Callable[[Any], Any], x: Array) -> Array:
    return exact.apply(f, exact.numbers(x))


def steps() -> Measurement:
    """Small betas after large ones: alpha_bar has fallen far, and a step is below the last digit of its logarithm."""
    betas = 10.0 ** -np.concatenate([np.linspace(0.3, 300, 150), np.linspace(300, 0.3, 150)])
    betas[::50] = 1 - 10.0 ** -np.arange(1.0, 7)
    ours, t = schedules.from_betas(betas), np.arange(1, len(betas) + 1)
    pair = ours.log_alpha_bar, ours.remainder
    naive = -np.expm1((pair[0][t] - pair[0][t - 1]) + (pair[1][t] - pair[1][t - 1]))
    errors = ulps(naive, exact.numbers(betas)), ulps(ours.beta[t], exact.numbers(betas))
    formulas = "differences of a running sum in two numbers", "differences of exact sums, one for each range of digits"
    return Measurement(r"$\beta_t$, far smaller than those before", formulas, t, errors, ULP, tolerances.TABLE, "β = 10⁻³⁰⁰ to 1 − 10⁻⁶")


def neighbours() -> Measurement:
    """Betas between given alpha_bars that are nearly equal."""
    gap = 10.0 ** np.linspace(-15, -1, 57)
    alpha_bars = 0.5 * np.cumprod(1 - gap)
    ours, t = schedules.from_alpha_bars(alpha_bars), np.arange(2, len(gap) + 1)
    true = exact.numbers(alpha_bars)
    expected = 1 - true[1:] / true[:-1]
    errors = ulps(-np.expm1(np.diff(np.log(alpha_bars))), expected), ulps(ours.beta[t], expected)
    formulas = r"$-\mathrm{expm1}(\log\bar\alpha_t - \log\bar\alpha_{t-1})$", r"$(\bar\alpha_{t-1} - \bar\alpha_t) / \bar\alpha_{t-1}$"
    return Measurement(r"$\beta_t$ of given $\bar\alpha_t$", formulas, gap[1:], errors, ULP, tolerances.TABLE, "β = 10⁻¹⁵ to 0.1")


def zero_terminal() -> Measurement:
    """Betas after rescaling to zero terminal SNR."""
    betas = np.linspace(1e-4, 0.02, 1000)
    ours, t = schedules.zero_terminal_snr(schedules.from_betas(betas)), np.arange(2, 1000)
    root = exact.apply(mp.sqrt, exact.alpha_bars(betas))
    expected = 1 - ((root[t] - root[-1]) / (root[t - 1] - root[-1])) ** 2
    naive = -np.expm1(ours.log_alpha_bar[t] - ours.log_alpha_bar[t - 1])
    formulas = r"$-\mathrm{expm1}(\log\bar\alpha'_t - \log\bar\alpha'_{t-1})$", r"from the ratio of two expm1"
    errors = ulps(naive, expected), ulps(ours.beta[t], expected)
    return Measurement(r"$\beta_t$ at zero terminal SNR", formulas, t, errors, ULP, tolerances.FAMILY, "t = 2 to 999 of 1000")


def underflow() -> Measurement:
    """The coefficient of x_s in a step that leaves next to no signal."""
    table, t = schedules.from_betas(np.full(40, 1 - 2.0**-53)), np.arange(1, 41)
    expected = _exact(lambda n: mp.mpf(2) ** (-53 * n / 2), t)
    error = tuple(relative(each, expected) for each in (np.sqrt(table.transition(t, 0)[0]), table.signal_between(t, 0)))
    formulas = r"the root of $\alpha_{t\|s} = e^l$".replace(r"\|", "|"), r"$e^{l / 2}$"
    bound = float(tolerances.TABLE * EPS * 37 * 40)
    return Measurement(r"$\sqrt{\alpha_{t|s}}$", formulas, t, (error[0], error[1]), "relative", bound, "down to 10⁻³¹⁹")


def ratio() -> Measurement:
    """The SNR where there is next to no noise."""
    betas = 10.0 ** -np.linspace(1, 300, 120)
    tables = [schedules.from_betas([beta]) for beta in betas]
    expected = (1 - exact.numbers(betas)) / exact.numbers(betas)
    naive, ours = np.array([np.exp(s.log_snr[1]) for s in tables]), np.array([s.snr[1] for s in tables])
    formulas = r"$e^{\log\mathrm{SNR}}$", r"$\bar\alpha_t / (1 - \bar\alpha_t)$"
    return Measurement(r"$\mathrm{SNR}(t)$", formulas, betas, (ulps(naive, expected), ulps(ours, expected)), ULP, 8, "SNR = 10 to 10³⁰⁰")


def squares() -> Measurement:
    """The ELBO's weight of eps for betas whose square underflows."""
    betas = 10.0 ** -np.linspace(1, 300, 120)
    tables = [schedules.from_betas([0.3, beta]) for beta in betas]
    beta = exact.numbers(betas)
    expected = beta / (2 * (1 - beta) * mp.mpf(0.3))
    naive = [s.beta[2] ** 2 / (2 * forward.posterior_variance(2, 1, s) * s.alpha[2] * s.one_minus_alpha_bar[2]) for s in tables]
    ours = np.array([elbo.weight_eps(2, 1, s) for s in tables])
    formulas = (
        r"$\frac{\beta^2}{2 \tilde\beta\, \alpha (1 - \bar\alpha_t)}$",
        r"$\frac{\beta}{2 \alpha (1 - \bar\alpha_s)}$",
    )
    errors = relative(np.array(naive), expected), relative(ours, expected)
    return Measurement(r"the ELBO's weight of $\epsilon$", formulas, betas, errors, "relative", 16 * EPS, "β = 0.1 to 10⁻³⁰⁰")


def prior() -> Measurement:
    """The divergence of q(x_T | x_0) from noise, for x_0 = 0: half of -alpha_bar - log(1 - alpha_bar)."""
    bars = 10.0 ** -np.linspace(0.01, 150, 120)
    tables = [schedules.from_alpha_bars([bar]) for bar in bars]
    expected = exact.apply(lambda a: (-a - mp.log1p(-a)) / 2, exact.numbers([s.alpha_bar[1] for s in tables]))
    zero, one = np.zeros((1, 1)), np.ones(())
    naive = [gaussian.kl_diagonal(zero, s.one_minus_alpha_bar[1:], zero, one)[0] for s in tables]
    ours = [forward.prior_kl(zero, s)[0] for s in tables]
    errors = relative(np.array(naive), expected), relative(np.array(ours), expected)
    formulas = r"divergence of $\mathcal N(0, 1 - \bar\alpha_T)$ from $\mathcal N(0, 1)$", r"the same, from the difference $\bar\alpha_T$"
    return Measurement("prior term $L_T$ of $x_0 = 0$", formulas, bars, errors, "relative", tolerances.KL, "ᾱ = 0.98 to 10⁻¹⁵⁰")


def bin_of_wide() -> Measurement:
    """The log-probability of a pixel under a wide Gaussian: its bin is narrow."""
    std, zero = 10.0 ** np.linspace(0, 16, 65), np.zeros((65, 1))
    z, half = 0.5 / std, mp.mpf(1) / 255
    with np.errstate(divide="ignore"):
        naive = np.log(_cdf_difference(z, 1 / 255 / std))
    ours = gaussian.discretized_log_likelihood(zero, zero - 0.5, std[:, None])
    expected = exact.apply(lambda s: mp.log(mp.ncdf((mp.mpf(0.5) + half) / s) - mp.ncdf((mp.mpf(0.5) - half) / s)), exact.numbers(std))
    formulas = r"mirrored: $\log\Phi(b) + \log(-\mathrm{expm1}(\log\Phi(a) - \log\Phi(b)))$", "below a width of half a σ, Gauss's rule"
    errors = relative(naive, expected), relative(ours, expected)
    return Measurement("log-probability of a pixel, σ wide", formulas, std, errors, "relative", tolerances.PIXEL * EPS, "σ = 1 to 10¹⁶")


def _cdf_difference(z: Array, half: Array) -> Array:
    from scipy.special import log_ndtr

    log_upper, log_lower = log_ndtr(half - z), log_ndtr(-half - z)
    return np.exp(log_upper) * -np.expm1(log_lower - log_upper)


def gate() -> Measurement:
    """SiLU to the left, where its gate closes."""
    x = np.concatenate([-TAIL[::-1], TAIL])
    expected = _exact(lambda x: x / (1 + mp.exp(-x)), x)
    errors = relative(x * (1 + np.tanh(x / 2)) / 2, expected), relative(layers.silu({}, x)[0], expected)
    formulas = r"$x\, (1 + \tanh(x / 2)) / 2$", r"$x\, e^x / (1 + e^x)$"
    return Measurement("SiLU", formulas, x, errors, "relative", tolerances.SILU * EPS, "x = −690 to 690")


def gate_slope() -> Measurement:
    """Its derivative, relative to the size of its two terms, which have opposite signs to the left."""
    x = np.concatenate([-TAIL[::-1], TAIL])
    s = _exact(lambda x: 1 / (1 + mp.exp(-x)), x)
    rest = _exact(lambda x: 1 / (1 + mp.exp(x)), x)
    true = exact.numbers(x)
    expected, size = s * (1 + true * rest), exact.floats(s * (1 + abs(true) * rest))
    half = (1 + np.tanh(x / 2)) / 2
    found = half * (1 + x * (1 - half)), layers.silu({}, x)[1](np.ones_like(x))[1]
    errors = tuple(exact.error(each, expected) / size for each in found)
    formulas = r"$\varsigma (1 + x (1 - \varsigma))$ with $\varsigma$ from tanh", r"$1 - \varsigma(x) = \varsigma(-x)$"
    return Measurement(
        "slope of SiLU", formulas, x, (errors[0], errors[1]), "relative to its terms", tolerances.SILU * EPS, "x = −690 to 690"
    )


def confident() -> Measurement:
    """The cross-entropy of an answer that leads by a margin."""
    logits, labels = np.stack([TAIL, 0 * TAIL], axis=1), np.zeros(len(TAIL), int)
    expected = _exact(lambda m: mp.log1p(mp.exp(-m)), TAIL)
    naive = np.log(np.exp(logits - TAIL[:, None]).sum(axis=1))
    errors = relative(naive, expected), relative(layers.cross_entropy(logits, labels)[0], expected)
    formulas = r"$\log \sum_k e^{z_k - z_{max}} + z_{max} - z_y$", r"the largest term by $\mathrm{log1p}$"
    return Measurement("cross-entropy", formulas, TAIL, errors, "relative", tolerances.SILU * EPS, "margin = 0.001 to 690")


def confident_slope() -> Measurement:
    """Its derivative in the logit of the label, and so the gradient of a classifier that is sure."""
    logits, labels = np.stack([TAIL, 0 * TAIL], axis=1), np.zeros(len(TAIL), int)
    expected = _exact(lambda m: 1 / (1 + mp.exp(m)), TAIL)
    power = np.exp(logits - TAIL[:, None])
    naive = 1 - power[:, 0] / power.sum(axis=1)
    ours = guidance.classifier_gradient(logits, lambda dlogits: (None, dlogits), labels)[:, 0]
    formulas = r"$1 - \mathrm{softmax}(z)_y$", "the sum of the other classes"
    errors = relative(naive, expected), relative(ours, expected)
    return Measurement("its gradient", formulas, TAIL, errors, "relative", tolerances.SILU * EPS, "margin = 0.001 to 690")


def sure_class() -> Measurement:
    """The log-probability of the class of a mixture that x belongs to, x at a distance from the plane between them."""
    oracle, x = oracles.mixture([[-1.0], [1.0]], [[[0.5]], [[0.5]]], labels=[0, 1]), TAIL[TAIL < 300]
    one, half = np.float64(1), np.float64(0.5)
    expected = _exact(lambda x: -mp.log1p(mp.exp(-2 * x / (mp.mpf(0.5) + mp.mpf(0.25)))), x)
    ours = oracle.log_class(x[:, None], one, half)[:, 1]
    naive = oracle.log_density(x[:, None], one, half, np.ones(len(x), int)) - oracle.log_density(x[:, None], one, half) - np.log(2)
    formulas = r"$\log p(x, y) - \log p(x)$", r"$-\log(1 + e^d)$, $d$ the log-odds against it"
    errors = relative(naive, expected), relative(ours, expected)
    bound = float(8 * EPS * 300**2)
    return Measurement("log-probability of a class", formulas, x, errors, "relative", bound, "x = 0.001 to 300")


def end_of_path() -> Measurement:
    """The noise left by the trigonometric path close to the data."""
    gap = 2.0 ** -np.arange(1.0, 54)
    expected = _exact(lambda g: mp.sin(mp.pi / 2 * g), gap)
    naive, ours = np.cos(np.pi / 2 * (1 - gap)), flow.trigonometric.sigma(1 - gap)
    formulas = r"$\cos(\frac\pi2 t)$", r"$\sin(\frac\pi2 (1 - t))$"
    errors = ulps(naive, expected), ulps(ours, expected)
    return Measurement("σ of the trigonometric path", formulas, gap, errors, ULP, tolerances.TABLE, "1 − t = 0.5 to 10⁻¹⁶")


def end_of_transport() -> Measurement:
    """The noise that the optimal-transport path leaves in the data."""
    least = 10.0 ** -np.linspace(0, 300, 61)
    naive, ours = np.array([[1 + (s - 1) * 1.0, flow.optimal_transport(s).sigma(np.array(1.0))] for s in least.tolist()]).T
    errors = ulps(naive, exact.numbers(least)), ulps(ours, exact.numbers(least))
    formulas = r"$1 - (1 - \sigma_{min}) t$", r"$(1 - t) + \sigma_{min} t$"
    return Measurement("σ of the optimal-transport path", formulas, least, errors, ULP, tolerances.TABLE, "t = 1, σ_min = 1 to 10⁻³⁰⁰")


def far_from_half() -> Measurement:
    """Flow times close to the noise."""
    level = np.concatenate([-2 * TAIL[::-1], 2 * TAIL])
    expected = _exact(lambda x: 1 / (1 + mp.exp(-x / 2)), level)
    errors = ulps(np.exp(-np.logaddexp(0, -level / 2)), expected), ulps(flow.flow_time(level), expected)
    formulas = r"$\exp(-\log(1 + e^{-\lambda / 2}))$", r"$e^{\lambda / 2} / (1 + e^{\lambda / 2})$"
    return Measurement("flow time of a log-SNR λ", formulas, level, errors, ULP, tolerances.TABLE, "λ = −1380 to 1380")


def bias() -> Measurement:
    """Adam's bias correction for a long memory."""
    memory = 10.0 ** np.linspace(1, 15, 57)
    betas = (1 - 1 / memory).tolist()
    expected = 1 - exact.numbers(betas) ** 7
    naive, ours = np.array([[1 - beta**7, optim.debias(beta, 7)] for beta in betas]).T
    formulas = r"$1 - \beta^k$", r"$(1 - \beta)\, \mathrm{expm1}(k \log\beta) / \mathrm{expm1}(\log\beta)$"
    errors = ulps(naive, expected), ulps(ours, expected)
    return Measurement("bias correction of Adam and EMA", formulas, memory, errors, ULP, 8, "1 − β = 0.1 to 10⁻¹⁵, k = 7")


def last_steps() -> Measurement:
    """The learning rate just before the end."""
    left = np.unique(np.rint(10.0 ** np.linspace(0, 5.9, 60)).astype(int))
    total = 10**6
    expected = _exact(lambda n: mp.sin(mp.pi / 2 * n / total) ** 2, left)
    naive = (1 + np.cos(np.pi * (total - left) / total)) / 2
    ours = np.array([optim.learning_rate(total - n, 1.0, 0, total) for n in left.tolist()])
    formulas = r"$(1 + \cos \pi p) / 2$", r"$\sin^2(\frac\pi2 (1 - p))$"
    errors = ulps(naive, expected), ulps(ours, expected)
    return Measurement("cosine decay of the learning rate", formulas, left, errors, ULP, 8, "1 to 800,000 steps before the end of 10⁶")


QUANTITIES: dict[str, Callable[[], Measurement]] = {
    f.__name__: f
    for f in (
        (steps, neighbours, zero_terminal, underflow, ratio, squares, prior, bin_of_wide)
        + (gate, gate_slope, confident, confident_slope, sure_class, end_of_path, end_of_transport, far_from_half, bias, last_steps)
    )
}
