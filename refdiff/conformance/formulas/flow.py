"""M2-M5: probability paths in flow time (noise at t = 0, data at t = 1), their velocities, and the conversion to and
from diffusion.
"""

from itertools import permutations

import numpy as np

from ..numbers import cos, event_sum, log, per_example, pi, sigmoid, sin, sqrt


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
