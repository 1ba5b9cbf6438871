r"""Singlestep solvers: steps that call the model again at inner times, and keep nothing for the next step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import Array, GaussianPath, Model, Step, Time, as_array, describe, holds, like
from ..checks import check_arrays, check_choice, check_count, check_scalar, per_example
from ..process import predict
from ..process.tables import Schedule
from .adams import deis_step, plms_step
from .exponential import dpm_solver_step, dpmpp_step
from .nodes import coefficients_at, half_log_snr, noise_to_signal
from .times import time_between

Formula = Callable[..., Array]  # (x_t, predictions, times, s, path) -> x_s
KINDS: dict[Formula, str] = {dpmpp_step: "x0", dpm_solver_step: "eps", deis_step: "eps", plms_step: "eps"}  # what a formula takes


def singlestep(formula: Formula, order: int, path: GaussianPath, kind: str = "eps", **options: Any) -> Step:
    r"""Singlestep solver of order 2 or 3: each step calls the model again at inner times, and keeps nothing for the next step.

    $$u = \tfrac12 \text{ (order 2)}, \qquad u_1 = \tfrac13, \; u_2 = \tfrac23 \text{ (order 3)} \quad \text{of the way from } \lambda_t \text{ to } \lambda_s$$

    `formula` is `dpm_solver_step` or `dpmpp_step`. For order 3 the last stage uses the predictions at $t$ and $u_2$, and the one before it
    those at $t$ and $u_1$. Where $\sigma_s = 0$ or $signal_t = 0$ the step is of order 1. With `eta` above 0, the noise of a step is a list of
    `order` arrays, one for each part of the step (see `noise_of_stages`). Source: K5, K6, K7 [DPM-Solver alg. 1, 2].
    """
    check_choice("kind", kind, predict.KINDS)
    order = check_count("order", order, 1, 3)
    if formula not in (dpmpp_step, dpm_solver_step):
        raise ValueError(f"formula = {formula!r}; allowed: dpmpp_step or dpm_solver_step")
    check_options(formula, options)
    usual = {"variant": "taylor"} if order == 3 else {}

    def at(model: Model, x: Array, u: Time) -> Array:
        return taken(formula, model(x, u), x, u, path, kind)

    def step(model: Model, x_t: Array, t: Time, s: Time, noise: Sequence[Array] | None = None) -> Array:
        finite = all(np.isfinite(half_log_snr(each, path)) for each in (t, s))
        ends = [time_between(t, s, stage / order, path) for stage in range(1, order if finite else 1)] + [s]
        eta = float(options.get("eta", 0.0) if noise_to_signal(s, path) > 0 else 0.0)
        parts = noise_of_stages(formula, eta, noise, t, ends, path)
        predictions, times = [at(model, x_t, t)], [t]
        for u, z in zip(ends[:-1], parts, strict=False):
            x_u = formula(x_t, predictions, times, u, path, "taylor", eta, z)
            predictions, times = [predictions[0], at(model, x_u, u)], [t, u]
        return formula(x_t, predictions, times, s, path, **usual | options | {"eta": eta, "noise": parts[-1]})

    return step


def noise_of_stages(
    formula: Formula, eta: float, noise: Sequence[Array] | None, t: Time, ends: Sequence[Time], path: GaussianPath
) -> list[Array | None]:
    r"""Noise of variance 1 for a step from $t$ to each of its stages, from independent noise $z_j$ (B, ...) for each part between stages.

    $$N_1 = z_1, \quad N_j = \sqrt{\frac{q_{j - 1}}{q_j}} N_{j - 1} + \sqrt{1 - \frac{q_{j - 1}}{q_j}}\, z_j, \qquad
      q_j = e^{2 \eta h_j} - 1 \text{ (dpmpp\_step)}, \quad q_j = 1 - e^{-2 h_j} \text{ (dpm\_solver\_step)}$$

    $h_j$ is the step in $\lambda$ from $t$ to stage $j$. Thus all stages see one solution of the SDE: the state at a stage contains the noise
    that the end of the step contains too. Source: K7.
    """
    eta, count = check_scalar("eta", eta, 0, 1e3), _length("ends", ends)
    if formula not in (dpmpp_step, dpm_solver_step):
        raise ValueError(f"formula = {formula!r}; allowed: dpmpp_step or dpm_solver_step")
    if eta == 0:
        return [None] * count
    if _length("noise", noise) < count:
        raise ValueError(f"noise = {describe(noise)}; allowed for eta > 0: {count} arrays, one for each part of the step")
    found = [*noise[:count]]  # type: ignore[index]
    check_arrays(**{f"noise[{i}]": each for i, each in enumerate(found)})
    h = _steps(t, ends, path, found[0]) if count > 1 else []
    rate = 2 * max(eta, 1e-100) if formula is dpmpp_step else 2.0
    for j, (before, now) in enumerate(pairwise(h), 1):
        share = np.expm1(-rate * (now - before)) / np.expm1(-rate * now)  # of the variance up to stage j, that of its own part
        share = share if formula is dpmpp_step else share * np.exp(-rate * before)
        found[j] = like(np.sqrt(1 - share), found[j]) * found[j - 1] + like(np.sqrt(share), found[j]) * found[j]
    return found


def _length(name: str, values: Any) -> int:
    if not isinstance(values, list | tuple) or not values:
        raise TypeError(f"{name} = {describe(values)}; allowed: a list of arrays, one for each part of the step")
    return len(values)


def _steps(t: Time, ends: Sequence[Time], path: GaussianPath, x: Array) -> list[Array]:
    r"""The steps $h_j$ in $\lambda$ from $t$ to each of the ends; raises unless they grow and are finite."""
    named = [("t", t), *((f"ends[{i}]", u) for i, u in enumerate(ends))]
    for name, u in named:
        coefficients_at(name, u, path)
        per_example(name, u, x)
    lam = [half_log_snr(u, path) for _, u in named]
    if not all(holds(np.isfinite(each)) for each in lam) or not all(holds(before < now) for before, now in pairwise(lam)):
        raise ValueError(f"t = {t!r}, ends = {ends!r}; allowed: times with less and less noise, and a signal and noise at each")
    return [each - lam[0] for each in lam[1:]]


@dataclass(frozen=True)
class Parts:
    """Noise for a run with a singlestep solver: item i is the list of the `count` arrays of step i, from the `noise` of a run."""

    noise: Any
    count: int

    def __post_init__(self) -> None:
        check_count("count", self.count, 1, 3)
        if not hasattr(self.noise, "__getitem__"):
            raise TypeError(f"noise = {describe(self.noise)}; allowed: one array for each part of each step")

    def __getitem__(self, step: int) -> list[Array]:
        return [self.noise[self.count * step + part] for part in range(self.count)]


def prk(path: GaussianPath, kind: str = "eps") -> Step:
    r"""Pseudo Runge-Kutta step of PNDM: the classical method of order 4 for the noise prediction, in DDIM's step.

    $$\hat\epsilon = \tfrac16 (\hat\epsilon_1 + 2 \hat\epsilon_2 + 2 \hat\epsilon_3 + \hat\epsilon_4)$$

    $\hat\epsilon_1$ is the prediction at $t$. DDIM's step with $\hat\epsilon_1$, and then with $\hat\epsilon_2$, to the time in the middle of
    $t$ and $s$ gives the states of $\hat\epsilon_2$ and $\hat\epsilon_3$, and with $\hat\epsilon_3$ to $s$ that of $\hat\epsilon_4$. Like
    `plms_step`, it has order 4 only if the middle is that of $\rho$, and where $\rho$ changes much, as at the start of a cosine schedule, it
    is far off. A step to clean data is DDIM's. Source: K9 [PNDM sec. 3.3].
    """
    check_choice("kind", kind, predict.KINDS)

    def step(model: Model, x_t: Array, t: Time, s: Time, noise: Array | None = None) -> Array:
        def moved(eps: Array, end: Time) -> Array:
            return plms_step(x_t, [eps], [t], end, path)

        def at(x: Array, u: Time) -> Array:
            return predict.to_eps(model(x, u), x, u, path, kind)

        first = at(x_t, t)
        if not np.all(noise_to_signal(s, path) > 0):
            return moved(first, s)
        u = _middle(t, s, path)
        second = at(moved(first, u), u)
        third = at(moved(second, u), u)
        fourth = at(moved(third, s), s)
        return moved((first + 2 * second + 2 * third + fourth) / 6, s)

    return step


def _middle(t: Time, s: Time, path: GaussianPath) -> Time:
    """The time in the middle of t and s; of a `Schedule`, rounded towards s."""
    t, s = check_scalar("t", t), check_scalar("s", s)
    if not isinstance(path, Schedule):
        return (t + s) / 2
    if abs(t - s) < 2:
        raise ValueError(f"t = {t!r} and s = {s!r} have no time between them; allowed: fewer steps")
    return as_array(s + (t - s) // 2 if t > s else t + (s - t) // 2).astype(np.int64)[()]


def check_options(formula: Formula, options: dict[str, Any]) -> None:
    """Raise for an option that the formula does not have, before a run calls the model."""
    allowed = {"variant", "eta", "variable"} & set(signature(formula).parameters)
    for name in options.keys() - allowed:
        raise TypeError(f"{name} = {options[name]!r}; allowed: no other options than {', '.join(sorted(allowed)) or 'grid'}")


def taken(formula: Formula, prediction: Array, x: Array, t: Time, path: GaussianPath, kind: str) -> Array:
    """A prediction of some kind as the formula takes it."""
    convert = predict.to_x0 if KINDS[formula] == "x0" else predict.to_eps
    return convert(prediction, x, t, path, kind)
