"""Declared conventions of an adapter: the kit's inputs in the library's conventions, and its answers in the kit's.

An adapter declares them as `dialect = {"time": "index", "arrays": "torch"}`. `ALLOWED` has all of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..adapter import Skip
from ..operations import Operation
from .images import channels_first, channels_last
from .state import as_exploding

Inputs = dict[str, Any]
Outputs = dict[str, Any]
FLOW_TIMES = {"data time": 0.0, "noise time": 1.0, "1000 noise time": 1000.0}
NATS = {
    "kl_isotropic", "kl_diagonal", "prior_kl", "inner_kl", "elbo_joint", "elbo_bayes", "elbo_terms", "squared_decoder", "discretized_decoder",
    "discretized_log_likelihood",
}  # fmt: skip
LOSSES = {"l_simple", "conditional_loss", "marginal_loss"}
ALLOWED = {
    "time": ("step", "index"),
    "times": ("one or each", "one", "each"),
    "flow_time": tuple(FLOW_TIMES),
    "state": ("preserving", "exploding"),
    "guidance": ("gamma", "w"),
    "mix": ("[0, 1]", "[-1, 1]"),
    "loss": ("sum", "mean"),
    "elbo": ("nats", "bits/dim"),
    "axes": ("channels last", "channels first"),
    "arrays": ("numpy", "torch", "jax"),
}


class Conversion(NamedTuple):
    """Inputs for a library, and the function that takes its outputs by name back."""

    inputs: Inputs
    back: Callable[[Outputs], Outputs]


def check(dialect: Any) -> dict[str, Any]:
    """The declared dialect. Raises if it is no dict, or has a name or a choice that is not allowed."""
    if not isinstance(dialect, dict):
        raise ValueError(f"dialect = {dialect!r}; allowed: a dict with any of {', '.join(ALLOWED)}, kinds")
    for name, choice in dialect.items():
        if name == "kinds" and isinstance(choice, dict):
            continue
        if name not in ALLOWED:
            raise ValueError(f"dialect has {name!r}; allowed: {', '.join(ALLOWED)}, and kinds, a dict")
        if choice not in ALLOWED[name]:
            raise ValueError(f"dialect[{name!r}] = {choice!r}; allowed: {', '.join(ALLOWED[name])}")
    return dialect


def converted(operation: Operation, inputs: Inputs, dialect: dict[str, Any]) -> Conversion:
    """The inputs of an operation in the declared conventions. Raises Skip for what a convention cannot express."""
    found = Conversion(dict(inputs), lambda outputs: outputs)
    for name, convert in CONVERTERS.items():
        if name in dialect:
            found = _then(found, convert(operation, found.inputs, dialect[name]))
    return found


def _then(first: Conversion, second: Conversion) -> Conversion:
    return Conversion(second.inputs, lambda outputs: first.back(second.back(outputs)))


def _same(outputs: Outputs) -> Outputs:
    return outputs


def _kinds(operation: Operation, inputs: Inputs, names: dict[str, Any]) -> Conversion:
    """Kinds of predictions and other words by the library's names; a word without one is skipped."""
    words = {key: value for key, value in inputs.items() if key in ("kind", "source", "to", "variance") and isinstance(value, str)}
    missing = [value for value in words.values() if value not in names]
    if missing and operation.name != "grid":
        raise Skip(f"the library has no {missing[0]}")
    return Conversion({**inputs, **{key: names.get(value, value) for key, value in words.items()}}, _same)


