"""S1, S2, M1: the steps of samplers, and whole trajectories with a given model, grid and noise."""

import numpy as np

from ..numbers import arccos, event_sum, like, log, per_example, sin, sqrt
from .forward import model_variance, posterior, posterior_variance, q_sample
from .predict import clip_x0, to_eps, to_x0
from .schedules import alpha_bar


def ddpm_step(prediction, x_t, t, s, betas, noise, kind, variance, mix=None, clip=None):
    """S1, R4 -> x_s: a draw of the reverse kernel from t to s; its mean alone at s = 0.

    Kinds as in to_x0, variances as in model_variance. clip limits the implied x0 as clip_x0 does; null is no limit.
    """
    if clip is not None:
        prediction = clip_x0(prediction, x_t, t, betas, kind, clip)
    mean, _ = posterior(x_t, to_x0(prediction, x_t, t, betas, kind), t, s, betas)
    if s == 0:
        return mean
    return mean + sqrt(model_variance(variance, x_t, t, s, betas, mix)) * noise


def ddim_step(prediction, x_t, t, s, betas, noise, eta, kind, clip=None):
    """S2 -> x_s: sqrt(alpha_bar_s) x0 + sqrt(1 - alpha_bar_s - var) eps + sqrt(var) noise, var = eta^2 beta-tilde.

    Kinds as in to_x0. With clip, prediction is that of clip_x0: eps is the one that the clipped x0 implies; null is no limit.
    """
    if clip is not None:
        prediction = clip_x0(prediction, x_t, t, betas, kind, clip)
    ab, x0, eps = alpha_bar(betas), to_x0(prediction, x_t, t, betas, kind), to_eps(prediction, x_t, t, betas, kind)
    var = eta**2 * posterior_variance(t, s, betas)
    return sqrt(ab[s]) * x0 + sqrt(1 - ab[s] - var) * eps + sqrt(var) * noise


def ddim_inversion_step(prediction, x_s, s, t, betas, kind):
    """S2 -> x_t: the deterministic step towards noise, from s > 0 to t > s, with the prediction at (x_s, s)."""
    x0, eps = to_x0(prediction, x_s, s, betas, kind), to_eps(prediction, x_s, s, betas, kind)
    return q_sample(x0, t, betas, eps)


def ddpm_sample(model, grid, x, noise, betas, kind, variance, clip=None):
    """S1 -> states: all states along a grid, x first; model(x, t) gives predictions of the kind, noise[i] serves the step from grid[i]."""
    states = [x]
    for i in range(len(grid) - 1):
        t, s = grid[i], grid[i + 1]
        states.append(ddpm_step(model(states[-1], t), states[-1], t, s, betas, noise[i], kind, variance, None, clip))
    return np.stack(states)


def ddim_sample(model, grid, x, noise, betas, eta, kind, clip=None):
    """S2 -> states: all states along a grid, x first; as ddpm_sample."""
    states = [x]
    for i in range(len(grid) - 1):
        t, s = grid[i], grid[i + 1]
        states.append(ddim_step(model(states[-1], t), states[-1], t, s, betas, noise[i], eta, kind, clip))
    return np.stack(states)


def ddim_invert(model, grid, x, betas, kind):
    """S2 -> states: the deterministic sampler towards noise along an increasing grid that starts above 0, x first."""
    states = [x]
    for i in range(len(grid) - 1):
        states.append(ddim_inversion_step(model(states[-1], grid[i]), states[-1], grid[i], grid[i + 1], betas, kind))
    return np.stack(states)


def reverse_sde_drift(x, score, drift_rate, g2, k):
    """C5 -> drift: of the process that runs dx = drift_rate x dt + g dw backwards with noise k g; drift_rate and g2 are () or (B,).

    drift_rate x - (1 + k^2) / 2 g2 score: the reverse SDE for k = 1, the probability-flow ODE for k = 0.
    """
    return per_example(drift_rate, x) * x - (1 + k**2) / 2 * per_example(g2, x) * score


def euler_maruyama_step(x, score, drift_rate, g2, k, h, noise):
    """C5 -> x_s: x - h drift + k sqrt(g2 h) noise, h = t - s above 0 the length of the step; drift is that of reverse_sde_drift."""
    return x - h * reverse_sde_drift(x, score, drift_rate, g2, k) + k * sqrt(per_example(g2, x) * h) * noise


def ula_step(x, score, h, noise):
    """L1 -> x: the step of Langevin dynamics, x + h score + sqrt(2 h) noise; h is () or (B,)."""
    h = per_example(h, x)
    return x + h * score + sqrt(2 * h) * noise


def mala_log_ratio(x, proposal, log_density, log_density_there, score, score_there, h):
    """L1 -> log_ratio: of the acceptance of a proposal of ula_step: log p(x') q(x | x') / (p(x) q(x' | x)), (B,); q has the variance 2 h.

    log_density (B,) and score are those of p at x and, there, at the proposal; h is one number.
    """
    forth, back = proposal - x - h * score, x - proposal - h * score_there
    return log_density_there - log_density + (event_sum(forth**2) - event_sum(back**2)) / (4 * h)


