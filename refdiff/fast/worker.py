"""One worker of a training step: the gradient of its slice of the batch, then the update of its slice of the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import tree
from ..arrays import Array
from ..networks.mlp import mlp
from ..training import loop, parallel
from ..training.loop import Batch, Network
from . import flat_state
from .buffers import Packed
from .flat_state import Update
from .mlp import RecordedMLP

ALIGNMENT = 16  # numbers: slices begin at a cache line


class Worker:
    """One of several workers, which share the memory of parameters and gradients; a message is the name of a method and its arguments."""

    def __init__(self, net: Network, L: Any, grads: list[Packed], number: int, buffers: list[Array]) -> None:
        self.net, self.L, self.grads, self.own, self.buffers = net, L, grads, grads[number], buffers
        rows = parallel.slices(-(-self.own.buffer.size // ALIGNMENT), len(grads))[number]
        self.part = slice(ALIGNMENT * rows.start, ALIGNMENT * rows.stop)
        self.recorded: dict[int, RecordedMLP] = {}

    def __call__(self, params: Packed, message: tuple[Any, ...]) -> Any:
        method, *arguments = message
        return getattr(self, method)(params, *arguments)

    def differentiate(self, params: Packed, batch: Batch, context: Array | None) -> float:
        """Loss of a slice of the batch; writes the gradient to this worker's array. The MLP is differentiated by recorded calls."""
        if self.net is mlp and context is not None:
            rows = len(batch.x)
            if rows not in self.recorded:
                self.recorded[rows] = RecordedMLP(params, self.own, rows)
            return self.recorded[rows](batch, context)
        loss, grads = loop.value_and_grad(self.net, params, batch, self.L)
        tree.map(np.copyto, self.own, grads)
        return loss

    def add(self, params: Packed) -> float:
        """Sum the gradients of all workers in this worker's slice of the parameters, into the first gradient; returns the sum of its squares."""
        total, *others = (each.buffer[self.part] for each in self.grads)
        for other in others:
            total += other
        return float(np.dot(total, total))

    def update(self, params: Packed, update: Update) -> None:
        """Update this worker's slice of the state from the summed gradient."""
        flat_state.apply(self.buffers, self.grads[0].buffer, self.part, update)
