r"""Sampling with a score: Langevin dynamics, annealed and as a corrector, and predictor steps from one noise level to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..arrays import Array, GaussianPath, Number, Time, all_true, as_array, holds, like, sum_event
from ..checks import as_float64, check_arrays, check_choice, check_count, check_real, check_scalar, per_example
from ..process.tables import Schedule
from ..solvers.nodes import coefficients_at

VARIANCES = ("posterior", "forward")


def ula_step(x: Array, score: Array, h: Number, noise: Array) -> Array:
    r"""Step of the unadjusted Langevin algorithm for a density $p$ with the score $\nabla \log p$; all arrays are (B, ...).

    $$x' = x + h \nabla \log p(x) + \sqrt{2h}\, z$$

    The step size $h$ is () or (B,). Its stationary law differs from $p$ by an error proportional to $h$. Source: L1 [Song et al. sec. 4.2].
    """
    check_arrays(x=x, score=score, noise=noise)
    h = _size(h, x)
    return x + like(h, x) * score + like(np.sqrt(2 * h), x) * noise


def mala_log_ratio(
    x: Array, proposal: Array, log_density: Array, log_density_there: Array, score: Array, score_there: Array, h: Number
) -> Array:
    r"""Logarithm of the acceptance ratio of the Metropolis-adjusted Langevin algorithm (MALA) for a proposal $x'$ of `ula_step`, (B,).

    $$\log \frac{p(x')\, q(x | x')}{p(x)\, q(x' | x)}, \qquad q(x' | x) = \mathcal N(x';\, x + h \nabla \log p(x),\, 2h)$$

    $\log p$ (B,) and the score (B, ...) are given at $x$ and `there`, at the proposal. A proposal that is accepted with the smaller of 1 and the
    ratio leaves $p$ exactly as it is. Source: L1 [Roberts & Tweedie 1996 sec. 1.4].
    """
    check_arrays(x=x, proposal=proposal, score=score, score_there=score_there)
    size = _size(h, x)
    if not holds(size > 0):
        raise ValueError(f"h = {h!r}; allowed: above 0")
    densities = [per_example(name, each, x) for name, each in (("log_density", log_density), ("log_density_there", log_density_there))]
    there, back = proposal - x - like(size, x) * score, x - proposal - like(size, x) * score_there
    return densities[1] - densities[0] + (sum_event(there**2) - sum_event(back**2)) / (4 * size)


def mala_accept(x: Array, proposal: Array, log_ratio: Array, uniform: Array) -> Array:
    r"""The proposal where $\log u$ is at most the logarithm of the ratio, and `x` elsewhere; $u$ is uniform in [0, 1), (B,). Source: L1."""
    check_arrays(x=x, proposal=proposal)
    uniform = per_example("uniform", uniform, x, 0, 1)
    with np.errstate(divide="ignore"):
        accepted = np.log(as_array(uniform)) <= as_array(per_example("log_ratio", log_ratio, x))
    return np.where(like(accepted * 1.0, x) > 0, proposal, x)


def annealed(
    score: Callable[[Array, float], Array], x: Array, sigmas: Sequence[float], steps: int, size: float, noise: Sequence[Array]
) -> Iterator[Array]:
    r"""Annealed Langevin dynamics (NCSN): yield the state after every step, and the denoised state at the end.

    $$h_i = \varepsilon \frac{\sigma_i^2}{\sigma_L^2}, \qquad x \leftarrow x + h_i\, s(x, \sigma_i) + \sqrt{2 h_i}\, z, \qquad
      \text{finally } x + \sigma_L^2\, s(x, \sigma_L)$$

    `sigmas` decrease from $\sigma_1$ to $\sigma_L$; each level has `steps` steps, and `size` is $\varepsilon$, half of NCSN's $\epsilon$. `noise[k]`
    belongs to the k-th step of all. NCSN itself ends without the last denoising. Source: L2 [NCSN alg. 1].
    """
    check_arrays(x=x)
    levels = as_float64("sigmas", sigmas)
    if levels.ndim != 1 or len(levels) == 0 or not (np.all(levels > 0) and np.all(np.diff(levels) < 0)):
        raise ValueError(f"sigmas = {sigmas!r}; allowed: decreasing numbers above 0")
    steps, size = check_count("steps", steps, 0, 10**7), check_scalar("size", size, 0, 1e6)
    if not hasattr(noise, "__getitem__"):
        raise TypeError(f"noise = {noise!r}; allowed: one array for each of the {steps * len(levels)} steps")
    if hasattr(noise, "__len__") and len(noise) < steps * len(levels):
        raise ValueError(f"noise has {len(noise)} entries; allowed: steps = {steps} for each of the {len(levels)} sigmas")
    for i, sigma in enumerate(levels.tolist()):
        for k in range(steps):
            x = ula_step(x, score(x, sigma), size * (sigma / levels[-1]) ** 2, noise[i * steps + k])
            yield x
    yield x + like(levels[-1] ** 2, x) * score(x, float(levels[-1]))


def corrector_size(score: Array, noise: Array, ratio: float, alpha: Number = 1.0) -> Array:
    r"""Step size (B,) of a Langevin corrector, chosen for each example by a signal-to-noise ratio $r$.

    $$h = 2 \alpha \Bigl(r \frac{\|z\|}{\|s\|}\Bigr)^2$$

    $\alpha$ is 1, or $\alpha_t$ of a chain that preserves the variance. Raises where the score is 0. Source: C7 [Song et al. alg. 4, 5].
    """
    check_arrays(score=score, noise=noise)
    ratio, alpha = check_scalar("ratio", ratio, 0, 1e6), per_example("alpha", alpha, score, 0, 1)
    square = sum_event(abs(score) ** 2)
    if not holds(square > 0):
        raise ValueError("score = 0 for an example; allowed: a score above 0, since the step size is a ratio to its length")
    return 2 * as_array(alpha) * ratio**2 * sum_event(abs(noise) ** 2) / square


def ancestral_step(x_t: Array, t: Time, s: Time, score: Array, path: GaussianPath, noise: Array, variance: str = "posterior") -> Array:
    r"""Ancestral sampling with a score, from $t$ to $s$: the mean of DDPM, and its variance.

    $$x_s = \frac{x_t + \beta_{t|s} s(x_t)}{signal_{t|s}} + \sqrt{v}\, z, \qquad signal_{t|s} = \frac{signal_t}{signal_s}, \quad
      \beta_{t|s} = \sigma_t^2 - signal_{t|s}^2 \sigma_s^2$$

    $v$ is $\beta_{t|s} \sigma_s^2 / \sigma_t^2$ ("posterior"), or $\beta_{t|s}$ ("forward"). `path` is a schedule, or an SDE. Source: C6 [Song et al. eq. 4, 47].
    """
    check_choice("variance", variance, VARIANCES)
    signal, beta, share = _transition(x_t, t, s, path)
    check_arrays(x_t=x_t, score=score, noise=noise)
    spread = beta * share if variance == "posterior" else beta
    return (x_t + like(beta, x_t) * score) / like(signal, x_t) + like(np.sqrt(spread), x_t) * noise


def reverse_diffusion_step(x_t: Array, t: Time, s: Time, score: Array, path: GaussianPath, noise: Array) -> Array:
    r"""Reverse-diffusion predictor from $t$ to $s$: the forward step $x_t = signal_{t|s} x_s + \sqrt{\beta_{t|s}}\, z$ run backwards.

    $$x_s = (2 - signal_{t|s})\, x_t + \beta_{t|s} s(x_t) + \sqrt{\beta_{t|s}}\, z$$

    It agrees with `ancestral_step` to first order. Source: C6 [Song et al. eq. 46].
    """
    signal, beta, _ = _transition(x_t, t, s, path)
    check_arrays(x_t=x_t, score=score, noise=noise)
    return like(2 - signal, x_t) * x_t + like(beta, x_t) * score + like(np.sqrt(beta), x_t) * noise


def _transition(x: Array, t: Time, s: Time, path: GaussianPath) -> tuple[Array, Array, Array]:
    r"""$signal_{t|s}$, $\beta_{t|s}$ and $\sigma_s^2 / \sigma_t^2$."""
    check_arrays(x_t=x)
    for name, time in (("t", t), ("s", s)):
        per_example(name, time, x)
    (signal_t, sigma_t), (signal_s, sigma_s) = coefficients_at("t", t, path), coefficients_at("s", s, path)
    if not (all_true(signal_t > 0) and all_true(sigma_t > 0)):
        raise ValueError(f"t = {t!r} has no signal or no noise; allowed: a time at which both are above 0")
    if not all_true(sigma_s * signal_t <= sigma_t * signal_s):
        raise ValueError(f"s = {s!r} is noisier than t = {t!r}; allowed: a time with less noise")
    signal, share = signal_t / signal_s, (sigma_s / sigma_t) ** 2
    if isinstance(path, Schedule):
        return signal, path.transition(t, s)[1], share  # without the cancellation of the difference
    return signal, sigma_t**2 * np.maximum(1 - signal**2 * share, 0), share


def _size(h: Number, x: Array) -> Array:
    check_real(h=h)
    return as_array(per_example("h", h, x, 0, 1e12)) * 1.0
