"""Operations of refdiff: schedules and grids."""

from functools import lru_cache

import numpy as np

from ...process import forward, schedules


def schedule_of(betas):
    """The schedule of a table, cached, since many vectors share it."""
    return _schedule(np.asarray(betas).tobytes(), betas.dtype)


@lru_cache
def _schedule(data, dtype):
    return schedules.from_betas(np.frombuffer(data, dtype))


def linear(T, beta_start, beta_end):
    return schedules.linear(T, beta_start, beta_end).beta[1:]


def quadratic(T, beta_start, beta_end):
    return schedules.quadratic(T, beta_start, beta_end).beta[1:]


def cosine(T, offset, beta_max):
    return schedules.cosine(T, offset, beta_max).beta[1:]


def sigmoid_betas(T, start, end, tau, beta_max):
    return schedules.sigmoid(T, start, end, tau, beta_max).beta[1:]


def alpha_bar(betas):
    return schedule_of(betas).alpha_bar


def snr(betas):
    return schedule_of(betas).snr[1:]


def log_snr(betas):
    return schedule_of(betas).log_snr[1:]


def from_log_snr(log_snr):
    return schedules.from_log_snr(log_snr).alpha_bar


def zero_terminal_snr(betas):
    return schedules.zero_terminal_snr(schedule_of(betas)).alpha_bar


def transition(t, s, betas):
    return schedule_of(betas).transition(t, s)


def prior_kl(x0, betas):
    return forward.prior_kl(x0, schedule_of(betas))


def grid(kind, T, S):
    return schedules.grid(kind, T, S)
