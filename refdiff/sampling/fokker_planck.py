r"""The Fokker-Planck equation of a diffusion: its residual for a mixture, and the moments of a short step, from which it follows."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, GaussianPath, Model, Time, cast, sum_event
from ..checks import check_arrays, check_broadcast, check_choice, check_number, check_real, check_scalar, per_example
from ..process.sde import Sde
from .likelihood import STEP, divergence
from .mixture import Mixture

DIRECTIONS = ("reverse", "forward")


def residual(drift: Model, oracle: Mixture, x: Array, t: Time, sde: Sde, k: float = 1.0, direction: str = "reverse") -> Array:
    r"""Residual of the Fokker-Planck equation at `x` (B, ...), divided by the density $p_t(x)$ of a noisy mixture; (B,).

    $$\frac1p \Bigl(\frac{\partial p}{\partial t} + \nabla \cdot (\mu p) \pm \frac{k^2 g^2}{2} \nabla^2 p\Bigr)
      = \frac{\partial \log p}{\partial t} + \nabla \cdot \mu + \mu \cdot s \pm \frac{k^2 g^2}{2} \bigl(\nabla \cdot s + \|s\|^2\bigr)$$

    A process with the drift $\mu$ = `drift(x, t)` and the noise $k\, g$ has the density $p_t$ if the residual is 0 everywhere. $s$ is the score
    $\nabla \log p_t$. The sign is + for a process that runs backwards in time ("reverse"), and - for one that runs "forward". The divergences are
    found by complex steps, which `drift` has to pass on. The result has the precision of `x`, and is computed in float64. Raises where
    sigma = 0. Source: B1 [Risken], [Song et al. app. D].
    """
    check_choice("direction", direction, DIRECTIONS)
    check_real(x=x, t=t)
    check_arrays(x=x)
    sign, k = 1 if direction == "reverse" else -1, check_scalar("k", k, 0, 1e6)
    t = per_example("t", t, x, 0, sde.end)
    wide, t = x.astype(np.float64), t if isinstance(t, int | float) else t.astype(np.float64)
    coefficients = sde.signal_sigma(t)
    score = oracle.score(wide, *coefficients)
    transport = divergence(drift, wide, t) + sum_event(drift(wide, t) * score)
    spreading = divergence(lambda points, _: oracle.score(points, *coefficients), wide, t) + sum_event(score**2)
    spread = sign * k**2 / 2 * sde.drift_diffusion(t)[1]
    return (log_density_rate(oracle, wide, t, sde) + transport + spread * spreading).astype(x.dtype)


def log_density_rate(oracle: Mixture, x: Array, t: Time, path: GaussianPath) -> Array:
    r"""Time derivative $\partial \log p_t(x) / \partial t$ of a noisy mixture at a fixed `x` (B, ...); (B,).

    $$\frac{\partial \log p_t}{\partial t} = \mathrm{Im}\, \frac{\log p(x;\, signal + i h\, signal',\, \sigma + i h\, \sigma')}{h}$$

    It is a complex step along the rates of `path`, an SDE or a flow's path; $h$ is tiny. Source: B1.
    """
    check_real(x=x, t=t)
    check_arrays(x=x)
    per_example("t", t, x)
    signal, sigma = (a + 1j * STEP * rate for a, rate in zip(path.signal_sigma(t), path.rates(t), strict=True))
    return (oracle.log_density(x, signal, sigma).imag / STEP).astype(x.dtype)


def jump_moments(x: Array, mean: Array, variance: Array, dt: float) -> tuple[Array, Array, Array]:
    r"""First three moments of the change of every number in a Gaussian step $x \to x' \sim \mathcal N(m, v)$, per time $dt$; shaped like `x` (B, ...).

    $$\frac{E[\Delta]}{dt} = \frac{d}{dt}, \quad \frac{E[\Delta^2]}{dt} = \frac{d^2 + v}{dt}, \quad \frac{E[\Delta^3]}{dt} = \frac{d^3 + 3 d v}{dt},
      \qquad \Delta = x' - x, \quad d = m - x$$

    `mean` and `variance` are those of `forward.q_step`; the variance broadcasts to `x`, and `dt` is the time of the step. For short steps of a
    chain the results tend to the drift, to $g^2$ and to 0: the coefficients of the Kramers-Moyal expansion. Raises where the mean is further than
    1e9 from `x`. Source: B1 [Risken].
    """
    check_arrays(x=x, mean=mean)
    variance, dt = cast("variance", check_number("variance", variance, 0, 1e18), x), check_scalar("dt", dt, 1e-9, 1e9)
    check_broadcast("x", x, variance=variance)
    d = check_number("mean - x", mean - x, -1e9, 1e9)
    return d / dt, (d**2 + variance) / dt, (d**3 + 3 * d * variance) / dt
