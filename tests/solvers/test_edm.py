"""EDM: its scales derived and not quoted, its grid, Heun's method against the exact flow, and churn."""

import re

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import edm, maps, oracles, rng, samplers, sde
from tests.tolerances import IDENTITY, roundings

PATH = sde.edm()
LINE = oracles.mixture([[-1.0], [0.8]], [[[0.09]], [[0.16]]], [0.4, 0.6])
X, NOISE = (rng.normal(seed, 4, (1,)) for seed in (0, 1))
positive = st.floats(1e-6, 1e6)


@given(positive, st.floats(1e-3, 1e3))
def test_scales_by_their_derivation(sigma, d):
    """K1: for data of standard deviation d, input and target have variance 1, c_out is the smallest possible, and the weight is 1 / c_out^2."""
    found = edm.preconditioning(sigma, d)
    assert found.in_**2 * (d**2 + sigma**2) == pytest.approx(1, rel=1e-14)

    def target_variance(skip):  # of x0 - skip x, at 50 digits
        with mpmath.workdps(50):
            skip = mpmath.mpf(skip)
            return (1 - skip) ** 2 * mpmath.mpf(d) ** 2 + skip**2 * mpmath.mpf(sigma) ** 2

    with mpmath.workdps(50):
        best = mpmath.mpf(d) ** 2 / (mpmath.mpf(d) ** 2 + mpmath.mpf(sigma) ** 2)
    assert float(found.skip / best) == pytest.approx(1, rel=1e-14)
    assert float(target_variance(best) / mpmath.mpf(float(found.out)) ** 2) == pytest.approx(1, rel=1e-14)
    assert target_variance(best * 0.99) > target_variance(best) < target_variance(best * 1.01)
    assert edm.loss_weight(sigma, d) * found.out**2 == pytest.approx(1, rel=1e-15) and found.noise == np.log(sigma) / 4


def test_the_weight_is_the_snr_and_one_more():
    """K1: lambda = 1 / sigma^2 + 1 / sigma_data^2."""
    sigma = np.geomspace(1e-3, 1e3, 30)
    assert np.allclose(edm.loss_weight(sigma, 0.5), 1 / sigma**2 + 4, rtol=1e-14, atol=0)


@given(st.floats(0.01, 80.0))
def test_the_denoiser_of_a_gaussian(sigma):
    """K1: for data N(0, d^2) the best network is 0. With the target of the network, the denoiser is the data, and its weighted error is that of
    the network."""
    exact = oracles.gaussian([0.0], [[0.25]]).model(PATH, "x0")(X, sigma)
    assert roundings(edm.denoiser(lambda x, c: 0 * x, X, sigma), exact, X) < IDENTITY
    x0 = np.tanh(NOISE)
    target = edm.network_target(x0, X, sigma)
    assert np.allclose(edm.denoiser(lambda x, c: target, X, sigma), x0, rtol=0, atol=1e-12 * max(1, 1 / sigma))
    off = edm.denoiser(lambda x, c: target + 0.5, X, sigma)
    assert np.allclose(edm.loss_weight(sigma) * (off - x0) ** 2, 0.25, rtol=1e-9)
    scales = edm.preconditioning(sigma)
    seen = []
    edm.denoiser(lambda x, c: seen.append((x, c)) or x, X, sigma)
    assert np.array_equal(seen[0][0], scales.in_ * X) and seen[0][1] == scales.noise


def test_each_example_has_its_level():
    """K1, K3: levels (B,) act on the examples one by one, also in a step to 0 for some of them."""
    sigma, after = np.array([0.1, 1.0, 5.0, 20.0]), np.array([0.0, 0.5, 0.0, 9.0])
    model = LINE.model(PATH, "x0")
    for i in range(4):
        one = slice(i, i + 1)
        alone = edm.denoiser(lambda x, c: np.tanh(x), X[one], sigma[i])
        assert np.array_equal(edm.denoiser(lambda x, c: np.tanh(x), X, sigma)[one], alone)
        assert roundings(edm.heun_step(model, X, sigma, after)[one], edm.heun_step(model, X[one], sigma[i], after[i]), X) < IDENTITY
        assert np.array_equal(edm.network_target(0 * X, X, sigma)[one], edm.network_target(0 * X[one], X[one], sigma[i]))


def test_levels_of_training():
    """K2: the logarithm of the noise level is normal with the mean -1.2 and the standard deviation 1.2."""
    z = np.array([-2.0, 0.0, 1.5])
    assert np.allclose(np.log(edm.draw_sigma(z)), -1.2 + 1.2 * z, rtol=1e-14)
    assert edm.draw_sigma(0.0, 0.5, 3.0) == np.exp(0.5)


@pytest.mark.parametrize("rho", [0.5, 1.0, 7.0, 1e6])
@pytest.mark.parametrize("steps", [1, 2, 3, 18])
def test_grid(steps, rho):
    """K2: its ends are exact, it decreases, its levels are those of the formula; one step leads from the largest level to 0."""
    found = edm.sigma_grid(steps, 0.002, 80.0, rho)
    assert found[0] == 80 and found[-1] == 0 and np.all(np.diff(found) < 0) and len(found) == steps + 1
    if steps > 1:
        assert found[-2] == 0.002
        with mpmath.workdps(50):
            high, low = (mpmath.mpf(each) ** (1 / mpmath.mpf(rho)) for each in (80.0, 0.002))
            want = [float((high + mpmath.mpf(i) / (steps - 1) * (low - high)) ** mpmath.mpf(rho)) for i in range(steps)]
        assert np.allclose(found[:-1], want, rtol=1e-9 if rho > 100 else 1e-12, atol=0)
    if rho == 1:
        assert np.allclose(np.diff(found[:-1]), (0.002 - 80) / max(steps - 1, 1))


