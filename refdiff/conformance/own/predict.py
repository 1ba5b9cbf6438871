"""refdiff's answers: predictions read as one another."""

from ...process import predict as text
from .schedules import schedule_of


def to_x0(prediction, x_t, t, betas, kind):
    return text.to_x0(prediction, x_t, t, schedule_of(betas), kind)


def to_eps(prediction, x_t, t, betas, kind):
    return text.to_eps(prediction, x_t, t, schedule_of(betas), kind)


def convert(prediction, x_t, t, betas, source, to):
    return text.convert(prediction, x_t, t, schedule_of(betas), source, to)


def target(kind, x0, noise, t, betas):
    return text.target(kind, x0, noise, t, schedule_of(betas))


def clip_x0(prediction, x_t, t, betas, kind, limit):
    return text.clip_x0(prediction, x_t, t, schedule_of(betas), kind, limit)


def tweedie_mean(x_t, score, t, betas):
    return text.tweedie_mean(x_t, score, t, schedule_of(betas))


def tweedie_covariance(hessian, t, betas):
    return text.tweedie_covariance(hessian, t, schedule_of(betas))
