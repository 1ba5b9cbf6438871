"""States that explode: x / sqrt(alpha_bar), whose noise has the standard deviation sigma = sqrt(1 / alpha_bar - 1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..adapter import Skip
from ..operations import Operation
from .conversion import Conversion, Inputs, Outputs, same

AT = {"x_t": "t", "x_s": "s"}  # the time of a state
STEPS = {"q_sample", "q_between", "to_x0", "to_eps", "ddim_step", "ddpm_step", "ddim_inversion_step"}
CHAINS = {"ddim_sample", "ddpm_sample", "ddim_invert"}


def as_exploding(operation: Operation, inputs: Inputs) -> Conversion:
    """States of one time, or of a whole grid, as exploding ones.

    A model of a trajectory is given the state that its prediction is of, as the library scales it for its network. Raises Skip for other
    operations that have states, where no signal is left, and for times outside of the table.
    """
    if operation.name not in STEPS | CHAINS:
        if {"x_t", "x_s", "x", "states", "betas"} & set(inputs) and operation.area in ("forward", "predict", "samplers", "elbo"):
            raise Skip("states of this operation are not converted to exploding ones")
        return Conversion(inputs, same)
    signal = np.sqrt(np.append(1.0, np.cumprod(1 - np.asarray(inputs["betas"], dtype=np.float64))))
    times = np.concatenate([np.ravel(inputs[name]) for name in ("t", "s", "grid") if name in inputs])
    if np.any((times < 0) | (times >= len(signal))) or not np.all(signal[times] > 0):
        raise Skip("no exploding state stands for this time")

    def at(time: Any, x: Any) -> Any:
        return signal[np.asarray(time)].reshape(np.shape(time) + (1,) * (x.ndim - np.ndim(time))).astype(x.dtype)

    changed = {name: x / at(inputs[AT[name]], x) if name in AT else x for name, x in inputs.items()}
    if operation.name in CHAINS:
        changed["x"] = inputs["x"] / signal[inputs["grid"][0]].astype(inputs["x"].dtype)

    def back(outputs: Outputs) -> Outputs:
        scaled = {name: np.asarray(x) * at(inputs[AT[name]], np.asarray(x)) if name in AT else x for name, x in outputs.items()}
        if "states" in scaled:
            scaled["states"] = np.asarray(scaled["states"]) * at(inputs["grid"], np.asarray(scaled["states"]))
        return scaled

    return Conversion(changed, back)
