r"""Times of a solver by their noise: the time of a log-SNR, a time between two others, and grids with equal steps of the log-SNR or of an angle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ..arrays import Array, GaussianPath
from ..checks import check_choice, check_count, check_scalar
from ..process.sde import Sde
from ..process.tables import Schedule
from .nodes import coefficients_at, half_log_snr, noise_to_signal

SPACINGS = ("log_snr", "angle")
ROOT: dict[str, Any] = {"xtol": 1e-300, "rtol": 1e-15, "maxiter": 5000}


def time_at(value: float, sde: Sde) -> float:
    r"""Time of an SDE at which half the log-SNR has this value: the inverse of `half_log_snr`. Source: K4 [DPM-Solver sec. 3.2]."""
    value = check_scalar("value", value)
    low = float(half_log_snr(sde.end, sde))
    if value <= low:
        if value == low:
            return sde.end
        raise ValueError(f"value = {value!r}; allowed: at least {low}, that of the end, t = {sde.end}")
    first = sde.end
    while half_log_snr(first, sde) < value:
        first /= 2
    if not np.isfinite(half_log_snr(first, sde)):
        raise ValueError(f"value = {value!r}; allowed: less, no time is so near to clean data")
    return brentq(lambda u: float(half_log_snr(u, sde) - value), first, sde.end, **ROOT)


def time_between(t: float, s: float, fraction: float, path: GaussianPath) -> Any:
    r"""Time $u$ between $t$ and $s$ with $\lambda_u = (1 - c) \lambda_t + c \lambda_s$ for the fraction $c$; of a `Schedule`, the nearest one.

    Raises where a `Schedule` has no time between. Source: K5 [DPM-Solver sec. 3.2].
    """
    fraction, t, s = check_scalar("fraction", fraction, 0, 1), check_scalar("t", t), check_scalar("s", s)
    _check_ends(t, s, path)
    ends = half_log_snr(t, path), half_log_snr(s, path)
    if not np.all(np.isfinite(ends)):
        raise ValueError(f"t = {t!r} and s = {s!r} have an infinite log-SNR among them; allowed: finite ones")
    value = (1 - fraction) * ends[0] + fraction * ends[1]
    return _inner(t, s, value, path, half_log_snr)


def solver_grid(t: float, s: float, steps: int, path: GaussianPath, spacing: str = "log_snr", variance: float = 1.0) -> Array:
    r"""Times from $t$ to $s$ with equal steps of half the log-SNR ("log_snr"), or of an angle ("angle"); of a `Schedule`, the nearest ones.

    $$\lambda = \log \frac{signal}{\sigma}, \qquad \theta = \arctan \frac{\sigma}{signal \sqrt v}$$

    For Gaussian data of the variance $v$ in each direction, no other grid with as many steps of DDIM has a smaller error: each step shrinks the
    standard deviation by the factor $\cos \Delta\theta$ too much. The angle is finite at clean data too. Raises where a `Schedule` has too few
    times. Source: K4, K9 [DPM-Solver sec. 3.3].
    """
    check_choice("spacing", spacing, SPACINGS)
    steps, variance = check_count("steps", steps, 1, 10**7), check_scalar("variance", variance, 1e-60, 1e60)
    t, s = check_scalar("t", t), check_scalar("s", s)
    _check_ends(t, s, path)

    def angle(u: Any, path: GaussianPath) -> Array:
        return np.arctan(noise_to_signal(u, path) / np.sqrt(variance))

    variable = half_log_snr if spacing == "log_snr" else angle
    ends = variable(t, path), variable(s, path)
    if not np.all(np.isfinite(ends)):
        raise ValueError(f"t = {t!r} and s = {s!r} have an infinite log-SNR among them; allowed: another end, or the spacing angle")
    times = [t, *(_inner(t, s, value, path, variable) for value in np.linspace(*ends, steps + 1)[1:-1]), s]
    if len(set(times)) <= steps:
        raise ValueError(
            f"steps = {steps!r} from t = {t!r} to s = {s!r}; allowed: fewer, or the spacing angle: two of them have the same nearest time"
        )
    return np.array(times)


def _check_ends(t: float, s: float, path: GaussianPath) -> None:
    for name, time in (("t", t), ("s", s)):
        coefficients_at(name, time, path)
    if t == s:
        raise ValueError(f"s = {s!r} is t; allowed: another time")


def _inner(t: float, s: float, value: Any, path: GaussianPath, variable: Callable[..., Array]) -> Any:
    """The time strictly between t and s at which a variable has a value; of a `Schedule`, the time of the nearest value."""
    if not isinstance(path, Schedule):
        return brentq(lambda u: float(variable(u, path) - value), t, s, **ROOT)
    inner = np.arange(min(int(s), int(t)) + 1, max(int(s), int(t)))
    if len(inner) == 0:
        raise ValueError(f"t = {t!r} and s = {s!r} have no time between them; allowed: fewer steps, or a multistep solver")
    return inner[np.argmin(abs(variable(inner, path) - value))]
