"""Inversion of a DDIM step, and interpolation between noised images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import ddim_step, oracles, q_sample, sample, samplers, schedules
from tests import strategies
from tests.tolerances import IDENTITY, SLERP, roundings

from .test_samplers import numbers, triple

SCHEDULE = schedules.linear(100)


@given(st.data())
def test_inversion_inverts_a_step_of_a_constant_prediction(data):
    """S2: with the same eps at both ends, the inversion step and the DDIM step are inverse to each other."""
    schedule = data.draw(strategies.schedule())
    t, s = data.draw(strategies.times(schedule))
    dtype = data.draw(st.sampled_from(strategies.DTYPES))
    x, eps, _ = triple(data.draw, data.draw(strategies.shapes), dtype)
    there = samplers.ddim_inversion_step(eps, ddim_step(eps, x, t, s, schedule), s, t, schedule)
    assert roundings(there, x, eps) <= IDENTITY
    back = ddim_step(eps, samplers.ddim_inversion_step(eps, x, s, t, schedule), t, s, schedule)
    assert roundings(back, x, abs(eps).max() * schedule.signal[s] / schedule.signal[t]) <= IDENTITY


@pytest.mark.parametrize("kind", ["eps", "v", "velocity"])
def test_inversion_from_clean_data_by_every_kind(kind):
    """S2, R6: from s = 0 every kind but x0 and score determines the noise; x0 and score raise."""
    x0, eps = numbers(2, 3), numbers(2, 3, step=1)
    prediction = {"eps": eps, "v": eps, "velocity": x0 - eps}[kind]
    assert roundings(samplers.ddim_inversion_step(prediction, x0, 0, 60, SCHEDULE, kind=kind), q_sample(x0, 60, SCHEDULE, eps)) <= IDENTITY
    with pytest.raises(ValueError, match=r"x0-prediction at t = .*0.* does not determine eps"):
        samplers.ddim_inversion_step(x0, x0, 0, 60, SCHEDULE, kind="x0")
    with pytest.raises(ValueError, match=r"the score at t = .*0.* does not exist"):
        samplers.ddim_inversion_step(x0, x0, 0, 60, SCHEDULE, kind="score")


def test_inversion_requires_increasing_times():
    """S2: the inversion step raises for times in the wrong order."""
    x = numbers(2, 3)
    with pytest.raises(ValueError, match=r"^s = .*5.* is not below t = .*3"):
        samplers.ddim_inversion_step(x, x, 5, 3, SCHEDULE)


def test_inversion_error_halves_with_twice_the_steps():
    """S2: with the exact oracle the error of the round trip data -> noise -> data halves when the steps double."""
    oracle, x = oracles.gaussian([0.7, -0.2], [[0.25, 0.1], [0.1, 0.3]]), numbers(4, 2)
    gaps = []
    for T in (100, 200, 400):
        schedule = schedules.from_alpha_bars(np.cos(0.45 * np.pi * np.arange(1, T + 1) / T) ** 2)
        model, grid = oracle.model(schedule), np.arange(T, -1, -1)
        noise = samplers.last(sample(model, samplers.stepper(samplers.ddim_inversion_step, schedule), grid[::-1], x))
        gaps.append(abs(samplers.last(sample(model, samplers.stepper(ddim_step, schedule), grid, noise)) - x).max())
        assert abs(noise - oracles.transport(oracle, x, 0, T, schedule)).max() < 20 / T
    assert 1.9 < gaps[0] / gaps[1] < 2.1 and 1.9 < gaps[1] / gaps[2] < 2.1 and gaps[2] < 10 / 400


@given(st.data(), st.floats(0, 1))
def test_shared_noise_interpolation_mixes_the_noised_ends(data, weight):
    """S2: with one noise for both, interpolating the noised data is noising the interpolated data; the ends are q_sample."""
    schedule = data.draw(strategies.schedule())
    t = data.draw(st.integers(0, schedule.T))
    a, b, noise = triple(data.draw, data.draw(strategies.shapes), data.draw(st.sampled_from(strategies.DTYPES)))
    mixed = samplers.shared_noise_interpolation(a, b, weight, t, schedule, noise)
    ends = q_sample(a, t, schedule, noise), q_sample(b, t, schedule, noise)
    assert mixed.dtype == a.dtype
    assert roundings(mixed, (1 - weight) * ends[0] + weight * ends[1], a, b, noise) <= IDENTITY
    for w, end in enumerate(ends):
        assert np.array_equal(samplers.shared_noise_interpolation(a, b, w, t, schedule, noise), end)
    weights = np.linspace(0, 1, len(a))
    each = [
        samplers.shared_noise_interpolation(a[i : i + 1], b[i : i + 1], w, t, schedule, noise[i : i + 1]) for i, w in enumerate(weights)
    ]
    assert roundings(samplers.shared_noise_interpolation(a, b, weights, t, schedule, noise), np.concatenate(each), a, b, noise) <= IDENTITY


@given(st.data(), st.floats(0, 1), st.floats(0, 3))
def test_slerp_follows_the_great_circle(data, weight, theta):
    """S2: between r a and r (a cos theta + b sin theta), slerp is r (a cos w theta + b sin w theta): the norm is preserved."""
    shape = data.draw(st.sampled_from([(1, 2), (3, 4), (2, 2, 3, 1)]))
    dtype = data.draw(st.sampled_from(strategies.DTYPES))
    a = np.zeros(shape, dtype).reshape(shape[0], -1)
    b, radius = a.copy(), data.draw(st.floats(0.1, 10))
    a[:, 0], b[:, 1] = radius, radius
    a, b = a.reshape(shape), b.reshape(shape)
    far = (a * np.cos(theta) + b * np.sin(theta)).astype(dtype)
    result = samplers.slerp(a, far, weight)
    assert result.dtype == dtype and result.shape == shape
    assert roundings(result, a * np.cos(weight * theta) + b * np.sin(weight * theta)) <= SLERP
    assert roundings(samplers.slerp(far, a, 1 - weight), result) <= SLERP
    assert roundings(samplers.slerp(a, far, 0), a) <= 2 and roundings(samplers.slerp(a, far, 1), far) <= 2


def test_slerp_of_different_lengths_and_angles():
    """S2: each example has its own angle; lengths are interpolated by DDIM's formula."""
    a, b = numbers(5, 2, 3), numbers(5, 2, 3, step=1)
    for x, y, result in zip(a, b, samplers.slerp(a, b, 0.3), strict=True):
        theta = np.arccos((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
        assert roundings(result, (np.sin(0.7 * theta) * x + np.sin(0.3 * theta) * y) / np.sin(theta)) <= SLERP


def test_slerp_of_parallel_and_nearly_parallel_noise():
    """S2: parallel noises are interpolated linearly, and the formula is continuous there."""
    a = numbers(3, 4)
    assert np.array_equal(samplers.slerp(a, a, 0.25), a)
    assert roundings(samplers.slerp(a, 3 * a, 0.25), 1.5 * a) <= IDENTITY
    across = np.roll(a, 1, axis=1)
    for tilt in (1e-12, 1e-9, 2e-8, 1e-6):
        near = a + tilt * across
        assert roundings(samplers.slerp(a, near, 0.25), 0.75 * a + 0.25 * near) <= IDENTITY + (10 * tilt) ** 2 / np.finfo(float).eps
    assert samplers.slerp(a[:0], a[:0], 0.5).shape == (0, 4)


@pytest.mark.parametrize(("a", "b", "message"), [(1, -1, "angle between a and b"), (0, 1, "length of a"), (1, 0, "length of b")])
def test_slerp_refuses_noise_without_one_shortest_arc(a, b, message):
    """S2: opposite or zero noise has no unique great circle, and raises."""
    x = numbers(3, 4)
    with pytest.raises(ValueError, match=f"^{message} = "):
        samplers.slerp(a * x, b * x, 0.5)


X, Z = np.ones((2, 3)), np.ones((2, 2))
NAN = np.full((2, 3), np.nan)
ERRORS = {
    "inversion prediction": (ValueError, r"^prediction has shape \(2, 2\)", lambda: samplers.ddim_inversion_step(Z, X, 3, 5, SCHEDULE)),
    "weight below": (ValueError, "^weight = -0.5; allowed", lambda: samplers.shared_noise_interpolation(X, X, -0.5, 5, SCHEDULE, X)),
    "x0_a": (ValueError, "^x0_a holds NaN", lambda: samplers.shared_noise_interpolation(NAN, X, 0.5, 5, SCHEDULE, X)),
    "x0_b": (ValueError, "^x0_b holds NaN", lambda: samplers.shared_noise_interpolation(X, NAN, 0.5, 5, SCHEDULE, X)),
    "interpolation noise": (
        ValueError,
        "^noise has shape .*, the shape of x0_a",
        lambda: samplers.shared_noise_interpolation(X, X, 0.5, 5, SCHEDULE, Z),
    ),
    "slerp weight above": (ValueError, "^weight = 1.5; allowed: .*0, 1", lambda: samplers.slerp(X, X, 1.5)),
    "slerp weight below": (ValueError, "^weight = -0.5; allowed", lambda: samplers.slerp(X, X, -0.5)),
    "slerp a": (ValueError, "^a holds NaN", lambda: samplers.slerp(NAN, X, 0.5)),
    "slerp b": (ValueError, r"^b has shape \(2, 2\)", lambda: samplers.slerp(X, Z, 0.5)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_arguments_are_named(case):
    """S2: the error of a wrong argument names it, its value, and what is allowed."""
    error, message, call = ERRORS[case]
    with pytest.raises(error, match=message):
        call()
