"""Training as EDM does: the network's input as a path, its clock, its target, and the density of the noise levels."""

import numpy as np
import pytest
from scipy.special import ndtr

from refdiff import edm, edm_training, generate, mlp, oracles, predict, rng, samplers, schedules, sde, solvers, training
from refdiff.data import metrics, toy2d
from refdiff.networks import layers

PATH = edm_training.path(0.75)
LEVELS = np.array([0.002, 0.1, 0.75, 3.0, 80.0])
X0, NOISE = (rng.normal(i, 5, (2,)) for i in range(2))


def test_the_path_is_the_input_of_the_network():
    """K1: the state is c_in (x0 + sigma eps), and the derivatives of its coefficients are right by complex step."""
    signal, sigma = PATH.signal_sigma(LEVELS)
    scales = edm.preconditioning(LEVELS, 0.75)
    assert np.allclose(signal, scales.in_, rtol=1e-14) and np.allclose(sigma, scales.in_ * LEVELS, rtol=1e-14)
    assert np.allclose(PATH.clock(LEVELS), scales.noise, rtol=1e-14)
    t = LEVELS + 1e-20j
    c_in = 1 / np.sqrt(t**2 + 0.75**2)
    assert np.allclose(PATH.rates(LEVELS), [c_in.imag * 1e20, (c_in * t).imag * 1e20], rtol=1e-13)


def test_the_target_is_that_of_the_network():
    """K1: the kind "edm" is EDM's target, its squared error is the weighted error of the denoiser, and its variance is 1."""
    signal, _ = PATH.signal_sigma(LEVELS)
    x = X0 + LEVELS[:, None] * NOISE
    target = predict.target("edm", X0, NOISE, LEVELS, PATH)
    assert np.allclose(target, edm.network_target(X0, x, LEVELS, 0.75), rtol=1e-12, atol=1e-12)
    output = np.sin(target)
    denoised = predict.to_x0(output, x * signal[:, None], LEVELS, PATH, "edm")
    assert np.allclose(denoised, edm.denoiser(lambda scaled, c_noise: output, x, LEVELS, 0.75), rtol=1e-12, atol=1e-12)
    weighted = edm.loss_weight(LEVELS, 0.75)[:, None] * (denoised - X0) ** 2
    assert np.allclose(weighted, (output - target) ** 2, rtol=1e-9)
    a, b = predict.row("edm", LEVELS, PATH)
    assert np.allclose(a**2 * 0.75**2 + b**2, 1, rtol=1e-14)


def test_for_unit_data_it_is_minus_v():
    """K1, R6: on a path that preserves the variance, with data of standard deviation 1, EDM's target is -v."""
    schedule = schedules.cosine(20)
    t = np.array([1, 5, 12, 19, 20])
    assert np.allclose(predict.target("edm", X0, NOISE, t, schedule), -predict.target("v", X0, NOISE, t, schedule), rtol=0, atol=1e-14)


def test_levels_of_training():
    """K2: the levels are the quantiles of a log-normal density, and none is above the end of the path."""
    uniform = np.array([1e-9, 0.1, 0.5, 0.9, 1 - 1e-12])
    drawn = PATH.draw_time(uniform)
    assert np.allclose(ndtr((np.log(drawn[:4]) + 1.2) / 1.2), uniform[:4], rtol=1e-9) and drawn[4] == 80.0
    assert edm_training.path(sigma_max=0.25).draw_time(uniform)[2] == 0.25
    with pytest.raises(ValueError, match=r"uniform = 0.0; allowed: "):
        PATH.draw_time(0.0)
    with pytest.raises(ValueError, match=r"t = .*0.0.*; allowed: noise levels above 0"):
        PATH.clock(0.0)


def test_a_batch_of_training():
    """K1, T1: `training.draw` makes the network's input, its clock and its target."""
    config = training.Config("edm", steps=1, batch=8, seed=3)
    batch = training.draw(1, X0, None, PATH, config)
    sigma = np.exp(4 * batch.clock)
    clean = predict.to_x0(batch.target, batch.x, sigma, PATH, "edm")
    assert all(np.min(abs(X0 - each).max(axis=1)) < 1e-9 for each in clean)


def test_the_same_samples_by_both_ways():
    """K1, K3: a network samples the same with the path's own solver as its denoiser does with EDM's path."""
    params = mlp.init(0, 2, width=16)
    grid = edm.sigma_grid(6)

    def network(x, c_noise):
        return mlp.mlp(params, x, c_noise, None, layers)[0]

    x = rng.normal(5, 4, (2,)) * 80

    def denoise(x, t):
        return edm.denoiser(network, x, t, 0.75)

    plain = solvers.solver("dpmpp_2m", sde.edm(), "x0", grid=grid)
    found = samplers.last(samplers.sample(denoise, plain, grid, x))
    model = training.as_model(params, PATH)
    scaled = solvers.solver("dpmpp_2m", PATH, "edm", grid=grid)
    other = samplers.last(samplers.sample(model, scaled, grid, x * PATH.signal_sigma(grid[0])[0]))
    assert np.allclose(found, other * 0.75, rtol=1e-9, atol=1e-9)  # c_in is 1 / sigma_data where sigma is 0


def test_gaussian_data_need_no_network():
    """K1: for data N(0, sigma_data^2) the exact prediction is 0."""
    exact = oracles.gaussian([0.0], [[0.75**2]]).model(PATH, "edm")
    assert np.allclose(exact(X0[:, :1], LEVELS), 0, atol=1e-14)


@pytest.mark.long
def test_a_trained_model():
    """K1, K2, T1: a small network trained on the objective draws two moons."""
    points, _ = toy2d.load("two_moons", 4000)
    path = edm_training.path(float(points.std()))
    config = training.Config("edm", steps=2000, batch=256, seed=0)
    start = training.start(mlp.init(0, 2))
    *_, (state, _) = training.train(start, points.astype(np.float32), None, path, config)
    model = training.as_model(state.averaged(config), path)
    samples = generate(model, path, (1000, 2), 25, "dpmpp_2m", kind="edm") * path.sigma_data
    assert metrics.energy_distance(samples, points[:1000]) < 0.02
