"""Operations of refdiff: elbo. A table of betas becomes a Schedule, and a model of eps becomes a reverse step."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...objectives import elbo, learned_schedule, vdm
from ...process import forward, gaussian, reverse
from .schedules import schedule_of

DECODERS = {"gaussian": gaussian.log_density, "squared": elbo.squared_decoder, "discretized": elbo.discretized_decoder}


def inner_kl(prediction: Any, x_t: Any, x0: Any, t: Any, s: Any, betas: Any, kind: str, variance: str, mix: Any = None) -> Any:
    schedule = schedule_of(betas)
    mean, spread = reverse.kernel(prediction, x_t, t, s, schedule, kind, variance, mix)
    return gaussian.kl_diagonal(*forward.posterior(x_t, x0, t, s, schedule), mean, spread)


def elbo_joint(states: Any, grid: Any, betas: Any, model: Any, variance: str) -> Any:
    schedule = schedule_of(betas)
    return elbo.elbo_joint(states, grid, schedule, _reverse(model, variance, schedule))


def elbo_bayes(states: Any, grid: Any, betas: Any, model: Any, variance: str) -> Any:
    schedule = schedule_of(betas)
    return elbo.elbo_bayes(states, grid, schedule, _reverse(model, variance, schedule))


def elbo_terms(x0: Any, grid: Any, betas: Any, model: Any, noise: Any, variance: str, decoder: str) -> Any:
    schedule = schedule_of(betas)
    return elbo.elbo_terms(x0, grid, schedule, _reverse(model, variance, schedule), noise, DECODERS[decoder])


def squared_decoder(x0: Any, mean: Any, variance: Any) -> Any:
    return elbo.squared_decoder(x0, mean, variance)


def discretized_decoder(x0: Any, mean: Any, variance: Any) -> Any:
    return elbo.discretized_decoder(x0, mean, variance)


def weight_mean(t: Any, s: Any, betas: Any) -> Any:
    return elbo.weight_mean(t, s, schedule_of(betas))


def weight_eps(t: Any, s: Any, betas: Any) -> Any:
    return elbo.weight_eps(t, s, schedule_of(betas))


def weight_x0(t: Any, s: Any, betas: Any) -> Any:
    return elbo.weight_x0(t, s, schedule_of(betas))


def l_simple(target: Any, prediction: Any) -> Any:
    return elbo.l_simple(target, prediction)


def hybrid(simple: Any, vlb: Any, weight: Any = None) -> Any:
    return elbo.hybrid(simple, vlb) if weight is None else elbo.hybrid(simple, vlb, weight)


def min_snr_weight(t: Any, betas: Any, gamma: Any, kind: str) -> Any:
    return elbo.min_snr_weight(t, schedule_of(betas), gamma, kind)


def bits_per_dim(nats: Any, dimensions: int) -> Any:
    return elbo.bits_per_dim(nats, dimensions)


def continuous_term(target: Any, prediction: Any, gamma: Any, rate: Any, kind: str) -> Any:
    return vdm.continuous_term(target, prediction, gamma, rate, kind)


def finite_term(target: Any, prediction: Any, gamma_t: Any, gamma_s: Any, T: int, kind: str) -> Any:
    return vdm.finite_term(target, prediction, gamma_t, gamma_s, T, kind)


def gaussian_step_loss(variance: Any, gamma_t: Any, gamma_s: Any) -> Any:
    return vdm.gaussian_step_loss(variance, gamma_t, gamma_s)


def gaussian_loss(variance: Any, gamma_t: Any, gamma_s: Any) -> Any:
    return vdm.gaussian_loss(variance, gamma_t, gamma_s)


def monotone_gamma(t: Any, gamma_0: Any, gamma_1: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any) -> Any:
    ends = np.array([gamma_0, gamma_1], w1.dtype)
    return learned_schedule.gamma({"ends": ends, "l1": {"w": w1, "b": b1}, "l2": {"w": w2, "b": b2}, "l3": {"w": w3}}, t)[0]


def optimal_gamma(t: Any, variance: Any, gamma_0: Any, gamma_1: Any) -> Any:
    return learned_schedule.optimal_gamma(t, variance, gamma_0, gamma_1)


def stratified_times(uniform: Any, count: int) -> Any:
    return vdm.stratified_times(uniform, count)


def importance(second_moments: Any, floor: Any) -> Any:
    probabilities = vdm.importance_probabilities(second_moments, floor)
    return probabilities, vdm.importance_weights(probabilities)


def _reverse(model: Any, variance: str, schedule: Any) -> Any:
    """The reverse step (x_t, t, s) -> mean, variance of a model of eps, with beta's variance on the last step."""
    return lambda x, t, s: reverse.kernel(model(x, t), x, t, s, schedule, "eps", variance if s > 0 else "beta")
