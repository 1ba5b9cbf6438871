"""Sampler steps: each against its formula, against the other samplers where they agree, and the errors of wrong arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import ddim_step, ddpm_step, oracles, q_sample, reverse, rng, sample, samplers, schedules
from tests import strategies
from tests.tolerances import IDENTITY, roundings

SCHEDULE = schedules.linear(100)


def textbook(x0, eps, z, t, s, schedule, eta):
    """DDIM eq. 12 and 16 with the data and the noise known: the new state, from the table alone (in extended precision)."""
    a_t, a_s = (np.exp(np.longdouble(schedule.log_alpha_bar[i])) for i in (t, s))
    beta = -np.expm1(np.longdouble(schedule.log_alpha_between(t, s)))  # 1 - a_t / a_s, with what rounding left out of the table
    variance = np.longdouble(eta) ** 2 * (1 - a_s) / (1 - a_t) * beta
    return np.sqrt(a_s) * x0 + np.sqrt(np.maximum(1 - a_s - variance, 0)) * eps + np.sqrt(variance) * z


def predictions(x0, eps, t, schedule):
    """Exact predictions of each kind, by their formulas."""
    signal, sigma = schedule.signal[t], schedule.sigma[t]
    return {"x0": x0, "eps": eps, "v": signal * eps - sigma * x0, "score": -eps / sigma, "velocity": x0 - eps}


def triple(draw, shape=(3, 2), dtype=np.float64):
    """Data, noise and fresh noise of one shape."""
    return tuple(draw(strategies.arrays(shape, dtype)) for _ in range(3))


def numbers(*shape, step=0):
    """Normal random numbers of a fixed seed."""
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
def test_deterministic_ddim_reaches_q_sample(data):
    """S2, F3: with the exact noise, a step with eta = 0 maps q_sample at t to q_sample at s."""
    schedule = data.draw(strategies.schedule())
    t, s = data.draw(strategies.times(schedule))
    dtype = data.draw(st.sampled_from(strategies.DTYPES))
    x0, eps, _ = triple(data.draw, data.draw(strategies.shapes), dtype)
    x_t = q_sample(x0, t, schedule, eps)
    terms = schedule.signal[s] / schedule.signal[t] * abs(eps)
    assert roundings(ddim_step(eps, x_t, t, s, schedule), q_sample(x0, s, schedule, eps), x0, terms) <= IDENTITY


@given(st.data(), st.floats(0, 1))
def test_ddim_keeps_the_marginal_variance(data, eta):
    """S2: for any eta, the kept and the added noise together have the variance of level s; the added share is eta^2 beta-tilde."""
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


def test_steps_with_default_options():
    """S1, S2: one step of each sampler in numbers, with the defaults: eps-prediction, posterior variance, eta = 0."""
    x_t, eps, z = numbers(4, 3), numbers(4, 3, step=1), numbers(4, 3, step=2)
    x0 = (x_t - SCHEDULE.sigma[70] * eps) / SCHEDULE.signal[70]
    assert roundings(ddim_step(eps, x_t, 70, 40, SCHEDULE), textbook(x0, eps, z, 70, 40, SCHEDULE, 0).astype(float), x0) <= IDENTITY
    assert roundings(ddpm_step(eps, x_t, 70, 40, SCHEDULE, z), textbook(x0, eps, z, 70, 40, SCHEDULE, 1).astype(float), x0) <= IDENTITY
    half = textbook(x0, eps, z, 70, 40, SCHEDULE, 0.5).astype(float)
    assert roundings(ddim_step(eps, x_t, 70, 40, SCHEDULE, z, eta=0.5), half, x0) <= IDENTITY
    assert (
        roundings(
            samplers.ddim_inversion_step(eps, x_t, 40, 70, SCHEDULE),
            q_sample((x_t - SCHEDULE.sigma[40] * eps) / SCHEDULE.signal[40], 70, SCHEDULE, eps),
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
    """S1, S2: at s = 0 every variance and every eta give the data estimate, with or without noise."""
    x_t, eps, z, mix = numbers(2, 3), numbers(2, 3, step=1), numbers(2, 3, step=2), np.full((2, 3), 0.3)
    x0 = (x_t - SCHEDULE.sigma[7] * eps) / SCHEDULE.signal[7]
    for noise in (None, z):
        for variance in reverse.VARIANCES:
            assert roundings(ddpm_step(eps, x_t, 7, 0, SCHEDULE, noise, "eps", variance, mix), x0) <= IDENTITY
        for eta in (0.0, 0.5, 1.0):
            assert roundings(ddim_step(eps, x_t, 7, 0, SCHEDULE, noise, eta), x0) <= IDENTITY
    t, s = np.array([7, 7]), np.array([0, 5])  # in a mixed batch only the row at 0 is free of noise
    steps = [ddpm_step(eps, x_t, t, s, SCHEDULE, z, "eps", variance) for variance in ("posterior", "beta")] + [
        ddim_step(eps, x_t, t, s, SCHEDULE, z, 1.0)
    ]
    for step, single in zip(
        steps, [ddpm_step(eps, x_t, 7, 5, SCHEDULE, z, "eps", v) for v in ("posterior", "beta", "posterior")], strict=True
    ):
        assert roundings(step[0], x0[0]) <= IDENTITY and roundings(step[1], single[1]) <= IDENTITY


def test_zero_terminal_snr_is_sampled_from_T():
    """S1, S2, F5: without signal, v, velocity and x0 determine the step; eps and score raise."""
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


def test_eta_one_is_accurate_almost_without_signal():
    """S2: almost without signal, eta = 1 equals DDPM to the last digits (1 - eta^2 beta / (1 - alpha_bar) would lose half of them)."""
    x0, x_t, z = numbers(2, 3), numbers(2, 3, step=1), numbers(2, 3, step=2)
    for least in (1e-6, 1e-9, 1e-12, 1e-15):
        schedule = schedules.from_alpha_bars([0.9, least])
        ddpm = ddpm_step(x0, x_t, 2, 1, schedule, z, "x0")
        assert roundings(ddim_step(x0, x_t, 2, 1, schedule, z, 1.0, "x0"), ddpm) <= IDENTITY


# Driving


def test_sample_follows_the_grid():
    """S1, S2: `sample` yields S + 1 states, the first of them x; the model is called with (x_t, t) of each step, and
    step i uses noise[i].
    """
    seen, grid, x = [], np.array([80, 33, 5, 0]), numbers(2, 3)
    noise = [numbers(2, 3, step=i) for i in range(1, 4)]

    def model(x, t):
        seen.append((x, t))
        return 0.1 * x

    states = list(sample(model, samplers.stepper(ddim_step, SCHEDULE, eta=0.7), grid, x, noise))
    assert states[0] is x and len(states) == 4 and [t for _, t in seen] == [80, 33, 5]
    for i in range(3):
        assert seen[i][0] is states[i]
        assert np.array_equal(states[i + 1], ddim_step(0.1 * states[i], states[i], grid[i], grid[i + 1], SCHEDULE, noise[i], 0.7))
    assert samplers.last(sample(model, samplers.stepper(ddim_step, SCHEDULE), grid, x)).shape == (2, 3)


def test_sample_with_ode_steps_and_lazy_noise():
    """M1, S1: an ODE step needs no `stepper` and no noise; noise may be a sequence without a length, computed on demand."""
    x = numbers(2, 3)
    states = list(sample(lambda x, t: np.full_like(x, t), samplers.euler_step, [0.0, 0.5, 0.75], x))
    assert roundings(states[-1], x + 0.5 * 0.25) <= IDENTITY
    lazy, run = rng.Normals(3, 2, (3,)), samplers.stepper(ddpm_step, SCHEDULE, variance="beta")
    by_list = samplers.last(sample(lambda x, t: 0 * x, run, [9, 4, 0], x, [lazy[0], lazy[1]]))
    assert np.array_equal(samplers.last(sample(lambda x, t: 0 * x, run, [9, 4, 0], x, lazy)), by_list)
    assert not np.array_equal(by_list, samplers.last(sample(lambda x, t: 0 * x, run, [9, 4, 0], x, [lazy[1], lazy[0]])))


def test_last_is_the_last_state():
    """S1: `last` returns the final one of several states, or the only one."""
    assert samplers.last(iter([1, 2, 3])) == 3 and samplers.last(iter([4])) == 4


def test_stepper_passes_its_options():
    """S1: `stepper` passes variance, mix and kind to the formula."""
    x, z, mix = numbers(2, 3), numbers(2, 3, step=1), np.full((2, 3), 0.25)
    step = samplers.stepper(ddpm_step, SCHEDULE, kind="x0", variance="learned", mix=mix)
    assert np.array_equal(step(lambda x, t: 0.5 * x, x, 9, 4, z), ddpm_step(0.5 * x, x, 9, 4, SCHEDULE, z, "x0", "learned", mix))


# Batches and precisions

FORMULAS = {
    "ddpm": lambda p, x, t, s, z: ddpm_step(p, x, t, s, SCHEDULE, z),
    "ddpm beta v": lambda p, x, t, s, z: ddpm_step(p, x, t, s, SCHEDULE, z, "v", "beta"),
    "ddim": lambda p, x, t, s, z: ddim_step(p, x, t, s, SCHEDULE),
    "ddim eta": lambda p, x, t, s, z: ddim_step(p, x, t, s, SCHEDULE, z, 0.6),
    "inversion": lambda p, x, t, s, z: samplers.ddim_inversion_step(p, x, s, t, SCHEDULE),
    "interpolation": lambda p, x, t, s, z: samplers.shared_noise_interpolation(p, x, 0.3, t, SCHEDULE, z),
    "euler": lambda p, x, t, s, z: samplers.euler_step(slope, x, t / 100, s / 100),
    "heun": lambda p, x, t, s, z: samplers.heun_step(slope, x, t / 100, s / 100),
    "rk4": lambda p, x, t, s, z: samplers.rk4_step(slope, x, t / 100, s / 100),
}


def slope(x, t):
    """A velocity of x and t in the precision of x."""
    return x * np.asarray(1 + t, x.dtype).reshape(-1, *[1] * (x.ndim - 1))


@pytest.mark.parametrize("name", FORMULAS)
@given(st.data())
def test_per_example_times_are_scalar_times_row_by_row(name, data):
    """S1, S2, M1: times (B,) give each row the result of its scalar times."""
    x, p, z = triple(data.draw)
    pairs = np.array([data.draw(strategies.times(SCHEDULE, low=1)) for _ in range(3)])
    formula, t, s = FORMULAS[name], pairs[:, 0], pairs[:, 1]
    expected = strategies.rows(formula, p, x, t, s, z)
    assert roundings(formula(p, x, t, s, z), expected, p, x, z, 1.0) <= IDENTITY


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("t", [70, np.array([70, 3, 99])])
def test_float32_is_preserved(name, t):
    """S1, S2, M1: float32 input gives float32 output, within float32 rounding of the float64 result."""
    x, p, z = (numbers(3, 2, 2, 1, step=i) for i in range(3))
    double = FORMULAS[name](p, x, t, t // 2, z)
    single = FORMULAS[name](*(a.astype(np.float32) for a in (p, x)), t, t // 2, z.astype(np.float32))
    assert single.dtype == np.float32 and double.dtype == np.float64
    assert roundings(single, double, p, x, z) <= 2 * IDENTITY


@pytest.mark.parametrize("name", FORMULAS)
def test_steps_do_not_modify_inputs_and_accept_empty_batches(name):
    """S1, S2, M1: nothing is modified in place; an empty batch gives an empty batch."""
    arrays = [numbers(3, 2, step=i) for i in range(3)]
    before = [a.copy() for a in arrays]
    FORMULAS[name](arrays[0], arrays[1], 70, 30, arrays[2])
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    assert FORMULAS[name](*(a[:0] for a in arrays[:2]), 70, 30, arrays[2][:0]).shape == (0, 2)


# Errors

X, Z = np.ones((2, 3)), np.ones((2, 2))
NAN = np.full((2, 3), np.nan)
ERRORS = {
    "noise of another shape": (ValueError, r"^noise has shape \(2, 2\)", lambda: ddpm_step(X, X, 5, 3, SCHEDULE, Z)),
    "noise with a NaN": (ValueError, "^noise holds NaN", lambda: ddim_step(X, X, 5, 3, SCHEDULE, NAN, 0.5)),
    "noise of another precision": (TypeError, "^noise has dtype float32", lambda: ddpm_step(X, X, 5, 3, SCHEDULE, X.astype(np.float32))),
    "ddpm prediction": (ValueError, r"^prediction has shape \(2, 2\)", lambda: ddpm_step(Z, X, 5, 3, SCHEDULE, X)),
    "ddim prediction": (ValueError, r"^prediction has shape \(2, 2\)", lambda: ddim_step(Z, X, 5, 3, SCHEDULE)),
    "kind": (ValueError, "^kind = 'noise'; allowed: x0, eps, v, score, velocity", lambda: ddim_step(X, X, 5, 3, SCHEDULE, kind="noise")),
    "variance": (ValueError, "^variance = 'wide'; allowed: posterior", lambda: ddpm_step(X, X, 5, 3, SCHEDULE, X, variance="wide")),
    "variance at 0": (ValueError, "^variance = 'wide'; allowed: posterior", lambda: ddpm_step(X, X, 5, 0, SCHEDULE, X, variance="wide")),
    "learned without mix": (ValueError, "^mix = None; allowed", lambda: ddpm_step(X, X, 5, 3, SCHEDULE, X, variance="learned")),
    "ddpm order": (ValueError, r"^s = .*5.* is not below t = .*5", lambda: ddpm_step(X, X, 5, 5, SCHEDULE, X)),
    "t above T": (ValueError, "^t = 101; allowed: 1..100", lambda: ddim_step(X, X, 101, 3, SCHEDULE)),
    "s below 0": (ValueError, "^s = -1; allowed: 0..100", lambda: ddim_step(X, X, 5, -1, SCHEDULE)),
    "fractional t": (TypeError, "^t = 5.5; allowed: an integer", lambda: ddpm_step(X, X, 5.5, 3, SCHEDULE, X)),
    "times of another batch": (
        ValueError,
        r"^t has shape \(3,\)",
        lambda: ddim_step(X, X, np.array([5, 6, 7]), np.array([1, 2, 3]), SCHEDULE),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_arguments_are_named(case):
    """S1, S2, M1: errors name the argument, its value, and what is allowed."""
    error, message, call = ERRORS[case]
    with pytest.raises(error, match=message):
        call()
