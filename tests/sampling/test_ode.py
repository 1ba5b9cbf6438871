"""Steps of ODE solvers, the adaptive solver, and velocity fields."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import flow, ode, predict, schedules
from tests import strategies
from tests.tolerances import ADAPTIVE, IDENTITY, roundings

from .test_samplers import numbers

SCHEDULE = schedules.linear(100)
KINDS = predict.KINDS
TABLEAUS = {
    ode.euler_step: ([[]], [1.0], [0.0]),
    ode.heun_step: ([[], [1.0]], [0.5, 0.5], [0.0, 1.0]),
    ode.rk4_step: ([[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6], [0.0, 0.5, 0.5, 1.0]),
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


@pytest.mark.parametrize(("step", "order"), [(ode.euler_step, 1), (ode.heun_step, 2), (ode.rk4_step, 4)])
def test_ode_steps_on_a_linear_equation_and_on_a_quadrature(step, order):
    """M1: a step of dx/dt = x is a Taylor polynomial of exp; dx/dt = t^k is integrated exactly for k below the order."""
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
    """M1: for dx/dt = x cos t with solution x exp(sin s - sin t) the error is within a few tolerances, in both directions of time."""
    result = ode.solve_adaptive(lambda x, t: x * np.cos(t), x, *span, rtol=rtol, atol=1e-3 * rtol)
    exact = x * np.exp(np.sin(span[1]) - np.sin(span[0]))
    assert abs(result - exact).max() <= ADAPTIVE * rtol * max(abs(exact).max(), abs(x).max(), 1e-3)


def test_adaptive_solver_defaults_methods_and_dtype():
    """M1: the default tolerances are 1e-6 relative and 1e-9 absolute; every event shape and both precisions are preserved."""
    for x in (numbers(2, 3), 1e-4 * numbers(2, 2, 2, 1)):
        result = ode.solve_adaptive(lambda x, t: -3 * x, x, 0.0, 2.0)
        assert abs(result - x * np.exp(-6)).max() <= ADAPTIVE * (1e-9 + 1e-6 * abs(x).max())
        assert result.shape == x.shape
    tight = [ode.solve_adaptive(lambda x, t: -3 * x, x, 0.0, 2.0, 1e-10, 1e-20, method) for method in ("DOP853", "RK45")]
    assert not np.array_equal(*tight) and roundings(*tight) * np.finfo(float).eps <= ADAPTIVE * 1e-10 * np.exp(6)
    assert ode.solve_adaptive(lambda x, t: -x, numbers(2, 2).astype(np.float32), 0.0, 1.0).dtype == np.float32


def test_adaptive_solver_raises_when_it_fails():
    """M1: dx/dt = x^2 from 1 blows up at t = 1; the error names the span and the reason."""
    with pytest.raises(RuntimeError, match=r"^solve_ivp stopped between t = 0.0 and s = 2.0: Required step size"):
        ode.solve_adaptive(lambda x, t: x * x, np.ones((1, 1)), 0.0, 2.0)
    assert ode.solve_adaptive(lambda x, t: x, np.ones((1, 1)), 0.0, 0.5, 1e-13, 0.0).shape == (1, 1)  # the tightest allowed


@given(st.data(), st.floats(0.01, 0.99))
def test_velocity_field_of_any_kind_is_the_velocity(data, t):
    """R6, M1: the velocity field of an eps-, x0-, v- or score-oracle equals the velocity oracle, on every path."""
    oracle, path = data.draw(strategies.mixture()), data.draw(st.sampled_from(strategies.PATHS))
    x = data.draw(strategies.arrays((3, oracle.means.shape[1])))
    expected = oracle.model(path, "velocity")(x, t)
    signal, sigma = path.signal_sigma(t)
    terms = x, oracle.x0(x, signal, sigma), oracle.eps(x, signal, sigma), oracle.means  # which cancel in a velocity
    for kind in KINDS:
        field = ode.velocity_field(oracle.model(path, kind), path, kind)
        assert roundings(field(x, t), expected, *(np.pi * term / signal / sigma for term in terms)) <= IDENTITY


X, Z = np.ones((2, 3)), np.ones((2, 2))


def test_velocity_field_refuses_an_unknown_kind():
    """R6: the kind is one of predict.KINDS."""
    with pytest.raises(ValueError, match=r"^kind = 'flow'; allowed: x0"):
        ode.velocity_field(lambda x, t: x, flow.straight, "flow")(X, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_velocity_field_refuses_a_schedule(kind):
    """R6, M1: a Schedule is refused: its velocity is not dx_t / dt, so it defines no ODE in its times."""
    with pytest.raises(TypeError, match=r"^path is a Schedule, T = \d+; allowed: a flow's path"):
        ode.velocity_field(lambda x, t: x, SCHEDULE, kind)


X, Z = np.ones((2, 3)), np.ones((2, 2))
NAN = np.full((2, 3), np.nan)
ERRORS = {
    "ODE times": (ValueError, r"^t has shape \(3,\)", lambda: ode.euler_step(lambda x, t: x, X, np.zeros(3), np.ones(3))),
    "ODE state": (ValueError, "^x holds NaN", lambda: ode.heun_step(lambda x, t: x, NAN, 0.0, 1.0)),
    "ODE start": (ValueError, "^t = nan; allowed: finite", lambda: ode.rk4_step(lambda x, t: x, X, np.nan, 1.0)),
    "ODE end": (ValueError, "^s = inf; allowed: finite", lambda: ode.euler_step(lambda x, t: x, X, 0.0, np.inf)),
    "Heun slope": (ValueError, r"^f\(x, t\) holds NaN", lambda: ode.heun_step(lambda x, t: NAN if t else X, X, 0.0, 1.0)),
    "RK4 slope": (ValueError, r"^f\(x, t\) holds NaN", lambda: ode.rk4_step(lambda x, t: NAN if t == 0.5 else X, X, 0.0, 1.0)),
    "adaptive state": (ValueError, "^x holds NaN", lambda: ode.solve_adaptive(lambda x, t: x, NAN, 0.0, 2.0)),
    "adaptive end": (ValueError, "^s = inf; allowed: finite", lambda: ode.solve_adaptive(lambda x, t: x, X, 0.0, np.inf)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_arguments_are_named(case):
    """M1: the error of a wrong argument names it, its value, and what is allowed."""
    error, message, call = ERRORS[case]
    with pytest.raises(error, match=message):
        call()
