"""Operations of refdiff: EDM, and the steps of fast solvers."""

import numpy as np

from ... import solvers
from ...sampling import samplers
from ...solvers import edm


class Levels:
    """A path whose times are the indices of its levels."""

    def __init__(self, signal, sigma):
        self.signal, self.sigma = np.asarray(signal), np.asarray(sigma)

    def signal_sigma(self, t):
        return self.signal[t], self.sigma[t]


class Halves(Levels):
    """A path whose times 0, 1/2 and 1 are its three levels."""

    def signal_sigma(self, t):
        return super().signal_sigma(int(2 * t))


def edm_preconditioning(sigma, sigma_data):
    return tuple(edm.preconditioning(sigma, sigma_data))


def edm_loss_weight(sigma, sigma_data):
    return edm.loss_weight(sigma, sigma_data)


def edm_network_target(x0, x, sigma, sigma_data):
    return edm.network_target(x0, x, sigma, sigma_data)


def edm_sigmas(steps, sigma_min, sigma_max, rho):
    return edm.sigma_grid(steps, sigma_min, sigma_max, rho)


def edm_churn(x, sigma, gamma, s_noise, noise):
    return edm.churn(x, sigma, noise, gamma, s_noise)


def edm_heun_step(model, x, t, s):
    return edm.heun_step(model, x, t, s)


def phi(k, z):
    return solvers.phi(k, z)


def dpmpp_step(x_t, x0, signal, sigma, variant, eta, noise):
    times, s = _times(signal)
    return solvers.dpmpp_step(x_t, list(x0), times, s, Levels(signal, sigma), variant, eta, noise)


def dpm_solver_step(x_t, eps, signal, sigma, variant, eta, noise):
    times, s = _times(signal)
    return solvers.dpm_solver_step(x_t, list(eps), times, s, Levels(signal, sigma), variant, eta, noise)


def unipc_corrector(x_t, x0, signal, sigma, variant):
    times, s = _times(signal)
    variant = {"bh2": "midpoint", "bh1": "bh1"}[variant]
    return solvers.dpmpp_step(x_t, list(x0), [*times, s], s, Levels(signal, sigma), variant)


def deis_step(x_t, eps, signal, sigma):
    times, s = _times(signal)
    return solvers.deis_step(x_t, list(eps), times, s, Levels(signal, sigma))


def plms_step(x_t, eps, signal, sigma):
    before = 1 + np.arange(1, len(eps))  # the weights do not depend on the times before t
    path = Levels([*signal, *(signal[0] + 0 * before)], [*sigma, *(sigma[0] * before)])
    return solvers.plms_step(x_t, list(eps), [0, *before], 1, path)


def prk_step(model, x_t, signal, sigma):
    return solvers.prk(Halves(signal, sigma))(lambda x, t: model(x, int(2 * t)), x_t, 0.0, 1.0)


def dpmpp_2s_step(model, x_t, signal, sigma, eta, noise):
    path, first = Levels(signal, sigma), model(x_t, 0)
    to_u, to_s = solvers.noise_of_stages(solvers.dpmpp_step, eta, list(noise), 0, [1, 2], path)
    x_u = solvers.dpmpp_step(x_t, [first], [0], 1, path, eta=eta, noise=to_u)
    return x_u, solvers.dpmpp_step(x_t, [first, model(x_u, 1)], [0, 1], 2, path, eta=eta, noise=to_s)


def dpmpp_sample(model, order, signal, sigma, x):
    solver = solvers.Multistep(solvers.dpmpp_step, order, Levels(signal, sigma), "x0")
    return np.stack(list(samplers.sample(model, solver, np.arange(len(sigma)), x)))


def _times(signal):
    """The times of the predictions, and that of s."""
    return list(range(len(signal) - 1)), len(signal) - 1
