"""Schedules and grids: T down to 1, both ends of every range, and every S."""

from collections.abc import Iterator

import numpy as np

from . import Case, Table, numbers, refused, steps, tables

DIFFUSION = ("linear-1000", "scaled-linear-1000", "cosine-1000", "linear-50", "cosine-20", "three", "one", "two", "constant-10")


def cases() -> Iterator[Case]:
    for T in (1000, 20, 50, 200):
        yield Case("linear", {"T": T, "beta_start": 1e-4, "beta_end": 0.02}, "must", "each", T == 20)
        yield Case("quadratic", {"T": T, "beta_start": 1e-4, "beta_end": 0.02}, "must", "each", T == 20)
    yield Case("quadratic", {"T": 1000, "beta_start": 0.00085, "beta_end": 0.012}, tolerance="each", minimal=True)
    for T in (1, 2, 19):
        for operation in ("linear", "quadratic"):
            yield Case(operation, {"T": T, "beta_start": 1e-6, "beta_end": 2e-4}, "must", "each", True)
        yield refused("linear", "betas beyond 1", T=max(T, 2), beta_start=1e-4, beta_end=0.02)
    for T in (1000, 1, 2, 3, 10, 50):
        yield Case("cosine", {"T": T, "offset": 0.008, "beta_max": 0.999}, tolerance="each", minimal=T < 20)
    yield Case("cosine", {"T": 20, "offset": 0.0, "beta_max": 0.5}, "must", "each")
    for T in (1000, 1, 2, 10):
        yield Case("sigmoid_betas", {"T": T, "start": -3.0, "end": 3.0, "tau": 1.0, "beta_max": 0.999}, tolerance="each", minimal=T < 20)
    yield Case("sigmoid_betas", {"T": 25, "start": 0.0, "end": 3.0, "tau": 0.5, "beta_max": 0.99}, "must", "each")
    yield Case("sigmoid_betas", {"T": 12, "start": -2.0, "end": 3.5, "tau": 0.75, "beta_max": 0.999}, tolerance="each", minimal=True)
    for name in DIFFUSION:
        for operation in ("alpha_bar", "snr", "log_snr"):
            yield Case(operation, {"betas": Table(name)}, tolerance="each", minimal=len(tables()[name]) < 50)
        for t, s in steps(len(tables()[name])):
            yield Case("transition", {"t": t, "s": s, "betas": Table(name)}, tolerance="each", minimal=name in ("three", "two"))
    for late, early in (([3, 1, 2], [1, 0, 1]), ([3, 3, 1], [0, 2, 0])):
        yield Case("transition", {"t": np.array(late), "s": np.array(early), "betas": Table("three")}, tolerance="each", minimal=True)
    for name in ("linear-1000", "scaled-linear-1000", "linear-50", "three", "two"):
        yield Case("zero_terminal_snr", {"betas": Table(name)}, tolerance="each", minimal=name in ("three", "two"))
    yield refused("zero_terminal_snr", "T = 1", betas=Table("one"))
    yield Case("from_log_snr", {"log_snr": np.array([5.0, 2.5, 0.0, -1.5, -6.0])}, tolerance="each", minimal=True)
    yield Case("from_log_snr", {"log_snr": np.array([20.0, -20.0])}, tolerance="each", minimal=True)
    u = np.arange(1, 21) / 20  # quantiles of a Laplace distribution of log-SNR, the last one kept finite
    laplace = -np.copysign(0.5, 0.5 - u) * np.log(1 - 2 * abs(0.5 - u) + 1e-6)
    yield Case("from_log_snr", {"log_snr": laplace}, tolerance="each", minimal=True)
    for name in ("linear-1000", "linear-50", "three", "one"):
        yield Case("prior_kl", {"x0": numbers((2, 3)), "betas": Table(name)}, minimal=len(tables()[name]) < 50)
    yield Case("prior_kl", {"x0": numbers((1, 2, 2, 1)), "betas": Table("cosine-20")})
    yield from _grids()


def _grids() -> Iterator[Case]:
    for kind in ("linspace", "leading", "trailing", "quadratic"):
        for T, every in (
            (20, range(1, 21)),
            (1, [1]),
            (2, [1, 2]),
            (100, range(1, 101)),
            (1000, (1, 2, 3, 7, 10, 20, 49, 50, 60, 61, 103, 121, 250, 333, 500, 599, 997, 999, 1000)),
        ):
            for S in every:
                yield Case("grid", {"kind": kind, "T": T, "S": S}, _grid_level(kind, T, S), "exact", T <= 20)
        for S in (0, 21):
            yield refused("grid", "S outside 1..T", kind=kind, T=20, S=S)


def _grid_level(kind: str, T: int, S: int) -> str:
    """The level of a grid: where a time is a half, two roundings are right; only trailing grids have one definition."""
    numerator, denominator = {"linspace": (T - 1, S - 1), "trailing": (T, S)}.get(kind, (0, 1))
    halves = any(2 * (i * numerator % denominator) == denominator for i in range(S)) if denominator else False
    return "must" if kind == "trailing" and not halves else "convention"
