"""F1-F4, R1-R5, C1, B1: the forward process, the posterior, and the model's reverse step."""

from ..numbers import event_sum, exp, full, log, per_example, pi, sqrt
from .predict import to_x0
from .schedules import alpha_bar, transition


def q_step(x, t, betas, noise):
    """F1 -> x_t: one noising step from x at t - 1: sqrt(1 - beta_t) x + sqrt(beta_t) noise."""
    beta = betas[per_example(t, x) - 1]
    return sqrt(1 - beta) * x + sqrt(beta) * noise


def jump_moments(x, mean, variance, dt):
    """B1 -> first, second, third: moments E[x' - x], E[(x' - x)^2] and E[(x' - x)^3] of each number over dt, for x' from N(mean, variance)."""
    apart = mean - x
    return apart / dt, (apart**2 + variance) / dt, (apart**3 + 3 * apart * variance) / dt


def q_between(x_s, t, s, betas, noise):
    """F2 -> x_t: several noising steps in one, from s to t > s."""
    alpha, beta = transition(per_example(t, x_s), per_example(s, x_s), betas)
    return sqrt(alpha) * x_s + sqrt(beta) * noise


def q_sample(x0, t, betas, noise):
    """F3 -> x_t: sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise; t = 0 gives x0 back."""
    ab = alpha_bar(betas)[per_example(t, x0)]
    return sqrt(ab) * x0 + sqrt(1 - ab) * noise


def q_marginal(x0, t, betas):
    """F3 -> mean, variance: of q(x_t | x_0); variances are shaped like x0, or broadcast to it."""
    ab = alpha_bar(betas)[per_example(t, x0)]
    return sqrt(ab) * x0, full(1 - ab, x0)


def posterior(x_t, x0, t, s, betas):
    """R1, R2 -> mean, variance: of q(x_s | x_t, x_0) for any s < t; x0 and 0 at s = 0; the variance broadcasts to x_t."""
    t, s, ab = per_example(t, x_t), per_example(s, x_t), alpha_bar(betas)
    alpha, beta = transition(t, s, betas)
    weight_x0 = sqrt(ab[s]) * beta / (1 - ab[t])
    weight_xt = sqrt(alpha) * (1 - ab[s]) / (1 - ab[t])
    return weight_x0 * x0 + weight_xt * x_t, full(posterior_variance(t, s, betas), x_t)


def posterior_variance(t, s, betas):
    """R2 -> variance: beta-tilde = (1 - alpha_bar_s) / (1 - alpha_bar_t) beta_{t|s}."""
    ab = alpha_bar(betas)
    _, beta = transition(t, s, betas)
    return (1 - ab[s]) / (1 - ab[t]) * beta


def mean_from_eps(eps, x_t, t, s, betas):
    """R3 -> mean: of the posterior, by the noise: (x_t - beta / sqrt(1 - alpha_bar_t) eps) / sqrt(alpha); an error at alpha_bar_t = 0."""
    t, s = per_example(t, x_t), per_example(s, x_t)
    alpha, beta = transition(t, s, betas)
    return (x_t - beta / sqrt(1 - alpha_bar(betas)[t]) * eps) / sqrt(alpha)


def model_variance(variance, x_t, t, s, betas, mix=None):
    """R4 -> variance: of the reverse step: "posterior" beta-tilde, "beta" beta_{t|s}, "learned" exp(mix log beta + (1 - mix) log beta-tilde).

    mix in [0, 1], shaped like x_t, and s > 0, for "learned" only. The variance broadcasts to x_t.
    """
    t, s = per_example(t, x_t), per_example(s, x_t)
    _, beta = transition(t, s, betas)
    tilde = posterior_variance(t, s, betas)
    if variance == "learned":
        return exp(mix * log(beta) + (1 - mix) * log(tilde))
    return full(tilde if variance == "posterior" else beta, x_t)


def reverse_kernel(prediction, x_t, t, s, betas, kind, variance, mix=None):
    """R4 -> mean, variance: of p(x_s | x_t): the posterior at the x0 that the prediction implies, with a variance of model_variance."""
    mean, _ = posterior(x_t, to_x0(prediction, x_t, t, betas, kind), t, s, betas)
    return mean, model_variance(variance, x_t, t, s, betas, mix)


def sde_coefficients(kind, t, low, high):
    """C4 -> signal, sigma, drift_rate, g2: of dx = drift_rate x dt + g dw with clean data at t = 0; t (B,) in [0, 1].

    kind: vp, beta = low + t (high - low), drift_rate -beta / 2, g2 beta; sub_vp, the same drift_rate, g2 beta (1 - exp(-2 B)) with B the
    integral of beta; ve, drift_rate 0, g2 the derivative of (low (high / low)^t)^2. signal and sigma solve the equations of the moments.
    """
    beta, B = low + t * (high - low), t * low + t**2 * (high - low) / 2
    if kind == "ve":
        ratio = exp(2 * t * log(high / low))
        return 1 + 0 * t, low * sqrt(ratio - 1), 0 * t, 2 * log(high / low) * low**2 * ratio
    kept = exp(-B)
    if kind == "vp":
        return exp(-B / 2), sqrt(1 - kept), -beta / 2, beta
    return exp(-B / 2), 1 - kept, -beta / 2, beta * (1 - kept**2)


def trajectory_log_density(states, grid, betas):
    """F4 -> log_density: log q(x_{t_1}, ..., x_{t_S} | x_0) of a chain in the order of its grid, states (S + 1, B, ...); nats, (B,)."""
    total = 0
    for i in range(len(grid) - 1):
        alpha, beta = transition(grid[i], grid[i + 1], betas)
        total = total + log_density(states[i], sqrt(alpha) * states[i + 1], beta)
    return total


def reverse_log_density(states, grid, betas, model):
    """R5 -> log_density: log N(x_{t_1}; 0, I) + sum log p(x_s | x_t) of a chain; model(x, t) gives eps.

    states are in the order of the grid, which ends in 0; Sigma = beta_{t|s}, at s = 0 too; nats, (B,).
    """
    total = log_density(states[0], 0 * states[0], 1)
    for i in range(len(grid) - 1):
        kernel = reverse_kernel(model(states[i], grid[i]), states[i], grid[i], grid[i + 1], betas, "eps", "beta")
        total = total + log_density(states[i + 1], *kernel)
    return total


def log_density(x, mean, variance):
    """F1 -> log_density: of a Gaussian with independent coordinates; nats, (B,)."""
    return -event_sum((x - mean) ** 2 / variance + log(2 * pi(x) * variance)) / 2


def score(x, mean, variance):
    """C1 -> score: the gradient of log_density in x: -(x - mean) / variance."""
    return -(x - mean) / variance
