"""The choices of each convention, one small table per convention, with the converters of each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from ...arrays import Array, GaussianPath, Number, Time, all_true, as_array
from ...checks import check_integer, check_number
from ...objectives import flow
from ...process.tables import Schedule
from ...sampling import guidance


class TimeConvention(NamedTuple):
    """A library's time: `from_refdiff(t, path)` gives it, `to_refdiff(value, path)` gives refdiff's t."""

    meaning: str
    from_refdiff: Callable[[Time, GaussianPath], Array]
    to_refdiff: Callable[[Time, GaussianPath], Array]


def _step_index(meaning: str, low: int) -> TimeConvention:
    """Time as the index of a step; 0 is the step at t = low."""

    def to_refdiff(value: Time, path: GaussianPath) -> Array:
        return check_integer("time", value, 0, _schedule(path).T - low) + low

    return TimeConvention(meaning, lambda t, path: _schedule(path).time(t, low=low) - low, to_refdiff)


def _fraction(t: Time, path: GaussianPath) -> Array:
    schedule = _schedule(path, least=2)
    return (schedule.time(t, low=1) - 1) / (schedule.T - 1)


def _from_fraction(value: Time, path: GaussianPath) -> Array:
    schedule = _schedule(path, least=2)
    check_number("time", value, 0, 1)
    return np.asarray(np.rint(as_array(value) * (schedule.T - 1)).astype(np.int64) + 1)


def _noise_level(
    meaning: str, of_level: Callable[[Array, Array], Array], level_of: Callable[[Array], tuple[Array, Array]], low: float, high: float
) -> TimeConvention:
    """Time as a function of the ratio of signal to sigma, on every path."""

    def to_refdiff(value: Time, path: GaussianPath) -> Array:
        check_number("time", value, low, high)
        return time_of_level(*level_of(as_array(value)), path)

    return TimeConvention(meaning, lambda t, path: of_level(*path.signal_sigma(t)), to_refdiff)


def _noise_to_signal(signal: Array, sigma: Array) -> Array:
    if not all_true(as_array(signal) > 0):
        raise ValueError(f"signal = {signal!r}; allowed: above 0, since this dialect's time is infinite where no signal is left")
    return sigma / signal


def _negative_log_snr(signal: Array, sigma: Array) -> Array:
    if not all_true(as_array(sigma) > 0):
        raise ValueError(f"sigma = {sigma!r}; allowed: above 0, since this dialect's time is infinite where no noise is left")
    return 2 * np.log(_noise_to_signal(signal, sigma))


def time_of_level(signal: Array, sigma: Array, path: GaussianPath) -> Array:
    r"""The t whose ratio of signal to sigma is the given one: for a schedule, the t of the nearest log-SNR; for the straight path, $signal / (signal + \sigma)$.

    Raises for other paths. Source: M5 [SD3 sec. 3.1].
    """
    if path is flow.straight:
        return signal / (signal + sigma)
    table = -_schedule(path).log_snr
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # next to infinite levels the midpoints are infinite, and nan_to_num makes them finite
        level, midpoints = 2 * (np.log(sigma) - np.log(signal)), (table[1:] + table[:-1]) / 2
    return np.asarray(np.searchsorted(np.nan_to_num(midpoints), level))


def _schedule(path: GaussianPath, least: int = 1) -> Schedule:
    if isinstance(path, Schedule) and least <= path.T:
        return path
    found = f"a Schedule of T = {path.T}" if isinstance(path, Schedule) else f"the path {getattr(path, 'name', path)!r}"
    raise ValueError(f"path is {found}; allowed here: a Schedule of T >= {least}, or flow.straight where time is a noise level")


def _first_as_second(variance: Array) -> Array:
    if len(variance) < 2:
        raise ValueError("schedule has T = 1; allowed: T >= 2, since t = 1 takes the variance of t = 2")
    return np.append(variance[1], variance[1:])


TIMES = {
    "step": _step_index("integer 0..T, 0 is clean data", 0),
    "index": _step_index("integer 0..T-1, i is refdiff's t = i + 1", 1),
    "unit index": TimeConvention("(t - 1) / (T - 1) in [0, 1], 0 is refdiff's t = 1, to the nearest index", _fraction, _from_fraction),
    "sigma": _noise_level("sigma / signal, 0 is data", _noise_to_signal, lambda v: (np.ones_like(v), v), 0, np.inf),
    "-log SNR": _noise_level("-log SNR, decreases towards data", _negative_log_snr, lambda v: (np.exp(-v / 4), np.exp(v / 4)), -1400, 1400),
    "data time": _noise_level("[0, 1], 1 is data", lambda a, s: a / (a + s), lambda v: (v, 1 - v), 0, 1),
    "noise time": _noise_level("[0, 1], 0 is data", lambda a, s: s / (a + s), lambda v: (1 - v, v), 0, 1),
    "1000 noise time": _noise_level("[0, 1000], 0 is data", lambda a, s: 1000 * s / (a + s), lambda v: (1 - v / 1000, v / 1000), 0, 1000),
}

STATES: dict[str, Callable[[Array, Array], Array]] = {  # refdiff's state is divided by this
    "as the path": lambda signal, sigma: np.ones_like(signal),
    "preserving": np.hypot,
    "exploding": lambda signal, sigma: signal,
    "straight": lambda signal, sigma: signal + sigma,
}

PREDICTIONS = {  # refdiff's kind, and the sign
    "eps": ("eps", 1),
    "x0": ("x0", 1),
    "v": ("v", 1),
    "-v": ("v", -1),
    "score": ("score", 1),
    "data - noise": ("velocity", 1),
    "noise - data": ("velocity", -1),
}

FINALS = {"1": 0, "alpha_bar_1": 1}  # the t at which a sampler ends
GRIDS: dict[str, str | None] = {  # refdiff's name of the rule, or None where it has none
    "every t": None,
    "leading": "leading",
    "trailing": "trailing",
    "trailing, down": None,
    "uniform time": None,
    "Karras": None,
}
SCALES: dict[str, tuple[Callable[[Number], Number], Callable[[Number], Number]]] = {  # from gamma, to gamma
    "gamma": (lambda gamma: gamma, lambda scale: scale),
    "w": (guidance.w_from_scale, guidance.scale_from_w),
}
LOSSES: dict[str, Callable[[int], float]] = {"sum": lambda D: 1.0, "half sum": lambda D: 0.5, "mean": lambda D: 1 / D}
ELBO_UNITS: dict[str, Callable[[int], float]] = {"nats": lambda D: 1.0, "bits/dim": lambda D: 1 / (D * np.log(2))}
ORDERS = {"sin, cos": 1, "cos, sin": -1}  # the step through the halves [sin, cos]
DIVISORS = {"half - 1": 1, "half": 0}
ARGUMENTS: dict[str, Callable[[Array], Array]] = {  # the factor of the frequencies, as a function of the dialect's time
    "t": lambda t: t,
    "999 t": lambda t: 999 * t,
    "1000 t": lambda t: 1000 * t,
    "log(t) / 2": lambda t: np.log(t) / 2,
    "log(t) / 4": lambda t: np.log(t) / 4,
    "1000(t + 13.3)/18.3": lambda t: 1000 * ((t + 13.3) / 18.3),
}
VARIANCES = ("posterior", "beta")
MIXES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "[0, 1]": (lambda mix: mix, lambda v: v),
    "[-1, 1]": (lambda mix: 2 * mix - 1, lambda v: (v + 1) / 2),
}
FLOORS: dict[str, Callable[[Array], Array]] = {  # the replacement for the posterior variance 0 at t = 1, whose logarithm is taken
    "that of t = 2": _first_as_second,
    "1e-20": lambda variance: np.maximum(variance, 1e-20),
}

CHOICES: dict[str, Iterable[str]] = {
    "time": TIMES,
    "state": STATES,
    "prediction": PREDICTIONS,
    "final": FINALS,
    "grid": GRIDS,
    "guidance": SCALES,
    "loss": LOSSES,
    "elbo": ELBO_UNITS,
    "variance": VARIANCES,
    "mix": MIXES,
    "floor": FLOORS,
}
