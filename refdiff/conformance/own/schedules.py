"""refdiff's answers: schedules and grids."""

from ... import forward, schedules


def linear(T, beta_start, beta_end):
    return schedules.linear(T, beta_start, beta_end).beta[1:]


def quadratic(T, beta_start, beta_end):
    return schedules.quadratic(T, beta_start, beta_end).beta[1:]


def cosine(T, offset, beta_max):
    return schedules.cosine(T, offset, beta_max).beta[1:]


def sigmoid_betas(T, start, end, tau, beta_max):
    return schedules.sigmoid(T, start, end, tau, beta_max).beta[1:]


def alpha_bar(betas):
    return schedules.from_betas(betas).alpha_bar


def snr(betas):
    return schedules.from_betas(betas).snr[1:]


def log_snr(betas):
    return schedules.from_betas(betas).log_snr[1:]


def from_log_snr(log_snr):
    return schedules.from_log_snr(log_snr).alpha_bar


def zero_terminal_snr(betas):
    return schedules.zero_terminal_snr(schedules.from_betas(betas)).alpha_bar


def transition(t, s, betas):
    return schedules.from_betas(betas).transition(t, s)


def prior_kl(x0, betas):
    return forward.prior_kl(x0, schedules.from_betas(betas))


def grid(kind, T, S):
    return schedules.grid(kind, T, S)
