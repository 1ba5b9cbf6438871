"""Learned noise schedule: monotone for all parameters, derivatives by complex step, gradients of the loss and its variance, the optimum."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import learned_schedule, optim, rng, tree, vdm
from refdiff.arrays import sigmoid, softplus
from tests.tolerances import COMPLEX_STEP, relative

LOW, HIGH, C = -np.log(1e4), np.log(1e4), 0.25
NODES, WEIGHTS = (np.polynomial.legendre.leggauss(300)[i] for i in (0, 1))
TIMES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
STEP = 1e-30


def drawn(width=5, seed=0, scale=0.5):
    """Parameters of a curved schedule, away from their start."""
    leaves = tree.flatten(learned_schedule.init(width, LOW, HIGH))
    moved = {path: leaf + scale * rng.normal(seed, 1, leaf.shape, step=i)[0] for i, (path, leaf) in enumerate(leaves.items())}
    return tree.unflatten(moved | {"ends": leaves["ends"]})


def mmse_eps(gamma):
    return vdm.gaussian_mmse(C, gamma) * np.exp(-gamma)


def mmse_slope(gamma):
    return -mmse_eps(gamma) * vdm.gaussian_mmse(C, gamma) / C


def model(x, gamma):
    """The exact model of data N(0, C)."""
    kept, noise = sigmoid(-gamma), sigmoid(gamma)
    return x * (np.sqrt(noise) / (C * kept + noise))[:, None]


def second_moment(curve):
    """E L^2 of the exact model: 3/4 of the integral of (gamma' MMSE)^2."""
    gamma, rate = curve(TIMES)
    return 0.75 * WEIGHTS @ (rate * mmse_eps(gamma)) ** 2


def directions(p):
    """Every parameter with an imaginary step, and its path and position."""
    for path, leaf in tree.flatten(p).items():
        for i in range(leaf.size):
            stepped = {key: each.astype(complex) for key, each in tree.flatten(p).items()}
            stepped[path][i] += 1j * STEP
            yield path, i, tree.unflatten(stepped)


@given(st.integers(0, 10**6), st.floats(0.01, 4), st.integers(1, 9))
def test_it_is_monotone_for_all_parameters(seed, scale, width):
    """V2: the schedule increases from gamma_0 to gamma_1, and its rate is above 0, whatever the parameters."""
    p, t = drawn(width, seed, scale), np.linspace(0, 1, 101)
    (gamma, rate), _ = learned_schedule.gamma(p, t)
    assert np.allclose(gamma[[0, -1]], [LOW, HIGH], rtol=1e-13) and np.all(np.diff(gamma) >= -1e-13) and np.all(rate > 0)


def test_the_start_is_nearly_straight():
    """V2: at the start the schedule is within 2 % of the range of the straight one; the mean of the rate is the range."""
    (gamma, _), _ = learned_schedule.gamma(learned_schedule.init(32, LOW, HIGH), np.linspace(0, 1, 101))
    assert abs(gamma - np.linspace(LOW, HIGH, 101)).max() <= 0.02 * (HIGH - LOW)
    (_, rate), _ = learned_schedule.gamma(drawn(), TIMES)
    assert WEIGHTS @ rate == pytest.approx(HIGH - LOW, rel=1e-9)
    assert np.allclose([learned_schedule.gamma(learned_schedule.init(), t)[0][0] for t in (0.0, 1)], [-13.3, 5.0], rtol=1e-14)


def test_the_rate_is_the_derivative():
    """V2: gamma' by complex step of gamma; a time alone gives the same as in a batch."""
    p, t = drawn(), rng.uniform(1, 1, 6)[0]
    (gamma, rate), _ = learned_schedule.gamma(p, t)
    (stepped, _), _ = learned_schedule.gamma(p, t + 1j * STEP)
    assert relative(rate, stepped.imag / STEP) <= COMPLEX_STEP
    (one, slope), _ = learned_schedule.gamma(p, t[2])
    assert one.shape == slope.shape == () and (one, slope) == (gamma[2], rate[2])


def test_vjp():
    """V2: derivatives of gamma and gamma' in every parameter and in the time, among them mixed ones, by complex step."""
    p, t = drawn(), rng.uniform(1, 1, 6)[0]
    dgamma, drate = rng.normal(2, 2, (6,))
    dp, dt = learned_schedule.gamma(p, t)[1](dgamma, drate)
    largest = max(abs(each).max() for each in tree.flatten(dp).values())
    assert {key: each.shape for key, each in tree.flatten(dp).items()} == {key: each.shape for key, each in tree.flatten(p).items()}
    for path, i, stepped in directions(p):
        gamma, rate = learned_schedule.gamma(stepped, t)[0]
        assert abs(tree.flatten(dp)[path][i] - (dgamma @ gamma + drate @ rate).imag / STEP) <= COMPLEX_STEP * largest, (path, i)
    gamma, rate = learned_schedule.gamma(p, t + 1j * STEP)[0]
    assert relative(dt, (dgamma * gamma + drate * rate).imag / STEP) <= COMPLEX_STEP


def test_softplus():
    """V2: log(1 + e^x) at all sizes, its derivative, and its inverse in the start."""
    x = np.array([-700.0, -40.0, -1.0, 0.0, 1.0, 40.0, 1e10])
    expected = np.array([np.exp(-700.0), np.exp(-40.0), np.log1p(np.exp(-1)), np.log(2), 1 + np.log1p(np.exp(-1)), 40.0, 1e10])
    assert np.allclose(softplus(x), expected, rtol=4e-16, atol=0)
    assert np.allclose(softplus(x[1:] + 1j * STEP).imag / STEP, sigmoid(x[1:]), rtol=1e-15, atol=0)
    assert np.allclose(softplus(learned_schedule._inverse_softplus(np.array([1e-3, 1.0, 70.0]))), [1e-3, 1.0, 70.0], rtol=1e-12)


def test_the_loss_does_not_depend_on_the_shape():
    """V2, V1: the mean of the exact model's loss has gradient 0 in all interior parameters, and -MMSE / 2 and MMSE / 2 in the ends."""
    (gamma, rate), vjp = learned_schedule.gamma(drawn(), TIMES)
    dp, _ = vjp(WEIGHTS * rate * mmse_slope(gamma) / 2, WEIGHTS * mmse_eps(gamma) / 2)
    assert np.allclose(dp["ends"], [-mmse_eps(LOW) / 2, mmse_eps(HIGH) / 2], rtol=0, atol=1e-10)
    assert all(abs(each).max() <= 1e-10 for path, each in tree.flatten(dp).items() if path != "ends")


def test_error_and_slope():
    """V2: error and slope of the exact model of one dimension, against their closed forms in S = e^-gamma."""
    x0, noise, gamma = rng.normal(1, 4, (1,)), rng.normal(2, 4, (1,)), np.array([-3.0, 0.0, 1.0, 4.0])
    error, slope = learned_schedule.error_and_slope(model, x0, noise, gamma)
    S, x, eps = np.exp(-gamma), x0[:, 0], noise[:, 0]
    root = (C * S * eps - np.sqrt(S) * x) / (1 + C * S)
    change = (-C * S * eps + np.sqrt(S) * x / 2) / (1 + C * S) + root * C * S / (1 + C * S)
    assert np.allclose(error, root**2, rtol=1e-12) and np.allclose(slope, 2 * root * change, rtol=1e-12)
    single = learned_schedule.error_and_slope(model, x0.astype(np.float32), noise.astype(np.float32), gamma)
    assert single[0].dtype == single[1].dtype == np.float32 and np.allclose(single[1], slope, rtol=1e-4, atol=1e-5)


def test_gradient():
    """V2: the ends by the mean of the loss, all else by the mean of its square, against complex steps through the model."""
    p, t = drawn(), rng.uniform(1, 1, 6)[0]
    x0, noise = rng.normal(1, 6, (1,)), rng.normal(2, 6, (1,))

    def loss(p):
        gamma, rate = learned_schedule.gamma(p, t)[0]
        x = np.sqrt(sigmoid(-gamma))[:, None] * x0 + np.sqrt(sigmoid(gamma))[:, None] * noise
        return rate / 2 * ((noise - model(x, gamma)) ** 2)[:, 0]

    (gamma, rate), vjp = learned_schedule.gamma(p, t)
    found = tree.flatten(learned_schedule.gradient(*learned_schedule.error_and_slope(model, x0, noise, gamma), rate, vjp))
    largest = max(abs(each).max() for each in found.values())
    for path, i, stepped in directions(p):
        values = loss(stepped)
        expected = (values if path == "ends" else values**2).mean().imag / STEP
        assert abs(found[path][i] - expected) <= COMPLEX_STEP * largest, (path, i)


def test_the_optimal_schedule():
    """V2: log(1 + c SNR) is straight in t, gamma' is the derivative, gamma' times the error is constant, and the ends are those given."""
    gamma, rate = learned_schedule.optimal_gamma(TIMES, C, LOW, HIGH)
    log, ends = np.log1p(C * np.exp(-gamma)), np.log1p(C * np.exp([-LOW, -HIGH]))
    assert np.allclose(log, ends[0] + TIMES * (ends[1] - ends[0]), rtol=1e-12)
    assert np.allclose(rate * mmse_eps(gamma), ends[0] - ends[1], rtol=1e-12)
    stepped = learned_schedule.optimal_gamma(TIMES + 1j * STEP, C, LOW, HIGH)[0]
    assert relative(rate, stepped.imag / STEP) <= COMPLEX_STEP
    assert np.allclose(learned_schedule.optimal_gamma(np.array([0.0, 1.0]), C, LOW, HIGH)[0], [LOW, HIGH], rtol=1e-12)


def test_second_moments():
    """V2: E L^2 is 94.29 for the straight schedule, and 45.92 for the best one, the square of the mean rate by Cauchy and Schwarz."""
    best = second_moment(lambda t: learned_schedule.optimal_gamma(t, C, LOW, HIGH))
    assert second_moment(lambda t: (LOW + (HIGH - LOW) * t, HIGH - LOW)) == pytest.approx(94.29, abs=0.005)
    assert best == pytest.approx(45.92, abs=0.005) and best == pytest.approx(3 * vdm.gaussian_loss(C, HIGH, LOW) ** 2, rel=1e-12)
    for bend in (-0.3, -0.01, 0.01, 0.3):  # the best schedule at t + bend t (1 - t)
        bent = lambda t: scaled(t + bend * t * (1 - t), 1 + bend * (1 - 2 * t))  # noqa: B023, E731
        assert second_moment(bent) == pytest.approx(best * (1 + bend**2 / 3), rel=1e-9)


def scaled(t, factor):
    gamma, rate = learned_schedule.optimal_gamma(t, C, LOW, HIGH)
    return gamma, factor * rate


def test_training_finds_the_optimum():
    """V2: 600 steps with exact moments bring E L^2 from 94 to within 10 % of the least."""
    p, best = learned_schedule.init(16, LOW, HIGH), 3 * vdm.gaussian_loss(C, HIGH, LOW) ** 2
    state, curve = optim.init(p), lambda t: learned_schedule.gamma(p, t)[0]
    assert second_moment(curve) > 90
    for step in range(1, 601):
        (gamma, rate), vjp = learned_schedule.gamma(p, TIMES)
        error = mmse_eps(gamma)
        dp, _ = vjp(1.5 * WEIGHTS * rate**2 * error * mmse_slope(gamma), 1.5 * WEIGHTS * rate * error**2)
        p, state = optim.adam(p, dp | {"ends": np.zeros(2)}, state, step, rate=0.05)
    assert best <= second_moment(curve) <= 1.1 * best and p["ends"].tolist() == [LOW, HIGH]


def test_precision():
    """V2: parameters of float32 give a schedule and gradients of float32."""
    p, t = learned_schedule.init(4, -2.0, 3.0, np.float32), np.array([0.1, 0.7])
    (gamma, rate), vjp = learned_schedule.gamma(p, t)
    dp, dt = vjp(gamma, rate)
    assert {each.dtype for each in (gamma, rate, dt, *tree.flatten(dp).values())} == {np.dtype(np.float32)}
    wide = learned_schedule.gamma(tree.map(lambda each: each.astype(np.float64), p), t)[0]
    assert np.allclose(gamma, wide[0], rtol=1e-5) and np.allclose(rate, wide[1], rtol=1e-5)
    (none, _), vjp = learned_schedule.gamma(p, t[:0])
    assert none.shape == vjp(none, none)[1].shape == (0,)


def test_wrong_arguments():
    """V2: each wrong argument is named, with its value and what is allowed."""
    p, one, gradient = learned_schedule.init(3), np.ones(2), learned_schedule.gradient
    x = one[:, None]
    for call, error, message in (
        (lambda: learned_schedule.init(0), ValueError, "width = 0; allowed: "),
        (lambda: learned_schedule.init(4, 1.0, 1.0), ValueError, "gamma_0 = 1.0, gamma_1 = 1.0; allowed: gamma_0 below gamma_1"),
        (lambda: learned_schedule.gamma(p | {"ends": one}, 0.5), ValueError, "p at ends = array([1., 1.]); allowed: "),
        (lambda: learned_schedule.gamma({"ends": one}, 0.5), ValueError, "p has the entries ends; allowed: "),
        (lambda: learned_schedule.gamma(p | {"l1": {"w": one, "b": one}}, 0.5), ValueError, "p at l1/b has shape (2,); allowed: (1,)"),
        (lambda: learned_schedule.gamma(p | {"l3": {"w": one}}, 0.5), ValueError, "p at l2/b has shape (3,); allowed: (2,)"),
        (lambda: learned_schedule.gamma(p, 1.5), ValueError, "t = 1.5; allowed: "),
        (lambda: learned_schedule.gamma(p, np.ones((2, 1))), ValueError, "t has shape (2, 1); allowed: () or (B,)"),
        (lambda: learned_schedule.optimal_gamma(0.5, 1.0, 2.0, 2.0), ValueError, "gamma_0 = 2.0, gamma_1 = 2.0; allowed: "),
        (lambda: learned_schedule.optimal_gamma(0.5, 0.0, 1.0, 2.0), ValueError, "variance = 0.0; allowed: "),
        (lambda: learned_schedule.error_and_slope(lambda x, g: x.real, x, x, 0.0), TypeError, "model(x, gamma) is real for a complex x; allowed: "),
        (lambda: gradient(one[:0], one[:0], one[:0], len), ValueError, "error has shape (0,); allowed: (B,), B 1 or more"),
        (lambda: gradient(one, one[:1], one, len), ValueError, "slope has shape (1,); allowed: (2,)"),
    ):  # fmt: skip
        with pytest.raises(error, match=re.escape(message)):
            call()
