"""Flow matching: paths and their derivatives, the two losses, couplings, and conversion to and from diffusion."""

from dataclasses import FrozenInstanceError
from itertools import permutations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import ddim_step, flow, oracles, predict, q_sample, rng, sample, samplers, schedules
from tests import strategies
from tests.tolerances import COMPLEX_STEP, IDENTITY, QUADRATURE, relative, roundings

PATHS = {path.name: path for path in strategies.PATHS}


def numbers(*shape, step=0):
    """Normal random numbers of a fixed seed."""
    return rng.normal(21, shape[0], shape[1:], step)


def pair(draw, shape=(3, 2), dtype=np.float64):
    """Data and noise of one shape."""
    return draw(strategies.arrays(shape, dtype)), draw(strategies.arrays(shape, dtype))


# Paths


@given(st.data(), st.sampled_from(strategies.PATHS), st.floats(0, 1))
def test_velocity_is_the_time_derivative(data, path, t):
    """M2: velocity is the time derivative of interpolate, and rates are those of signal and sigma, by complex step."""
    x1, x0 = (2.0**100 * x for x in pair(data.draw, data.draw(strategies.shapes)))  # so that no product with the step underflows
    derivative = flow.interpolate(x1, x0, t + 1e-30j, path).imag / 1e-30
    assert roundings(derivative, flow.velocity(x1, x0, t, path), x1, x0) * np.finfo(float).eps <= COMPLEX_STEP
    for coefficient, rate in zip(path.signal_sigma(t + 1e-30j), path.rates(t), strict=True):
        assert abs(coefficient.imag / 1e-30 - rate) <= COMPLEX_STEP * np.pi


@given(st.data(), st.floats(0, 1), st.floats(0, 1))
def test_paths_by_their_formulas(data, t, sigma_min):
    """M2, M4: formulas of the three paths and their velocities; trigonometric preserves the variance, and its velocity is -pi/2 v."""
    x1, x0 = pair(data.draw)
    narrow = flow.optimal_transport(sigma_min)
    assert roundings(flow.interpolate(x1, x0, t), t * x1 + (1 - t) * x0, x1, x0) <= IDENTITY
    assert np.array_equal(flow.velocity(x1, x0, t), x1 - x0)
    assert roundings(flow.interpolate(x1, x0, t, narrow), t * x1 + (1 - (1 - sigma_min) * t) * x0, x1, x0) <= IDENTITY
    assert roundings(flow.velocity(x1, x0, t, narrow), x1 - (1 - sigma_min) * x0, x1, x0) <= IDENTITY
    angle = np.pi / 2 * t
    assert roundings(flow.interpolate(x1, x0, t, flow.trigonometric), np.sin(angle) * x1 + np.cos(angle) * x0, x1, x0) <= IDENTITY
    v = np.sin(angle) * x0 - np.cos(angle) * x1
    assert roundings(flow.velocity(x1, x0, t, flow.trigonometric), -np.pi / 2 * v, x1, x0) <= IDENTITY
    signal, sigma = flow.trigonometric.signal_sigma(t)
    assert abs(signal**2 + sigma**2 - 1) <= IDENTITY * np.finfo(float).eps


@pytest.mark.parametrize("name", PATHS)
def test_paths_lead_from_noise_to_data(name):
    """M2: x is the noise at t = 0 and the data at t = 1, except for the width of optimal_transport; integer times are accepted."""
    x1, x0, path = numbers(3, 2), numbers(3, 2, step=1), PATHS[name]
    left = 0.1 if name == "optimal_transport" else 0.0
    for zero, one in ((0, 1), (0.0, 1.0), (np.uint8(0), np.uint8(1)), (np.zeros(3, int), np.ones(3, int))):
        assert np.array_equal(flow.interpolate(x1, x0, zero, path), x0)
        assert roundings(flow.interpolate(x1, x0, one, path), x1 + left * x0) <= IDENTITY
        for t, exact in ((zero, 0.0), (one, 1.0)):
            assert roundings(flow.velocity(x1, x0, t, path), flow.velocity(x1, x0, exact, path)) <= IDENTITY


