"""`refdiff.samplers` with each step in one kernel, guidance inside it: a guided model's two answers are combined where they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from refdiff.arrays import Array, Model, Time, as_array, check_arrays, check_choice, check_number, everywhere, like
from refdiff.process import reverse
from refdiff.process.forward import posterior_variance
from refdiff.process.schedules import Schedule
from refdiff.sampling import ode
from refdiff.sampling import samplers as text
from refdiff.sampling.samplers import Step, ddim_inversion_step, last, rk4_step, shared_noise_interpolation, slerp, velocity_field

from ..device.arrays import unchecked
from ..device.launch import launch
from ..device.transfer import to_device, to_host
from ..process.predict import eps_terms, x0_terms

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

_BOTH = {("any", "eps"): "eps", ("x0", "any"): "x0", ("any", "score"): "score", ("any", "any"): "any"}


class Answers(NamedTuple):
    """What a guided model said without and with the label, for a kernel to combine."""

    unconditional: Array
    conditional: Array
    gamma: Any


@wraps(text.sample)
def sample(model: Model, step: Step, grid: Array, x: Array, noise: Sequence[Array] | None = None) -> Iterator[Array]:
    check_arrays(x=x)  # once: within the steps nothing looks at values, which would wait for the device
    states = text.sample(model, step, grid, x, noise)
    while True:
        with unchecked():
            state = next(states, None)
        if state is None:
            return
        yield state


@wraps(text.stepper)
def stepper(formula: Callable[..., Array], schedule: Schedule, **options: Any) -> Step:
    fuses = formula in (ddim_step, ddpm_step)

    def step(model: Model, x_t: Array, t: Time, s: Time, noise: Array | None) -> Array:
        return formula(answer(model, x_t, t) if fuses else model(x_t, t), x_t, t, s, schedule, noise, **options)

    return step


def answer(model: Model, x: Array, t: Time) -> Any:
    """What the model predicts; of a guided model both answers, not combined yet."""
    return Answers(*model.answers(x, t)) if hasattr(model, "answers") else model(x, t)


@wraps(text.ddpm_step)
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
    guided, answers = _answers(prediction, x_t)
    name, terms = x0_terms(t, schedule, kind, x_t)
    weights = _posterior_weights(x_t, t, s, schedule)
    if everywhere(as_array(s) == 0):
        return launch(f"{guided}ddpm_{name}", x_t, *answers, *terms, *weights)
    noise = text._needed(noise, x_t)
    if variance == "learned":
        reverse.model_variance(x_t, t, s, schedule, variance, mix)  # for its errors
        beta_tilde, beta = posterior_variance(t, s, schedule), schedule.transition(t, s)[1]
        more = mix, like(beta_tilde, x_t), like(np.log(beta / beta_tilde), x_t)
        return launch(f"{guided}ddpm_{name}_learned", x_t, *answers, *terms, *weights, noise, *more)
    scale = np.sqrt(reverse.model_variance(x_t, t, s, schedule, variance)) * like((as_array(s) > 0).astype(x_t.dtype), x_t)
    return launch(f"{guided}ddpm_{name}_noise", x_t, *answers, *terms, *weights, noise, scale)


def _posterior_weights(x_t: Array, t: Time, s: Time, schedule: Schedule) -> tuple[Any, Any]:
    """What `forward.posterior` multiplies x0 and x_t with."""
    alpha, beta = schedule.transition(t, s)
    weight_x0 = schedule.signal[s] * beta / schedule.one_minus_alpha_bar[t]
    weight_xt = np.sqrt(alpha) * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    return like(weight_x0, x_t), like(weight_xt, x_t)


@wraps(text.ddim_step)
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
    check_number("eta", eta, 0, 1)
    if np.ndim(eta):
        raise ValueError(f"eta = {eta!r}; allowed: one number for the whole batch")
    alpha, _ = schedule.transition(t, s)
    share = alpha * schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t]
    guided, answers = _answers(prediction, x_t)
    (of_x0, x0), (of_eps, eps) = x0_terms(t, schedule, kind, x_t), eps_terms(t, schedule, kind, x_t)
    kept = schedule.sigma[s] * np.sqrt((1 - eta) * (1 + eta) + eta**2 * share)
    name, ends = f"{guided}ddim_{_BOTH[of_x0, of_eps]}", (like(schedule.signal[s], x_t), like(kept, x_t))
    if eta == 0 or everywhere(as_array(s) == 0):
        return launch(name, x_t, *answers, *x0, *eps, *ends)
    deviation = like(eta * np.sqrt(posterior_variance(t, s, schedule)), x_t)
    return launch(f"{name}_noise", x_t, *answers, *x0, *eps, *ends, text._needed(noise, x_t), deviation)


@wraps(text.euler_step)
def euler_step(f: Model, x: Array, t: Time, s: Time, noise: None = None) -> Array:
    h = ode._h(x, t, s)
    guided, slopes = _answers(answer(f, x, t), x, "f(x, t)")
    return launch(f"{guided}euler", x, *slopes, h)


@wraps(text.heun_step)
def heun_step(f: Model, x: Array, t: Time, s: Time, noise: None = None) -> Array:
    h = ode._h(x, t, s)
    guided, slopes = _answers(answer(f, x, t), x, "f(x, t)")
    if guided:
        slope, end = launch("guided_heun_first", x, *slopes, h)
    else:
        slope, end = slopes[0], launch("euler", x, *slopes, h)
    _, slopes = _answers(answer(f, end, s), x, "f(x, t)")
    return launch(f"{guided}heun_last", x, slope, *slopes, h)


@wraps(text.solve_adaptive)
def solve_adaptive(f: Model, x: Array, t: float, s: float, rtol: float = 1e-6, atol: float = 1e-9, method: str = "DOP853") -> Array:
    def on_host(y: Array, tau: float) -> Array:  # scipy steps there, and the device answers
        return to_host(f(to_device(y), tau))

    return to_device(text.solve_adaptive(on_host, to_host(x), t, s, rtol, atol, method))


def _answers(prediction: Any, x_t: Array, name: str = "prediction") -> tuple[str, tuple[Any, ...]]:
    """The prefix of the kernel's name, and what it is to take for the prediction."""
    if isinstance(prediction, Answers):
        check_arrays(x_t=x_t, unconditional=prediction.unconditional, conditional=prediction.conditional)
        return "guided_", (prediction.unconditional, prediction.conditional, like(prediction.gamma, x_t, "gamma"))
    check_arrays(**{"x" if name == "f(x, t)" else "x_t": x_t, name: prediction})
    return "", (prediction,)
