"""SDEs: drift and diffusion against the path, moments, limits, and the processes that run them backwards."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from refdiff import maps, oracles, predict, schedules, sde

SDES = {"vp": sde.vp(), "sub_vp": sde.sub_vp(), "ve": sde.ve(0.02, 5.0), "edm": sde.edm(10.0)}
H = 1e-30
TIMES = np.array([0.05, 0.3, 0.7, 1.0])
LINE = oracles.mixture([[-1.0], [0.5], [2.0]], [[[0.04]], [[0.25]], [[0.01]]], [0.3, 0.5, 0.2])
PLANE = oracles.mixture([[0.0, 1.0], [2.0, -1.0]], [[[1.0, 0.6], [0.6, 0.5]], [[0.3, -0.1], [-0.1, 0.4]]], [0.4, 0.6])


def each(test):
    return pytest.mark.parametrize("path", SDES.values(), ids=SDES)(test)


@each
def test_derivatives_are_those_of_the_path(path):
    """C4: f is the derivative of log signal, and the written derivative of the variance is its own, by complex step."""
    t = TIMES * path.end
    assert np.allclose(path.drift_rate(t), path.log_signal(t + 1j * H).imag / H, rtol=1e-13)
    assert np.allclose(path.variance_rate(t), path.variance(t + 1j * H).imag / H, rtol=1e-13)
    signal_rate, sigma_rate = path.rates(t)
    assert np.allclose(signal_rate, np.exp(path.log_signal(t + 1j * H)).imag / H, rtol=1e-13)
    assert np.allclose(sigma_rate, np.sqrt(path.variance(t + 1j * H)).imag / H, rtol=1e-12)


@each
def test_the_path_solves_the_moment_equations(path):
    """C4: m' = f m and v' = 2 f v + g^2, from m = 1 and v = 0, give signal and sigma^2."""

    def moments(t, y):
        rate, square = path.drift_diffusion(t)
        return [rate * y[0], 2 * rate * y[1] + square]

    solved = solve_ivp(moments, (0, path.end), [1.0, 0.0], method="DOP853", rtol=1e-12, atol=1e-14)
    signal, sigma = path.signal_sigma(path.end)
    assert np.allclose(solved.y[:, -1], [signal, sigma**2], rtol=1e-9, atol=1e-12)


@each
def test_training_times_cover_the_process(path):
    """C4: uniform numbers become times of 0..end, and the network's time runs from 0 to 1000."""
    t = path.draw_time(np.array([0.0, 0.25, 1.0]))
    assert np.allclose(t, [0, path.end / 4, path.end], rtol=1e-15, atol=0)
    assert np.allclose(path.clock(t), [0, 250, 1000], rtol=1e-15, atol=0)


def test_printed_coefficients():
    """C4: g^2 is beta for vp, beta (1 - e^-2B) for sub_vp, the derivative of sigma^2 for ve, and 2 t for edm."""
    t, beta, B = TIMES, 0.1 + 19.9 * TIMES, 0.1 * TIMES + 19.9 * TIMES**2 / 2
    assert np.allclose(sde.vp().drift_diffusion(t), [-beta / 2, beta], rtol=1e-12)
    assert np.allclose(sde.sub_vp().drift_diffusion(t)[1], beta * (1 - np.exp(-2 * B)), rtol=1e-12)
    assert np.allclose(sde.ve(0.02, 5.0).drift_diffusion(t)[1], 2 * np.log(250) * (0.02 * 250**t) ** 2, rtol=1e-12)
    assert np.array_equal(sde.edm().drift_diffusion(2 * t), [0 * t, 4 * t])
    assert sde.edm(10.0).signal_sigma(3.0) == (1, 3)


@given(t=st.floats(0, 1))
def test_vp_preserves_and_sub_vp_stays_below(t):
    """C4: signal^2 + sigma^2 = 1 for vp; sigma of sub_vp is its square, so never above it."""
    (a, b), (c, d) = (path.signal_sigma(t) for path in (sde.vp(), sde.sub_vp()))
    assert np.isclose(a**2 + b**2, 1, rtol=1e-14) and a == c and np.isclose(d, b**2, rtol=1e-12, atol=1e-150)


