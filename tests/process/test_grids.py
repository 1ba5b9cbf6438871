"""Time grids against their definitions in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff import grids

from .. import exact


def grid_by_definition(kind, T, S):
    """Times by the rule of each kind for i = S..1 in exact fractions, and the final 0."""
    rules = {
        "linspace": lambda i: exact.half_up(1 + Fraction((i - 1) * (T - 1), S - 1)) if S > 1 else T,
        "leading": lambda i: 1 + (i - 1) * (T // S),
        "trailing": lambda i: exact.half_up(Fraction(i * T, S)),
        "quadratic": lambda i: max(i, exact.half_up(T * Fraction(i, S) ** 2)),
    }
    return [rules[kind](i) for i in range(S, 0, -1)] + [0]


MANY = sorted(
    {*range(1, 26), *range(27, 1000, 61), 48, 50, 60, 61, 64, 100, 103, 121, 250, 256, 333, 499, 500, 501, 666, 900, 998, 999, 1000}
)


@pytest.mark.parametrize("kind", grids.GRIDS)
@pytest.mark.parametrize("T", [1, 2, 5, 20, 1000])
def test_grids_against_exact_fractions(kind, T):
    """S2: every entry, for every S with small T, and for many S with T = 1000."""
    for S in range(1, T + 1) if T < 1000 else MANY:
        assert grids.grid(kind, T, S).tolist() == grid_by_definition(kind, T, S), S


@pytest.mark.parametrize("kind", grids.GRIDS)
@pytest.mark.parametrize("T", [1, 2, 5, 20, 99, 1000])
def test_grids_keep_the_contract(kind, T):
    """S2: S steps, strictly decreasing integers from at most T to 0, for every S from 1 to T; all but "leading" start at T."""
    for S in range(1, T + 1):
        times = grids.grid(kind, T, S)
        assert times.dtype.kind == "i" and len(times) == S + 1
        assert times[0] <= T and times[-1] == 0 and np.all(np.diff(times) < 0)
        assert (times[0] == T) == (kind != "leading" or S == T)
        np.testing.assert_array_equal(grids.check_grid(times, T), times)
    np.testing.assert_array_equal(grids.grid(kind, T, T), np.arange(T, -1, -1))


@given(st.sampled_from(grids.GRIDS), st.integers(1, 3000), st.data())
def test_grids_of_any_length(kind, T, data):
    """S2: length, monotonicity and definition for any T."""
    S = data.draw(st.integers(1, min(T, 60)) | st.just(T))
    times = grids.grid(kind, T, S)
    assert len(times) == S + 1 and times[-1] == 0 and np.all(np.diff(times) < 0) and times[0] <= T
    assert times.tolist() == grid_by_definition(kind, T, S)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: grids.grid("linspace", 0, 1), ValueError, "^T = 0; allowed"),
        (
            lambda: grids.check_grid([3, 2, 1], 3),
            ValueError,
            "^grid = .*; allowed: strictly decreasing integers from at most T = 3, the last",
        ),
        (lambda: grids.check_grid([1, 2, 0], 3), ValueError, "^grid = .*; allowed: strictly decreasing"),
        (lambda: grids.check_grid([3, -1], 3), ValueError, r"^grid = .*; allowed: 0\.\.3$"),
        (lambda: grids.check_grid(0, 3), ValueError, "^grid = .*; allowed: strictly decreasing"),
    ],
)
def test_grids_refuse(call, error, message):
    """S2: errors of unknown kinds, lengths and invalid hand-made grids."""
    with pytest.raises(error, match=message):
        call()


def test_check_grid_accepts_hand_made_grids():
    """S2: a list, two entries, and a start below T are accepted."""
    assert grids.check_grid([3, 1, 0], 5).tolist() == [3, 1, 0]
    assert grids.check_grid((1, 0), 1).tolist() == [1, 0]


def test_chains_have_a_state_for_each_time_and_a_noise_for_each_step():
    """S2, F4: `check_chain` returns the grid for S + 1 states or S noises, accepts iterators without a length, and
    raises for other numbers.
    """
    states, noise = np.zeros((4, 2)), np.zeros((3, 2))
    assert grids.check_chain(states, [9, 5, 2, 0], 9).tolist() == [9, 5, 2, 0]
    assert grids.check_chain(noise, [9, 5, 2, 0], 9, "noise").tolist() == [9, 5, 2, 0]
    assert grids.check_chain(iter(noise), [9, 5, 2, 0], 9, "noise").tolist() == [9, 5, 2, 0]
    with pytest.raises(ValueError, match=r"^states has 3 entries; allowed: 4, one for each time of the grid$"):
        grids.check_chain(noise, [9, 5, 2, 0], 9)
    with pytest.raises(ValueError, match=r"^noise has 4 entries; allowed: 3, one for each step of the grid$"):
        grids.check_chain(states, [9, 5, 2, 0], 9, "noise")


@pytest.mark.parametrize(("T", "error"), [(0, ValueError), (-3, ValueError), (10**7 + 1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_numbers_of_steps(T, error):
    """F5: `check_steps` returns integers from 1 to ten million as int, NumPy integers included, and raises for all else."""
    assert [type(grids.check_steps(right)) for right in (1, np.int32(7), 10**7)] == [int] * 3
    with pytest.raises(error, match=f"^T = {T}; allowed: "):
        grids.check_steps(T)