def order(step, *noise):
    """The measured order of a step with a denoiser, from level 20 to 0.05, against the exact flow of a mixture."""
    errors = []
    for steps in (320, 640):
        grid = np.geomspace(20.0, 0.05, steps + 1)
        end = samplers.last(samplers.sample(LINE.model(PATH, "x0"), step, grid, 20 * X))
        errors.append(abs(end - maps.flow_map(LINE, 20 * X, 20.0, 0.05, PATH)).max())
    return np.log2(errors[0] / errors[1])


def test_heun_has_order_2():
    """K3: against the exact flow of a mixture; without churn, the stochastic step is the same."""
    assert abs(order(edm.heun_step) - 2) < 0.05
    model = LINE.model(PATH, "x0")
    assert np.array_equal(edm.stochastic_step(10)(model, X, 2.0, 1.0), edm.heun_step(model, X, 2.0, 1.0))


def test_the_last_step_returns_the_denoiser():
    """K3: for s = 0 the step is Euler's, whose result is D, to the last bit."""
    model = LINE.model(PATH, "x0")
    assert np.array_equal(edm.heun_step(model, X, 0.7, 0.0), model(X, 0.7))


def test_churn_keeps_the_density():
    """K3: it adds the variance that lies between the levels, with S_noise = 1 and with no other."""
    for s_noise in (1.0, 1.007):
        step = maps.affine_of(lambda x, noise, s_noise=s_noise: edm.churn(x, 2.0, noise, 0.3, s_noise)[0], 1)
        mean, covariance = step.moments(np.array([0.3]), np.array([[0.25 + 4.0]]))
        assert mean == 0.3 and (abs(covariance[0, 0] - 0.25 - 2.6**2) < 1e-14) == (s_noise == 1)
    assert edm.churn(X, 2.0, NOISE, 0.3)[1] == 2.6


def test_churn_is_limited():
    """K3: its size is min(S_churn / N, sqrt(2) - 1), within S_min and S_max only."""
    model = LINE.model(PATH, "x0")

    def churned(gamma):
        x, level = edm.churn(X, 2.0, NOISE, gamma)
        return edm.heun_step(model, x, level, 1.0)

    for options, gamma in (
        ({"steps": 20, "s_churn": 4.0}, 0.2),
        ({"steps": 20, "s_churn": 40.0}, 2**0.5 - 1),
        ({"steps": 20, "s_churn": 4.0, "s_min": 2.0, "s_max": 2.0}, 0.2),
        ({"steps": 20, "s_churn": 4.0, "s_min": 2.01}, 0.0),
        ({"steps": 20, "s_churn": 4.0, "s_max": 1.99}, 0.0),
    ):
        assert roundings(edm.stochastic_step(**options)(model, X, 2.0, 1.0, NOISE), churned(gamma), X, NOISE) < IDENTITY
    with pytest.raises(ValueError, match="noise = None; allowed: an array of x's shape, unless s_churn = 0"):
        edm.stochastic_step(20, 4.0)(model, X, 2.0, 1.0)


def test_churn_and_heun_on_a_gaussian():
    """K3: with churn, the law of the samples of a Gaussian is known exactly; its variance tends to that of the data with order 2."""
    data, errors = oracles.gaussian([0.0], [[0.25]]).model(PATH, "x0"), []
    for steps in (100, 200):
        variance = np.array([[0.25 + 400.0]])
        for t, s in zip(*(lambda g: (g[:-1], g[1:]))(np.geomspace(20.0, 0.05, steps + 1)), strict=True):
            advance = edm.stochastic_step(steps, 30.0)
            step = maps.affine_of(lambda x, noise, t=t, s=s, advance=advance: advance(data, x, t, s, noise), 1)
            variance = step.moments(np.zeros(1), variance)[1]
        errors.append(variance[0, 0] - 0.25 - 0.05**2)
    assert abs(np.log2(errors[0] / errors[1]) - 2) < 0.15


WRONG = [
    (lambda: edm.preconditioning(0.0), ValueError, "sigma = 0.0; allowed: finite, in [1e-20, 1e+20]"),
    (lambda: edm.preconditioning(1.0, 0.0), ValueError, "sigma_data = 0.0; allowed: "),
    (lambda: edm.sigma_grid(0), ValueError, "steps = 0; allowed: "),
    (lambda: edm.sigma_grid(5, 2.0, 1.0), ValueError, "sigma_max = 1.0; allowed: finite, in (2, 1e+60]"),
    (lambda: edm.heun_step(LINE.model(PATH, "x0"), X, 0.0, 0.0), ValueError, "t = 0.0; allowed: finite, in [1e-20, 1e+20]"),
    (lambda: edm.heun_step(lambda x, s: x[:2], X, 1.0, 0.5), ValueError, "model(x, sigma) has shape (2, 1); allowed: (4, 1)"),
    (lambda: edm.denoiser(lambda x, c: x[0], X, 1.0), ValueError, "network(c_in x, c_noise) has shape (1,); allowed: (4, 1)"),
    (lambda: edm.churn(X, 1.0, NOISE, -0.1), ValueError, "gamma = -0.1; allowed: "),
    (lambda: edm.draw_sigma(np.nan), ValueError, "normal = nan; allowed: "),
]


@pytest.mark.parametrize("call, error, message", WRONG, ids=[message[:20] for *_, message in WRONG])
def test_wrong_arguments(call, error, message):
    """K1, K2, K3: each wrong argument is named, with its value and what is allowed."""
    with pytest.raises(error, match=re.escape(message)):
        call()
