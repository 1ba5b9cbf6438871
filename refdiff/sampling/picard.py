r"""Parallel sampling by Picard iteration: all states of a trajectory are computed at once, and again, until they agree with the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..arrays import Array, Model, Step, all_true, describe
from ..checks import check_arrays, check_count, check_scalar
from ..process.grids import check_noise, check_times

Run = Callable[..., Any]  # the built-in `map`, or that of an executor of threads


def sweep(
    model: Model, step: Step, grid: Array, states: Sequence[Array], noise: Sequence[Array] | None = None, first: int = 0, run: Run = map
) -> list[Array]:
    r"""One Picard iteration: the states after all steps of `grid` have been taken at once, each from its state of the sweep before.

    $$x^{j+1}_{i+1} = \Phi_i(x^j_i) + (x^{j+1}_i - x^j_i) = x_0 + \sum_{k \le i} (\Phi_k(x^j_k) - x^j_k)$$

    $\Phi_i$ is `step(model, x, grid[i], grid[i + 1], noise[i])`, as for `samplers.sample`; it must have no history. `states` are the $x^j$ (B, ...),
    one for each time; those up to `first` are final, and their steps are left out. The steps do not depend on each other: `run` is `map`, or that
    of an executor. In this order of the sums, a state that no longer changes is followed by exactly $\Phi_i$ of it. Source: B3 [ParaDiGMS].
    """
    check_times(grid)
    check_noise(noise, len(grid) - 1)
    if hasattr(step, "begin"):
        raise TypeError(f"step = {step!r} has a history; allowed: a step that uses one state only")
    if not hasattr(states, "__len__") or len(states) != len(grid):
        raise ValueError(f"states = {describe(states)}; allowed: {len(grid)} arrays, one for each time of the grid")
    check_arrays(**{f"states[{i}]": state for i, state in enumerate(states)})
    if not callable(run):
        raise TypeError(f"run = {run!r}; allowed: map, or a function like it")
    first = check_count("first", first, 0, len(grid) - 1)

    def advance(i: int) -> Array:
        return step(model, states[i], grid[i], grid[i + 1], None if noise is None else noise[i])

    found = list(states[: first + 1])
    for i, moved in enumerate(run(advance, range(first, len(grid) - 1)), first):
        found.append(moved + (found[i] - states[i]))
    return found


def sample(
    model: Model,
    step: Step,
    grid: Array,
    x: Array,
    noise: Sequence[Array] | None = None,
    sweeps: int | None = None,
    tolerance: float = 0.0,
    run: Run = map,
) -> Iterator[list[Array]]:
    r"""Sample by sweeps: yield all states, of the start and after every `sweep`. At the start `x` is the state at every time.

    After $j$ sweeps the first $j$ steps are those of `samplers.sample`, to the last bit. So there are at most as many sweeps as steps, or the number
    `sweeps`. It ends earlier when no number changed by more than `tolerance` in a sweep. With 0 the last states are those of
    `samplers.sample`. Source: B3 [ParaDiGMS].
    """
    check_arrays(x=x)
    check_times(grid)
    steps, tolerance = len(grid) - 1, check_scalar("tolerance", tolerance, 0, 1e30)
    states = [x] * len(grid)
    yield states
    for j in range(steps if sweeps is None else min(steps, check_count("sweeps", sweeps, 0, 2**31))):
        before, states = states, sweep(model, step, grid, states, noise, j, run)
        yield states
        if all(all_true(abs(a - b) <= tolerance) for a, b in zip(before, states, strict=True)):
            return
