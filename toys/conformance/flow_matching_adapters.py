"""Adapters for flow_matching: its affine paths, the conversions on them, and its solver of ODEs."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any, ClassVar

import torch
from flow_matching.path import AffineProbPath
from flow_matching.path.scheduler import CondOTScheduler, CosineScheduler, Scheduler, SchedulerOutput
from flow_matching.solver import ODESolver

from refdiff.conformance.adapter import Skip

VERSION = version_of("flow_matching")
PATHS = {"straight": AffineProbPath(CondOTScheduler()), "trigonometric": AffineProbPath(CosineScheduler())}


class Given(Scheduler):
    """A scheduler with these weights at every time."""

    def __init__(self, *weights: Any) -> None:
        self.weights = weights

    def __call__(self, t: Any) -> Any:
        each = (torch.as_tensor(w, dtype=t.dtype) for w in self.weights)
        return SchedulerOutput(*(w.reshape(w.shape + (1,) * (t.ndim - w.ndim)).expand(t.shape) for w in each))

    def snr_inverse(self, snr: Any) -> Any:
        raise NotImplementedError


class Paths:
    """AffineProbPath with CondOTScheduler and CosineScheduler; its x_0 is our noise, its x_1 our data."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}
    names: ClassVar[dict[str, str]] = {"x0": "target", "eps": "epsilon", "velocity": "velocity"}

    def interpolate(self, data: Any, noise: Any, t: Any, path: str) -> Any:
        return self._sample(data, noise, t, path).x_t

    def velocity(self, data: Any, noise: Any, t: Any, path: str) -> Any:
        return self._sample(data, noise, t, path).dx_t

    def _sample(self, data: Any, noise: Any, t: Any, path: str) -> Any:
        return PATHS[path].sample(x_0=noise, x_1=data, t=torch.as_tensor(t, dtype=data.dtype).expand(len(data)))

    def convert_on_path(self, prediction: Any, x_t: Any, t: Any, path: str, source: str, to: str) -> Any:
        return self._converted(PATHS[path], prediction, x_t, torch.as_tensor(t, dtype=x_t.dtype), source, to)

    def state_at(self, data: Any, noise: Any, signal: Any, sigma: Any, signal_rate: Any, sigma_rate: Any) -> Any:
        path = AffineProbPath(Given(signal, sigma, signal_rate, sigma_rate))
        found = path.sample(x_0=noise, x_1=data, t=torch.zeros(len(data), dtype=data.dtype))
        return found.x_t, found.dx_t

    def convert_at(
        self, prediction: Any, x_t: Any, signal: Any, sigma: Any, signal_rate: Any, sigma_rate: Any, source: str, to: str
    ) -> Any:
        path = AffineProbPath(Given(signal, sigma, signal_rate, sigma_rate))
        return self._converted(path, prediction, x_t, torch.zeros(len(x_t), dtype=x_t.dtype), source, to)

    def _converted(self, path: Any, prediction: Any, x_t: Any, t: Any, source: str, to: str) -> Any:
        names = self.names
        if source not in names or to not in names or source == to:
            raise Skip("a conversion between x0, eps and velocity")
        return getattr(path, f"{names[source]}_to_{names[to]}")(prediction, x_t, t.reshape(t.shape + (1,) * (x_t.ndim - t.ndim)))


class Solver:
    """ODESolver at given times; its methods are those of torchdiffeq."""

    version = VERSION
    dialect: ClassVar[dict[str, Any]] = {"arrays": "torch"}
    methods: ClassVar[dict[str, str]] = {"euler": "euler", "heun": "heun2", "rk4": "rk4"}

    def ode_sample(self, f: Callable[[Any, Any], Any], method: str, times: Any, x: Any) -> Any:
        solver = ODESolver(lambda x, t, **_: f(x, t.item()))
        return solver.sample(x, step_size=None, method=self.methods[method], time_grid=times, return_intermediates=True)

    def euler_step(self, f: Callable[[Any, Any], Any], x: Any, t: float, s: float) -> Any:
        return self.ode_sample(f, "euler", torch.tensor([t, s], dtype=x.dtype), x)[-1]

    def heun_step(self, f: Callable[[Any, Any], Any], x: Any, t: float, s: float) -> Any:
        return self.ode_sample(f, "heun", torch.tensor([t, s], dtype=x.dtype), x)[-1]

    def rk4_step(self, f: Callable[[Any, Any], Any], x: Any, t: float, s: float) -> Any:
        return self.ode_sample(f, "rk4", torch.tensor([t, s], dtype=x.dtype), x)[-1]
