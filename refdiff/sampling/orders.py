r"""The orders of solvers, measured: the error at the end of a grid against the exact flow of a mixture in one dimension."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, Time, read_only
from ..checks import check_choice
from ..process.sde import vp
from ..solvers import methods, times
from ..solvers.exponential import dpmpp_step
from . import maps, ode, oracles
from .samplers import last, sample

LAW = oracles.mixture([[-1.0], [0.8]], [[[0.09]], [[0.16]]], [0.4, 0.6])
PATH = vp()
START, END = -2.5, 3.0  # half the log-SNR
ENDS = times.time_at(START, PATH), times.time_at(END, PATH)
STATES = read_only(np.linspace(-1.5, 1.5, 6)[:, None])
NOMINAL = {  # the order that a method should have, and its model calls per step
    "euler": (1, 1), "heun": (2, 2), "rk4": (4, 4), "ddim": (1, 1),
    "dpm_solver_2": (2, 2), "dpm_solver_3": (3, 3), "dpm_solver_2m": (2, 1), "dpm_solver_3m": (3, 1),
    "dpmpp_2s": (2, 2), "dpmpp_2m": (2, 1), "dpmpp_3m": (3, 1), "unipc_2": (3, 1), "unipc_3": (4, 1),
    "deis_3": (3, 1), "lms_4": (4, 1), "ipndm_4": (4, 1),
}  # fmt: skip
ODE = {"euler": ode.euler_step, "heun": ode.heun_step, "rk4": ode.rk4_step}  # on the velocity, in time
BUDGETS = (10, 20, 50)
HEAD = f"{'method':14} nominal measured usual start calls  error at {BUDGETS[0]}, {BUDGETS[1]} and {BUDGETS[2]} calls"


class Row(NamedTuple):
    """A method with its nominal order, its order from an exact history and from the usual start, and its errors at some numbers of calls."""

    name: str
    nominal: int
    calls: int
    order: float
    order_usual: float
    errors: tuple[float, ...]


def certificate(names: Sequence[str] = tuple(NOMINAL), steps: int = 320) -> list[Row]:
    """The row of each method, on a grid with equal steps in the log-SNR. Source: K5, K6, K8, K9."""
    return [_row(name, steps) for name in names]


def order(name: str, steps: int, exact: bool = True, **options: Any) -> float:
    """The order of a method: the binary logarithm of the ratio of its errors with `steps` and with twice as many steps."""
    coarse, fine = (error(name, count, exact, **options) for count in (steps, 2 * steps))
    return float(np.log2(coarse / fine))


def error(name: str, steps: int, exact: bool = False, **options: Any) -> float:
    """The largest error at the end of a grid, over some states. With `exact`, a multistep solver has exact predictions from before the grid."""
    grid, solver = _grid(steps), step(name, **options)
    model = LAW.model(PATH, "velocity" if name in ODE else "eps")
    if exact and isinstance(solver, methods.Multistep):
        solver = solver.begin(_history(steps, solver))
    return float(abs(last(sample(model, solver, grid, STATES)) - _solution()).max())


def step(name: str, **options: Any) -> Any:
    """The step of a method of `NOMINAL`, on the path of the certificate."""
    nominal(name)
    if name in ODE:
        return ODE[name]
    return methods.Multistep(dpmpp_step, 1, PATH) if name == "ddim" else methods.solver(name, PATH, **options)


@cache
def _grid(steps: int) -> Array:
    return read_only(times.solver_grid(*ENDS, steps, PATH))


def table(rows: Sequence[Row]) -> str:
    """The rows as a table for the terminal."""
    return "\n".join([HEAD, *map(line, rows)])


def line(row: Row) -> str:
    """One line of the table."""
    errors = "  ".join(f"{error:.1e}" for error in row.errors)
    return f"{row.name:14} {row.nominal:7} {row.order:8.2f} {row.order_usual:11.2f} {row.calls:5}  {errors}"


def nominal(name: str) -> tuple[int, int]:
    """The order that a method should have, and its model calls per step."""
    check_choice("name", name, tuple(NOMINAL))
    return NOMINAL[name]


def _row(name: str, steps: int) -> Row:
    expected, calls = nominal(name)
    exact, usual = (order(name, steps, each) for each in (True, False))
    return Row(name, expected, calls, exact, usual, tuple(error(name, budget // calls) for budget in BUDGETS))


@cache
def _solution() -> Array:
    return read_only(maps.flow_map(LAW, STATES, *ENDS, PATH))


def _history(steps: int, solver: methods.Multistep) -> list[tuple[Time, Array]]:
    """Exact predictions at the times that would come before the grid, the latest first."""
    earlier = [times.time_at(START - i * (END - START) / steps, PATH) for i in range(1, solver.order)]
    states = [maps.flow_map(LAW, STATES, ENDS[0], t, PATH) for t in earlier]
    kind = "x0" if solver.formula is dpmpp_step else "eps"
    return [(t, LAW.model(PATH, kind)(x, t)) for t, x in zip(earlier, states, strict=True)]
