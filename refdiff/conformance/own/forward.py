"""Operations of refdiff: the forward process, the posterior and the model's reverse step."""

import numpy as np

from ...process import forward, gaussian, reverse, sde
from ...sampling import fokker_planck
from .schedules import schedule_of


def q_step(x, t, betas, noise):
    return forward.q_step_sample(x, t, t - 1, schedule_of(betas), noise)


def jump_moments(x, mean, variance, dt):
    return fokker_planck.jump_moments(x, mean, variance, dt)


def q_between(x_s, t, s, betas, noise):
    return forward.q_step_sample(x_s, t, s, schedule_of(betas), noise)


def q_sample(x0, t, betas, noise):
    return forward.q_sample(x0, t, schedule_of(betas), noise)


def q_marginal(x0, t, betas):
    return forward.q_marginal(x0, t, schedule_of(betas))


def posterior(x_t, x0, t, s, betas):
    return forward.posterior(x_t, x0, t, s, schedule_of(betas))


def posterior_variance(t, s, betas):
    return forward.posterior_variance(t, s, schedule_of(betas))


def mean_from_eps(eps, x_t, t, s, betas):
    return reverse.mean_from_eps(eps, x_t, t, s, schedule_of(betas))


def model_variance(variance, x_t, t, s, betas, mix=None):
    return reverse.model_variance(x_t, t, s, schedule_of(betas), variance, mix)


def reverse_kernel(prediction, x_t, t, s, betas, kind, variance, mix=None):
    return reverse.kernel(prediction, x_t, t, s, schedule_of(betas), kind, variance, mix)


def trajectory_log_density(states, grid, betas):
    return forward.trajectory_log_density(states, grid, schedule_of(betas))


def reverse_log_density(states, grid, betas, model):
    schedule = schedule_of(betas)
    return reverse.trajectory_log_density(states, grid, lambda x, t, s: reverse.kernel(model(x, t), x, t, s, schedule, "eps", "beta"))


def log_density(x, mean, variance):
    return gaussian.log_density(x, mean, variance)


def score(x, mean, variance):
    return gaussian.score(x, mean, variance)


def sde_coefficients(kind, t, low, high):
    path = {"vp": sde.vp, "sub_vp": sde.sub_vp, "ve": sde.ve}[kind](low, high)
    return tuple(np.broadcast_to(value, np.shape(t)) for value in (*path.signal_sigma(t), *path.drift_diffusion(t)))
