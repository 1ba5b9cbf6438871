"""Interface mutations: changes of an operation's inputs before its formula, and of its outputs after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from ..operations import Operation, named, operations
from .mutants import Mutant

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
PER_EXAMPLE = {  # operations that take a time or a scale for each example
    "q_step", "q_between", "q_sample", "q_marginal", "posterior", "mean_from_eps", "model_variance", "reverse_kernel", "to_x0", "to_eps",
    "convert", "target", "clip_x0", "tweedie_mean", "tweedie_covariance", "interpolate", "velocity", "conditional_loss", "to_flow",
    "from_flow", "classifier_score", "classifier_eps", "classifier_free",
}  # fmt: skip
ROWS = ("states", "averages", "terms")  # outputs with one row for each step


@cache
def generated() -> dict[str, Mutant]:
    """The mutants of the inputs and outputs of all operations, by name."""
    found = {}
    for operation in operations().values():
        for text, wrap in mutations(operation):
            name = f"{operation.name}: {text}"
            found[name] = Mutant(name, (), operation.name, wrap)
    return found


def mutations(operation: Operation) -> Iterator[tuple[str, Wrap]]:
    """The mutations of an operation's inputs and outputs: what each changes, and the wrapper of the formula."""
    if {"t", "s"} <= set(operation.inputs):
        yield "s taken as t - 1, whatever it is", lambda formula: lambda **inputs: formula(**{**inputs, "s": inputs["t"] - 1})
    for name in operation.inputs:
        yield from _of_input(operation, name)
        yield from _of_trajectory_input(operation, name)
    yield from _of_variances(operation)
    for name in operation.outputs:
        yield from _of_sequence(operation, name)
        yield from _of_output(operation, name)


def _of_input(operation: Operation, name: str) -> Iterator[tuple[str, Wrap]]:
    """An input shifted, negated or reversed, or the input of the first example used for all examples."""
    if name in ("t", "s"):
        yield f"input {name} - 1", _input(name, lambda t: t - 1)
        yield f"input {name} + 1", _input(name, lambda t: t + 1)
    if name in ("noise", "prediction", "eps", "gradient", "score", "dy"):
        yield f"input {name} negated", _input(name, lambda x: -x)
    if name in ("gamma", "w"):
        yield f"input {name} + 1", _input(name, lambda x: x + 1)
        yield f"input {name} - 1", _input(name, lambda x: x - 1)
    if name in ("betas", "grid", "times", "states"):
        yield f"input {name} reversed", _input(name, lambda x: x[::-1])
    if name == "t" and "path" in operation.inputs:
        yield "input t: 1 - t", _input(name, lambda t: 1 - t)
    if name in ("t", "tau", "gamma", "signal") and operation.name in PER_EXAMPLE:
        yield f"input {name}: that of the first example", _input(name, _first)


def _of_trajectory_input(operation: Operation, name: str) -> Iterator[tuple[str, Wrap]]:
    """The noise of several steps in another order, or a limit that is ignored."""
    if name == "noise" and ("model" in operation.inputs or "checkpoints" in operation.inputs):
        yield "input noise reversed", _input(name, lambda x: x[::-1])
        yield "input noise: the first for every step", _input(name, lambda x: np.stack([x[0]] * len(x)))
        yield "input noise: that of the next step", _input(name, lambda x: np.roll(x, -1, axis=0))
    if name == "limit":
        yield "input limit: always 1", _input(name, lambda x: x**0)


def _of_variances(operation: Operation) -> Iterator[tuple[str, Wrap]]:
    """All variances or standard deviations read as their logarithm, their square or their root."""
    names = [name for name in operation.inputs if name in ("variance", "variance1", "variance2", "std") and "betas" not in operation.inputs]
    if names:
        yield f"{' and '.join(names)} read as a logarithm", _inputs(names, np.exp)
        yield f"{' and '.join(names)} squared", _inputs(names, lambda x: x**2)
        yield f"square root of {' and '.join(names)}", _inputs(names, lambda x: x**0.5)


def _of_sequence(operation: Operation, name: str) -> Iterator[tuple[str, Wrap]]:
    """A table or a sequence of steps in another order or without an entry; one of several gradients set to 0."""
    if name in ("betas", "alpha_bar", "snr", "log_snr", "grid", "states"):
        yield f"output {name} reversed", _output(operation, name, lambda x: x[::-1])
        yield f"output {name} without its first entry", _output(operation, name, lambda x: x[1:])
        yield f"output {name} without its last entry", _output(operation, name, lambda x: x[:-1])
        yield f"output {name}, each one place later", _output(operation, name, lambda x: np.roll(x, 1, axis=0))
    if name in ROWS:
        yield f"output {name}: every row the last", _output(operation, name, lambda x: np.stack([x[-1]] * len(x)))
        yield f"output {name}: each one place later, after a 0", _output(operation, name, lambda x: np.concatenate([0 * x[:1], x[:-1]]))
    if name in ("terms", "averages"):
        yield f"output {name} reversed", _output(operation, name, lambda x: x[::-1])
    if "dy" in operation.inputs and len(operation.outputs) > 1:
        yield f"output {name}: 0", _output(operation, name, lambda x: 0 * x)


def _of_output(operation: Operation, name: str) -> Iterator[tuple[str, Wrap]]:
    """Any output with another sign, scale or unit."""
    yield f"output {name} negated", _output(operation, name, lambda x: -x)
    yield f"output {name} doubled", _output(operation, name, lambda x: 2 * x)
    yield f"output {name} halved", _output(operation, name, lambda x: x / 2)
    yield f"output {name}: its square root", _output(operation, name, lambda x: abs(x) ** 0.5)
    yield f"output {name}: its logarithm", _output(operation, name, _logarithm)
    yield f"output {name}: the batch's mean", _output(operation, name, lambda x: np.mean(x, axis=0))
    yield f"output {name}: in bits", _output(operation, name, lambda x: x / np.log(2))


def _first(x: Any) -> Any:
    return x.ravel()[0] if getattr(x, "ndim", 0) else x


def _logarithm(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.log(x)


def _input(name: str, change: Callable[[Any], Any]) -> Wrap:
    return lambda formula: lambda **inputs: formula(**{**inputs, name: change(inputs[name])})


def _inputs(names: list[str], change: Callable[[Any], Any]) -> Wrap:
    return lambda formula: lambda **inputs: formula(**{**inputs, **{name: change(inputs[name]) for name in names}})


def _output(operation: Operation, name: str, change: Callable[[Any], Any]) -> Wrap:
    def wrap(formula: Callable[..., Any]) -> Callable[..., Any]:
        def changed(**inputs: Any) -> dict[str, Any]:
            outputs = named(operation, formula(**inputs))
            return {**outputs, name: change(np.asarray(outputs[name]))}

        return changed

    return wrap