def test_optimal_transport_at_its_limits():
    """M2: with width 0 it is the straight path; with width 1 the noise is constant."""
    x1, x0 = numbers(3, 2), numbers(3, 2, step=1)
    assert np.array_equal(flow.interpolate(x1, x0, 0.3, flow.optimal_transport(0)), flow.interpolate(x1, x0, 0.3, flow.straight))
    assert np.array_equal(flow.interpolate(x1, x0, 0.3, flow.optimal_transport(1)), 0.3 * x1 + x0)


def test_paths_have_names_and_are_immutable():
    """M2: a path has a name and is immutable."""
    names = [path.name for path in (flow.straight, flow.trigonometric, flow.optimal_transport(0))]
    assert names == ["straight", "trigonometric", "optimal_transport"]
    with pytest.raises(FrozenInstanceError):
        flow.straight.sigma = flow.straight.signal


@pytest.mark.parametrize("name", PATHS)
def test_times_of_networks_and_of_training(name):
    """M2: flow time is drawn uniformly, and scaled to 0..1000 for networks."""
    uniform = np.array([0.0, 0.25, 0.875])
    assert np.array_equal(PATHS[name].draw_time(uniform), uniform)
    assert np.array_equal(PATHS[name].clock(uniform), [0, 250, 875]) and PATHS[name].clock(1) == 1000


@given(st.data(), st.sampled_from(strategies.PATHS), st.floats(0.05, 0.95))
def test_interpolate_and_velocity_are_rows_of_predict(data, path, t):
    """M2, R6: `velocity` is the prediction of that kind; converting it to x0 and eps gives the data and the noise."""
    x1, x0 = pair(data.draw)
    x_t, velocity = flow.interpolate(x1, x0, t, path), flow.velocity(x1, x0, t, path)
    assert np.array_equal(predict.target("velocity", x1, x0, t, path), velocity)
    terms = 20 * abs(x1).max() + 20 * abs(x0).max()
    assert roundings(predict.to_x0(velocity, x_t, t, path, "velocity"), x1, terms) <= IDENTITY
    assert roundings(predict.to_eps(velocity, x_t, t, path, "velocity"), x0, terms) <= IDENTITY
    assert roundings(predict.convert(x1, x_t, t, path, "x0", "velocity"), velocity, terms) <= IDENTITY


@given(st.data(), st.floats(0, 2))
def test_conditional_path_between_two_points(data, width):
    """M2: the conditional path has mean t data + (1 - t) noise and constant variance; its velocity data - noise is the
    mean's derivative.
    """
    x1, x0 = pair(data.draw)
    t = data.draw(st.floats(0, 1))
    mean, variance = flow.conditional_path(x1, x0, t, width)
    assert roundings(mean, t * x1 + (1 - t) * x0, x1, x0) <= IDENTITY and roundings(variance, width**2) <= 1
    assert np.array_equal(flow.conditional_path(x1, x0, t)[0], mean) and flow.conditional_path(x1, x0, t)[1] == 0
    slope = flow.conditional_path(x1, x0, t + 1j, width)[0].imag  # the mean is linear in t: any step does, and this one keeps tiny data
    assert roundings(slope, x1 - x0, x1, x0) * np.finfo(float).eps <= COMPLEX_STEP


@pytest.mark.parametrize("name", PATHS)
@given(t=strategies.arrays((3,), bound=1.0).map(abs))
def test_times_per_example_and_single_precision(name, t):
    """M2, M3: times (B,) give each row the result of its scalar time; float32 is preserved."""
    path, x1, x0 = PATHS[name], numbers(3, 2), numbers(3, 2, step=1)
    for f in (
        flow.interpolate,
        flow.velocity,
        lambda *a: flow.conditional_loss(a[0], *a),
        lambda x1, x0, t, path: flow.conditional_path(x1, x0, t)[0],
    ):
        rows = strategies.rows(lambda x1, x0, t, f=f: f(x1, x0, t, path), x1, x0, t)
        assert roundings(f(x1, x0, t, path), rows, x1, x0) <= IDENTITY
        single = f(x1.astype(np.float32), x0.astype(np.float32), t, path)
        assert single.dtype == np.float32 and roundings(single, f(x1, x0, t, path), x1, x0, x1**2, x0**2) <= 4 * IDENTITY


