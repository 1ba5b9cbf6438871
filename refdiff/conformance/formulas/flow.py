"""M2-M5, B2: probability paths in flow time (noise at t = 0, data at t = 1), their velocities, the conversion to and
from diffusion, and couplings and bridges of noise and data.
"""

from itertools import permutations

import numpy as np

from ..numbers import cos, event_sum, exp, identity, log, per_example, pi, sigmoid, sin, sinkhorn, solve, sqrt, symmetric_root


def path_weights(path, t):
    """Signal, sigma and their derivatives in t, for x_t = signal data + sigma noise on the straight or the trigonometric path."""
    if path == "straight":
        return t, 1 - t, 1 + 0 * t, -1 + 0 * t
    angle = pi(t) / 2 * t
    return sin(angle), cos(angle), pi(t) / 2 * cos(angle), -pi(t) / 2 * sin(angle)


def interpolate(data, noise, t, path):
    """M2 -> x_t: signal data + sigma noise at t () or (B,) in [0, 1]; 0 is noise and 1 is data.

    path: straight, signal t and sigma 1 - t; or trigonometric, sin(pi t / 2) and cos(pi t / 2).
    """
    signal, sigma, _, _ = path_weights(path, per_example(t, data))
    return signal * data + sigma * noise


def velocity(data, noise, t, path):
    """M2, M4 -> velocity: the time derivative of interpolate, paths as there; data - noise on the straight one."""
    _, _, signal_rate, sigma_rate = path_weights(path, per_example(t, data))
    return signal_rate * data + sigma_rate * noise


def conditional_loss(prediction, data, noise, t, path):
    """M3 -> loss: squared distance of the prediction to velocity(data, noise, t, path), summed over the event, (B,)."""
    return event_sum((prediction - velocity(data, noise, t, path)) ** 2)


def marginal_loss(prediction, marginal_velocity):
    """M3 -> loss: squared distance to the mean velocity of all pairs through x_t, summed over the event, (B,)."""
    return event_sum((prediction - marginal_velocity) ** 2)


def convert_on_path(prediction, x_t, t, path, source, to):
    """R6 -> prediction: one kind read as another on a flow path, 0 < t < 1; paths as in interpolate.

    v = signal eps - sigma x0, score = -eps / sigma, the velocity is the path's own.
    """
    return convert_at(prediction, x_t, *path_weights(path, t), source, to)


def state_at(data, noise, signal, sigma, signal_rate, sigma_rate):
    """M2, M4 -> x_t, velocity: on any path, by its weights at one time and their derivatives in time, each () or (B,).

    x_t = signal data + sigma noise, velocity = signal_rate data + sigma_rate noise.
    """
    a, b, a_rate, b_rate = (per_example(each, data) for each in (signal, sigma, signal_rate, sigma_rate))
    return a * data + b * noise, a_rate * data + b_rate * noise


def convert_at(prediction, x_t, signal, sigma, signal_rate, sigma_rate, source, to):
    """R6 -> prediction: as convert_on_path, on any path, by its weights at one time and their derivatives, each () or (B,)."""
    signal, sigma, signal_rate, sigma_rate = (per_example(each, x_t) for each in (signal, sigma, signal_rate, sigma_rate))
    one = 1 + 0 * signal
    rows = {"x0": (one, 0 * one), "eps": (0 * one, one), "v": (-sigma, signal), "score": (0 * one, -1 / sigma)}
    rows["velocity"] = (signal_rate, sigma_rate)
    (a, b), (a_to, b_to) = rows[source], rows[to]
    x0 = (b * x_t - sigma * prediction) / (signal * b - sigma * a)
    eps = (signal * prediction - a * x_t) / (signal * b - sigma * a)
    return a_to * x0 + b_to * eps


def flow_time(log_snr):
    """M5 -> tau: the straight path's time with the same signal-to-noise ratio, sigmoid(log_snr / 2)."""
    return sigmoid(log_snr / 2)


def flow_log_snr(tau):
    """M5 -> log_snr: 2 log(tau / (1 - tau))."""
    return 2 * log(tau / (1 - tau))


def to_flow(x_t, signal, sigma):
    """M5 -> x_tau: a diffusion state on the straight path: x_t / (signal + sigma); an error where both are 0."""
    return x_t / (per_example(signal, x_t) + per_example(sigma, x_t))


