"""States that explode: x / sqrt(alpha_bar), whose noise has the standard deviation sigma = sqrt(1 / alpha_bar - 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..operations import Operation

Inputs = dict[str, Any]
AT = {"x_t": "t", "x_s": "s"}  # the time of a state


def as_exploding(operation: Operation, inputs: Inputs) -> tuple[Inputs, Callable[[Inputs], Inputs]]:
    """The inputs with exploding states, and what makes its outputs the kit's: states of one time, or of a whole grid.

    A model of a trajectory is given the state that its prediction is of, as the library scales it for its network.
    """
    if "betas" not in inputs or operation.area not in ("forward", "predict", "samplers"):
        return inputs, lambda outputs: outputs
    signal = np.sqrt(np.append(1.0, np.cumprod(1 - np.asarray(inputs["betas"], dtype=np.float64))))

    def at(time: Any, x: Any) -> Any:
        return signal[np.asarray(time)].reshape(np.shape(time) + (1,) * (x.ndim - np.ndim(time))).astype(x.dtype)

    changed = {name: x / at(inputs[AT[name]], x) if name in AT and AT[name] in inputs else x for name, x in inputs.items()}
    if "grid" in inputs:
        changed["x"] = inputs["x"] / signal[inputs["grid"][0]].astype(inputs["x"].dtype)

    def back(outputs: Inputs) -> Inputs:
        scaled = {
            name: np.asarray(x) * at(inputs[AT[name]], np.asarray(x)) if name in AT and AT[name] in inputs else x
            for name, x in outputs.items()
        }
        if "states" in scaled:
            scaled["states"] = np.asarray(scaled["states"]) * at(inputs["grid"], np.asarray(scaled["states"]))
        return scaled

    return changed, back
