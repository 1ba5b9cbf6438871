"""Operations of refdiff: sampler steps and whole trajectories."""

import numpy as np

from ...process import predict, sde
from ...sampling import langevin, likelihood, picard, samplers
from .schedules import schedule_of
from .solvers import Levels


def ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
    schedule = schedule_of(betas)
    if clip is not None:
        prediction = predict.clip_x0(prediction, x_t, t, schedule, kind, clip)
    return samplers.ddpm_step(prediction, x_t, t, s, schedule, noise, kind, variance, mix)


def ddim_step(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
    schedule = schedule_of(betas)
    if clip is not None:
        prediction = predict.clip_x0(prediction, x_t, t, schedule, kind, clip)
    return samplers.ddim_step(prediction, x_t, t, s, schedule, noise, eta, kind)


def ddim_inversion_step(prediction, x_s, s, t, betas, kind):
    return samplers.ddim_inversion_step(prediction, x_s, s, t, schedule_of(betas), kind=kind)


def ddpm_sample(model, grid, x, noise, betas, kind, variance, clip=None):
    def step(model, x_t, t, s, noise):
        return ddpm_step(model(x_t, t), x_t, t, s, betas, noise, kind, variance, clip=clip)

    return np.stack(list(samplers.sample(model, step, grid, x, noise)))


def ddim_sample(model, grid, x, noise, betas, eta, kind, clip=None):
    def step(model, x_t, t, s, noise):
        return ddim_step(model(x_t, t), x_t, t, s, betas, noise, eta, kind, clip)

    return np.stack(list(samplers.sample(model, step, grid, x, noise)))


def ddim_invert(model, grid, x, betas, kind):
    step = samplers.stepper(samplers.ddim_inversion_step, schedule_of(betas), kind=kind)
    return np.stack(list(samplers.sample(model, step, grid, x)))


def reverse_sde_drift(x, score, drift_rate, g2, k):
    return sde.reverse_drift(x, 1.0, score, _given(drift_rate, g2), k)


def euler_maruyama_step(x, score, drift_rate, g2, k, h, noise):
    return sde.euler_maruyama_step(x, h, 0.0, score, _given(drift_rate, g2), noise, k)


def _given(drift_rate, g2):
    """An SDE with these coefficients, at all times."""
    drift_rate, g2 = np.asarray(drift_rate), np.asarray(g2)
    return sde.Sde("given", lambda t: 0 * t, lambda t: drift_rate + 0 * t, lambda t: 0 * t, lambda t: g2 + 0 * t, 1e9)


def ula_step(x, score, h, noise):
    return langevin.ula_step(x, score, h, noise)


def mala_log_ratio(x, proposal, log_density, log_density_there, score, score_there, h):
    return langevin.mala_log_ratio(x, proposal, log_density, log_density_there, score, score_there, h)


def corrector_size(score, noise, ratio):
    return langevin.corrector_size(score, noise, ratio)


def annealed_langevin(model, sigmas, steps, size, x, noise):
    return samplers.last(langevin.annealed(model, x, sigmas, steps, size, noise))


def ancestral_step(x_t, score, signal, sigma, noise, variance):
    return langevin.ancestral_step(x_t, 0, 1, score, Levels(signal, sigma), noise, variance)


def reverse_diffusion_step(x_t, score, signal, sigma, noise):
    return langevin.reverse_diffusion_step(x_t, 0, 1, score, Levels(signal, sigma), noise)


def hutchinson(jacobian, probe):
    return likelihood.hutchinson(lambda x, t: np.einsum("bij,bj->bi", jacobian, x), 0 * probe, 0.0, probe)


def bits_of_density(log_density, dimensions, width):
    return likelihood.bits_of_density(log_density, dimensions, width)


def euler_step(f, x, t, s):
    return samplers.euler_step(f, x, t, s)


def heun_step(f, x, t, s):
    return samplers.heun_step(f, x, t, s)


def rk4_step(f, x, t, s):
    return samplers.rk4_step(f, x, t, s)


def ode_sample(f, method, times, x):
    step = {"euler": samplers.euler_step, "heun": samplers.heun_step, "rk4": samplers.rk4_step}[method]
    return np.stack(list(samplers.sample(f, step, times, x)))


def picard_sample(f, times, x, sweeps):
    found = list(picard.sample(f, samplers.euler_step, times, x, sweeps=sweeps))
    return np.stack(found[-1])


def slerp(a, b, weight):
    return samplers.slerp(a, b, weight)


def shared_noise_interpolation(x0_a, x0_b, weight, t, betas, noise):
    return samplers.shared_noise_interpolation(x0_a, x0_b, weight, t, schedule_of(betas), noise)