# Losses


def test_losses_by_hand():
    """M3, M4: losses are squared distances summed over the event, one for each example; the straight path is the default."""
    x1, x0, u = (numbers(3, 2, 2, 1, step=i) for i in range(3))
    t = np.array([0.1, 0.5, 0.9])
    assert roundings(flow.conditional_loss(u, x1, x0, t), ((u - (x1 - x0)) ** 2).sum(axis=(1, 2, 3))) <= IDENTITY
    narrow = ((u - (x1 - 0.9 * x0)) ** 2).sum(axis=(1, 2, 3))
    assert roundings(flow.conditional_loss(u, x1, x0, t, PATHS["optimal_transport"]), narrow) <= IDENTITY
    assert roundings(flow.marginal_loss(u, x1), ((u - x1) ** 2).sum(axis=(1, 2, 3))) <= IDENTITY
    assert np.array_equal(flow.conditional_loss(x1 - x0, x1, x0, 0.3), np.zeros(3)) and np.array_equal(
        flow.marginal_loss(u, u), np.zeros(3)
    )


POINTS, WEIGHTS = np.array([-1.2, 0.1, 0.9, 2.0]), np.array([0.1, 0.4, 0.3, 0.2])
THETA = np.array([0.3, -0.7, 0.5, 1.1, 0.4])


def network(theta, x, t):
    """A small velocity model, entire in x, so that quadrature converges fast."""
    return theta[0] + theta[1] * x + theta[2] * np.sin(theta[3] * x + theta[4] * t)


