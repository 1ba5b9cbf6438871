r"""Multistep solvers of the probability-flow ODE in the form $d(x / signal) = \hat\epsilon\, d\rho$, with the ratio $\rho = \sigma / signal$."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.special import roots_legendre

from ..arrays import Array, GaussianPath, Time, all_true, as_array, device_get, read_only
from ..checks import check_choice
from ..process.tables import Schedule
from .exponential import combined, dpm_solver_step
from .nodes import Nodes, nodes_of, noise_to_signal, weights

VARIABLES = ("rho", "log_rho", "t")
ADAMS_BASHFORTH = {1: (1.0,), 2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}
POINTS, AREAS = map(read_only, roots_legendre(40))


def deis_step(x_t: Array, eps: Sequence[Array], times: Sequence[Time], s: Time, path: GaussianPath, variable: str = "rho") -> Array:
    r"""Step of DEIS from `times[0]` $= t$ to $s$, with the noise predictions `eps[j]` (B, ...) of one or more times.

    $$\frac{x_s}{signal_s} = \frac{x_t}{signal_t} + \sum_j w_j \hat\epsilon(t_j), \qquad w_j = \int_{\rho_t}^{\rho_s} L_j\, d\rho$$

    $L_j$ is the Lagrange polynomial of the time $t_j$ in a variable: in $\rho$ itself ("rho"), which makes the step that of LMS; in
    $\log \rho = -\lambda$ ("log_rho"), that of DPM-Solver; or in the time ("t"), which must be a real number then. With one prediction it is
    the step of DDIM. Raises where $signal_t = 0$. Source: K9 [DEIS sec. 3].
    """
    check_choice("variable", variable, VARIABLES)
    if variable == "log_rho":
        return dpm_solver_step(x_t, eps, times, s, path, variant="taylor")
    if variable == "t":
        nodes = nodes_of(x_t, "eps", eps, times, s, path, _time)
        moments = _moments_in_time(times[0], s, path, len(eps))
    else:
        nodes = nodes_of(x_t, "eps", eps, times, s, path, noise_to_signal)
        _check_signal(nodes)
        moments = [nodes.h / (k + 1) for k in range(len(eps))]
    return _moved(x_t, nodes, weights(nodes.r, moments), eps)


def plms_step(x_t: Array, eps: Sequence[Array], times: Sequence[Time], s: Time, path: GaussianPath) -> Array:
    r"""Step of PLMS from `times[0]` $= t$ to $s$: DDIM with the Adams-Bashforth mean of the last one to four noise predictions `eps[j]` (B, ...).

    $$\hat\epsilon = \tfrac{1}{24} (55 \hat\epsilon_0 - 59 \hat\epsilon_1 + 37 \hat\epsilon_2 - 9 \hat\epsilon_3), \qquad
      \frac{x_s}{signal_s} = \frac{x_t}{signal_t} + (\rho_s - \rho_t) \hat\epsilon$$

    With three, two and one predictions the weights are (23, -16, 5) / 12, (3, -1) / 2 and 1. They are those of equal steps. Since the integral
    is over $\rho$, the order is that of the weights only if the steps are equal in $\rho$, and at most 2 on any other smooth grid.
    Source: K9 [PNDM sec. 3.3].
    """
    nodes = nodes_of(x_t, "eps", eps, times, s, path, noise_to_signal)
    if len(eps) > len(ADAMS_BASHFORTH):
        raise ValueError(f"eps has {len(eps)} entries; allowed: 1 to {len(ADAMS_BASHFORTH)}")
    return _moved(x_t, nodes, [nodes.h * weight for weight in ADAMS_BASHFORTH[len(eps)]], eps)


def _moved(x_t: Array, nodes: Nodes, w: Sequence[Array], eps: Sequence[Array]) -> Array:
    _check_signal(nodes)
    return combined(x_t, nodes.signal_s / nodes.signal_t, eps, [nodes.signal_s * each for each in w])


def _check_signal(nodes: Nodes) -> None:
    if not all_true(nodes.signal_t > 0):
        raise ValueError("signal = 0 at times[0]; allowed: a time with a signal above 0")


def _moments_in_time(t: Time, s: Time, path: GaussianPath, count: int) -> list[Array]:
    r"""The integrals of $r^k\, d\rho$ with $r = (\tau - t) / (s - t)$, by parts: $\rho_s - k \int_0^1 \rho\, r^{k - 1} dr$, by Gauss-Legendre quadrature."""
    if isinstance(path, Schedule):
        raise TypeError(f"path is a Schedule, T = {path.T}; allowed: a path of real times, for the variable t")
    t, s = (as_array(device_get(each)) for each in (t, s))
    r, end = (POINTS + 1) / 2, noise_to_signal(s, path)
    rho = [noise_to_signal(t + (s - t) * each, path) for each in r]
    inner = (k * sum(area / 2 * each ** (k - 1) * value for area, each, value in zip(AREAS, r, rho, strict=True)) for k in range(1, count))
    return [end - noise_to_signal(t, path), *(end - each for each in inner)]


def _time(t: Time, path: GaussianPath) -> Array:
    return as_array(device_get(t)) * 1.0
