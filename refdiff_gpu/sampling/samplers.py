"""`refdiff.samplers` with one kernel for each step, which also combines the two predictions of a guided model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np

from refdiff.arrays import Array, Model, Time, all_true, as_array, like
from refdiff.checks import check_arrays, check_choice, check_scalar
from refdiff.process import reverse
from refdiff.process.forward import posterior_variance
from refdiff.process.schedules import Schedule
from refdiff.sampling import samplers as reference
from refdiff.sampling.samplers import Step, ddim_inversion_step, last, shared_noise_interpolation, slerp

from ..device.arrays import unchecked
from ..device.launch import launch
from ..process.predict import eps_terms, x0_terms
from .guidance import evaluate, kernel_inputs
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

_DDIM_KERNELS = {("any", "eps"): "eps", ("x0", "any"): "x0", ("any", "score"): "score", ("any", "any"): "any"}


@wraps(reference.sample)
def sample(model: Model, step: Step, grid: Array, x: Array, noise: Sequence[Array] | None = None) -> Iterator[Array]:
    check_arrays(x=x)  # once: checks inside the steps would wait for the device
    states = reference.sample(model, step, grid, x, noise)
    while True:
        with unchecked():
            state = next(states, None)
        if state is None:
            return
        yield state


@wraps(reference.stepper)
def stepper(formula: Callable[..., Array], schedule: Schedule, **options: Any) -> Step:
    combines = formula in (ddim_step, ddpm_step)

    def step(model: Model, x_t: Array, t: Time, s: Time, noise: Array | None) -> Array:
        return formula(evaluate(model, x_t, t) if combines else model(x_t, t), x_t, t, s, schedule, noise, **options)

    return step


@wraps(reference.ddpm_step)
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
    check_choice("variance", variance, reverse.VARIANCES)
    guided, inputs = kernel_inputs(prediction, x_t)
    name, terms = x0_terms(t, schedule, kind, x_t)
    weights = _posterior_weights(x_t, t, s, schedule)
    if all_true(as_array(s) == 0):
        return launch(f"{guided}ddpm_{name}", x_t, *inputs, *terms, *weights)
    noise = reference._needed(noise, x_t)
    if variance == "learned":
        reverse.model_variance(x_t, t, s, schedule, variance, mix)  # for its errors
        beta_tilde, beta = posterior_variance(t, s, schedule), schedule.transition(t, s)[1]
        more = mix, like(beta_tilde, x_t), like(np.log(beta / beta_tilde), x_t)
        return launch(f"{guided}ddpm_{name}_learned", x_t, *inputs, *terms, *weights, noise, *more)
    scale = np.sqrt(reverse.model_variance(x_t, t, s, schedule, variance)) * like((as_array(s) > 0).astype(x_t.dtype), x_t)
    return launch(f"{guided}ddpm_{name}_noise", x_t, *inputs, *terms, *weights, noise, scale)


def _posterior_weights(x_t: Array, t: Time, s: Time, schedule: Schedule) -> tuple[Any, Any]:
    """The coefficients of x0 and x_t in the mean of `forward.posterior`."""
    _, beta = schedule.transition(t, s)
    weight_x0 = schedule.signal[s] * beta / schedule.one_minus_alpha_bar[t]
    weight_xt = schedule.signal_between(t, s) * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    return like(weight_x0, x_t), like(weight_xt, x_t)


@wraps(reference.ddim_step)
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
    eta = check_scalar("eta", eta, 0, 1)
    alpha, _ = schedule.transition(t, s)
    share = alpha * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    guided, inputs = kernel_inputs(prediction, x_t)
    (x0_form, x0), (eps_form, eps) = x0_terms(t, schedule, kind, x_t), eps_terms(t, schedule, kind, x_t)
    eps_scale = schedule.sigma[s] * np.sqrt((1 - eta) * (1 + eta) + eta**2 * share)
    name = f"{guided}ddim_{_DDIM_KERNELS[x0_form, eps_form]}"
    coefficients = like(schedule.signal[s], x_t), like(eps_scale, x_t)
    if eta == 0 or all_true(as_array(s) == 0):
        return launch(name, x_t, *inputs, *x0, *eps, *coefficients)
    deviation = like(eta * np.sqrt(posterior_variance(t, s, schedule)), x_t)
    return launch(f"{name}_noise", x_t, *inputs, *x0, *eps, *coefficients, reference._needed(noise, x_t), deviation)
