"""Samplers: for each method one step from t to s < t, and one generator that applies any of them along a time grid."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import Array, Model, Number, Solver, Step, Time, all_true, as_array, event_size, like
from ..checks import check_arrays, check_choice, check_number, check_scalar
from ..process import predict, reverse
from ..process.forward import posterior, posterior_variance, q_sample
from ..process.grids import check_noise, check_times
from ..process.schedules import Schedule
from .ode import euler_step, heun_step, rk4_step, solve_adaptive, velocity_field

__all__ = [
    "Step",
    "ddim_inversion_step",
    "ddim_step",
    "ddpm_step",
    "euler_step",
    "heun_step",
    "last",
    "rk4_step",
    "sample",
    "shared_noise_interpolation",
    "slerp",
    "solve_adaptive",
    "stepper",
    "velocity_field",
]


def sample(model: Model, step: Step | Solver, grid: Array, x: Array, noise: Sequence[Array] | None = None) -> Iterator[Array]:
    """Sample along a time grid, starting from `x` at `grid[0]`: yield every state, `x` first.

    `step(model, x_t, t, s, noise)` is `euler_step`, `heun_step`, `rk4_step`, a diffusion step made by `stepper`, or a solver by its name
    (`solvers.solver`).
    `noise[i]` is passed to the step from `grid[i]`. A progress bar or an animation can wrap this generator.
    Source: S1, S2, M1 [DDPM alg. 2].
    """
    check_arrays(x=x)
    check_times(grid)
    check_noise(noise, len(grid) - 1)
    advance = step.begin() if hasattr(step, "begin") else step
    yield x
    for i, (t, s) in enumerate(pairwise(grid)):
        x = advance(model, x, t, s, None if noise is None else noise[i])
        yield x


def last(states: Iterator[Array]) -> Array:
    """Final state of `sample`; the states before it are not kept."""
    return deque(states, maxlen=1)[0]


def stepper(formula: Callable[..., Array], schedule: Schedule, **options: Any) -> Step:
    """Diffusion step for `sample`: call the model once at (`x_t`, `t`), then apply `formula` with these options.

    `formula` is `ddpm_step`, `ddim_step` or `ddim_inversion_step`.
    """

    def step(model: Model, x_t: Array, t: Time, s: Time, noise: Array | None) -> Array:
        return formula(model(x_t, t), x_t, t, s, schedule, noise, **options)

    return step


def ddpm_step(
    prediction: Array,
    x_t: Array,
    t: Time,
    s: Time,
    schedule: Schedule,
    noise: Array | None = None,
    kind: str = "eps",
    variance: str = "posterior",
    mix: Array | None = None,
) -> Array:
    r"""Ancestral sampling step of DDPM: a sample from the model's reverse step; for $s = 0$, the mean of that step.

    $$x_s = \mu_\theta(x_t, t) + \sqrt{\Sigma_\theta}\, z, \qquad z = 0 \text{ for } s = 0$$

    `prediction` of the given `kind`, `x_t` and `noise` (B, ...); `variance` as in `reverse.model_variance`.
    `noise` may be None for $s = 0$. Source: S1, R4 [DDPM alg. 2].
    """
    check_choice("variance", variance, reverse.VARIANCES)
    x0 = predict.to_x0(prediction, x_t, t, schedule, kind)
    mean, _ = posterior(x_t, x0, t, s, schedule)
    if all_true(as_array(s) == 0):
        return mean
    noise = _needed(noise, x_t)
    scale = np.sqrt(reverse.model_variance(x_t, t, s, schedule, variance, mix))
    return mean + scale * like((as_array(s) > 0).astype(x_t.real.dtype), x_t) * noise


def ddim_step(
    prediction: Array,
    x_t: Array,
    t: Time,
    s: Time,
    schedule: Schedule,
    noise: Array | None = None,
    eta: float = 0.0,
    kind: str = "eps",
) -> Array:
    r"""DDIM step with the noise parameter $\eta$: 0 is deterministic, 1 is DDPM with variance $\tilde\beta_{t|s}$.

    $$x_s = \sqrt{\bar\alpha_s}\, x_0^\theta + \sqrt{1 - \bar\alpha_s - \sigma_\eta^2}\, \epsilon_\theta + \sigma_\eta z, \qquad \sigma_\eta^2 = \eta^2 \tilde\beta_{t|s}$$

    The term under the square root of $\epsilon_\theta$'s coefficient is computed as
    $(1 - \bar\alpha_s)(1 - \eta^2 + \eta^2 \alpha_{t|s} (1 - \bar\alpha_s) / (1 - \bar\alpha_t))$, without
    cancellation. Raises for $\eta$ outside [0, 1]. `noise` may be None for $\eta = 0$ or $s = 0$.
    Source: S2 [DDIM eq. 12, 16].
    """
    eta = check_scalar("eta", eta, 0, 1)
    alpha, _ = schedule.transition(t, s)
    share = alpha * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    x0 = predict.to_x0(prediction, x_t, t, schedule, kind)
    eps = predict.to_eps(prediction, x_t, t, schedule, kind)
    kept = schedule.sigma[s] * np.sqrt((1 - eta) * (1 + eta) + eta**2 * share)
    x_s = like(schedule.signal[s], x_t) * x0 + like(kept, x_t) * eps
    if eta == 0 or all_true(as_array(s) == 0):
        return x_s
    return x_s + like(eta * np.sqrt(posterior_variance(t, s, schedule)), x_t) * _needed(noise, x_t)


def ddim_inversion_step(
    prediction: Array, x_s: Array, s: Time, t: Time, schedule: Schedule, noise: None = None, kind: str = "eps"
) -> Array:
    r"""DDIM inversion: a deterministic step towards noise, from $s$ to $t > s$, with the prediction at $(x_s, s)$.

    $$x_t = \sqrt{\bar\alpha_t}\, x_0^\theta(x_s) + \sqrt{1 - \bar\alpha_t}\, \epsilon_\theta(x_s)$$

    Use it with `stepper` and a reversed grid. At $s = 0$ the kind cannot be $x_0$, which does not determine $\epsilon$
    there, nor the score, which does not exist there. Source: S2 [DDIM sec. 4.3].
    """
    check_arrays(x_s=x_s, prediction=prediction)
    t, s = schedule.pair(t, s)
    x0 = predict.to_x0(prediction, x_s, s, schedule, kind)
    eps = predict.to_eps(prediction, x_s, s, schedule, kind)
    return q_sample(x0, t, schedule, eps)


def shared_noise_interpolation(x0_a: Array, x0_b: Array, weight: Number, t: Time, schedule: Schedule, noise: Array) -> Array:
    r"""Interpolation of two data points under the same noise: a state at time $t$ from which to sample.

    $$x_t = (1 - w)\, x_t^a + w\, x_t^b = \sqrt{\bar\alpha_t} ((1 - w) x_0^a + w\, x_0^b) + \sqrt{1 - \bar\alpha_t}\, \epsilon$$

    `weight` is $w$, in [0, 1]. Both states have the same noise, so the interpolated noise has the same variance. With
    two independent noises the variance would be smaller. Source: S2 [DDPM sec. 4.4].
    """
    check_arrays(x0_a=x0_a, x0_b=x0_b, noise=noise)
    share = like(check_number("weight", weight, 0, 1), x0_a, "weight")
    return q_sample((1 - share) * x0_a + share * x0_b, t, schedule, noise)


def slerp(a: Array, b: Array, weight: float) -> Array:
    r"""Spherical linear interpolation (slerp) of two noises, for each example; equal lengths are preserved.

    $$\frac{\sin((1 - w)\theta)}{\sin\theta} a + \frac{\sin(w\theta)}{\sin\theta} b, \qquad \cos\theta = \frac{a \cdot b}{\|a\| \|b\|}$$

    `weight` is $w$. `a` and `b` (B, ...) must not be zero or opposite. Parallel `a` and `b` are interpolated linearly.
    Source: S2 [DDIM eq. 67].
    """
    weight = check_scalar("weight", weight, 0, 1)
    check_arrays(a=a, b=b)
    flat_a, flat_b = _direction(a, "a"), _direction(b, "b")
    # the angle from half chords: precise near 0, where the arc cosine of a dot product is not
    theta = 2 * np.arctan2(np.linalg.norm(flat_a - flat_b, axis=1), np.linalg.norm(flat_a + flat_b, axis=1))
    check_number("angle between a and b", theta, 0, np.pi - 1e-6)
    return like(_arc(1 - weight, theta), a) * a + like(_arc(weight, theta), b) * b


def _needed(noise: Array | None, x_t: Array) -> Array:
    if noise is None:
        raise ValueError("noise = None; allowed: an array of x_t's shape, unless the step adds no noise")
    check_arrays(x_t=x_t, noise=noise)
    return noise


def _direction(x: Array, name: str) -> Array:
    flat = x.reshape(len(x), event_size(x))
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    check_number(f"length of {name}", norm, 0, open_low=True)
    return flat / norm


def _arc(weight: float, theta: Array) -> Array:
    tiny = theta < 1e-8
    return np.where(tiny, weight, np.sin(weight * theta) / np.where(tiny, 1, np.sin(theta)))
