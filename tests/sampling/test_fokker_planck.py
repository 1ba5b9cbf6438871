"""Fokker-Planck: the residual is 0 for every process of the family and for no other, and the moments of short steps have the right limits."""

import re
from itertools import pairwise

import numpy as np
import pytest

from refdiff import flow, fokker_planck, forward, oracles, rng, schedules, sde
from tests.tolerances import IDENTITY, roundings

SDES = {"vp": sde.vp(), "sub_vp": sde.sub_vp(), "ve": sde.ve(0.02, 5.0), "edm": sde.edm(10.0)}
PLANE = oracles.mixture([[0.0, 1.0], [2.0, -1.0]], [[[1.0, 0.6], [0.6, 0.5]], [[0.3, -0.1], [-0.1, 0.4]]], [0.4, 0.6])
LINE = oracles.mixture([[-1.0], [0.5], [2.0]], [[[0.04]], [[0.25]], [[0.01]]], [0.3, 0.5, 0.2])
each = pytest.mark.parametrize("path", SDES.values(), ids=SDES)


def score(x, t, path, data=PLANE):
    return data.score(x, *path.signal_sigma(t))


def family(path, k, sign=1, data=PLANE):
    """The drift f x - (1 + sign k^2) / 2 g^2 s: of a process that runs backwards for sign = 1, forwards for sign = -1."""
    if sign == 1:
        return lambda x, t: sde.reverse_drift(x, t, score(x, t, path, data), path, k)

    def drift(x, t):
        square = np.reshape(path.drift_diffusion(t)[1], (-1, 1))
        return sde.forward_drift(x, t, path) - (1 - k**2) / 2 * square * score(x, t, path, data)

    return drift


def sizes(x, t, path, k):
    """The largest of the terms of the residual: a rate and a spreading."""
    return max(abs(fokker_planck.log_density_rate(PLANE, x, t, path)).max(), (1 + k**2) * np.max(path.drift_diffusion(t)[1]))


@each
@pytest.mark.parametrize("k", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("direction", fokker_planck.DIRECTIONS)
def test_the_residual_is_zero_for_the_family(path, k, direction):
    """B1, C5: at random points and times of a mixture, for every k, both for the reverse processes and for those that run forward."""
    x, drift = 2 * rng.normal(5, 40, (2,)), family(path, k, 1 if direction == "reverse" else -1)
    t = (0.02 + 0.98 * rng.uniform(6, 40)[:, 0]) * path.end
    found = fokker_planck.residual(drift, PLANE, x, t, path, k, direction)
    assert np.all(abs(found) < 1e-12 * sizes(x, t, path, k))
    one = fokker_planck.residual(drift, PLANE, x[:2], float(t[0]), path, k, direction)
    assert np.all(abs(one) < 1e-12 * sizes(x[:2], float(t[0]), path, k)) and one.shape == (2,)


@each
def test_the_forward_process_is_its_own(path):
    """B1, C4: the drift f x with noise g, forward; in one dimension too."""
    t = 0.3 * path.end
    found = fokker_planck.residual(
        lambda x, t: sde.forward_drift(x, t, path), LINE, np.array([[-0.9], [0.1], [2.1]]), t, path, 1.0, "forward"
    )
    assert np.all(abs(found) < 1e-12 * (10 + path.drift_diffusion(t)[1]))


@each
@pytest.mark.parametrize("k", [0.5, 1.0, 2.0])
def test_mistakes_leave_a_residual(path, k):
    """B1, C5: the sign of the score, g^2 (1 + k^2) without the half, k for k^2, noise of another k, the other direction: none has the density."""
    x, t = rng.normal(7, 6, (2,)), 0.4 * path.end
    square, s = path.drift_diffusion(t)[1], lambda x: score(x, t, path)
    mistakes = {
        "sign": lambda x, t: sde.reverse_drift(x, t, -s(x), path, k),
        "half": lambda x, t: sde.reverse_drift(x, t, 2 * s(x), path, k),
        "no noise": family(path, 0.0),
        "no drift": lambda x, t: sde.forward_drift(x, t, path),
        "forward": family(path, k, -1),
        "too little": lambda x, t: family(path, k)(x, t) + square / 20 * s(x),
    }
    if k != 1:
        mistakes["no square"] = lambda x, t: sde.forward_drift(x, t, path) - (1 + k) / 2 * square * s(x)
    for name, drift in mistakes.items():
        assert abs(fokker_planck.residual(drift, PLANE, x, t, path, k)).max() > 0.002 * square, name
    assert abs(fokker_planck.residual(family(path, k), PLANE, x, t, path, k, "forward")).max() > 0.01 * square


def test_the_residual_by_differences_of_the_density():
    """B1: for a wrong drift the residual is what the printed equation says, with p itself and central differences of its terms."""
    path, x, t, k, h = SDES["vp"], np.array([[0.4], [-0.8]]), 0.35, 0.7, 1e-4
    drift = lambda x, t: np.sin(3 * x) + t * x  # noqa: E731
    p = lambda x, t: np.exp(LINE.log_density(x, *path.signal_sigma(t)))  # noqa: E731
    flux = lambda x: drift(x, t)[:, 0] * p(x, t)  # noqa: E731
    rate, out = (p(x, t + h) - p(x, t - h)) / (2 * h), (flux(x + h) - flux(x - h)) / (2 * h)
    curve = (p(x + h, t) - 2 * p(x, t) + p(x - h, t)) / h**2
    for direction, sign in (("reverse", 1), ("forward", -1)):
        wanted = (rate + out + sign * k**2 * path.drift_diffusion(t)[1] / 2 * curve) / p(x, t)
        found = fokker_planck.residual(drift, LINE, x, t, path, k, direction)
        assert np.allclose(found, wanted, rtol=1e-5) and abs(found).min() > 0.1


@pytest.mark.parametrize("path", [*SDES.values(), flow.straight, flow.trigonometric], ids=[*SDES, "straight", "trigonometric"])
def test_the_rate_of_the_log_density(path):
    """B1: by a complex step along the rates, against differences of order 8."""
    x, t = np.array([[0.3, -0.4], [1.5, 0.2]]), 0.4 * getattr(path, "end", 1.0)
    steps, weights, h = np.arange(1, 5), np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]), 4e-3 * t
    logs = [PLANE.log_density(x, *path.signal_sigma(t + n * h)) - PLANE.log_density(x, *path.signal_sigma(t - n * h)) for n in steps]
    assert np.allclose(fokker_planck.log_density_rate(PLANE, x, t, path), np.tensordot(weights, logs, 1) / h, rtol=1e-9)


