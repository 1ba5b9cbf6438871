r"""Nodes of a solver's step: the times whose predictions it uses, and the weights that integrate a polynomial through them exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, GaussianPath, Time, as_array, device_get
from ..checks import check_arrays, check_number, check_real, per_example

MOST = 6  # predictions in one step


class Nodes(NamedTuple):
    r"""Coefficients of the path at $t$ and $s$, the step $h = v_s - v_t$ in a variable $v$, and the nodes $r_j = (v_j - v_t) / h$.

    Source: K4, K9 [UniPC sec. 3.1].
    """

    signal_t: Array
    sigma_t: Array
    signal_s: Array
    sigma_s: Array
    h: Array
    r: list[Array]


def half_log_snr(t: Time, path: GaussianPath) -> Array:
    r"""Half the log-SNR, $\lambda_t = \log(signal_t / \sigma_t)$; infinite for clean data. Source: K4 [DPM-Solver sec. 3.1]."""
    signal, sigma = _coefficients(t, path)
    with np.errstate(divide="ignore"):
        return np.log(signal) - np.log(sigma)


def noise_to_signal(t: Time, path: GaussianPath) -> Array:
    r"""Ratio $\rho_t = \sigma_t / signal_t$, which is EDM's noise level; 0 for clean data, infinite for pure noise. Source: K9 [DEIS sec. 3]."""
    signal, sigma = _coefficients(t, path)
    with np.errstate(divide="ignore"):
        return sigma / signal


def weights(r: Sequence[Array], moments: Sequence[Array]) -> list[Array]:
    r"""Weights $w_j$ of a step that integrates the polynomials $1, r, \ldots, r^{p - 1}$ exactly; each is () or (B,).

    $$\sum_j w_j r_j^k = q_k, \qquad k = 0, \ldots, p - 1$$

    `r` are the $p$ nodes, and `moments` the exact integrals $q_k$ of $r^k$; each is () or (B,). Source: K8 [UniPC eq. 5].
    """
    nodes, right = (_stacked(name, each) for name, each in (("r", r), ("moments", moments)))
    powers = nodes[..., None, :] ** np.arange(len(r))[:, None]
    try:
        return [*np.moveaxis(np.linalg.solve(powers, right[..., None])[..., 0], -1, 0)]
    except (np.linalg.LinAlgError, ValueError):
        raise ValueError(f"r = {r!r} with moments = {moments!r}; allowed: different nodes, and as many moments, () or (B,)") from None


def nodes_of(
    x_t: Array, name: str, predictions: Sequence[Array], times: Sequence[Time], s: Time, path: GaussianPath, variable: Callable[..., Array]
) -> Nodes:
    """The nodes of a step from `times[0]` to `s`, in a variable of the path, after checks of all arguments; `name` is that of `predictions`.

    Raises unless there is one prediction for each time, the times differ, and an infinite step has only one prediction.
    """
    _check_sequences(name, predictions, times)
    check_arrays(x_t=x_t, **{f"{name}[{j}]": each for j, each in enumerate(predictions)})
    named = [*((f"times[{j}]", t) for j, t in enumerate(times)), ("s", s)]
    for each, t in named:
        per_example(each, t, x_t)
    *at_times, (signal_s, sigma_s) = [coefficients_at(each, t, path) for each, t in named]
    values = [variable(t, path) for _, t in named]
    if len(times) > 1 and not all(np.all(np.isfinite(each)) for each in values):
        raise ValueError(f"times = {times!r} and s = {s!r} have an infinite log-SNR among them; allowed: only one prediction there")
    start, end = values[0], values[-1]
    h = end - start
    if not np.all(h != 0):
        raise ValueError(f"s = {s!r} has the log-SNR of t = {times[0]!r}; allowed: another time")
    r = [np.zeros_like(h)] + [(each - start) / h for each in values[1:-1]]
    if any(np.any(a == b) for a, b in combinations(r, 2)):
        raise ValueError(f"times = {times!r} holds a time twice; allowed: different times")
    return Nodes(*at_times[0], signal_s, sigma_s, h, r)


def _check_sequences(name: str, predictions: Any, times: Any) -> None:
    if not isinstance(predictions, list | tuple) or not isinstance(times, list | tuple):
        raise TypeError(f"{name} is a {type(predictions).__name__}, times a {type(times).__name__}; allowed: lists or tuples")
    if len(times) != len(predictions) or not 1 <= len(times) <= MOST:
        raise ValueError(f"{name} has {len(predictions)} entries, times {len(times)}; allowed: the same number, 1 to {MOST}")


def _stacked(name: str, numbers: Any) -> Array:
    if not isinstance(numbers, list | tuple):
        raise TypeError(f"{name} is a {type(numbers).__name__}; allowed: a list or a tuple")
    check_real(**{f"{name}[{j}]": number for j, number in enumerate(numbers)})
    each = [as_array(check_number(f"{name}[{j}]", number, -1e60, 1e60)) * 1.0 for j, number in enumerate(numbers)]
    return np.stack(np.broadcast_arrays(*each), -1)


def coefficients_at(name: str, t: Time, path: GaussianPath) -> tuple[Array, Array]:
    """Signal and sigma of the path at a real time; an error names the argument."""
    check_real(**{name: t})
    try:
        return _coefficients(t, path)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} = {t!r}: {error}") from None


def _coefficients(t: Time, path: GaussianPath) -> tuple[Array, Array]:
    signal, sigma = path.signal_sigma(t)
    return as_array(device_get(signal)), as_array(device_get(sigma))
