r"""Nodes of a solver's step: the times whose predictions it uses, and the weights that integrate a polynomial through them exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, GaussianPath, Time, as_array, device_get
from ..checks import check_arrays, per_example

MOST = 6  # predictions in one step


class Nodes(NamedTuple):
    r"""Coefficients of the path at $t$ and $s$, the step $h = v_s - v_t$ in a variable $v$, and the nodes $r_j = (v_j - v_t) / h$."""

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
    nodes, right = (np.stack(np.broadcast_arrays(*each), -1) for each in (r, moments))
    powers = nodes[..., None, :] ** np.arange(len(r))[:, None]
    return [*np.moveaxis(np.linalg.solve(powers, right[..., None])[..., 0], -1, 0)]


def nodes_of(
    x_t: Array, predictions: Sequence[Array], times: Sequence[Time], s: Time, path: GaussianPath, variable: Callable[..., Array]
) -> Nodes:
    """The nodes of a step from `times[0]` to `s`, in a variable of the path, after checks of all arguments.

    Raises unless there is one prediction for each time, the times differ, and an infinite step has only one prediction.
    """
    _check_sequences(predictions, times)
    check_arrays(x_t=x_t, **{f"predictions[{j}]": each for j, each in enumerate(predictions)})
    for name, t in (("s", s), *((f"times[{j}]", t) for j, t in enumerate(times))):
        per_example(name, t, x_t)
    values = [variable(each, path) for each in (*times, s)]
    if len(times) > 1 and not all(np.all(np.isfinite(each)) for each in values):
        raise ValueError(f"times = {times!r} and s = {s!r} have an infinite log-SNR among them; allowed: only one prediction there")
    start, end = values[0], values[-1]
    h = end - start
    if not np.all(h != 0):
        raise ValueError(f"s = {s!r} has the log-SNR of t = {times[0]!r}; allowed: another time")
    r = [np.zeros_like(h)] + [(each - start) / h for each in values[1:-1]]
    if any(np.any(a == b) for a, b in combinations(r, 2)):
        raise ValueError(f"times = {times!r} holds a time twice; allowed: different times")
    (signal_t, sigma_t), (signal_s, sigma_s) = _coefficients(times[0], path), _coefficients(s, path)
    return Nodes(signal_t, sigma_t, signal_s, sigma_s, h, r)


def _check_sequences(predictions: Any, times: Any) -> None:
    if not isinstance(predictions, list | tuple) or not isinstance(times, list | tuple):
        raise TypeError(f"predictions is a {type(predictions).__name__}, times a {type(times).__name__}; allowed: lists or tuples")
    if len(times) != len(predictions) or not 1 <= len(times) <= MOST:
        raise ValueError(f"predictions has {len(predictions)} entries, times {len(times)}; allowed: the same number, 1 to {MOST}")


def _coefficients(t: Time, path: GaussianPath) -> list[Array]:
    return [as_array(device_get(each)) for each in path.signal_sigma(t)]
