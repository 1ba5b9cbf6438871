r"""Solvers by name, as steps for `samplers.sample`, and the history of multistep solvers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Array, GaussianPath, Model, Step, Time
from ..checks import check_choice, check_count
from ..process import predict
from .adams import deis_step, plms_step
from .exponential import dpm_solver_step, dpmpp_step
from .nodes import half_log_snr, noise_to_signal
from .stages import KINDS, Formula, Parts, check_options, prk, singlestep, taken

METHODS: dict[str, tuple[str, Formula, int, dict[str, Any]]] = {  # how it runs, its formula, the number of predictions, and options
    "dpmpp_2m": ("multistep", dpmpp_step, 2, {}),
    "dpmpp_3m": ("multistep", dpmpp_step, 3, {}),
    "sde_dpmpp_2m": ("multistep", dpmpp_step, 2, {"eta": 1.0}),
    "sde_dpmpp_3m": ("multistep", dpmpp_step, 3, {"eta": 1.0}),
    "dpm_solver_2m": ("multistep", dpm_solver_step, 2, {}),
    "dpm_solver_3m": ("multistep", dpm_solver_step, 3, {}),
    "unipc_2": ("corrected", dpmpp_step, 2, {}),
    "unipc_3": ("corrected", dpmpp_step, 3, {}),
    "deis_3": ("multistep", deis_step, 3, {"variable": "log_rho"}),
    "lms_4": ("multistep", deis_step, 4, {"variable": "rho"}),
    "ipndm_4": ("multistep", plms_step, 4, {}),
    "pndm_4": ("prk", plms_step, 4, {}),
    "dpm_solver_2": ("singlestep", dpm_solver_step, 2, {}),
    "dpm_solver_3": ("singlestep", dpm_solver_step, 3, {}),
    "dpmpp_2s": ("singlestep", dpmpp_step, 2, {}),
    "sde_dpmpp_2s": ("singlestep", dpmpp_step, 2, {"eta": 1.0}),
}


def solver(
    name: str, path: GaussianPath, kind: str = "eps", grid: Any = None, start: Step | None = None, **options: Any
) -> Multistep | Step:
    r"""A solver by its name, for a model that predicts `kind`; other options are those of its step, such as `eta` or `variant`.

    | name | step | model calls |
    |---|---|---|
    | dpmpp_2m, dpmpp_3m | `dpmpp_step` with the last two or three predictions | 1 |
    | sde_dpmpp_2m, sde_dpmpp_3m | the same with $\eta = 1$ | 1 |
    | dpm_solver_2m, dpm_solver_3m | `dpm_solver_step` with the last two or three predictions | 1 |
    | unipc_2, unipc_3 | `dpmpp_step`, and again with the new prediction as a corrector | 1 |
    | deis_3, lms_4 | `deis_step` in $\log \rho$ with three predictions, in $\rho$ with four | 1 |
    | ipndm_4 | `plms_step` with the last four predictions | 1 |
    | pndm_4 | the same, started by `prk` | 1, at first 4 |
    | dpm_solver_2, dpm_solver_3, dpmpp_2s | stages between $t$ and $s$, see `singlestep` | 2, 3, 2 |
    | sde_dpmpp_2s | the same with $\eta = 1$, and two arrays of noise for a step: see `Parts` | 2 |

    Multistep solvers begin with one prediction and use one more with every step; with `grid`, the times of the run, they use fewer again at
    its end, and with `start` another step at its beginning (see `Multistep`). Where $\sigma_s = 0$, a step in $\lambda$ is of order 1. Source: K5, K6, K7, K8, K9.
    """
    check_choice("method", name, tuple(METHODS))
    how, formula, order, usual = METHODS[name]
    if how == "singlestep":
        if start is not None:
            raise ValueError(f"start = {start!r}; allowed: None for {name}, whose steps use no history")
        return singlestep(formula, order, path, kind, **usual | options)
    start = prk(path, kind) if how == "prk" and start is None else start
    return Multistep(formula, order, path, kind, how == "corrected", grid, usual | options, start)


def noise_for(name: str, noise: Any) -> Any:
    """The noise of a run as the steps of a solver take it: in `Parts` for a singlestep solver."""
    check_choice("name", name, tuple(METHODS))
    how, _, order, _ = METHODS[name]
    return Parts(noise, order) if how == "singlestep" else noise


@dataclass(frozen=True)
class Multistep:
    """Multistep solver: its steps use the predictions of earlier steps. `samplers.sample` begins it anew for every run.

    `formula` is `dpmpp_step`, `dpm_solver_step`, `deis_step` or `plms_step`; `order` the largest number of predictions; `kind` what the model
    predicts; `options` those of the formula. With `corrector`, each new prediction first corrects the state at which it was made, with
    the formula of the step before and one time more. With a `grid`, its last steps use no more predictions than there are steps left, so
    the very last one uses one: where the log-SNR grows fast at the end, a polynomial through older predictions would overshoot. With a
    `start`, such as `singlestep` of order 2 or `prk`, this step is taken as long as there are fewer than `order` - 1 predictions: one step of
    order $p - 1$ does not lower the order $p$ of a run. A step to clean data adds no noise. Source: K6, K8, K9 [UniPC alg. 1].
    """

    formula: Formula
    order: int
    path: GaussianPath
    kind: str = "eps"
    corrector: bool = False
    grid: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    start: Step | None = None

    def __post_init__(self) -> None:
        check_count("order", self.order, 1, 6)
        check_choice("kind", self.kind, predict.KINDS)
        if self.formula not in KINDS or (self.corrector and self.formula is plms_step):
            names = ", ".join(each.__name__ for each in KINDS)
            raise ValueError(f"formula = {self.formula!r}; allowed: {names}, the last not with a corrector")
        if self.corrector and self.start is not None:
            raise ValueError(f"start = {self.start!r}; allowed: None with a corrector")
        check_options(self.formula, self.options)

    def begin(self, history: Sequence[tuple[Time, Array]] = ()) -> Step:
        """A step for one run, with a history of its own: pairs of a time and its prediction, the latest first.

        Each step of the run has to begin where the last one ended.
        """
        past = [*history]
        known = len(past)  # the number of predictions so far
        before: list[Any] = []  # the state, the end and the noise of the last step

        def step(model: Model, x_t: Array, t: Time, s: Time, noise: Array | None = None) -> Array:
            nonlocal known
            if before and not np.array_equal(before[1], t):
                raise ValueError(f"t = {t!r}; allowed: {before[1]!r}, where the last step of this run ended")
            at_t = model(x_t, t)
            new = (t, taken(self.formula, at_t, x_t, t, self.path, self.kind))
            if self.corrector and before and np.all(np.isfinite(half_log_snr(past[0][0], self.path))):
                x_t = self._from(before[0], [*past, new], t, before[2])
            past[:] = self._kept([new, *past], s)
            before[:] = [x_t, s, noise]
            known += 1
            if self.start is not None and known < self.order - 1:
                return self.start(lambda x, u: at_t if u is t else model(x, u), x_t, t, s, noise)
            return self._from(x_t, past, s, noise)

        return step

    def _kept(self, past: list[tuple[Time, Array]], s: Time) -> list[tuple[Time, Array]]:
        """The predictions that a step to s uses: only the latest one where a step in lambda would be infinite."""
        in_lambda = self.formula in (dpmpp_step, dpm_solver_step) or self.options.get("variable") == "log_rho"
        times = (s, *(t for t, _ in past))
        infinite = in_lambda and not all(np.all(np.isfinite(half_log_snr(each, self.path))) for each in times)
        return past[: 1 if infinite else min(self.order, self._left(s))]

    def _left(self, s: Time) -> int:
        """The number of steps that are left on the grid, with the one to s."""
        if self.grid is None:
            return self.order
        found = np.flatnonzero(np.asarray(self.grid) == s)
        if len(found) != 1:
            raise ValueError(f"s = {s!r}; allowed: a time of grid = {self.grid!r}")
        return len(self.grid) - int(found[0])

    def _from(self, x: Array, used: list[tuple[Time, Array]], s: Time, noise: Array | None) -> Array:
        times, predictions = zip(*used, strict=True)
        noisy = self.options.get("eta") and np.any(noise_to_signal(s, self.path) > 0)
        more = {"noise": noise} if noisy else {"eta": 0.0} if "eta" in self.options else {}
        return self.formula(x, predictions, times, s, self.path, **self.options | more)
