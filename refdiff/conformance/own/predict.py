"""Operations of refdiff: conversions between predictions."""

from ...process import predict
from .schedules import schedule_of


def to_x0(prediction, x_t, t, betas, kind):
    return predict.to_x0(prediction, x_t, t, schedule_of(betas), kind)


def to_eps(prediction, x_t, t, betas, kind):
    return predict.to_eps(prediction, x_t, t, schedule_of(betas), kind)


def convert(prediction, x_t, t, betas, source, to):
    return predict.convert(prediction, x_t, t, schedule_of(betas), source, to)


def target(kind, x0, noise, t, betas):
    return predict.target(kind, x0, noise, t, schedule_of(betas))


def clip_x0(prediction, x_t, t, betas, kind, limit):
    return predict.clip_x0(prediction, x_t, t, schedule_of(betas), kind, limit)


def tweedie_mean(x_t, score, t, betas):
    return predict.tweedie_mean(x_t, score, t, schedule_of(betas))


def tweedie_covariance(hessian, t, betas):
    return predict.tweedie_covariance(hessian, t, schedule_of(betas))
