r"""Diffusion loss in continuous time, as in variational diffusion models (VDM), and the times at which training estimates it.

Noise levels are given by $\gamma = -\log \mathrm{SNR}$, which increases with the time. It is not the scale of guidance. Losses are in nats.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array, Number, Time, as_array, describe, holds, like, sigmoid, softplus, sum_event
from ..checks import MOST, check_arrays, check_choice, check_count, check_number, check_real, check_scalar, per_example, together
from ..process.sde import Sde

KINDS = ("eps", "x0", "v")
LIMIT = 300.0  # of gamma: beyond, the SNR times the largest data may overflow
Curve = Callable[[Time], tuple[Array, Array]]  # t -> gamma(t), gamma'(t)


def continuous_term(target: Array, prediction: Array, gamma: Number, rate: Number, kind: str = "eps") -> Array:
    r"""Diffusion loss in continuous time at one random time, (B,); its mean over uniform times in 0..1 is the loss of infinitely many steps.

    $$L = \tfrac12 \gamma'(t)\, \|\epsilon - \epsilon_\theta\|^2 = \tfrac12 \gamma'(t)\, e^{-\gamma} \|x_0 - x_0^\theta\|^2
      = \tfrac12 \gamma'(t)\, \varsigma(-\gamma)\, \|v - v_\theta\|^2$$

    `rate` is $\gamma'(t) \ge 0$; it and `gamma` are () or (B,). `kind` is that of target and prediction, (B, ...). The form with $v$ is that of a
    variance-preserving path. Source: V1 [VDM sec. 5].
    """
    check_arrays(target=target, prediction=prediction)
    rate = as_array(per_example("rate", rate, target, 0))
    return _half_error(target, prediction, gamma, kind, rate)


def finite_term(target: Array, prediction: Array, gamma_t: Number, gamma_s: Number, T: int, kind: str = "eps") -> Array:
    r"""Diffusion loss of a chain of $T$ steps at one random step, from $t$ to $s = t - 1/T$, (B,); its mean over uniform steps is their sum.

    $$L = \tfrac T2 (e^{\gamma_t - \gamma_s} - 1)\, \|\epsilon - \epsilon_\theta\|^2 = \tfrac T2 (\mathrm{SNR}(s) - \mathrm{SNR}(t))\, \|x_0 - x_0^\theta\|^2$$

    A $T$-th of it is the inner term of `elbo.elbo_terms`. It tends to `continuous_term`. Raises where $\gamma_s > \gamma_t$. Source: V1 [VDM sec. 4].
    """
    check_arrays(target=target, prediction=prediction)
    T = check_count("T", T, 1, MOST)
    later, earlier = (as_array(per_example(name, g, target, -LIMIT, LIMIT)) for name, g in (("gamma_t", gamma_t), ("gamma_s", gamma_s)))
    if not holds(earlier.real <= later.real):
        raise ValueError(f"gamma_s = {gamma_s!r}, gamma_t = {gamma_t!r}; allowed: gamma_s at most gamma_t, as s is less noisy")
    return _half_error(target, prediction, gamma_t, kind, T * np.expm1(later - earlier))


def gaussian_mmse(variance: Array, gamma: Number) -> Array:
    r"""Smallest mean squared error of $x_0$, per dimension, for Gaussian data of variance $c$: that of the exact model.

    $$\mathrm{MMSE} = \frac{c}{1 + c\, \mathrm{SNR}}$$

    The error of $\epsilon$ is $\mathrm{SNR}$ times as large. The arguments broadcast. Source: V1 [Guo et al. 2005].
    """
    variance, gamma = _noisy(variance, gamma=gamma)
    return variance / (1 + variance * np.exp(-gamma))


def gaussian_step_loss(variance: Array, gamma_t: Number, gamma_s: Number) -> Array:
    r"""Mean diffusion loss of one step from $t$ to $s$ with the exact model, per dimension, for Gaussian data of variance $c$.

    $$L = \tfrac12 (\mathrm{SNR}(s) - \mathrm{SNR}(t)) \frac{c}{1 + c\, \mathrm{SNR}(t)}$$

    It is the mean of `finite_term` divided by $T$. Source: V1 [VDM sec. 4].
    """
    variance, gamma_t, gamma_s = _noisy(variance, gamma_t=gamma_t, gamma_s=gamma_s)
    if not holds(as_array(gamma_s).real <= as_array(gamma_t).real):
        raise ValueError(f"gamma_s = {gamma_s!r}, gamma_t = {gamma_t!r}; allowed: gamma_s at most gamma_t, as s is less noisy")
    snr = variance * np.exp(-gamma_t)
    return snr / (1 + snr) * np.expm1(gamma_t - gamma_s) / 2


def gaussian_loss(variance: Array, gamma_t: Number, gamma_s: Number) -> Array:
    r"""Mean diffusion loss of infinitely many steps from $t$ to $s$ with the exact model, per dimension, for Gaussian data of variance $c$.

    $$L = \tfrac12 \log \frac{1 + c\, \mathrm{SNR}(s)}{1 + c\, \mathrm{SNR}(t)} = \tfrac12 \log(1 + 2 L_1)$$

    $L_1$ is the loss of a single step, `gaussian_step_loss`. The schedule between $s$ and $t$ does not matter. Source: V1 [Guo et al. 2005].
    """
    return np.log1p(2 * gaussian_step_loss(variance, gamma_t, gamma_s)) / 2


def path(curve: Curve, name: str = "vdm") -> Sde:
    r"""Variance-preserving diffusion with the noise levels of a curve $t \to (\gamma(t), \gamma'(t))$ on 0..1.

    $$signal^2 = \varsigma(-\gamma), \quad \sigma^2 = \varsigma(\gamma), \qquad f = -\tfrac12 \sigma^2 \gamma', \quad g^2 = \sigma^2 \gamma'$$

    Predictions, oracles and samplers take it as they take any `Sde`. At $t = 0$ the data have the noise $\varsigma(\gamma(0))$. Source: V1 [VDM sec. 3].
    """
    if not callable(curve):
        raise TypeError(f"curve = {curve!r}; allowed: a function t -> (gamma, rate)")

    def variance_rate(t: Time) -> Array:
        gamma, rate = curve(t)
        return sigmoid(gamma) * sigmoid(-gamma) * rate

    def drift_rate(t: Time) -> Array:
        gamma, rate = curve(t)
        return -sigmoid(gamma) * rate / 2

    return Sde(name, lambda t: -softplus(curve(t)[0]) / 2, drift_rate, lambda t: sigmoid(curve(t)[0]), variance_rate)


def stratified_times(uniform: float, count: int) -> Array:
    r"""Times (B,) in 0..1, without 1, for a batch of `count`, from one uniform number $u_0$: evenly spaced, each of them uniform.

    $$t_i = (u_0 + i / B) \text{ mod } 1, \qquad i = 0, \ldots, B - 1$$

    Their mean of a loss has no larger variance than that of independent times if the loss is monotone in the time. Source: V3 [VDM app. I.1].
    """
    count = check_count("count", count, 1, MOST)
    return np.mod(check_scalar("uniform", uniform, 0, 1) + np.arange(count) / count, 1)


def importance_probabilities(second_moments: Array, floor: float = 0.001) -> Array:
    r"""Probabilities of the steps (T,), proportional to the roots of the second moments of their losses, with a uniform part.

    $$p_t = (1 - floor) \frac{\sqrt{E[L_t^2]}}{\sum_i \sqrt{E[L_i^2]}} + \frac{floor}{T}$$

    For floor = 0 no other probabilities give `importance_weights` times $L_t$ a smaller variance. Source: V3 [Improved DDPM sec. 3.3].
    """
    moments, floor = _table("second_moments", second_moments), check_scalar("floor", floor, 0, 1)
    if not holds(moments.sum() > 0):
        raise ValueError(f"second_moments = {describe(second_moments)}; allowed: numbers from 0, not all of them 0")
    roots = np.sqrt(moments)
    return (1 - floor) * roots / roots.sum() + floor / len(roots)


def importance_weights(probabilities: Array) -> Array:
    r"""Weights $1 / (T p_t)$ of the losses (T,): with them the mean of the loss at a drawn step is its mean over all steps. Source: V3 [Improved DDPM sec. 3.3]."""
    probabilities = _probabilities(probabilities)
    if not holds(probabilities > 0):
        raise ValueError(f"probabilities = {describe(probabilities)}; allowed: above 0, so that every step can be drawn")
    return 1 / (len(probabilities) * probabilities)


def draw_index(uniform: Array, probabilities: Array) -> Array:
    r"""Indices (B,) of steps, drawn by uniform numbers in [0, 1): the first $i$ with $u < p_0 + \ldots + p_i$. Source: V3.

    With `stratified_times` as the uniform numbers, a step is drawn $B p_t$ times, rounded up or down.
    """
    check_real(uniform=uniform)
    uniform = as_array(check_number("uniform", uniform, 0, 1))
    return np.searchsorted(np.cumsum(_probabilities(probabilities))[:-1], uniform, side="right")


def _half_error(target: Array, prediction: Array, gamma: Number, kind: str, rate: Array) -> Array:
    """Half the squared error of eps that an error of this kind stands for, times the rate; (B,)."""
    check_choice("kind", kind, KINDS)
    gamma = as_array(per_example("gamma", gamma, target, -LIMIT, LIMIT)) * 1.0
    weight = {"eps": 1.0, "x0": np.exp(-gamma), "v": sigmoid(-gamma)}[kind]
    error = sum_event((target - prediction) ** 2)
    return like(rate * weight / 2, error, "gamma") * error


def _noisy(variance: Array, **gammas: Number) -> list[Array]:
    """Variances from 0 and gammas within the limit, together."""
    for name, gamma in gammas.items():
        check_number(name, gamma, -LIMIT, LIMIT)
    return together(variance=check_number("variance", variance, 0, 1e120), **gammas)


def _probabilities(probabilities: Array) -> Array:
    values = _table("probabilities", probabilities)
    if not holds(abs(values.sum() - 1) <= 1e-6):
        raise ValueError(f"probabilities = {describe(probabilities)}; allowed: numbers from 0 whose sum is 1")
    return values


def _table(name: str, values: Array) -> Array:
    """Numbers (T,) from 0, T >= 1, as float64."""
    check_real(**{name: values})
    values = as_array(check_number(name, values, 0))
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{name} = {describe(values)}; allowed: numbers (T,), T 1 or more")
    return values.astype(np.float64)