def conditional(theta, t, path):
    """E of conditional_loss over the data points and the noise, by Gauss-Hermite quadrature in the noise of each point."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    data, noise = (a.reshape(-1, 1) for a in np.meshgrid(POINTS, nodes, indexing="ij"))
    losses = flow.conditional_loss(network(theta, flow.interpolate(data, noise, t, path), t), data, noise, t, path)
    return (np.outer(WEIGHTS, weights / weights.sum()).ravel() * losses).sum()


def marginal(theta, t, path):
    """E of marginal_loss over x_t, by Gauss-Hermite quadrature."""
    oracle = oracles.data_set(POINTS, WEIGHTS)
    velocity = oracle.model(path, "velocity")
    return oracles.expectation(oracle, lambda x: flow.marginal_loss(network(theta, x, t), velocity(x, t)), *path.signal_sigma(t), nodes=300)


def spread(t, path):
    """E Var[velocity | x_t]: given x_t the velocity is linear in the data point, so this is its slope squared times E Var[data | x_t]."""
    (signal, sigma), (signal_rate, sigma_rate) = path.signal_sigma(t), path.rates(t)
    x = np.linspace(-14, 14, 4001)
    joint = WEIGHTS * np.exp(-(((x[:, None] - signal * POINTS) / sigma) ** 2) / 2) / np.sqrt(2 * np.pi) / sigma
    first, second = joint @ POINTS, joint @ POINTS**2
    variance = second - np.divide(first**2, joint.sum(axis=1), out=np.zeros_like(first), where=joint.sum(axis=1) > 0)
    return (signal_rate - sigma_rate / sigma * signal) ** 2 * variance.sum() * (x[1] - x[0])


def gradient(loss, theta, t, path):
    """The gradient of a loss in theta, by complex step."""
    return np.array([loss(theta + 1e-30j * unit, t, path).imag / 1e-30 for unit in np.eye(len(theta))])


@pytest.mark.parametrize("t", [0.25, 0.5, 0.7])
@pytest.mark.parametrize("name", PATHS)
def test_conditional_and_marginal_losses_have_one_gradient(name, t):
    """M3: on a finite data set the two losses differ by the variance of the velocity given x_t, for any theta, so their gradients agree."""
    path = PATHS[name]
    for theta in (THETA, THETA[::-1] + 0.5):
        assert relative(gradient(conditional, theta, t, path), gradient(marginal, theta, t, path)) <= QUADRATURE
        values = conditional(theta, t, path), marginal(theta, t, path)
        assert roundings(values[0] - values[1], spread(t, path), *values) * np.finfo(float).eps <= QUADRATURE
    assert spread(t, path) > 0.1 * values[1]


# Couplings


def cost(data, noise):
    """Total squared distance."""
    return ((data - noise) ** 2).sum()


@given(st.data(), st.integers(1, 6))
def test_coupling_equals_brute_force(data, B):
    """M4: no permutation has a lower cost; the cost is symmetric in data and noise, and at most that of the original order."""
    x1, x0 = pair(data.draw, (B, *data.draw(st.sampled_from([(), (2,), (2, 2, 1)]))))
    order = flow.couple_optimally(x1, x0)
    assert sorted(order) == list(range(B))
    best = min(cost(x1[list(p)], x0) for p in permutations(range(B)))
    assert roundings(cost(x1[order], x0), best, (x1**2).sum(), (x0**2).sum()) <= IDENTITY
    assert roundings(cost(x0[flow.couple_optimally(x0, x1)], x1), best, (x1**2).sum(), (x0**2).sum()) <= IDENTITY


def test_coupling_recovers_a_permutation():
    """M4: the coupling of noise with a shuffled, slightly perturbed copy of it recovers the permutation."""
    noise, shuffle = numbers(40, 3), np.argsort(numbers(40, step=3))
    data = (noise + 1e-3)[shuffle]
    order = flow.couple_optimally(data, noise)
    assert np.array_equal(data[order], noise + 1e-3) and not np.array_equal(order, np.argsort(order))
    assert len(flow.couple_optimally(data[:0], noise[:0])) == 0


# Diffusion as flow


@given(st.floats(-60, 60))
def test_flow_time_is_the_logistic_function_of_half_log_snr(log_snr):
    """M5: flow time and its inverse against 50 digits; signal / (signal + sigma) of a variance-preserving level is the same number."""
    with mp.workdps(50):
        exact = 1 / (1 + mp.exp(-mp.mpf(log_snr) / 2))
        back = 2 * mp.log(exact / (1 - exact))
    tau = flow.flow_time(log_snr)
    assert roundings(tau, float(exact)) <= IDENTITY + abs(log_snr)
    lost = 4 * np.exp(log_snr / 2) + abs(log_snr)  # 1 - tau has only so many digits left
    assert abs(flow.flow_log_snr(float(exact)) - float(back)) <= (IDENTITY + lost) * np.finfo(float).eps
    alpha_bar = 1 / (1 + np.exp(-log_snr))
    if log_snr < 20:
        signal, sigma = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
        assert roundings(tau, signal / (signal + sigma), 1e3 * np.finfo(float).eps) <= IDENTITY * (1 + abs(log_snr)) * (
            1 + np.exp(log_snr / 2)
        )


@given(st.floats(0, 1))
def test_flow_time_and_log_snr_are_inverse(tau):
    """M5: flow_time inverts flow_log_snr, ends included."""
    assert roundings(flow.flow_time(flow.flow_log_snr(tau)), tau) <= IDENTITY + abs(np.log(max(tau, 1e-300)))


def test_flow_time_at_its_ends():
    """M5: pure noise has flow time 0, data 1, equal parts 1/2."""
    ends = np.array([-np.inf, 0.0, np.inf])
    assert np.array_equal(flow.flow_time(ends), [0, 0.5, 1]) and np.array_equal(flow.flow_log_snr(np.array([0, 0.5, 1])), ends)


@given(st.data())
def test_states_to_flow_and_back(data):
    """M5: to_flow maps a noised state to the straight path's state of the same data and noise; from_flow inverts it."""
    schedule = data.draw(strategies.schedule(zero_terminal=True))
    t = data.draw(st.integers(0, schedule.T))
    dtype = data.draw(st.sampled_from(strategies.DTYPES))
    x1, x0 = pair(data.draw, data.draw(strategies.shapes), dtype)
    x_t, (signal, sigma), tau = q_sample(x1, t, schedule, x0), schedule.signal_sigma(t), flow.flow_time(schedule.log_snr[t])
    moved = flow.to_flow(x_t, signal, sigma)
    assert moved.dtype == dtype
    assert roundings(moved, flow.interpolate(x1, x0, tau), x1, x0) <= 2 * IDENTITY
    assert roundings(flow.from_flow(moved, tau), x_t, x1, x0) <= 2 * IDENTITY and flow.from_flow(moved, tau).dtype == dtype