def test_vp_is_the_limit_of_the_linear_schedule():
    """C4, F5: log alpha_bar of the linear schedule tends to -B with order 1 in 1 / T."""
    gaps = []
    for T in (1000, 2000, 4000):
        t = np.array([T // 4, T // 2])
        gaps.append(abs(np.log(schedules.linear(T).alpha_bar[t]) - 2 * sde.vp().log_signal(t / T)).max())
    assert np.allclose(np.array(gaps[:-1]) / gaps[1:], 2, rtol=0.02)


@each
def test_clean_data(path):
    """At t = 0 signal is 1, sigma 0 and g finite; the derivative of sigma may be infinite, and is refused."""
    signal, sigma = path.signal_sigma(0.0)
    assert signal == 1 and sigma == 0 and np.all(np.isfinite(path.drift_diffusion(0.0)))
    with pytest.raises(ValueError, match=r"t = 0.0 has sigma = 0"):
        path.rates(0.0)
    for t in (-0.1, 1.01 * path.end, np.nan):
        with pytest.raises(ValueError, match="t = "):
            path.signal_sigma(t)


@each
def test_predictions_take_an_sde(path):
    """C4, R6: eps and x0 of a state are those that made it."""
    x0, eps, t = np.array([[0.3, -1.0]]), np.array([[1.2, 0.4]]), 0.4 * path.end
    signal, sigma = path.signal_sigma(t)
    x = signal * x0 + sigma * eps
    assert np.allclose(predict.convert(eps, x, t, path, "eps", "x0"), x0, rtol=1e-9)
    assert np.allclose(predict.convert(x0, x, t, path, "x0", "score"), -eps / sigma, rtol=1e-9)


# Backwards


@each
def test_the_flow_is_the_velocity(path):
    """C5: for k = 0 the drift is the mean velocity of the path, signal' E[x0 | x] + sigma' E[eps | x]."""
    x, t = np.array([[-1.2], [0.4], [2.2]]), 0.5 * path.end
    score = LINE.score(x, *path.signal_sigma(t))
    assert np.allclose(sde.reverse_drift(x, t, score, path, 0.0), LINE.model(path, "velocity")(x, t), rtol=1e-9, atol=1e-12)


@each
def test_the_flow_of_a_mixture_ends_at_its_quantile(path):
    """C5, C1: the probability-flow ODE of three Gaussians, backwards from the end, against F_s^-1(F_t(x))."""
    t, s = 0.9 * path.end, 0.1 * path.end

    def slope(u, y):
        return sde.reverse_drift(y[:, None], u, LINE.score(y[:, None], *path.signal_sigma(u)), path, 0.0)[:, 0]

    start = np.array([-2.0, -0.3, 0.8, 2.4]) * max(1.0, float(path.signal_sigma(t)[1]))
    solved = solve_ivp(slope, (t, s), start, method="DOP853", rtol=1e-12, atol=1e-13)
    assert np.allclose(solved.y[:, -1:], maps.flow_map(LINE, start[:, None], t, s, path), rtol=1e-9, atol=1e-9)


@each
@pytest.mark.parametrize("k", [0.0, 0.5, 1.0, 2.0])
def test_fokker_planck(path, k):
    """C5: d p / dt + div(drift p) + k^2 g^2 / 2 Laplace p = 0 at points of a mixture, for every k, so p_t is the density of all."""
    x, t = np.array([[0.3, -0.4], [1.5, 0.2], [-0.5, 1.0]]), 0.4 * path.end
    score = lambda points, time: PLANE.score(points, *path.signal_sigma(time))  # noqa: E731
    drift = lambda points: sde.reverse_drift(points, t, score(points, t), path, k)  # noqa: E731
    unit = np.eye(2)
    divergence = sum(drift(x + 1j * H * unit[i])[:, i].imag / H for i in range(2))
    curvature = sum(score(x + 1j * H * unit[i], t)[:, i].imag / H for i in range(2))
    s, square = score(x, t), path.drift_diffusion(t)[1]
    steps, weights = np.arange(1, 5), np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280])  # a difference of order 8
    h = 4e-3 * path.end
    logs = [PLANE.log_density(x, *path.signal_sigma(t + n * h)) - PLANE.log_density(x, *path.signal_sigma(t - n * h)) for n in steps]
    rate = np.tensordot(weights, logs, 1) / h
    residual = rate + divergence + (drift(x) * s).sum(axis=1) + k**2 * square / 2 * (curvature + (s**2).sum(axis=1))
    assert np.allclose(residual, 0, atol=1e-7 * (1 + abs(rate).max() + k**2 * square))


@pytest.mark.parametrize("k", [0.0, 1.0])
def test_euler_maruyama_has_weak_order_1(k):
    """C5: mean and covariance pushed through the steps, from the law at the end, tend to those of the data with order 1."""
    mean, covariance = np.array([0.5, -1.0]), np.array([[1.0, 0.6], [0.6, 0.5]])
    oracle, path, gaps = oracles.gaussian(mean, covariance), sde.vp(0.1, 5.0), []
    for N in (50, 100, 200):
        times = np.linspace(1.0, 0.1, N + 1)
        signal, sigma = path.signal_sigma(1.0)
        m, C = signal * mean, signal**2 * covariance + sigma**2 * np.eye(2)
        for t, s in pairwise(times):

            def step(x, noise, t=t, s=s):
                return sde.euler_maruyama_step(x, t, s, oracle.score(x, *path.signal_sigma(t)), path, noise, k)

            m, C = maps.affine_of(step, 2).moments(m, C)
        signal, sigma = path.signal_sigma(0.1)
        gaps.append([abs(m - signal * mean).max(), abs(C - signal**2 * covariance - sigma**2 * np.eye(2)).max()])
    ratios = np.array(gaps[:-1]) / np.array(gaps[1:])
    assert np.all((ratios > 1.8) & (ratios < 2.3))


def test_steps_that_go_forwards_are_refused():
    """The time may not grow; k may not be negative."""
    x = np.zeros((1, 2))
    with pytest.raises(ValueError, match=r"s = .* is later than t = "):
        sde.euler_maruyama_step(x, 0.2, 0.3, x, sde.vp(), x)
    with pytest.raises(ValueError, match="k = -1"):
        sde.reverse_drift(x, 0.2, x, sde.vp(), -1.0)
