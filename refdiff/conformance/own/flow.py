"""Operations of refdiff: flow paths, their losses, the conversion to and from diffusion, couplings and bridges."""

import numpy as np

from ...objectives import bridge, flow, transport
from ...process import predict

PATHS = {"straight": flow.straight, "trigonometric": flow.trigonometric}


def interpolate(data, noise, t, path):
    return flow.interpolate(data, noise, t, PATHS[path])


def velocity(data, noise, t, path):
    return flow.velocity(data, noise, t, PATHS[path])


def conditional_loss(prediction, data, noise, t, path):
    return flow.conditional_loss(prediction, data, noise, t, PATHS[path])


def marginal_loss(prediction, marginal_velocity):
    return flow.marginal_loss(prediction, marginal_velocity)


def convert_on_path(prediction, x_t, t, path, source, to):
    return predict.convert(prediction, x_t, t, PATHS[path], source, to)


def state_at(data, noise, signal, sigma, signal_rate, sigma_rate):
    path = _path(signal, sigma, signal_rate, sigma_rate)
    return flow.interpolate(data, noise, 0.5, path), flow.velocity(data, noise, 0.5, path)


def convert_at(prediction, x_t, signal, sigma, signal_rate, sigma_rate, source, to):
    return predict.convert(prediction, x_t, 0.5, _path(signal, sigma, signal_rate, sigma_rate), source, to)


def _path(signal, sigma, signal_rate, sigma_rate):
    """A path that has these weights and rates at every time."""
    return flow.Path("given", *(lambda t, w=w: np.asarray(w) for w in (signal, sigma, signal_rate, sigma_rate)))


def flow_time(log_snr):
    return flow.flow_time(log_snr)


def flow_log_snr(tau):
    return flow.flow_log_snr(tau)


def to_flow(x_t, signal, sigma):
    return flow.to_flow(x_t, signal, sigma)


def from_flow(x_tau, tau):
    return flow.from_flow(x_tau, tau)


def couple_optimally(data, noise):
    return flow.couple_optimally(data, noise)


def couple_entropic(data, noise, eps):
    return transport.couple_entropic(data, noise, eps).plan


def gaussian_coupling(cov_noise, cov_data, eps):
    return transport.gaussian_coupling(cov_noise, cov_data, eps)


def brownian_bridge(data, noise, t, sigma):
    return bridge.brownian(data, noise, t, sigma)


def bridge_targets(x_t, data, noise, t, sigma):
    return bridge.targets(x_t, data, noise, t, sigma)


def bridge_drift(x_t, data, noise, plan, t, sigma):
    return bridge.drift(x_t, data, noise, plan, t, sigma), bridge.score(x_t, data, noise, plan, t, sigma)


def gaussian_bridge(cov_noise, cov_data, t, sigma):
    return bridge.gaussian(cov_noise, cov_data, t, sigma)