def test_to_flow_by_hand():
    """M5: at signal 0.8, sigma 0.6 the flow time is 4/7 and the state is divided by 1.4; per-example levels too."""
    x = numbers(2, 3)
    assert roundings(flow.to_flow(x, 0.8, 0.6), x / 1.4) <= 2 and roundings(flow.from_flow(x / 1.4, 4 / 7), x) <= 4
    two = flow.to_flow(x, np.array([0.8, 0.6]), np.array([0.6, 1.0]))
    assert roundings(two, x / np.array([[1.4], [1.6]])) <= 2
    assert roundings(flow.from_flow(x, np.array([0, 1])), x) <= 2


@given(st.data())
def test_a_ddim_step_is_an_euler_step(data):
    """M5, S2: divided by signal + sigma, deterministic DDIM is Euler's method on the straight path, with velocity data - noise."""
    schedule = data.draw(strategies.schedule(max_T=20, zero_terminal=True))
    t, s = data.draw(strategies.times(schedule))
    x_t, velocity = pair(data.draw)
    levels = (schedule.signal_sigma(t), schedule.signal_sigma(s))
    tau_t, tau_s = (flow.flow_time(schedule.log_snr[i]) for i in (t, s))
    ddim = flow.to_flow(ddim_step(velocity, x_t, t, s, schedule, kind="velocity"), *levels[1])
    euler = samplers.euler_step(lambda x, t: velocity, flow.to_flow(x_t, *levels[0]), tau_t, tau_s)
    assert roundings(ddim, euler, x_t, velocity) <= IDENTITY


@pytest.mark.parametrize("kind", ["eps", "x0", "velocity"])
def test_a_ddim_trajectory_is_an_euler_trajectory(kind):
    """M5, S2: a whole DDIM run with an oracle of any kind, mapped to flow, is the Euler run with the straight path's velocity oracle."""
    schedule, oracle = schedules.cosine(30), oracles.mixture([[1.0, 0.3], [-0.5, 0.2]], [np.eye(2) * 0.2, np.eye(2) * 0.1])
    grid = schedules.grid("trailing", 30, 12)
    states = sample(oracle.model(schedule, kind), samplers.stepper(ddim_step, schedule, kind=kind), grid, numbers(4, 2))
    mapped = np.array([flow.to_flow(x, *schedule.signal_sigma(t)) for x, t in zip(states, grid, strict=True)])
    taus = flow.flow_time(schedule.log_snr[grid])
    euler = np.array(list(sample(oracle.model(flow.straight, "velocity"), samplers.euler_step, taus, mapped[0])))
    # early steps divide by a signal of 1e-2, and the field spreads errors e-fold at most
    assert roundings(mapped, euler, 1 / schedule.signal[30]) <= 12 * IDENTITY


def test_rates_of_a_schedule_are_those_of_its_flow():
    """M5, R6: the kind `velocity` of a schedule is data - noise, at every t and for times (B,)."""
    schedule = schedules.linear(50)
    for t in (0, 50, np.array([3, 9])):
        signal_rate, sigma_rate = schedule.rates(t)
        assert np.array_equal(signal_rate, np.ones(np.shape(t))) and np.array_equal(sigma_rate, -np.ones(np.shape(t)))
    data, noise = numbers(2, 3), numbers(2, 3, step=1)
    assert np.array_equal(predict.target("velocity", data, noise, np.array([3, 9]), schedule), data - noise)


