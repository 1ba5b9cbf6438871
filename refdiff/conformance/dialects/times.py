"""Times in other conventions: as indices, one for each example, or from data to noise."""

from __future__ import annotations

import numpy as np

from ..adapter import Skip
from ..operations import Operation
from .conversion import Conversion, Inputs, Outputs, same

FLOW_TIMES = {"data time": 0.0, "noise time": 1.0, "1000 noise time": 1000.0}


def time(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """Times as indices 0..T-1, -1 for clean data where a step ends there."""
    if choice == "step":
        return Conversion(inputs, same)
    whole = {name: value for name, value in inputs.items() if name in ("t", "s", "grid") and np.asarray(value).dtype.kind in "iu"}
    start = "s" if operation.name in ("q_between", "ddim_inversion_step") else "t"
    if start in whole and np.any(np.asarray(whole[start]) == 0):
        raise Skip(f"no index stands for {start} = 0")
    changed = {**inputs, **{name: value - 1 for name, value in whole.items()}}
    if "model" in inputs and "grid" in whole:
        changed["model"] = lambda x, index: inputs["model"](x, index + 1)
    return Conversion(changed, _later if operation.name == "grid" else same)


def _later(outputs: Outputs) -> Outputs:
    return {name: np.asarray(value) + 1 for name, value in outputs.items()}


def times(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """One time for the batch and no other, or a time for each example."""
    if choice == "one" and any(np.ndim(inputs.get(name, 0)) for name in ("t", "s", "tau")):
        raise Skip("the library takes one time for the batch")
    whole = {name: value for name, value in inputs.items() if name in ("t", "s") and "betas" in inputs}
    if choice != "each" or not whole or all(np.ndim(value) for value in whole.values()):
        return Conversion(inputs, same)
    B = _batch(inputs)
    inputs = {**inputs, **{name: np.broadcast_to(np.asarray(value), max(B, 1)).copy() for name, value in whole.items()}}
    return Conversion(inputs, same if B else _alone)


def _alone(outputs: Outputs) -> Outputs:
    """What was computed for an array of one time, as for a single one."""
    return {name: array[0] if (array := np.asarray(value)).shape[:1] == (1,) else value for name, value in outputs.items()}


def _batch(inputs: Inputs) -> int:
    return next((len(value) for value in inputs.values() if isinstance(value, np.ndarray) and value.ndim > 1), 0)


def flow_time(operation: Operation, inputs: Inputs, choice: str) -> Conversion:
    """Times that run from data to noise: 1 - t, the velocity negated, and an ODE in this time."""
    scale = FLOW_TIMES[choice]
    if scale and operation.name == "train_mlp_flow":
        raise Skip("the network of this operation is given the kit's times")
    if not scale or (operation.area != "flow" and "f" not in inputs):
        return Conversion(inputs, same)
    named = {name: scale * (1 - value) for name, value in inputs.items() if name in ("t", "s", "times", "tau")}
    changed = {**inputs, **named}
    if "f" in inputs:
        changed["f"] = lambda x, time: -inputs["f"](x, 1 - time / scale) / scale
    if operation.name == "conditional_loss" or inputs.get("source") == "velocity":
        changed["prediction"] = -inputs["prediction"]
    changed |= {name: -inputs[name] for name in ("signal_rate", "sigma_rate") if name in inputs}
    if operation.name == "velocity" or inputs.get("to") == "velocity":
        return Conversion(changed, lambda outputs: {name: -np.asarray(value) for name, value in outputs.items()})
    if operation.name == "state_at":
        return Conversion(changed, lambda outputs: {**outputs, "velocity": -np.asarray(outputs["velocity"])})
    if operation.name == "flow_time":
        return Conversion(changed, lambda outputs: {name: 1 - np.asarray(value) / scale for name, value in outputs.items()})
    return Conversion(changed, same)