def _time(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """Times as indices 0..T-1, -1 for clean data where a step ends there."""
    if choice == "step":
        return Conversion(inputs, _same)
    whole = {name: value for name, value in inputs.items() if name in ("t", "s", "grid") and np.asarray(value).dtype.kind in "iu"}
    if "t" in whole and np.any(np.asarray(whole["t"]) == 0):
        raise Skip("no index stands for t = 0")
    changed = {**inputs, **{name: value - 1 for name, value in whole.items()}}
    if "model" in inputs and "grid" in whole:
        changed["model"] = lambda x, index: inputs["model"](x, index + 1)
    return Conversion(changed, _later if operation.name == "grid" else _same)


def _later(outputs: Outputs) -> Outputs:
    return {name: np.asarray(value) + 1 for name, value in outputs.items()}


def _times(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """One time for the batch and no other, or a time for each example."""
    whole = {name: value for name, value in inputs.items() if name in ("t", "s") and "betas" in inputs}
    if choice == "one" and any(np.ndim(value) for value in whole.values()):
        raise Skip("the library takes one time for the batch")
    if choice == "each" and whole and (B := _batch(inputs)):
        inputs = {**inputs, **{name: np.broadcast_to(np.asarray(value), B).copy() for name, value in whole.items()}}
    return Conversion(inputs, _same)


def _batch(inputs: Inputs) -> int:
    return next((len(value) for value in inputs.values() if isinstance(value, np.ndarray) and value.ndim > 1), 0)


def _flow_time(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """Times that run from data to noise: 1 - t, the velocity negated, and an ODE in this time."""
    scale = FLOW_TIMES[choice]
    if not scale or (operation.area != "flow" and "f" not in inputs):
        return Conversion(inputs, _same)
    named = {name: scale * (1 - value) for name, value in inputs.items() if name in ("t", "s", "times", "tau")}
    changed = {**inputs, **named}
    if "f" in inputs:
        changed["f"] = lambda x, time: -inputs["f"](x, 1 - time / scale) / scale
    if operation.name == "conditional_loss":
        changed["prediction"] = -inputs["prediction"]
    if operation.name == "velocity":
        return Conversion(changed, lambda outputs: {name: -np.asarray(value) for name, value in outputs.items()})
    if operation.name == "flow_time":
        return Conversion(changed, lambda outputs: {name: 1 - np.asarray(value) / scale for name, value in outputs.items()})
    return Conversion(changed, _same)


def _guidance(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    if choice == "w" and operation.name == "classifier_free":
        return Conversion({**inputs, "gamma": inputs["gamma"] - 1}, _same)
    return Conversion(inputs, _same)


def _mix(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    if choice == "[-1, 1]" and inputs.get("mix") is not None:
        return Conversion({**inputs, "mix": 2 * inputs["mix"] - 1}, _same)
    return Conversion(inputs, _same)


def _scaled(names: set[str], factor: Callable[[int], float]) -> Callable[[Operation, Inputs, str], Conversion]:
    def convert(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
        if operation.name not in names or choice in ("sum", "nats"):
            return Conversion(inputs, _same)
        events = [value[0].size for value in inputs.values() if isinstance(value, np.ndarray) and value.ndim > 1]
        return Conversion(inputs, lambda outputs: {name: np.asarray(value) * factor(events[0]) for name, value in outputs.items()})

    return convert


def _axes(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    if choice == "channels last":
        return Conversion(inputs, _same)
    return Conversion({name: channels_first(name, value) for name, value in inputs.items()}, channels_last)


def _state(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    return Conversion(*as_exploding(operation, inputs)) if choice == "exploding" else Conversion(inputs, _same)


def _arrays(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """Arrays of another library, which is imported here and nowhere else; models take and return its arrays."""
    if choice == "numpy":
        return Conversion(inputs, _same)
    library = importlib.import_module("torch" if choice == "torch" else "jax.numpy")
    into = library.from_numpy if choice == "torch" else library.asarray
    models: Inputs = {name: _in_arrays(inputs[name], into) for name in ("model", "f") if name in inputs}
    arrays = {name: into(np.ascontiguousarray(value)) for name, value in inputs.items() if isinstance(value, np.ndarray)}
    return Conversion({**inputs, **models, **arrays}, lambda outputs: {name: to_numpy(value) for name, value in outputs.items()})


def _in_arrays(model: Callable[[Any, Any], Any], into: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, t: into(np.asarray(model(to_numpy(x), to_numpy(t))))


def to_numpy(value: Any) -> Any:
    """An array of NumPy from one of PyTorch, on whatever device, or of JAX; anything else as it is."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value) if hasattr(value, "__array__") else value


CONVERTERS: dict[str, Callable[[Operation, Inputs, Any], Conversion]] = {
    "state": _state,
    "time": _time,
    "times": _times,
    "flow_time": _flow_time,
    "kinds": _kinds,
    "guidance": _guidance,
    "mix": _mix,
    "loss": _scaled(LOSSES, float),
    "elbo": _scaled(NATS, lambda D: D * float(np.log(2))),
    "axes": _axes,
    "arrays": _arrays,
}
