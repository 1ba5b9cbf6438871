"""refdiff's answers: flow paths, their losses, and the way to and from diffusion."""

from ...objectives import flow as text
from ...process import predict

PATHS = {"straight": text.straight, "trigonometric": text.trigonometric}


def interpolate(data, noise, t, path):
    return text.interpolate(data, noise, t, PATHS[path])


def velocity(data, noise, t, path):
    return text.velocity(data, noise, t, PATHS[path])


def conditional_loss(prediction, data, noise, t, path):
    return text.conditional_loss(prediction, data, noise, t, PATHS[path])


def marginal_loss(prediction, marginal_velocity):
    return text.marginal_loss(prediction, marginal_velocity)


def convert_on_path(prediction, x_t, t, path, source, to):
    return predict.convert(prediction, x_t, t, PATHS[path], source, to)


def flow_time(log_snr):
    return text.flow_time(log_snr)


def flow_log_snr(tau):
    return text.flow_log_snr(tau)


def to_flow(x_t, signal, sigma):
    return text.to_flow(x_t, signal, sigma)


def from_flow(x_tau, tau):
    return text.from_flow(x_tau, tau)


def couple_optimally(data, noise):
    return text.couple_optimally(data, noise)
