r"""The orders of solvers, measured: the error at the end of a grid against the exact flow of a mixture in one dimension."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, Time, read_only
from ..process.sde import Sde, vp
from ..solvers import methods
from ..solvers.exponential import dpmpp_step
from . import maps, ode, oracles
from .samplers import last, sample

LAW = oracles.mixture([[-1.0], [0.8]], [[[0.09]], [[0.16]]], [0.4, 0.6])
PATH = vp()
START, END = -2.5, 3.0  # half the log-SNR
STATES = np.linspace(-1.5, 1.5, 6)[:, None]
NOMINAL = {  # the order that the name of a method claims, and its model calls per step
    "euler": (1, 1), "heun": (2, 2), "rk4": (4, 4), "ddim": (1, 1),
    "dpm_solver_2": (2, 2), "dpm_solver_3": (3, 3), "dpm_solver_2m": (2, 1), "dpm_solver_3m": (3, 1),
    "dpmpp_2s": (2, 2), "dpmpp_2m": (2, 1), "dpmpp_3m": (3, 1), "unipc_2": (3, 1), "unipc_3": (4, 1),
    "deis_3": (3, 1), "lms_4": (4, 1), "ipndm_4": (4, 1),
}  # fmt: skip
ODE = {"euler": ode.euler_step, "heun": ode.heun_step, "rk4": ode.rk4_step}  # on the velocity, in time
BUDGETS = (10, 20, 50)


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
    grid, solver = grid_in_log_snr(START, END, steps, PATH), step(name, **options)
    model = LAW.model(PATH, "velocity" if name in ODE else "eps")
    if exact and isinstance(solver, methods.Multistep):
        solver = solver.begin(_history(steps, solver))
    return float(abs(last(sample(model, solver, grid, STATES)) - _solution()).max())


def step(name: str, **options: Any) -> Any:
    """The step of a method of `NOMINAL`, on the path of the certificate."""
    if name in ODE:
        return ODE[name]
    return methods.Multistep(dpmpp_step, 1, PATH) if name == "ddim" else methods.solver(name, PATH, **options)


@cache
def grid_in_log_snr(start: float, end: float, steps: int, sde: Sde) -> Array:
    """Times with equal steps of half the log-SNR from `start` to `end`. Source: K4 [DPM-Solver sec. 3.3]."""
    return read_only(np.array([methods.time_at(each, sde) for each in np.linspace(start, end, steps + 1)]))


def table(rows: Sequence[Row]) -> str:
    """The rows as a table for the terminal."""
    head = f"{'method':14} {'nominal':>7} {'measured':>8} {'usual start':>11} {'calls':>5}  error at {BUDGETS[0]}, {BUDGETS[1]} and {BUDGETS[2]} calls"
    lines = [
        f"{r.name:14} {r.nominal:7} {r.order:8.2f} {r.order_usual:11.2f} {r.calls:5}  {'  '.join(f'{e:.1e}' for e in r.errors)}"
        for r in rows
    ]
    return "\n".join([head, *lines])


def _row(name: str, steps: int) -> Row:
    nominal, calls = NOMINAL[name]
    exact, usual = (order(name, steps, each) for each in (True, False))
    return Row(name, nominal, calls, exact, usual, tuple(error(name, budget // calls) for budget in BUDGETS))


@cache
def _solution() -> Array:
    return maps.flow_map(LAW, STATES, methods.time_at(START, PATH), methods.time_at(END, PATH), PATH)


def _history(steps: int, solver: methods.Multistep) -> list[tuple[Time, Array]]:
    """Exact predictions at the times that would come before the grid, the latest first."""
    times = [methods.time_at(START - i * (END - START) / steps, PATH) for i in range(1, solver.order)]
    states = [maps.flow_map(LAW, STATES, methods.time_at(START, PATH), t, PATH) for t in times]
    kind = "x0" if solver.formula is dpmpp_step else "eps"
    return [(t, LAW.model(PATH, kind)(x, t)) for t, x in zip(times, states, strict=True)]