# Errors

X, Y = np.ones((2, 3)), np.ones((2, 2))
NAN = np.full((2, 3), np.nan)
ERRORS = {
    "t above": (ValueError, "^t = 1.1; allowed: finite, in .0, 1.", lambda: flow.interpolate(X, X, 1.1)),
    "t below": (ValueError, "^t = -0.1; allowed", lambda: flow.velocity(X, X, -0.1)),
    "t nan": (ValueError, "^t = nan; allowed", lambda: flow.straight.signal_sigma(np.nan)),
    "rates": (ValueError, "^t = 2; allowed", lambda: flow.trigonometric.rates(2)),
    "clock": (ValueError, "^t = 2; allowed", lambda: flow.straight.clock(2)),
    "t of words": (TypeError, "^t = .*soon.*; allowed: a number", lambda: flow.straight.signal_sigma("soon")),
    "t of another batch": (ValueError, r"^t has shape \(3,\)", lambda: flow.interpolate(X, X, np.zeros(3))),
    "data": (ValueError, "^data holds NaN", lambda: flow.interpolate(NAN, X, 0.5)),
    "noise": (ValueError, r"^noise has shape \(2, 2\)", lambda: flow.interpolate(X, Y, 0.5)),
    "velocity data": (ValueError, "^data holds NaN", lambda: flow.velocity(NAN, X, 0.5)),
    "velocity noise": (ValueError, "^noise holds NaN", lambda: flow.velocity(X, NAN, 0.5)),
    "sigma_min above": (ValueError, "^sigma_min = 1.5; allowed: finite, in .0, 1.", lambda: flow.optimal_transport(1.5)),
    "sigma_min below": (ValueError, "^sigma_min = -0.5; allowed", lambda: flow.optimal_transport(-0.5)),
    "width": (ValueError, "^width = -1; allowed: finite, in .0, 1e.140.", lambda: flow.conditional_path(X, X, 0.5, -1)),
    "conditional prediction": (ValueError, r"^prediction has shape \(2, 2\)", lambda: flow.conditional_loss(Y, X, X, 0.5)),
    "conditional data": (ValueError, "^data holds NaN", lambda: flow.conditional_loss(X, NAN, X, 0.5)),
    "marginal prediction": (ValueError, "^prediction holds NaN", lambda: flow.marginal_loss(NAN, X)),
    "marginal velocity": (ValueError, "^marginal_velocity holds NaN", lambda: flow.marginal_loss(X, NAN)),
    "coupling data": (ValueError, "^data holds NaN", lambda: flow.couple_optimally(NAN, X)),
    "coupling noise": (ValueError, "^noise holds NaN", lambda: flow.couple_optimally(X, NAN)),
    "tau above": (ValueError, "^tau = 1.5; allowed: finite, in .0, 1.", lambda: flow.flow_log_snr(1.5)),
    "tau below": (ValueError, "^tau = -0.5; allowed", lambda: flow.flow_log_snr(-0.5)),
    "log_snr": (ValueError, "^log_snr = nan; allowed: numbers, infinite ones included", lambda: flow.flow_time(np.nan)),
    "to_flow": (ValueError, "^x_t holds NaN", lambda: flow.to_flow(NAN, 0.6, 0.8)),
    "neither signal nor noise": (ValueError, r"^signal \+ sigma = .*; allowed: finite, in \(0", lambda: flow.to_flow(X, 0.0, 0.0)),
    "from_flow state": (ValueError, "^x_tau holds NaN", lambda: flow.from_flow(NAN, 0.5)),
    "from_flow": (ValueError, "^t = 1.5; allowed: finite, in .0, 1.", lambda: flow.from_flow(X, 1.5)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_arguments_are_named(case):
    """M2, M3, M4, M5: errors name the argument, its value, and what is allowed."""
    error, message, call = ERRORS[case]
    with pytest.raises(error, match=message):
        call()