def test_moments_of_a_step_tend_to_the_sde():
    """B1, C4: with beta = beta(t) / T the moments of a forward step per time are those of vp plus terms of order 1 / T, whose factors are exact."""
    x, path, t = np.array([[0.7], [-1.3]]), sde.vp(), 0.5
    rate, square = path.drift_diffusion(t)
    limits, factors = (rate * x, square + 0 * x, 0 * x), (-(square**2) * x / 8, square**2 * x**2 / 4, -3 * square**2 * x / 2)
    gaps = []
    for T in (1000, 2000, 4000):
        betas = (0.1 + 19.9 * np.arange(1, T + 1) / T) / T
        mean, variance = forward.q_step(x, T // 2, T // 2 - 1, schedules.from_betas(betas))
        found = fokker_planck.jump_moments(x, mean, variance, 1 / T)
        gaps.append([T * (moment - limit) for moment, limit in zip(found, limits, strict=True)])
    for order in range(3):
        apart = [abs(gap[order] - factors[order]).max() for gap in gaps]
        assert np.allclose(gaps[-1][order], factors[order], rtol=5e-3) and abs(factors[order]).min() > 1
        assert all(1.9 < a / b < 2.1 for a, b in pairwise(apart)), order


def test_moments_by_quadrature():
    """B1: against the Gaussian integrals of the change, its square and its cube."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    x, mean, variance, dt = np.array([[0.5, -2.0]]), np.array([[0.8, -1.5]]), np.array([[0.3, 1.7]]), 0.25
    change = mean + np.sqrt(variance) * nodes[:, None, None] - x
    found = fokker_planck.jump_moments(x, mean, variance, dt)
    for n in (1, 2, 3):
        exact = np.tensordot(weights, change**n, 1) / np.sqrt(2 * np.pi) / dt
        assert roundings(found[n - 1], exact) < 10 * IDENTITY


def test_precision_and_batches():
    """B1: float32 in, float32 out, computed in float64; a batch of 0; images as examples."""
    path, drift = SDES["vp"], family(SDES["vp"], 1.0)
    x = rng.normal(9, 3, (2,), dtype=np.float32)
    found = fokker_planck.residual(drift, PLANE, x, np.float32(0.25), path)
    assert found.dtype == np.float32 and np.all(abs(found) < 1e-10)
    assert fokker_planck.residual(drift, PLANE, x[:0], 0.5, path).shape == (0,)
    image = rng.normal(9, 3, (2, 1))
    flat = lambda x, t: drift(x.reshape(len(x), 2), t).reshape(x.shape)  # noqa: E731
    wrong = fokker_planck.residual(lambda x, t: flat(x, t) + x, PLANE, image, 0.5, path)
    assert np.allclose(wrong, 2 + (image[..., 0] * score(image[..., 0], 0.5, path)).sum(axis=1), rtol=1e-10)


def test_wrong_arguments():
    """B1: each wrong argument is named, with its value and what is allowed."""
    x, path = np.zeros((2, 2)), SDES["vp"]
    drift = family(path, 1.0)
    for call, error, message in (
        (lambda: fokker_planck.residual(drift, PLANE, x, 0.0, path), ValueError, "t = 0.0 has sigma = 0"),
        (lambda: fokker_planck.residual(drift, PLANE, x, 1.5, path), ValueError, "t = 1.5; allowed: "),
        (lambda: fokker_planck.residual(drift, PLANE, x, 0.5, path, -1.0), ValueError, "k = -1.0; allowed: "),
        (lambda: fokker_planck.residual(drift, PLANE, x, 0.5, path, 1.0, "up"), ValueError, "direction = 'up'; allowed: reverse, forward"),
        (lambda: fokker_planck.residual(lambda x, t: x[:1], PLANE, x, 0.5, path), ValueError, "f(x, t) has shape (1, 2); allowed: (2, 2)"),
        (lambda: fokker_planck.jump_moments(x, x, -1.0, 0.5), ValueError, "variance = -1.0; allowed: "),
        (lambda: fokker_planck.jump_moments(x, x, 1.0, 0.0), ValueError, "dt = 0.0; allowed: "),
        (lambda: fokker_planck.jump_moments(x, x + 1e10, 1.0, 0.5), ValueError, "mean - x = "),
    ):
        with pytest.raises(error, match=re.escape(message)):
            call()
