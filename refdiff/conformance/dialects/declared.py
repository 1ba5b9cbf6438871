"""Declared conventions of an adapter: the kit's inputs in the library's conventions, and its answers in the kit's.

An adapter declares them as `dialect = {"time": "index", "arrays": "torch"}`. `ALLOWED` has all of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ..adapter import Skip
from ..operations import Operation
from .conversion import Conversion, Inputs, same
from .images import channels_first, channels_last
from .state import as_exploding
from .times import FLOW_TIMES, flow_time, time, times

NATS = {
    "kl_isotropic", "kl_diagonal", "kl_full", "prior_kl", "inner_kl", "elbo_joint", "elbo_bayes", "elbo_terms", "squared_decoder", "discretized_decoder",
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
    found = Conversion(dict(inputs), same)
    for name, convert in CONVERTERS.items():
        if name in dialect:
            found = _then(found, convert(operation, found.inputs, dialect[name]))
    return found


def _then(first: Conversion, second: Conversion) -> Conversion:
    return Conversion(second.inputs, lambda outputs: first.back(second.back(outputs)))


def _kinds(operation: Operation, inputs: Inputs, names: dict[str, Any]) -> Conversion:
    """Kinds of predictions and other words by the library's names; a word without one is skipped."""
    words = {key: value for key, value in inputs.items() if key in ("kind", "source", "to", "variance") and isinstance(value, str)}
    missing = [value for value in words.values() if value not in names]
    if missing and operation.name != "grid":
        raise Skip(f"the library has no {missing[0]}")
    return Conversion({**inputs, **{key: names.get(value, value) for key, value in words.items()}}, same)


def _guidance(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    if choice == "w" and operation.name == "classifier_free":
        return Conversion({**inputs, "gamma": inputs["gamma"] - 1}, same)
    return Conversion(inputs, same)


def _mix(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    if choice == "[-1, 1]" and inputs.get("mix") is not None:
        return Conversion({**inputs, "mix": 2 * inputs["mix"] - 1}, same)
    return Conversion(inputs, same)


def _scaled(names: set[str], factor: Callable[[int], float]) -> Callable[[Operation, Inputs, str], Conversion]:
    def convert(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
        if choice in ("sum", "nats") or operation.name not in names:
            if choice == "mean" and operation.area in ("training", "unet"):
                raise Skip("losses inside of training are not converted")
            return Conversion(inputs, same)
        data = {name: value for name, value in inputs.items() if isinstance(value, np.ndarray) and (value.ndim > 1 or name == "mean1")}
        events = [
            value.size if value.ndim == 1 else value[0, 0].size if name == "states" else value[0].size for name, value in data.items()
        ]
        return Conversion(inputs, lambda outputs: {name: np.asarray(value) * factor(events[0]) for name, value in outputs.items()})

    return convert


def _axes(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    if choice == "channels last":
        return Conversion(inputs, same)
    if operation.area == "unet":
        raise Skip("the parameters of the U-Net are one flat vector, in the kit's order of axes")
    return Conversion({name: channels_first(name, value) for name, value in inputs.items()}, channels_last)


def _state(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    return as_exploding(operation, inputs) if choice == "exploding" else Conversion(inputs, same)


def _arrays(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """Arrays of another library, which is imported here and nowhere else; models take and return its arrays."""
    if choice == "numpy":
        return Conversion(inputs, same)
    library = importlib.import_module("torch" if choice == "torch" else "jax.numpy")
    into = library.from_numpy if choice == "torch" else library.asarray
    models: Inputs = {name: _in_arrays(inputs[name], into) for name in ("model", "f") if name in inputs}
    arrays = {name: into(np.ascontiguousarray(value)) for name, value in inputs.items() if isinstance(value, np.ndarray)}
    return Conversion({**inputs, **models, **arrays}, lambda outputs: {name: to_numpy(value) for name, value in outputs.items()})


def _in_arrays(model: Callable[[Any, Any], Any], into: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, t: into(np.asarray(model(to_numpy(x), to_numpy(t))))


def to_numpy(value: Any) -> Any:
    """An array of NumPy from one of PyTorch, on whatever device, or of JAX; anything else as it is."""
    if isinstance(value, np.ndarray):
        return value
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value) if hasattr(value, "__array__") else value


CONVERTERS: dict[str, Callable[[Operation, Inputs, Any], Conversion]] = {
    "state": _state,
    "time": time,
    "times": times,
    "flow_time": flow_time,
    "kinds": _kinds,
    "guidance": _guidance,
    "mix": _mix,
    "loss": _scaled(LOSSES, float),
    "elbo": _scaled(NATS, lambda D: D * float(np.log(2))),
    "axes": _axes,
    "arrays": _arrays,
}