def from_flow(x_tau, tau):
    """M5 -> x_t: a straight-path state as one that preserves variance: x / sqrt(tau^2 + (1 - tau)^2)."""
    tau = per_example(tau, x_tau)
    return x_tau / sqrt(tau**2 + (1 - tau) ** 2)


def couple_optimally(data, noise):
    """M4 -> order: the order of data that pairs it with noise at least total squared distance; (B,) integers: data[order[i]] belongs to noise[i]."""
    distance = ((data[:, None] - noise[None]) ** 2).reshape(len(data), len(noise), -1).sum(axis=2)
    column = np.arange(len(noise))
    return np.array(min(permutations(range(len(data))), key=lambda order: distance[list(order), column].sum()))


def couple_entropic(data, noise, eps):
    """B2 -> plan: probabilities (N, M) of the pairs of noise (N, ...) and data (M, ...), at convergence.

    plan[i, j] = exp((f[i] + g[j] - |noise[i] - data[j]|^2) / eps) for the f and g by which rows sum to 1 / N and columns to 1 / M.
    """
    return sinkhorn(exp(-((noise[:, None] - data[None]) ** 2).reshape(len(noise), len(data), -1).sum(axis=2) / eps))


def gaussian_coupling(cov_noise, cov_data, eps):
    """B2 -> covariance: of noise and data (d, d) under the entropic coupling of two Gaussians with these covariances, for the cost and eps of couple_entropic."""
    root = symmetric_root(cov_noise)
    mixed = symmetric_root(eps**2 / 4 * identity(root) + 4 * root @ cov_data @ root)
    return solve(root, (mixed - eps / 2 * identity(root)) @ root).T / 2


def brownian_bridge(data, noise, t, sigma):
    """B2 -> mean, variance: of x_t between noise at 0 and data at 1: t data + (1 - t) noise, and sigma^2 t (1 - t), () or (B, 1, ...)."""
    t = per_example(t, data)
    return t * data + (1 - t) * noise, sigma**2 * t * (1 - t)


def bridge_targets(x_t, data, noise, t, sigma):
    """B2 -> velocity, score: of brownian_bridge at x_t, for 0 < t < 1.

    velocity = (1 - 2 t) / (2 t (1 - t)) (x_t - mean) + data - noise, score = (mean - x_t) / variance.
    """
    mean, variance = brownian_bridge(data, noise, t, sigma)
    t = per_example(t, data)
    return (1 - 2 * t) / (2 * t * (1 - t)) * (x_t - mean) + data - noise, (mean - x_t) / variance


def bridge_drift(x_t, data, noise, plan, t, sigma):
    """B2 -> drift, score: at x_t (B, ...), of the mixture of the Brownian bridges from noise (N, ...) to data (M, ...) with the probabilities plan (N, M).

    drift is the mean of (data - x_t) / (1 - t) over the pairs given x_t, score the gradient of the log-density of x_t; 0 < t < 1.
    """
    x, y, z = (each.reshape(len(each), -1) for each in (x_t, data, noise))
    x, y, z = x[:, None, None], y[None, None], z[None, :, None]  # (B, N, M, d)
    t = per_example(t, x)
    pull, variance = t * y + (1 - t) * z - x, sigma**2 * t * (1 - t)
    weight = plan[None, :, :, None] * exp(-(pull**2).sum(axis=3, keepdims=True) / (2 * variance))
    weight = weight / weight.sum(axis=2, keepdims=True).sum(axis=1, keepdims=True)
    drift, score = ((weight * each).sum(axis=2).sum(axis=1) for each in ((y - x) / (1 - t), pull / variance))
    return drift.reshape(x_t.shape), score.reshape(x_t.shape)


def gaussian_bridge(cov_noise, cov_data, t, sigma):
    """B2 -> covariance, slope: of the Schroedinger bridge of diffusion sigma between Gaussians with mean 0; its drift at x_t is slope x_t; both (d, d)."""
    added, K = sigma**2 * identity(cov_noise), gaussian_coupling(cov_noise, cov_data, 2 * sigma**2)
    covariance = (1 - t) ** 2 * cov_noise + t**2 * cov_data + t * (1 - t) * (K + K.T + added)
    return covariance, solve(covariance, ((1 - t) * (K.T - cov_noise) + t * (cov_data - K - added)).T).T