def corrector_size(score, noise, ratio):
    """C7 -> h: the step size (B,) of a Langevin corrector, 2 (ratio |noise| / |score|)^2 for each example by itself."""
    return 2 * ratio**2 * event_sum(noise**2) / event_sum(score**2)


def annealed_langevin(model, sigmas, steps, size, x, noise):
    """L2 -> x: annealed Langevin dynamics; at each of the falling sigmas, steps of ula_step with h = size (sigma / last sigma)^2.

    model(x, sigma) is the score, and noise[k] belongs to the k-th step of all. At the end x + sigma^2 score, at the last sigma.
    """
    for i in range(len(sigmas)):
        for k in range(steps):
            x = ula_step(x, model(x, sigmas[i]), size * (sigmas[i] / sigmas[-1]) ** 2, noise[i * steps + k])
    return x + sigmas[-1] ** 2 * model(x, sigmas[-1])


def ancestral_step(x_t, score, signal, sigma, noise, variance):
    """C6 -> x_s: (x_t + beta score) / a + sqrt(v) noise, with a = signal_t / signal_s and beta = sigma_t^2 - a^2 sigma_s^2.

    signal and sigma are (2,), at t and s. v is beta sigma_s^2 / sigma_t^2 for variance posterior, beta for forward.
    """
    a = signal[0] / signal[1]
    beta = sigma[0] ** 2 - a**2 * sigma[1] ** 2
    spread = beta * sigma[1] ** 2 / sigma[0] ** 2 if variance == "posterior" else beta
    return (x_t + beta * score) / a + sqrt(spread) * noise


def reverse_diffusion_step(x_t, score, signal, sigma, noise):
    """C6 -> x_s: (2 - a) x_t + beta score + sqrt(beta) noise, a and beta as in ancestral_step."""
    a = signal[0] / signal[1]
    beta = sigma[0] ** 2 - a**2 * sigma[1] ** 2
    return (2 - a) * x_t + beta * score + sqrt(beta) * noise


def hutchinson(jacobian, probe):
    """C9 -> divergence: Hutchinson's estimate probe^T jacobian probe, (B,); jacobian is (B, d, d), probe (B, d)."""
    return event_sum(probe * (jacobian * probe[:, None, :]).sum(axis=2))


def bits_of_density(log_density, dimensions, width):
    """C8 -> bits: per dimension of data in steps of this width, from its log-density in nats (B,): -(log_density + dimensions log(width)) / (dimensions log 2)."""
    return -(log_density + dimensions * log(width)) / (dimensions * log(like(2, log_density)))


def euler_step(f, x, t, s):
    """M1 -> x_s: x + (s - t) f(x, t), for the ODE dx/dt = f(x, t), forwards or backwards."""
    return x + (s - t) * f(x, t)


def heun_step(f, x, t, s):
    """M1 -> x_s: the mean of the slopes at both ends, the far end reached by Euler."""
    slope = f(x, t)
    return x + (s - t) * (slope + f(x + (s - t) * slope, s)) / 2


def rk4_step(f, x, t, s):
    """M1 -> x_s: the classical Runge-Kutta step of order 4."""
    h, middle = s - t, (t + s) / 2
    k1 = f(x, t)
    k2 = f(x + h / 2 * k1, middle)
    k3 = f(x + h / 2 * k2, middle)
    k4 = f(x + h * k3, s)
    return x + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6


def ode_sample(f, method, times, x):
    """M1 -> states: all states along the times, x first; method is euler, heun or rk4; f(x, t) is the velocity."""
    step = {"euler": euler_step, "heun": heun_step, "rk4": rk4_step}[method]
    states = [x]
    for i in range(len(times) - 1):
        states.append(step(f, states[-1], times[i], times[i + 1]))
    return np.stack(states)


def picard_sample(f, times, x, sweeps):
    """B3 -> states: all states along the times after so many Picard sweeps of Euler's method for dx/dt = f(x, t), from x at every time.

    A sweep: state i becomes x + the sum over k < i of (times[k + 1] - times[k]) f(state k, times[k]), with the states before the sweep.
    """
    states = [x for _ in times]
    for _ in range(sweeps):
        moves = [(times[k + 1] - times[k]) * f(states[k], times[k]) for k in range(len(times) - 1)]
        states = [x]
        for move in moves:
            states.append(states[-1] + move)
    return np.stack(states)


def slerp(a, b, weight):
    """S2 -> x: between two noises along the great circle, example by example: sin((1 - w) u) / sin(u) a + sin(w u) / sin(u) b.

    u is the angle between them; an error where they are opposite.
    """
    dot, norms = (a * b).reshape(len(a), -1).sum(axis=1), (a**2).reshape(len(a), -1).sum(axis=1) * (b**2).reshape(len(b), -1).sum(axis=1)
    u = per_example(arccos(dot / sqrt(norms)), a)
    return sin((1 - weight) * u) / sin(u) * a + sin(weight * u) / sin(u) * b


def shared_noise_interpolation(x0_a, x0_b, weight, t, betas, noise):
    """S2 -> x_t: the mix (1 - w) x_t^a + w x_t^b of two data points noised by the same noise."""
    return (1 - weight) * q_sample(x0_a, t, betas, noise) + weight * q_sample(x0_b, t, betas, noise)
