"""Sampler steps: each against its formula, against the other samplers where they meet, and for what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import ddim_step, ddpm_step, flow, oracles, predict, q_sample, reverse, rng, sample, samplers, schedules
from tests import strategies
from tests.tolerances import ADAPTIVE, IDENTITY, SLERP, roundings

ROOM = schedules.linear(100)  # an everyday schedule: generic numbers at every t
KINDS = predict.KINDS


def textbook(x0, eps, z, t, s, schedule, eta):
    """DDIM eq. 12 and 16 with the data and the noise known: the new state, from the table alone (in extended precision)."""
    a_t, a_s = (np.exp(np.longdouble(schedule.log_alpha_bar[i])) for i in (t, s))
    beta = -np.expm1(np.longdouble(schedule.log_alpha_between(t, s)))  # 1 - a_t / a_s, with what rounding left out of the table
    variance = np.longdouble(eta) ** 2 * (1 - a_s) / (1 - a_t) * beta
    return np.sqrt(a_s) * x0 + np.sqrt(np.maximum(1 - a_s - variance, 0)) * eps + np.sqrt(variance) * z


def predictions(x0, eps, t, schedule):
    """What each kind of network answers when it is right, written out."""
    signal, sigma = schedule.signal[t], schedule.sigma[t]
    return {"x0": x0, "eps": eps, "v": signal * eps - sigma * x0, "score": -eps / sigma, "velocity": x0 - eps}


def triple(draw, shape=(3, 2), dtype=np.float64):
    """Data, noise and fresh noise of one shape."""
    return tuple(draw(strategies.arrays(shape, dtype)) for _ in range(3))


def numbers(*shape, step=0):
    """Generic numbers."""
    return rng.normal(11, shape[0], shape[1:], step)


# DDIM and DDPM


@given(st.data())
def test_ddim_with_eta_one_is_ddpm(data):
    """S1, S2: on every pair (t, s), DDIM with eta = 1 is the DDPM step with the posterior variance and the same noise."""
    schedule = data.draw(strategies.schedule())
    t, s = data.draw(strategies.times(schedule))
    dtype = data.draw(st.sampled_from(strategies.DTYPES))
    eps, x_t, z = triple(data.draw, data.draw(strategies.shapes), dtype)
    ddpm = ddpm_step(eps, x_t, t, s, schedule, z)
    x0 = schedule.signal[s] / schedule.signal[t] * max(abs(x_t).max(), abs(eps).max())
    assert roundings(ddim_step(eps, x_t, t, s, schedule, z, eta=1.0), ddpm, x0, z) <= IDENTITY


def test_whole_runs_of_ddim_with_eta_one_and_ddpm_agree():
    """S1, S2: on the full grid the two samplers give the same states, given the same noise."""
    schedule, oracle = schedules.linear(40), oracles.mixture([[1.0, 0.3], [-0.5, 0.2]], [np.eye(2) * 0.2, np.eye(2) * 0.1], [0.3, 0.7])
    noise, model, grid = rng.Normals(1, 5, (2,)), oracle.model(schedule), np.arange(40, -1, -1)
    ddpm = list(sample(model, samplers.stepper(ddpm_step, schedule), grid, noise[99], noise))
    ddim = list(sample(model, samplers.stepper(ddim_step, schedule, eta=1.0), grid, noise[99], noise))
    assert roundings(np.array(ddim), np.array(ddpm)) <= 40 * IDENTITY


@given(st.data())
def test_deterministic_ddim_lands_on_the_next_level(data):
    """S2, F3: with the exact noise, eta = 0 carries q_sample at t to q_sample at s."""
    schedule = data.draw(strategies.schedule())
    t, s = data.draw(strategies.times(schedule))
    dtype = data.draw(st.sampled_from(strategies.DTYPES))
    x0, eps, _ = triple(data.draw, data.draw(strategies.shapes), dtype)
    x_t = q_sample(x0, t, schedule, eps)
    terms = schedule.signal[s] / schedule.signal[t] * abs(eps)
    assert roundings(ddim_step(eps, x_t, t, s, schedule), q_sample(x0, s, schedule, eps), x0, terms) <= IDENTITY


@given(st.data(), st.floats(0, 1))
def test_ddim_keeps_the_marginal_variance(data, eta):
    """S2: whatever eta, the noise kept and the noise added have the variance of level s together; the share added is eta^2 beta-tilde."""
    schedule = data.draw(strategies.schedule(zero_terminal=True))
    t, s = data.draw(strategies.times(schedule))
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    added = ddim_step(zero, zero, t, s, schedule, one, eta, kind="x0")[0, 0]
    kept = ddim_step(zero, schedule.sigma[t] * one, t, s, schedule, zero, eta, kind="x0")[0, 0]
    beta = -np.expm1(schedule.log_alpha_between(t, s))
    left = schedule.one_minus_alpha_bar[s]
    assert roundings(added**2 + kept**2, left) <= IDENTITY
    assert roundings(added**2, eta**2 * beta * left / schedule.one_minus_alpha_bar[t]) <= IDENTITY


@given(st.data(), st.floats(0, 1))
def test_ddim_by_every_kind_of_prediction(data, eta):
    """S2, R6: the DDIM step equals its textbook formula for all five kinds."""
    schedule = data.draw(strategies.schedule(max_T=20))
    t, s = data.draw(strategies.times(schedule))
    x0, eps, z = triple(data.draw)
    x_t = q_sample(x0, t, schedule, eps)
    expected = textbook(x0, eps, z, t, s, schedule, eta).astype(np.float64)
    large = (abs(x_t).max() + abs(eps).max()) * schedule.signal[s] / schedule.signal[t] + (abs(x_t).max() + abs(x0).max()) / schedule.sigma[
        t
    ]
    for kind, prediction in predictions(x0, eps, t, schedule).items():
        assert roundings(ddim_step(prediction, x_t, t, s, schedule, z, eta, kind), expected, large) <= IDENTITY, kind


@given(st.data())
def test_ddpm_by_every_kind_of_prediction(data):
    """S1, R6: the DDPM step equals DDPM eq. 7 plus noise for all five kinds."""
    schedule = data.draw(strategies.schedule(max_T=20))
    t, s = data.draw(strategies.times(schedule))
    x0, eps, z = triple(data.draw)
    x_t = q_sample(x0, t, schedule, eps)
    a_t, a_s, beta = schedule.alpha_bar[t], schedule.alpha_bar[s], -np.expm1(schedule.log_alpha_between(t, s))
    left_t, left_s = schedule.one_minus_alpha_bar[t], schedule.one_minus_alpha_bar[s]
    mean = np.sqrt(a_s) * beta / left_t * x0 + np.sqrt(a_t / a_s) * left_s / left_t * x_t
    expected = mean + np.sqrt(left_s / left_t * beta) * z
    large = (abs(x_t).max() + abs(eps).max()) * schedule.signal[s] / schedule.signal[t]
    for kind, prediction in predictions(x0, eps, t, schedule).items():
        assert roundings(ddpm_step(prediction, x_t, t, s, schedule, z, kind), expected, large) <= IDENTITY, kind


def test_learned_steps_by_generic_numbers():
    """S1, S2: one step of each sampler in numbers, with the defaults: eps-prediction, posterior variance, eta = 0."""
    x_t, eps, z = numbers(4, 3), numbers(4, 3, step=1), numbers(4, 3, step=2)
    x0 = (x_t - ROOM.sigma[70] * eps) / ROOM.signal[70]
    assert roundings(ddim_step(eps, x_t, 70, 40, ROOM), textbook(x0, eps, z, 70, 40, ROOM, 0).astype(float), x0) <= IDENTITY
    assert roundings(ddpm_step(eps, x_t, 70, 40, ROOM, z), textbook(x0, eps, z, 70, 40, ROOM, 1).astype(float), x0) <= IDENTITY
    half = textbook(x0, eps, z, 70, 40, ROOM, 0.5).astype(float)
    assert roundings(ddim_step(eps, x_t, 70, 40, ROOM, z, eta=0.5), half, x0) <= IDENTITY
    assert (
        roundings(
            samplers.ddim_inversion_step(eps, x_t, 40, 70, ROOM),
            q_sample((x_t - ROOM.sigma[40] * eps) / ROOM.signal[40], 70, ROOM, eps),
            x0,
        )
        <= IDENTITY
    )


@given(st.data())
def test_the_three_variances_of_ddpm(data):
    """R4, S1: the noise is scaled by the root of beta, of beta-tilde, or of their learned geometric mean."""
    schedule = data.draw(strategies.schedule().filter(lambda schedule: schedule.T > 1))
    t, s = data.draw(strategies.times(schedule, low=1))
    zero, z, mix = np.zeros((2, 3)), data.draw(strategies.arrays((2, 3))), abs(data.draw(strategies.arrays((2, 3), bound=1.0)))
    beta = -np.expm1(schedule.log_alpha_between(t, s))
    tilde = schedule.one_minus_alpha_bar[s] / schedule.one_minus_alpha_bar[t] * beta
    for variance, expected in {"posterior": tilde, "beta": beta, "learned": beta**mix * tilde ** (1 - mix)}.items():
        given_mix = mix if variance == "learned" else None
        step = ddpm_step(zero, zero, t, s, schedule, z, "x0", variance, given_mix)
        assert roundings(step, np.sqrt(expected) * z) <= IDENTITY * max(1, -np.log(tilde)), variance


def test_the_last_step_adds_no_noise():
    """S1, S2: at s = 0 every variance and every eta give the data estimate, with or without noise at hand."""
    x_t, eps, z, mix = numbers(2, 3), numbers(2, 3, step=1), numbers(2, 3, step=2), np.full((2, 3), 0.3)
    x0 = (x_t - ROOM.sigma[7] * eps) / ROOM.signal[7]
    for noise in (None, z):
        for variance in reverse.VARIANCES:
            assert roundings(ddpm_step(eps, x_t, 7, 0, ROOM, noise, "eps", variance, mix), x0) <= IDENTITY
        for eta in (0.0, 0.5, 1.0):
            assert roundings(ddim_step(eps, x_t, 7, 0, ROOM, noise, eta), x0) <= IDENTITY
    t, s = np.array([7, 7]), np.array([0, 5])  # in a mixed batch only the row at 0 is free of noise
    steps = [ddpm_step(eps, x_t, t, s, ROOM, z, "eps", variance) for variance in ("posterior", "beta")] + [
        ddim_step(eps, x_t, t, s, ROOM, z, 1.0)
    ]
    for step, single in zip(steps, [ddpm_step(eps, x_t, 7, 5, ROOM, z, "eps", v) for v in ("posterior", "beta", "posterior")], strict=True):
        assert roundings(step[0], x0[0]) <= IDENTITY and roundings(step[1], single[1]) <= IDENTITY


def test_zero_terminal_snr_is_sampled_from_T():
    """S1, S2, F5: where no signal is left, v, velocity and x0 still determine the step; eps and score do not, and say so."""
    schedule = schedules.zero_terminal_snr(schedules.linear(50))
    x0, eps, z = numbers(2, 3), numbers(2, 3, step=1), numbers(2, 3, step=2)
    left = schedule.one_minus_alpha_bar[30]
    for kind, prediction in predictions(x0, eps, 50, schedule).items():
        ddim, ddpm = (lambda eta, p=prediction, k=kind: ddim_step(p, eps, 50, 30, schedule, z, eta, k)), ddpm_step
        if kind in ("eps", "score"):
            with pytest.raises(ValueError, match=f"^{kind}-prediction at t = 50 does not determine x0"):
                ddim(0.0)
            with pytest.raises(ValueError, match=f"^{kind}-prediction at t = 50 does not determine x0"):
                ddpm(prediction, eps, 50, 30, schedule, z, kind)
        else:
            assert roundings(ddim(0.0), schedule.signal[30] * x0 + np.sqrt(left) * eps) <= IDENTITY
            assert roundings(ddim(1.0), schedule.signal[30] * x0 + np.sqrt(left) * z) <= IDENTITY
            assert roundings(ddpm(prediction, eps, 50, 30, schedule, z, kind), schedule.signal[30] * x0 + np.sqrt(left) * z) <= IDENTITY


def test_full_noise_leaves_eta_one_nothing_to_cancel():
    """S2: next to no signal, eta = 1 still equals DDPM to the last digits (1 - eta^2 beta / (1 - alpha_bar) would lose half of them)."""
    x0, x_t, z = numbers(2, 3), numbers(2, 3, step=1), numbers(2, 3, step=2)
    for least in (1e-6, 1e-9, 1e-12, 1e-15):
        schedule = schedules.from_alpha_bars([0.9, least])
        ddpm = ddpm_step(x0, x_t, 2, 1, schedule, z, "x0")
        assert roundings(ddim_step(x0, x_t, 2, 1, schedule, z, 1.0, "x0"), ddpm) <= IDENTITY


# Inversion and interpolation


@given(st.data())
def test_inversion_undoes_a_step_of_a_constant_prediction(data):
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
    """S2, R6: from s = 0 every kind but x0 and score determines the noise; those two raise."""
    x0, eps = numbers(2, 3), numbers(2, 3, step=1)
    prediction = {"eps": eps, "v": eps, "velocity": x0 - eps}[kind]
    assert roundings(samplers.ddim_inversion_step(prediction, x0, 0, 60, ROOM, kind=kind), q_sample(x0, 60, ROOM, eps)) <= IDENTITY
    with pytest.raises(ValueError, match=r"x0-prediction at t = .*0.* does not determine eps"):
        samplers.ddim_inversion_step(x0, x0, 0, 60, ROOM, kind="x0")
    with pytest.raises(ValueError, match=r"the score at t = .*0.* does not exist"):
        samplers.ddim_inversion_step(x0, x0, 0, 60, ROOM, kind="score")


def test_inversion_goes_up_only():
    """S2: the inversion step names a pair in the wrong order."""
    x = numbers(2, 3)
    with pytest.raises(ValueError, match=r"^s = .*5.* is not below t = .*3"):
        samplers.ddim_inversion_step(x, x, 5, 3, ROOM)


def test_inversion_and_sampling_close_as_steps_grow():
    """S2: with the exact oracle the round trip data -> noise -> data closes, its gap halving with every doubling of the steps."""
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
    """S2: with one noise for both, mixing the noised data is noising the mixed data; the ends are q_sample of the ends."""
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
def test_slerp_walks_the_great_circle(data, weight, theta):
    """S2: between r a and r (a cos theta + b sin theta), slerp is r (a cos w theta + b sin w theta): the norm is kept."""
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
    """S2: each example has its own angle; the lengths mix as DDIM's formula says."""
    a, b = numbers(5, 2, 3), numbers(5, 2, 3, step=1)
    for x, y, result in zip(a, b, samplers.slerp(a, b, 0.3), strict=True):
        theta = np.arccos((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
        assert roundings(result, (np.sin(0.7 * theta) * x + np.sin(0.3 * theta) * y) / np.sin(theta)) <= SLERP


def test_slerp_of_parallel_and_nearly_parallel_noise():
    """S2: parallel noises are mixed linearly, and the formula goes over into that without a jump."""
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
    """S2: opposite or zero noise has no great circle between."""
    x = numbers(3, 4)
    with pytest.raises(ValueError, match=f"^{message} = "):
        samplers.slerp(a * x, b * x, 0.5)


# ODE steps

TABLEAUS = {
    samplers.euler_step: ([[]], [1.0], [0.0]),
    samplers.heun_step: ([[], [1.0]], [0.5, 0.5], [0.0, 1.0]),
    samplers.rk4_step: ([[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6], [0.0, 0.5, 0.5, 1.0]),
}


@pytest.mark.parametrize("step", TABLEAUS)
@given(x=strategies.arrays((3, 2)), t=st.floats(-1, 1), s=st.floats(-1, 1))
def test_ode_steps_are_their_butcher_tableaus(step, x, t, s):
    """M1: Euler, Heun and RK4 against the Runge-Kutta formula x + h sum b_i k_i with their tableaus, for a nonlinear f(x, t)."""
    weights, b, c = TABLEAUS[step]
    times, slopes, h = [], [], s - t

    def f(x, t):
        return np.sin(x) + 0.3 * np.cos(3 * t) * x[:, ::-1]

    for row, node in zip(weights, c, strict=True):
        slopes.append(f(x + h * sum((a * k for a, k in zip(row, slopes, strict=True)), np.zeros_like(x)), t + node * h))
    expected = x + h * sum(w * k for w, k in zip(b, slopes, strict=True))
    result = step(lambda x, t: times.append(t) or f(x, t), x, t, s)
    assert roundings(result, expected, 1.0) <= IDENTITY
    assert roundings(np.array(times), t + np.array(c) * h, 1.0) <= IDENTITY


@pytest.mark.parametrize(("step", "order"), [(samplers.euler_step, 1), (samplers.heun_step, 2), (samplers.rk4_step, 4)])
def test_ode_steps_on_a_linear_equation_and_on_a_quadrature(step, order):
    """M1: dx/dt = x grows by the exponential's first terms; dx/dt = t^k is integrated exactly for k below the order."""
    one = np.ones((1, 1))
    expected = sum(0.3**k / np.prod(np.arange(1, k + 1)) for k in range(order + 1))
    assert roundings(step(lambda x, t: x, one, 0.5, 0.8), expected * one) <= IDENTITY
    for k in range(order):
        exact = (0.9 ** (k + 1) - 0.4 ** (k + 1)) / (k + 1)
        assert roundings(step(lambda x, t, k=k: t**k * one, 0 * one, 0.4, 0.9), exact * one) <= IDENTITY


@given(
    x=strategies.arrays((3, 2)),
    rtol=st.sampled_from([1e-3, 1e-6, 1e-9, 1e-12]),
    span=st.sampled_from([(0.0, 1.0), (1.0, -0.5), (0.3, 0.3)]),
)
def test_adaptive_solver_keeps_its_tolerance(x, rtol, span):
    """M1: dx/dt = x cos t has the solution x exp(sin s - sin t); the error stays within a few tolerances, both ways in time."""
    result = samplers.solve_adaptive(lambda x, t: x * np.cos(t), x, *span, rtol=rtol, atol=1e-3 * rtol)
    exact = x * np.exp(np.sin(span[1]) - np.sin(span[0]))
    assert abs(result - exact).max() <= ADAPTIVE * rtol * max(abs(exact).max(), abs(x).max(), 1e-3)


def test_adaptive_solver_defaults_methods_and_dtype():
    """M1: the defaults keep 1e-6 of the size and 1e-9 below it; every event shape and both precisions come back as they went in."""
    for x in (numbers(2, 3), 1e-4 * numbers(2, 2, 2, 1)):
        result = samplers.solve_adaptive(lambda x, t: -3 * x, x, 0.0, 2.0)
        assert abs(result - x * np.exp(-6)).max() <= ADAPTIVE * (1e-9 + 1e-6 * abs(x).max())
        assert result.shape == x.shape
    tight = [samplers.solve_adaptive(lambda x, t: -3 * x, x, 0.0, 2.0, 1e-10, 1e-20, method) for method in ("DOP853", "RK45")]
    assert not np.array_equal(*tight) and roundings(*tight) * np.finfo(float).eps <= ADAPTIVE * 1e-10 * np.exp(6)
    assert samplers.solve_adaptive(lambda x, t: -x, numbers(2, 2).astype(np.float32), 0.0, 1.0).dtype == np.float32


def test_adaptive_solver_says_when_it_fails():
    """M1: dx/dt = x^2 from 1 blows up at t = 1; the error names the span and the reason."""
    with pytest.raises(RuntimeError, match=r"^solve_ivp stopped between t = 0.0 and s = 2.0: Required step size"):
        samplers.solve_adaptive(lambda x, t: x * x, np.ones((1, 1)), 0.0, 2.0)
    assert samplers.solve_adaptive(lambda x, t: x, np.ones((1, 1)), 0.0, 0.5, 1e-13, 0.0).shape == (1, 1)  # the tightest allowed


@given(st.data(), st.floats(0.01, 0.99))
def test_velocity_field_of_any_kind_is_the_velocity(data, t):
    """R6, M1: an eps-, x0-, v- or score-oracle read as a velocity field equals the velocity oracle, on every path."""
    oracle, path = data.draw(strategies.mixture()), data.draw(st.sampled_from(strategies.PATHS))
    x = data.draw(strategies.arrays((3, oracle.means.shape[1])))
    expected = oracle.model(path, "velocity")(x, t)
    signal, sigma = path.signal_sigma(t)
    for kind in KINDS:
        field = samplers.velocity_field(oracle.model(path, kind), path, kind)
        assert (
            roundings(field(x, t), expected, *(np.pi * term / signal / sigma for term in (x, *predict_terms(oracle, x, signal, sigma))))
            <= IDENTITY
        )


def predict_terms(oracle, x, signal, sigma):
    """The data and the noise that a velocity is mixed from, and the means that cancel in them."""
    return oracle.x0(x, signal, sigma), oracle.eps(x, signal, sigma), oracle.means


# Driving


def test_sample_walks_the_grid():
    """S1, S2: S + 1 states, the first of them x itself; the model sees (x_t, t) of each step, and noise[i] goes to step i."""
    seen, grid, x = [], np.array([80, 33, 5, 0]), numbers(2, 3)
    noise = [numbers(2, 3, step=i) for i in range(1, 4)]

    def model(x, t):
        seen.append((x, t))
        return 0.1 * x

    states = list(sample(model, samplers.stepper(ddim_step, ROOM, eta=0.7), grid, x, noise))
    assert states[0] is x and len(states) == 4 and [t for _, t in seen] == [80, 33, 5]
    for i in range(3):
        assert seen[i][0] is states[i]
        assert np.array_equal(states[i + 1], ddim_step(0.1 * states[i], states[i], grid[i], grid[i + 1], ROOM, noise[i], 0.7))
    assert samplers.last(sample(model, samplers.stepper(ddim_step, ROOM), grid, x)).shape == (2, 3)


def test_sample_drives_ode_steps_and_lazy_noise():
    """M1, S1: an ODE step needs no dressing and no noise; noise without a length, made on demand, serves as well as a list."""
    x = numbers(2, 3)
    states = list(sample(lambda x, t: np.full_like(x, t), samplers.euler_step, [0.0, 0.5, 0.75], x))
    assert roundings(states[-1], x + 0.5 * 0.25) <= IDENTITY
    lazy, run = rng.Normals(3, 2, (3,)), samplers.stepper(ddpm_step, ROOM, variance="beta")
    by_list = samplers.last(sample(lambda x, t: 0 * x, run, [9, 4, 0], x, [lazy[0], lazy[1]]))
    assert np.array_equal(samplers.last(sample(lambda x, t: 0 * x, run, [9, 4, 0], x, lazy)), by_list)
    assert not np.array_equal(by_list, samplers.last(sample(lambda x, t: 0 * x, run, [9, 4, 0], x, [lazy[1], lazy[0]])))


def test_last_is_the_last_state():
    """S1: of several states the final one, of a lone state that one."""
    assert samplers.last(iter([1, 2, 3])) == 3 and samplers.last(iter([4])) == 4


def test_stepper_passes_its_options():
    """S1: variance, mix and kind reach the formula."""
    x, z, mix = numbers(2, 3), numbers(2, 3, step=1), np.full((2, 3), 0.25)
    step = samplers.stepper(ddpm_step, ROOM, kind="x0", variance="learned", mix=mix)
    assert np.array_equal(step(lambda x, t: 0.5 * x, x, 9, 4, z), ddpm_step(0.5 * x, x, 9, 4, ROOM, z, "x0", "learned", mix))


# Batches and precisions

FORMULAS = {
    "ddpm": lambda p, x, t, s, z: ddpm_step(p, x, t, s, ROOM, z),
    "ddpm beta v": lambda p, x, t, s, z: ddpm_step(p, x, t, s, ROOM, z, "v", "beta"),
    "ddim": lambda p, x, t, s, z: ddim_step(p, x, t, s, ROOM),
    "ddim eta": lambda p, x, t, s, z: ddim_step(p, x, t, s, ROOM, z, 0.6),
    "inversion": lambda p, x, t, s, z: samplers.ddim_inversion_step(p, x, s, t, ROOM),
    "interpolation": lambda p, x, t, s, z: samplers.shared_noise_interpolation(p, x, 0.3, t, ROOM, z),
    "euler": lambda p, x, t, s, z: samplers.euler_step(slope, x, t / 100, s / 100),
    "heun": lambda p, x, t, s, z: samplers.heun_step(slope, x, t / 100, s / 100),
    "rk4": lambda p, x, t, s, z: samplers.rk4_step(slope, x, t / 100, s / 100),
}


def slope(x, t):
    """A velocity of x and t that keeps x's precision."""
    return x * np.asarray(1 + t, x.dtype).reshape(-1, *[1] * (x.ndim - 1))


@pytest.mark.parametrize("name", FORMULAS)
@given(st.data())
def test_per_example_times_are_scalar_times_row_by_row(name, data):
    """S1, S2, M1: times (B,) do to each row what scalars do to it alone."""
    x, p, z = triple(data.draw)
    pairs = np.array([data.draw(strategies.times(ROOM, low=1)) for _ in range(3)])
    formula, t, s = FORMULAS[name], pairs[:, 0], pairs[:, 1]
    expected = strategies.rows(formula, p, x, t, s, z)
    assert roundings(formula(p, x, t, s, z), expected, p, x, z, 1.0) <= IDENTITY


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("t", [70, np.array([70, 3, 99])])
def test_single_precision_stays_single(name, t):
    """S1, S2, M1: float32 in is float32 out, and the double result to within single roundings."""
    x, p, z = (numbers(3, 2, 2, 1, step=i) for i in range(3))
    double = FORMULAS[name](p, x, t, t // 2, z)
    single = FORMULAS[name](*(a.astype(np.float32) for a in (p, x)), t, t // 2, z.astype(np.float32))
    assert single.dtype == np.float32 and double.dtype == np.float64
    assert roundings(single, double, p, x, z) <= 2 * IDENTITY


@pytest.mark.parametrize("name", FORMULAS)
def test_steps_leave_their_inputs_alone_and_take_empty_batches(name):
    """S1, S2, M1: nothing is modified in place; no examples in, none out."""
    arrays = [numbers(3, 2, step=i) for i in range(3)]
    before = [a.copy() for a in arrays]
    FORMULAS[name](arrays[0], arrays[1], 70, 30, arrays[2])
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert FORMULAS[name](*(a[:0] for a in arrays[:2]), 70, 30, arrays[2][:0]).shape == (0, 2)


# Refusals

X, Z = np.ones((2, 3)), np.ones((2, 2))
NAN = np.full((2, 3), np.nan)
REFUSED = {
    "eta above": (ValueError, "^eta = 1.1; allowed: finite, in .0, 1.", lambda: ddim_step(X, X, 5, 3, ROOM, X, 1.1)),
    "eta below": (ValueError, "^eta = -0.1; allowed", lambda: ddim_step(X, X, 5, 3, ROOM, X, -0.1)),
    "eta nan": (ValueError, "^eta = nan; allowed", lambda: ddim_step(X, X, 5, 3, ROOM, X, np.nan)),
    "eta per example": (ValueError, "^eta = array.*; allowed: one number", lambda: ddim_step(X, X, 5, 3, ROOM, X, np.array([0.1, 0.2]))),
    "ddim without noise": (ValueError, "^noise = None; allowed: an array of x_t's shape", lambda: ddim_step(X, X, 5, 3, ROOM, eta=0.1)),
    "ddpm without noise": (ValueError, "^noise = None; allowed: an array of x_t's shape", lambda: ddpm_step(X, X, 5, 3, ROOM)),
    "noise of another shape": (ValueError, r"^noise has shape \(2, 2\)", lambda: ddpm_step(X, X, 5, 3, ROOM, Z)),
    "noise with a NaN": (ValueError, "^noise holds NaN", lambda: ddim_step(X, X, 5, 3, ROOM, NAN, 0.5)),
    "noise of another precision": (TypeError, "^noise has dtype float32", lambda: ddpm_step(X, X, 5, 3, ROOM, X.astype(np.float32))),
    "ddpm prediction": (ValueError, r"^prediction has shape \(2, 2\)", lambda: ddpm_step(Z, X, 5, 3, ROOM, X)),
    "ddim prediction": (ValueError, r"^prediction has shape \(2, 2\)", lambda: ddim_step(Z, X, 5, 3, ROOM)),
    "inversion prediction": (ValueError, r"^prediction has shape \(2, 2\)", lambda: samplers.ddim_inversion_step(Z, X, 3, 5, ROOM)),
    "kind": (ValueError, "^kind = 'noise'; allowed: x0, eps, v, score, velocity", lambda: ddim_step(X, X, 5, 3, ROOM, kind="noise")),
    "variance": (ValueError, "^variance = 'wide'; allowed: posterior", lambda: ddpm_step(X, X, 5, 3, ROOM, X, variance="wide")),
    "variance at 0": (ValueError, "^variance = 'wide'; allowed: posterior", lambda: ddpm_step(X, X, 5, 0, ROOM, X, variance="wide")),
    "learned without mix": (ValueError, "^mix = None; allowed", lambda: ddpm_step(X, X, 5, 3, ROOM, X, variance="learned")),
    "ddpm order": (ValueError, r"^s = .*5.* is not below t = .*5", lambda: ddpm_step(X, X, 5, 5, ROOM, X)),
    "ddim order": (ValueError, r"^s = .*6.* is not below t = .*5", lambda: ddim_step(X, X, 5, 6, ROOM)),
    "t above T": (ValueError, "^t = 101; allowed: 1..100", lambda: ddim_step(X, X, 101, 3, ROOM)),
    "s below 0": (ValueError, "^s = -1; allowed: 0..100", lambda: ddim_step(X, X, 5, -1, ROOM)),
    "fractional t": (TypeError, "^t = 5.5; allowed: an integer", lambda: ddpm_step(X, X, 5.5, 3, ROOM, X)),
    "times of another batch": (ValueError, r"^t has shape \(3,\)", lambda: ddim_step(X, X, np.array([5, 6, 7]), np.array([1, 2, 3]), ROOM)),
    "weight above": (ValueError, "^weight = 1.5; allowed: .*0, 1", lambda: samplers.shared_noise_interpolation(X, X, 1.5, 5, ROOM, X)),
    "weight below": (ValueError, "^weight = -0.5; allowed", lambda: samplers.shared_noise_interpolation(X, X, -0.5, 5, ROOM, X)),
    "x0_a": (ValueError, "^x0_a holds NaN", lambda: samplers.shared_noise_interpolation(NAN, X, 0.5, 5, ROOM, X)),
    "x0_b": (ValueError, "^x0_b holds NaN", lambda: samplers.shared_noise_interpolation(X, NAN, 0.5, 5, ROOM, X)),
    "interpolation noise": (
        ValueError,
        "^noise has shape .*, the shape of x0_a",
        lambda: samplers.shared_noise_interpolation(X, X, 0.5, 5, ROOM, Z),
    ),
    "weights of another batch": (
        ValueError,
        r"^weight has shape \(3,\)",
        lambda: samplers.shared_noise_interpolation(X, X, np.full(3, 0.5), 5, ROOM, X),
    ),
    "slerp weight above": (ValueError, "^weight = 1.5; allowed: .*0, 1", lambda: samplers.slerp(X, X, 1.5)),
    "slerp weight below": (ValueError, "^weight = -0.5; allowed", lambda: samplers.slerp(X, X, -0.5)),
    "slerp a": (ValueError, "^a holds NaN", lambda: samplers.slerp(NAN, X, 0.5)),
    "slerp b": (ValueError, r"^b has shape \(2, 2\)", lambda: samplers.slerp(X, Z, 0.5)),
    "ODE times": (ValueError, r"^t has shape \(3,\)", lambda: samplers.euler_step(lambda x, t: x, X, np.zeros(3), np.ones(3))),
    "ODE state": (ValueError, "^x holds NaN", lambda: samplers.heun_step(lambda x, t: x, NAN, 0.0, 1.0)),
    "ODE start": (ValueError, "^t = nan; allowed: finite", lambda: samplers.rk4_step(lambda x, t: x, X, np.nan, 1.0)),
    "ODE end": (ValueError, "^s = inf; allowed: finite", lambda: samplers.euler_step(lambda x, t: x, X, 0.0, np.inf)),
    "Euler slope": (ValueError, r"^f\(x, t\) has shape \(2, 2\)", lambda: samplers.euler_step(lambda x, t: Z, X, 0.0, 1.0)),
    "Heun slope": (ValueError, r"^f\(x, t\) holds NaN", lambda: samplers.heun_step(lambda x, t: NAN if t else X, X, 0.0, 1.0)),
    "RK4 slope": (ValueError, r"^f\(x, t\) holds NaN", lambda: samplers.rk4_step(lambda x, t: NAN if t == 0.5 else X, X, 0.0, 1.0)),
    "adaptive state": (ValueError, "^x holds NaN", lambda: samplers.solve_adaptive(lambda x, t: x, NAN, 0.0, 2.0)),
    "adaptive start": (ValueError, "^t = nan; allowed: finite", lambda: samplers.solve_adaptive(lambda x, t: x, X, np.nan, 2.0)),
    "adaptive end": (ValueError, "^s = inf; allowed: finite", lambda: samplers.solve_adaptive(lambda x, t: x, X, 0.0, np.inf)),
    "adaptive rtol": (
        ValueError,
        "^rtol = 1e-14; allowed: finite, in .1e-13",
        lambda: samplers.solve_adaptive(lambda x, t: x, X, 0.0, 1.0, 1e-14),
    ),
    "adaptive atol": (
        ValueError,
        "^atol = -1.0; allowed: finite, in .0,",
        lambda: samplers.solve_adaptive(lambda x, t: x, X, 0.0, 1.0, 1e-6, -1.0),
    ),
    "adaptive slope": (ValueError, r"^f\(x, t\) = .*nan", lambda: samplers.solve_adaptive(lambda x, t: NAN, X, 0.0, 1.0)),
    "short noise": (
        ValueError,
        "^noise has 1 entries; allowed: one for each of the 2 steps",
        lambda: list(sample(lambda x, t: x, samplers.stepper(ddpm_step, ROOM), [5, 3, 0], X, [X])),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_named(case):
    """S1, S2, M1: what is wrong, its value and what is allowed."""
    error, message, call = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


def test_velocity_field_refuses_an_unknown_kind():
    """R6: the kind is one of predict.KINDS."""
    with pytest.raises(ValueError, match=r"^kind = 'flow'; allowed: x0"):
        samplers.velocity_field(lambda x, t: x, flow.straight, "flow")(X, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_velocity_field_refuses_a_schedule(kind):
    """R6, M1: a Schedule's velocity is not dx_t / dt, so a walk along its times would go astray."""
    with pytest.raises(TypeError, match=r"^path is a Schedule, T = \d+; allowed: a flow's path"):
        samplers.velocity_field(lambda x, t: x, ROOM, kind)
