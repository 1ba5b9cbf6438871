"""A worker's part of a training step: the loss and the gradient of its slice of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import tree
from ..arrays import Array
from ..training import loop
from ..training.loop import Batch, Network
from .buffers import Packed
from .mlp import RecordedMLP


class Worker:
    """One of several workers. All read the same parameters, and each writes a gradient, in memory that their processes share."""

    def __init__(self, net: Network, L: Any, params: Packed, grads: Packed) -> None:
        self.net, self.L, self.params, self.grads = net, L, params, grads
        self.recorded: dict[int, RecordedMLP] = {}

    def __call__(self, message: tuple[Batch, Array | None]) -> float:
        """Loss of a slice of the batch; writes its gradient to this worker's array. The MLP is differentiated by recorded calls."""
        batch, context = message
        if context is not None:
            rows = len(batch.x)
            if rows not in self.recorded:
                self.recorded[rows] = RecordedMLP(self.params, self.grads, rows)
            return self.recorded[rows](batch, context)
        loss, grads = loop.value_and_grad(self.net, self.params, batch, self.L)
        tree.map(np.copyto, self.grads, grads)
        return loss
