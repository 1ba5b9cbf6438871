"""K1 to K9: EDM, and the steps of fast solvers with the predictions at several times.

signal and sigma list the coefficients at these times, the time of x_t first, and at the end those of s; rho = sigma / signal.
"""

import numpy as np

from ..numbers import exp, log, per_example, solve, sqrt


def edm_preconditioning(sigma, sigma_data):
    """K1 -> c_skip, c_out, c_in, c_noise: of the denoiser c_skip x + c_out network(c_in x, c_noise); sigma is (B,), above 0.

    With v = sigma^2 + sigma_data^2: sigma_data^2 / v, sigma sigma_data / sqrt(v), 1 / sqrt(v), and log(sigma) / 4.
    """
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / sqrt(total), 1 / sqrt(total), log(sigma) / 4


def edm_loss_weight(sigma, sigma_data):
    """K1 -> weight: of the denoiser's squared error, (sigma^2 + sigma_data^2) / (sigma sigma_data)^2; sigma is (B,)."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def edm_network_target(x0, x, sigma, sigma_data):
    """K1 -> target: of the network, (x0 - c_skip x) / c_out, for data x0 and its noisy state x = x0 + sigma noise; sigma is (B,)."""
    skip, out, _, _ = edm_preconditioning(per_example(sigma, x), sigma_data)
    return (x0 - skip * x) / out


def edm_sigmas(steps, sigma_min, sigma_max, rho):
    """K2 -> sigmas: (steps + 1,) levels from sigma_max over sigma_min to 0, with equal steps of sigma^(1 / rho) but for the last one.

    For one step they are sigma_max and 0.
    """
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    levels = [(high + i * (low - high) / max(steps - 1, 1)) ** rho for i in range(steps)]
    return np.array([*levels, 0 * high])


def edm_churn(x, sigma, gamma, s_noise, noise):
    """K3 -> x_hat, sigma_hat: the state and the number (1 + gamma) sigma; x plus sqrt(sigma_hat^2 - sigma^2) s_noise noise, with one sigma for all."""
    sigma_hat = sigma + gamma * sigma
    return x + sqrt(sigma_hat**2 - sigma**2) * s_noise * noise, sigma_hat


def edm_heun_step(model, x, t, s):
    """K3 -> x_s: Heun's method for dx / dsigma = (x - D) / sigma from the level t to s, Euler's for s = 0; D = model(x, sigma) is a denoiser."""
    slope = (x - model(x, t)) / t
    euler = x + (s - t) * slope
    if s == 0:
        return euler
    return x + (s - t) * (slope + (euler - model(euler, s)) / s) / 2


def phi(k, z):
    """K4 -> phi: phi_k(z) of exponential integrators, with phi_0 = exp(z) and phi_(k + 1)(z) = (phi_k(z) - 1 / k!) / z; z is (n,), never 0."""
    value, factorial = exp(z), z**0
    for n in range(k):
        value, factorial = (value - 1 / factorial) / z, factorial * (n + 1)
    return value


def dpmpp_step(x_t, x0, signal, sigma, variant, eta, noise):
    """K6, K7 -> x_s: DPM-Solver++ with the data predictions x0 (p, B, ...) at one to three times, that of x_t first.

    signal and sigma are (p + 1,): at these times, then at s. The other times lie before t, as in 2M, or between t and s, as in 2S. x0 is taken as
    the polynomial in lambda = log(signal / sigma) through its values, and integrated exactly: with h = lambda_s - lambda_t, H = (1 + eta) h, x_s is
    sigma_s / sigma_t exp(-eta h) x_t + signal_s times the integral of H exp(-H (1 - u)) x0 over u = (lambda - lambda_t) / h from 0 to 1,
    + sigma_s sqrt(1 - exp(-2 eta h)) noise. eta is 0 for the ODE, 1 for the reverse SDE, and may lie between. Only with two times there is a variant:
    taylor is this; midpoint takes u = 1/2 in the linear term, which gives it the factor (1 - exp(-H)) / 2. With one time, sigma_s or signal_t may be 0.
    """
    ratio = signal[0] * sigma[-1] / (signal[-1] * sigma[0])
    x_s = sigma[-1] / sigma[0] * ratio**eta * x_t + signal[-1] * (1 - ratio ** (1 + eta)) * x0[0]
    x_s = x_s + sigma[-1] * sqrt(1 - ratio ** (2 * eta)) * noise
    if len(x0) == 1:
        return x_s
    H, (first, second) = -(1 + eta) * log(ratio), differences(x0, signal, sigma)
    phi2 = (exp(-H) - 1) / H + 1
    phi3 = (2 * phi2 / H - 1) / 2
    slope = (1 - exp(-H)) / 2 if len(x0) == 2 and variant == "midpoint" else phi2
    return x_s + signal[-1] * slope * first - signal[-1] * (2 * phi3) * second


def dpm_solver_step(x_t, eps, signal, sigma, variant, eta, noise):
    """K5, K7 -> x_s: DPM-Solver with the noise predictions eps (p, B, ...) at one to three times, that of x_t first; signal, sigma as in dpmpp_step.

    x_s is signal_s / signal_t x_t - (1 + eta) sigma_s times the integral of h exp(h (1 - u)) eps over u from 0 to 1, + sigma_s sqrt(eta (exp(2 h) - 1))
    noise, where eps is the polynomial in lambda through its values. Only with two times, variant midpoint takes u = 1/2 in the linear term.
    """
    h = half_log_snr(signal, sigma, -1) - half_log_snr(signal, sigma, 0)
    factor = (1 + eta) * sigma[-1]
    x_s = signal[-1] / signal[0] * x_t - factor * (exp(h) - 1) * eps[0] + sigma[-1] * sqrt(eta * (exp(2 * h) - 1)) * noise
    if len(eps) == 1:
        return x_s
    first, second = differences(eps, signal, sigma)
    phi2 = (exp(h) - 1) / h - 1
    phi3 = (2 * phi2 / h - 1) / 2
    slope = (exp(h) - 1) / 2 if len(eps) == 2 and variant == "midpoint" else phi2
    return x_s - factor * slope * first - factor * (2 * phi3) * second


def differences(values, signal, sigma):
    """The coefficients D1 of u and D2 of u^2 of the polynomial through two or three values, in u = (lambda - lambda_t) / h; D2 is 0 for two."""
    h = half_log_snr(signal, sigma, -1) - half_log_snr(signal, sigma, 0)
    r0 = (half_log_snr(signal, sigma, 0) - half_log_snr(signal, sigma, 1)) / h
    D1 = (values[0] - values[1]) / r0
    if len(values) == 2:
        return D1, 0 * D1
    r1 = (half_log_snr(signal, sigma, 1) - half_log_snr(signal, sigma, 2)) / h
    D1_1 = (values[1] - values[2]) / r1
    return D1 + r0 / (r0 + r1) * (D1 - D1_1), (D1 - D1_1) / (r0 + r1)


def unipc_corrector(x_t, x0, signal, sigma, variant):
    """K8 -> x_s: UniC with two or three data predictions x0 (p, B, ...): that of x_t first and that at s last; signal and sigma are (p,), at these times.

    x_s = sigma_s / sigma_t x_t - signal_s (exp(-h) - 1) x0_t - signal_s B sum_j rho_j (x0_j - x0_t) / r_j, with r_j = (lambda_j - lambda_t) / h, so that
    r is 1 at s. B is exp(-h) - 1 for variant bh2, -h for bh1. With two predictions rho is 1/2. With three, R rho = b: rows r^(k - 1), and b_k is k! / B
    times (exp(-h) - sum over n <= k of (-h)^n / n!) / (-h)^k. Then both variants agree.
    """
    h = half_log_snr(signal, sigma, -1) - half_log_snr(signal, sigma, 0)
    r = [(half_log_snr(signal, sigma, j) - half_log_snr(signal, sigma, 0)) / h for j in range(1, len(x0))]
    B = exp(-h) - 1 if variant == "bh2" else -h
    first = (exp(-h) - 1) / -h - 1
    b = [first / B, (2 * first / -h - 1) / B]
    one = h / h
    rho = solve(np.array([[one, one], r]), np.array(b)) if len(r) == 2 else [one / 2]
    change = sum(rho[j] * (x0[j + 1] - x0[0]) / r[j] for j in range(len(r)))
    return sigma[-1] / sigma[0] * x_t - signal[-1] * (exp(-h) - 1) * x0[0] - signal[-1] * B * change


def deis_step(x_t, eps, signal, sigma):
    """K9 -> x_s: LMS with the noise predictions eps (p, B, ...) at one to four times, that of x_t first; signal and sigma (p + 1,) as in dpmpp_step.

    With rho = sigma / signal, x_s / signal_s = x_t / signal_t + sum_j w_j eps_j, where w_j is the integral of the Lagrange polynomial of rho_j from rho_t to rho_s.
    """
    rho = sigma / signal
    h = rho[-1] - rho[0]
    r, p = (rho[:-1] - rho[0]) / h, len(eps)
    coefficients = solve(np.array([[r[j] ** k for k in range(p)] for j in range(p)]), eps)
    return signal[-1] / signal[0] * x_t + signal[-1] * sum(h / (k + 1) * coefficients[k] for k in range(p))


def plms_step(x_t, eps, signal, sigma):
    """K9 -> x_s: the step of DDIM with the Adams-Bashforth mean of eps (p, B, ...) at one to four times, the latest first; signal, sigma at t and s.

    The weights are 1; 3, -1 over 2; 23, -16, 5 over 12; 55, -59, 37, -9 over 24.
    """
    weights, total = {1: ((1,), 1), 2: ((3, -1), 2), 3: ((23, -16, 5), 12), 4: ((55, -59, 37, -9), 24)}[len(eps)]
    mean = sum(weight * each for weight, each in zip(weights, eps, strict=True)) / total
    return signal[-1] / signal[0] * x_t + signal[-1] * (sigma[-1] / signal[-1] - sigma[0] / signal[0]) * mean


def prk_step(model, x_t, signal, sigma):
    """K9 -> x_s: the pseudo Runge-Kutta step of PNDM; signal and sigma are (3,): at t, in the middle, and at s; model(x, i) is eps at level i.

    The mean is (e1 + 2 e2 + 2 e3 + e4) / 6 in the step of DDIM from t to s. e1 is the prediction at t; the steps of DDIM from x_t with e1 and with e2 to the
    middle lead to the states of e2 and e3, and that with e3 to s to the state of e4.
    """

    def ddim(eps, i):
        return signal[i] / signal[0] * x_t + signal[i] * (sigma[i] / signal[i] - sigma[0] / signal[0]) * eps

    first = model(x_t, 0)
    second = model(ddim(first, 1), 1)
    third = model(ddim(second, 1), 1)
    fourth = model(ddim(third, 2), 2)
    return ddim((first + 2 * second + 2 * third + fourth) / 6, 2)


def dpmpp_2s_step(model, x_t, signal, sigma, eta, noise):
    """K7 -> x_u, x_s: the stage and the end of a step of DPM-Solver++ 2S; signal and sigma are (3,): at t, u and s; model(x, i) is x0 at level i.

    noise is (2, B, ...): independent noise of the parts from t to u and from u to s. x_u is dpmpp_step with one time. x_s is dpmpp_step with the times t and u,
    variant midpoint, and the noise of both parts, which the SDE adds up: sigma_s exp(-eta h) (sqrt(q_u) noise_0 + sqrt(q_s - q_u) noise_1), with
    q = exp(2 eta h) - 1, where h is the step of lambda = log(signal / sigma) from t to u and to s.
    """
    first = model(x_t, 0)
    x_u = dpmpp_step(x_t, [first], signal[:2], sigma[:2], "midpoint", eta, noise[0])
    x_s = dpmpp_step(x_t, [first, model(x_u, 1)], signal, sigma, "midpoint", eta, 0 * noise[0])
    to_u, to_s = (signal[0] * sigma[i] / (signal[i] * sigma[0]) for i in (1, 2))
    q_u, q_s = 1 / to_u ** (2 * eta) - 1, 1 / to_s ** (2 * eta) - 1
    return x_u, x_s + sigma[2] * to_s**eta * (sqrt(q_u) * noise[0] + sqrt(q_s - q_u) * noise[1])


def dpmpp_sample(model, order, signal, sigma, x):
    """K6 -> states: all states of DPM-Solver++ (2M, 3M) with eta 0, one at each level of signal and sigma, x first; model(x, i) is x0 at level i.

    The first step uses one prediction, and each further step one more, up to order; a step to sigma = 0 uses one. Two are used as in midpoint.
    """
    states, x0 = [x], []
    for i in range(len(sigma) - 1):
        x0 = [model(states[-1], i), *x0][:order]
        known = x0[:1] if sigma[i + 1] == 0 else x0
        at = [i - j for j in range(len(known))] + [i + 1]
        states.append(dpmpp_step(states[-1], known, signal[at], sigma[at], "midpoint", 0, 0 * x))
    return np.stack(states)


def half_log_snr(signal, sigma, j):
    """log(signal / sigma) at one of the times."""
    return log(signal[j] / sigma[j])
